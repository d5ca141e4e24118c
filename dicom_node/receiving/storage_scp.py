"""The Storage SCP (PS3.4 annex B): Success only when the bytes are on disk and the work is in the ledger."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from datetime import datetime
from io import BytesIO
from typing import Any

from pydicom.dataset import Dataset
from pynetdicom import AE, _config, evt
from pynetdicom.dimse_messages import N_EVENT_REPORT_RQ
from pynetdicom.presentation import build_context

from dicom_node.dimse_status import StoreStatus
from dicom_node.errors import LedgerError
from dicom_node.identifiers import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME
from dicom_node.receiving.acceptor import Acceptor
from dicom_node.receiving.admission import (
    Caller,
    Refusal,
    accepted_contexts,
    committing_destinations,
    destination_contexts,
    ignored_classes,
    recognise,
    within_limits,
)
from dicom_node.receiving.association_server import StorageServer
from dicom_node.receiving.commitment_service import (
    CommitmentService,
    EventInformation,
    commitment_context,
)
from dicom_node.receiving.host_names import HostNames
from dicom_node.receiving.intake import Intake
from dicom_node.receiving.open_association import OpenAssociation, printable, rejected_association
from dicom_node.receiving.spool import Spool
from dicom_node.receiving.storage_service import StorageService
from dicom_node.records import AssociationRecord
from dicom_node.settings import Settings

ACSE_SECONDS = 30
NETWORK_SECONDS = 60
# Connections beyond the accepted associations: those to be rejected, and health checks.
SPARE_CONNECTIONS = 32
# How long an association may take to end once it was told to.
ENDING_SECONDS = 3.0


class StorageScp:
    """Receives what peers send and hands it over; `clock` says when, `log` hears of associations.

    Raises:
        SettingsError: on creation, where it cannot listen on the settings' address and port.
    """

    def __init__(
        self,
        settings: Settings,
        spool: Spool,
        intake: Intake,
        clock: Callable[[], datetime],
        log: logging.Logger | None = None,
        names: HostNames | None = None,
    ) -> None:
        self._settings, self._intake, self._clock = settings, intake, clock
        self._spool = spool
        self._log = log or logging.getLogger("dicom_node.receiving")
        self._names = names or HostNames(time.monotonic)
        self._contexts = {
            peer: [
                build_context(uid, list(syntaxes)) for uid, syntaxes in accepted_contexts(peer).items()
            ]
            for peer in (None, *settings.peers)
        }
        self._open: dict[Acceptor, OpenAssociation] = {}
        self._lock = threading.Lock()
        self._of_destinations = [
            build_context(uid, list(syntaxes)) for uid, syntaxes in destination_contexts().items()
        ]
        self._commitments = CommitmentService(intake, clock, self._log)
        self._service = StorageService(settings, spool, intake, clock, self._log)
        self._server = self._listening_server()

    def _listening_server(self) -> StorageServer:
        # Process-wide in pynetdicom: no dump of each PDU and message, which costs time and tells too much.
        _config.LOG_HANDLER_LEVEL = "none"
        node = self._settings.node
        ae = AE(ae_title=next(iter(node.called)))
        ae.implementation_class_uid = IMPLEMENTATION_CLASS_UID
        ae.implementation_version_name = IMPLEMENTATION_VERSION_NAME
        ae.maximum_pdu_size = node.max_pdu_bytes
        ae.acse_timeout, ae.dimse_timeout = ACSE_SECONDS, NETWORK_SECONDS
        ae.network_timeout = NETWORK_SECONDS
        # The limits are ours, per peer too; pynetdicom's own must never come first.
        ae.maximum_associations = 2**31
        handlers = [
            (evt.EVT_REQUESTED, self._on_requested),
            (evt.EVT_C_STORE, self._on_store),
            (evt.EVT_C_ECHO, self._on_echo),
            (evt.EVT_N_EVENT_REPORT, self._on_report),
        ]
        connection_limit = node.max_associations + SPARE_CONNECTIONS
        return StorageServer(
            ae, node.address, node.port, handlers, self._begin_data_set, connection_limit
        )

    @property
    def port(self) -> int:
        """The port that it listens on."""
        return int(self._server.server_address[1])

    @property
    def open_associations(self) -> int:
        """How many accepted associations are open now."""
        with self._lock:
            return len(self._open)

    def start(self) -> None:
        """Clears the spool of what a crash left, then begins to accept associations, in threads of its own."""
        leftovers = self._spool.prepare()
        if leftovers:
            self._log.info("removed %d half-received files", leftovers)
        self._server.start(self._on_end)
        self._log.info("listening on %s port %d", self._settings.node.address, self.port)

    def stop(self, drain_seconds: float) -> None:
        """Accepts nothing new at once, lets open associations end for so long, then aborts the rest."""
        self._server.close()
        self._wait_for_end(drain_seconds)
        for acceptor in self._server.open_connections:
            acceptor.ask_to_end()
        self._wait_for_end(ENDING_SECONDS)
        for acceptor in self._server.open_connections:
            acceptor.cut()
        self._wait_for_end(1)

    def _wait_for_end(self, seconds: float) -> None:
        deadline = time.monotonic() + seconds
        while self._server.open_connections and time.monotonic() < deadline:
            time.sleep(0.02)

    def _on_requested(self, event: Any) -> None:
        acceptor: Acceptor = event.assoc
        caller = _caller(acceptor)
        unknown = recognise(self._settings, self._names, caller)
        committing = committing_destinations(self._settings, self._names, caller)
        # A destination that is no peer may report, and store nothing.
        refusal = (unknown if not committing else None) or self._enter(acceptor, caller, committing)
        if refusal is None:
            peer = self._settings.peer(caller.calling_ae_title)
            contexts = self._of_destinations if unknown else self._contexts[peer]
            more = [commitment_context()] if committing else []
            acceptor.acceptor.supported_contexts = [*contexts, *more]
            return
        acceptor.acse.send_reject(*refusal.rejection.value)
        self._log.warning(
            "rejected %s from %s, called %s: %s",
            printable(caller.calling_ae_title), caller.address,
            printable(caller.called_ae_title), refusal.reason,
        )  # fmt: skip
        self._note(rejected_association(acceptor, caller, refusal, self._clock()))

    def _enter(self, acceptor: Acceptor, caller: Caller, committing: tuple[str, ...]) -> Refusal | None:
        peer = self._settings.peer(caller.calling_ae_title)
        with self._lock:
            titles = [one.caller.calling_ae_title for one in self._open.values()]
            refusal = within_limits(self._settings, caller, titles)
            if refusal is None:
                self._open[acceptor] = OpenAssociation(
                    caller, self._clock(), ignored_classes(peer), committing
                )
        return refusal

    def _on_end(self, acceptor: Acceptor) -> None:
        with self._lock:
            association = self._open.pop(acceptor, None)
        if association is None:
            return
        how = "released" if acceptor.is_released else "aborted"
        self._log.info(
            "%s from %s %s: %d stored, %d refused",
            printable(association.caller.calling_ae_title), association.caller.address,
            how, association.stored, association.refused,
        )  # fmt: skip
        self._note(association.record(how, acceptor, self._clock()))

    def _on_echo(self, _event: Any) -> int:
        return int(StoreStatus.SUCCESS)

    def _on_report(self, event: Any) -> tuple[int, None]:
        return self._commitments.answer(event, self._open[event.assoc])

    def _on_store(self, event: Any) -> Dataset | int:
        return self._service.answer(event, self._open[event.assoc])

    def _begin_data_set(self, acceptor: Acceptor, message: Any) -> BytesIO:
        if isinstance(message, N_EVENT_REPORT_RQ):
            return EventInformation()
        return self._service.begin_data_set(acceptor, message, self._open[acceptor])

    def _note(self, record: AssociationRecord) -> None:
        try:
            self._intake.note_association(record)
        except LedgerError as error:
            self._log.warning("association not noted: %s", error)


def _caller(acceptor: Acceptor) -> Caller:
    request = acceptor.requestor.primitive
    return Caller(
        calling_ae_title=request.calling_ae_title.strip(" "),
        called_ae_title=request.called_ae_title.strip(" "),
        address=acceptor.requestor.address_info.address,
    )
