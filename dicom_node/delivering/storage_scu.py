"""The Storage SCU (PS3.4 annex B): one association to a destination, every response handed on as it came."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from pydicom.uid import UID
from pynetdicom import AE, _config, evt
from pynetdicom.association import Association
from pynetdicom.dimse_primitives import C_STORE
from pynetdicom.presentation import PresentationContext, build_context

from dicom_node.delivering.dicom_file import (
    EXPLICIT_LITTLE,
    IMPLICIT_LITTLE,
    DicomFile,
    read_dicom_file,
)
from dicom_node.errors import DestinationDownError, ObjectRefusedError
from dicom_node.identifiers import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME
from dicom_node.settings import DicomDestination, ObjectName

# Comprehensive 3D, Comprehensive and Enhanced SR: all offered always, so that we learn which are taken.
REPORT_CLASSES: Final[tuple[str, ...]] = tuple(
    f"1.2.840.10008.5.1.4.1.1.88.{kind}" for kind in (34, 33, 22)
)
SECONDARY_CAPTURE: Final = "1.2.840.10008.5.1.4.1.1.7"
GRAYSCALE_PRESENTATION_STATE: Final = "1.2.840.10008.5.1.4.1.1.11.1"
SEGMENTATION: Final = "1.2.840.10008.5.1.4.1.1.66.4"
KEY_OBJECT_SELECTION: Final = "1.2.840.10008.5.1.4.1.1.88.59"
CLASSES_OF: Final[dict[ObjectName, tuple[str, ...]]] = {
    "sr": REPORT_CLASSES,
    "sc": (SECONDARY_CAPTURE,),
    "summary": (SECONDARY_CAPTURE,),
    "gradcam": (SECONDARY_CAPTURE,),
    "gsps": (GRAYSCALE_PRESENTATION_STATE,),
    "seg": (SEGMENTATION,),
    "kos": (KEY_OBJECT_SELECTION,),
}
NATIVE: Final = (EXPLICIT_LITTLE, IMPLICIT_LITTLE)
# PS3.8 9.3.2.2: presentation context IDs are the odd numbers up to 255.
CONTEXTS_AT_MOST: Final = 128
_PROBE_SECONDS = 5.0


@dataclass(frozen=True)
class Remote:
    """An AE to associate with."""

    ae_title: str
    host: str
    port: int
    timeout_seconds: float

    @classmethod
    def of(cls, destination: DicomDestination) -> Remote:
        """The AE of a destination."""
        return cls(
            destination.ae_title, destination.host, destination.port, destination.timeout_seconds
        )

    def __str__(self) -> str:
        return f"{self.ae_title} at {self.host}:{self.port}"


class Sender:
    """An association for the time of a `with`; `accepted` says which SOP classes the peer took.

    Offered are the classes of the destination's objects, and `offers`: (SOP Class UID, Transfer Syntax UID).
    """

    def __init__(
        self,
        destination: DicomDestination | Remote,
        calling_ae_title: str,
        offers: Iterable[tuple[str, str]] = (),
    ) -> None:
        named = destination.objects if isinstance(destination, DicomDestination) else ()
        self._remote = (
            Remote.of(destination) if isinstance(destination, DicomDestination) else destination
        )
        self._calling_ae_title = calling_ae_title
        default = [(uid, EXPLICIT_LITTLE) for name in named for uid in CLASSES_OF[name]]
        self._contexts = proposed_contexts([*default, *offers])
        self._association: Association | None = None
        self._message_id = 0

    def __enter__(self) -> Self:
        self._association = associate(self._remote, self._calling_ae_title, self._contexts)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._association is not None:
            release(self._association)

    @property
    def accepted(self) -> frozenset[str]:
        """The SOP classes that the peer accepted in some transfer syntax."""
        association = self._association
        contexts = association.accepted_contexts if association is not None else []
        return frozenset(str(context.abstract_syntax) for context in contexts)

    def send(self, source: bytes | Path | DicomFile) -> int:
        """Sends one DICOM file: the status of the C-STORE response, whatever it is (PS3.4 B.2.3).

        Raises:
            ObjectRefusedError: no DICOM file, or no accepted context that could carry it (status None).
            DestinationDownError: the association broke, or no answer came in time.
            OSError: `source` cannot be read.
        """
        file = source if isinstance(source, DicomFile) else read_dicom_file(source)
        association = self._association
        if association is None or not association.is_established:
            raise DestinationDownError(f"{self._remote}: the association has ended")
        context = self._context_for(association, file)
        self._message_id = self._message_id % 65535 + 1
        request = C_STORE()
        request.MessageID, request.Priority = self._message_id, 0
        request.AffectedSOPClassUID = file.sop_class_uid
        request.AffectedSOPInstanceUID = file.sop_instance_uid
        request.DataSet = file.encoded(str(context.transfer_syntax[0]))
        response = _exchange(association, request, context.context_id)
        if response is None or not response.is_valid_response:
            raise DestinationDownError(self._silence(association))
        return int(response.Status)

    def _context_for(self, association: Association, file: DicomFile) -> PresentationContext:
        """The accepted context in the file's own syntax, else one that it can be turned into."""
        contexts = {
            str(context.transfer_syntax[0]): context
            for context in association.accepted_contexts
            if context.abstract_syntax == file.sop_class_uid
        }
        wanted = [file.transfer_syntax_uid, *(NATIVE if file.is_convertible else ())]
        for syntax in wanted:
            if syntax in contexts:
                return contexts[syntax]
        name = UID(file.sop_class_uid).name
        if not contexts:
            raise ObjectRefusedError(f"{self._remote} does not accept {name}", None)
        syntax_name = UID(file.transfer_syntax_uid).name
        raise ObjectRefusedError(f"{self._remote} accepts {name}, but not in {syntax_name}", None)

    def _silence(self, association: Association) -> str:
        if association.is_aborted and not association._sent_abort:
            return f"{self._remote} aborted the association"
        return f"{self._remote}: no answer within {self._remote.timeout_seconds:g} s"


def proposed_contexts(offers: Iterable[tuple[str, str]]) -> list[PresentationContext]:
    """The presentation contexts (an association holds CONTEXTS_AT_MOST) for these SOP classes and transfer syntaxes.

    Each class once with Explicit and Implicit VR Little Endian (PS3.5 10.1), and once with each other
    transfer syntax by itself, for an acceptor picks one of a context.
    """
    offered: dict[tuple[str, tuple[str, ...]], None] = {}
    for sop_class_uid, transfer_syntax_uid in offers:
        offered[(sop_class_uid, NATIVE)] = None
        if transfer_syntax_uid not in NATIVE:
            offered[(sop_class_uid, (transfer_syntax_uid,))] = None
    return [build_context(uid, list(syntaxes)) for uid, syntaxes in offered]


def associate(
    remote: Remote,
    calling_ae_title: str,
    contexts: list[PresentationContext],
    handlers: Sequence[tuple[Any, Callable[[Any], Any]]] = (),
) -> Association:
    """An established association; `handlers` are pynetdicom's, for what the peer asks of us on it.

    Raises:
        DestinationDownError: there is none, and why in words: no such name, refused, rejected, timed out.
    """
    # Process-wide in pynetdicom: no dump of each PDU and message.
    _config.LOG_HANDLER_LEVEL = "none"
    ae = AE(ae_title=calling_ae_title)
    ae.implementation_class_uid = IMPLEMENTATION_CLASS_UID
    ae.implementation_version_name = IMPLEMENTATION_VERSION_NAME
    timeout = remote.timeout_seconds
    ae.acse_timeout = ae.dimse_timeout = ae.connection_timeout = timeout
    # An association that waits for our next object is no fault of the peer's.
    ae.network_timeout = None
    connected: list[bool] = []

    def on_open(event: Any) -> None:
        connected.append(True)
        connection = event.assoc.dul.socket.socket
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        # Without it, a peer that stops reading would hold our sending thread for ever.
        connection.settimeout(timeout)

    try:
        association = ae.associate(
            remote.host, remote.port, contexts, ae_title=remote.ae_title,
            evt_handlers=[(evt.EVT_CONN_OPEN, on_open), *handlers], max_pdu=131072,
        )  # fmt: skip
    except OSError as error:
        raise DestinationDownError(f"{remote}: {error.strerror or error}") from error
    if association.is_established:
        return association
    raise DestinationDownError(_why_not(remote, association, bool(connected)))


def release(association: Association) -> None:
    """Ends an association in order, if it is still there.

    pynetdicom's own waits for ever for its reactor where that ends at the same moment.
    """
    if not association.is_established:
        return
    pause(association)
    try:
        if association.is_established and association.is_alive():
            association.acse.negotiate_release()
    finally:
        association._reactor_checkpoint.set()


def pause(association: Association) -> None:
    """Stops pynetdicom's reactor, so that what comes in is ours; `_reactor_checkpoint.set()` lets it go on."""
    association._reactor_checkpoint.clear()
    while not association._is_paused and association.is_alive():
        time.sleep(0.0001)


def _why_not(remote: Remote, association: Association, connected: bool) -> str:
    if not connected:
        return f"{remote}: {_probed(remote)}"
    if association.is_rejected:
        answer = association.acceptor.primitive
        return f"{remote} rejected the association: {answer.reason_str} ({answer.result_str})"
    if association.rejected_contexts:
        return f"{remote} accepted none of the SOP classes offered"
    if association._sent_abort:
        return f"{remote}: no answer within {remote.timeout_seconds:g} s"
    return f"{remote} aborted or closed the connection before it accepted"


def _probed(remote: Remote) -> str:
    """Why no connection comes about: pynetdicom only logs it."""
    try:
        limit = min(remote.timeout_seconds, _PROBE_SECONDS)
        socket.create_connection((remote.host, remote.port), timeout=limit).close()
    except TimeoutError:
        return "connection timed out"
    except OSError as error:
        return (error.strerror or str(error)).lower()
    return "connection failed"


def _exchange(association: Association, request: Any, context_id: int) -> Any:
    """Sends a request and waits for its response; None if none came. As pynetdicom's `send_c_store` does."""
    pause(association)
    try:
        association.dimse.send_msg(request, context_id)
        _, response = association.dimse.get_msg(block=True)
    finally:
        association._reactor_checkpoint.set()
    if response is None:
        association._handle_no_response()
    return response
