"""The Storage SCU (PS3.4 annex B): one association to a destination, every response handed on as it came."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from pydicom.uid import UID
from pynetdicom.association import Association
from pynetdicom.dimse_primitives import C_STORE
from pynetdicom.presentation import PresentationContext, build_context

from dicom_node.delivering.association import Remote, negotiate, nothing_accepted, pause, release
from dicom_node.delivering.dicom_file import (
    EXPLICIT_LITTLE,
    IMPLICIT_LITTLE,
    DicomFile,
    read_dicom_file,
)
from dicom_node.errors import ClassRefusedError, DestinationDownError
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
# An archive that takes neither reports nor captures is set up wrongly, or we call the wrong service.
_EVERY_ARCHIVE: Final = frozenset({*REPORT_CLASSES, SECONDARY_CAPTURE})
# PS3.8 table 9-18: abstract-syntax-not-supported, transfer-syntaxes-not-supported.
_NOT_SUPPORTED = (3, 4)


class Sender:
    """An association for the time of a `with`; `accepted` says which SOP classes the peer took.

    Offered are the classes that may go to the destination, and `offers`: (SOP Class UID, Transfer Syntax UID).
    """

    def __init__(
        self,
        destination: DicomDestination | Remote,
        calling_ae_title: str,
        offers: Iterable[tuple[str, str]] = (),
    ) -> None:
        self._remote = (
            Remote.of(destination) if isinstance(destination, DicomDestination) else destination
        )
        self._calling_ae_title = calling_ae_title
        places = [destination] if isinstance(destination, DicomDestination) else []
        default = [(uid, EXPLICIT_LITTLE) for place in places for uid in classes_for(place)]
        self._contexts = proposed_contexts([*default, *offers])
        self._association: Association | None = None
        self._message_id = 0

    def __enter__(self) -> Self:
        association = negotiate(self._remote, self._calling_ae_title, self._contexts)
        offered = {str(context.abstract_syntax) for context in self._contexts}
        if not association.is_established and offered & _EVERY_ARCHIVE:
            raise nothing_accepted(self._remote, self._calling_ae_title, self._contexts)
        self._association = association
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
            ClassRefusedError: no accepted context could carry it.
            ObjectRefusedError: no DICOM file (status None).
            DestinationDownError: the association broke, or no answer came in time.
            OSError: `source` cannot be read.
        """
        file = source if isinstance(source, DicomFile) else read_dicom_file(source)
        association = self._association
        if association is None:
            raise DestinationDownError(f"{self._remote}: the association has ended")
        context = self._context_for(association, file)
        if not association.is_established:
            raise DestinationDownError(f"{self._remote}: the association has ended")
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
        said = {
            context.result
            for context in association.rejected_contexts
            if context.abstract_syntax == file.sop_class_uid
        }
        named = f"{UID(file.sop_class_uid).name} ({file.sop_class_uid})"
        words = f"does not accept {named}"
        if contexts:
            words = f"accepts {named}, but not in {UID(file.transfer_syntax_uid).name}"
        raise ClassRefusedError(f"{self._remote} {words}", bool(said) and said <= {*_NOT_SUPPORTED})

    def _silence(self, association: Association) -> str:
        if association.is_aborted and not association._sent_abort:
            return f"{self._remote} aborted the association"
        return f"{self._remote}: no answer within {self._remote.timeout_seconds:g} s"


def classes_for(destination: DicomDestination) -> tuple[str, ...]:
    """The SOP classes of all that may go to a destination, in the order of its objects.

    With summary pages, which stand in where it takes no report class, and the notes that retire objects.
    """
    found = [uid for name in destination.objects for uid in CLASSES_OF[name]]
    if "sr" in destination.objects:
        found.append(SECONDARY_CAPTURE)
    if destination.rejection_note:
        found.append(KEY_OBJECT_SELECTION)
    return tuple(dict.fromkeys(found))


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
