"""An archive of pynetdicom's that stores, says what it has (C-FIND), and commits as a test wants it to."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from pydicom.dataset import Dataset
from pynetdicom import AE, build_role, evt

from dicom_node.delivering.instance_query import STUDY_ROOT_FIND
from dicom_node.delivering.storage_scu import NATIVE
from dicom_node.storage_commitment import PUSH_MODEL, PUSH_MODEL_INSTANCE

VERIFICATION = "1.2.840.10008.1.1"
SECONDARY_CAPTURE = "1.2.840.10008.5.1.4.1.1.7"
CR = "1.2.840.10008.5.1.4.1.1.1"


@dataclass(frozen=True)
class Asked:
    """One N-ACTION request that came."""

    transaction_uid: str
    instances: tuple[tuple[str, str], ...]


@dataclass
class CommittingArchive:
    """What it has, what it was asked, and how it answers.

    `at_once` reports on the association of the request; `first` before it responds to the request. `failures`
    maps SOP Instance UIDs to a Failure Reason. `abort_after_store` breaks the association instead of a response.
    """

    ae_title: str = "ARCHIVE"
    port: int = 0
    at_once: bool = True
    first: bool = False
    action_status: int = 0x0000
    failures: dict[str, int] = field(default_factory=dict)
    abort_after_store: bool = False
    on_asked: Callable[[], None] = lambda: None
    stored: list[str] = field(default_factory=list)
    asked: list[Asked] = field(default_factory=list)
    queried: list[str] = field(default_factory=list)
    statuses: list[int] = field(default_factory=list)
    reported: threading.Event = field(default_factory=threading.Event)

    def information(self, asked: Asked, transaction_uid: str | None = None) -> tuple[int, Dataset]:
        """Event type and data set of a report (PS3.4 J.3.3.1.1)."""
        ds = Dataset()
        ds.TransactionUID = transaction_uid or asked.transaction_uid
        good, bad = [], []
        for sop_class, uid in asked.instances:
            item = Dataset()
            item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = sop_class, uid
            if uid in self.failures:
                item.FailureReason = self.failures[uid]
            (bad if uid in self.failures else good).append(item)
        if good:
            ds.ReferencedSOPSequence = good
        if bad:
            ds.FailedSOPSequence = bad
        return (2 if bad else 1), ds

    def report_to(
        self, port: int, asked: Asked, *, called: str = "FRACTURE", transaction_uid: str | None = None
    ) -> int | None:
        """Opens an association of its own and reports; our status, None where no context was accepted."""
        kind, ds = self.information(asked, transaction_uid)
        return report(port, kind, ds, calling=self.ae_title, called=called)

    def _on_store(self, event: Any) -> int:
        self.stored.append(str(event.request.AffectedSOPInstanceUID))
        if self.abort_after_store:
            event.assoc.abort()
        return 0x0000

    def _on_action(self, event: Any) -> tuple[int, None]:
        ds = event.action_information
        instances = [
            (str(one.ReferencedSOPClassUID), str(one.ReferencedSOPInstanceUID))
            for one in ds.ReferencedSOPSequence
        ]
        self.asked.append(Asked(str(ds.TransactionUID), tuple(instances)))
        self.on_asked()
        if self.first:
            self._report_on(event.assoc)
        elif self.at_once and not self.action_status:
            threading.Thread(target=self._report_on, args=(event.assoc,), daemon=True).start()
        return self.action_status, None

    def _report_on(self, association: Any) -> None:
        kind, ds = self.information(self.asked[-1])
        status, _ = association.send_n_event_report(ds, kind, PUSH_MODEL, PUSH_MODEL_INSTANCE)
        self.statuses.append(int(status.Status))
        self.reported.set()

    def _on_find(self, event: Any) -> Iterator[tuple[int, Dataset | None]]:
        asked = event.identifier
        assert asked.QueryRetrieveLevel == "IMAGE"
        self.queried.append(str(asked.SOPInstanceUID))
        if asked.SOPInstanceUID in self.stored:
            yield 0xFF00, asked

    @property
    def handlers(self) -> list[tuple[Any, Any]]:
        """What it does when asked."""
        return [
            (evt.EVT_C_STORE, self._on_store),
            (evt.EVT_C_FIND, self._on_find),
            (evt.EVT_N_ACTION, self._on_action),
        ]


def report(
    port: int,
    event_type: int,
    information: Dataset,
    *,
    calling: str = "ARCHIVE",
    called: str = "FRACTURE",
    more_classes: Sequence[str] = (),
) -> int | None:
    """Reports to a node as an archive does, in the role of an SCP; None where it does not take the class."""
    ae = AE(ae_title=calling)
    for uid in (PUSH_MODEL, *more_classes):
        ae.add_requested_context(uid, list(NATIVE))
    association = ae.associate(
        "127.0.0.1", port, ae_title=called, ext_neg=[build_role(PUSH_MODEL, scp_role=True)]
    )
    if not association.is_established:
        return None
    try:
        if not [one for one in association.accepted_contexts if one.abstract_syntax == PUSH_MODEL]:
            return None
        status, _ = association.send_n_event_report(
            information, event_type, PUSH_MODEL, PUSH_MODEL_INSTANCE
        )
        return int(status.Status)
    finally:
        association.release()


@contextlib.contextmanager
def committing_archive(
    archive: CommittingArchive | None = None, *, without: Sequence[str] = ()
) -> Iterator[CommittingArchive]:
    """An archive that listens; `without` are SOP classes that it does not take."""
    archive = archive or CommittingArchive()
    ae = AE(ae_title=archive.ae_title)
    for uid in (VERIFICATION, CR, SECONDARY_CAPTURE, PUSH_MODEL, STUDY_ROOT_FIND):
        if uid not in without:
            ae.add_supported_context(uid, list(NATIVE))
    server: Any = ae.start_server(
        ("127.0.0.1", archive.port), block=False, evt_handlers=archive.handlers
    )
    archive.port = int(server.socket.getsockname()[1])
    try:
        yield archive
    finally:
        ae.shutdown()
