"""Is a destination of any kind there, and does it let us in."""

from __future__ import annotations

from dicom_node.delivering.folder import why_not_writable
from dicom_node.delivering.stow import reach as reach_server
from dicom_node.delivering.verification import EchoResult, verify
from dicom_node.errors import DestinationDownError
from dicom_node.settings import AnyDestination, DicomDestination, DicomwebDestination


def reach(place: AnyDestination, calling_ae_title: str) -> EchoResult:
    """C-ECHO, a question to the DICOMweb server, or a look at the folder; nothing is stored and nothing raised."""
    if isinstance(place, DicomDestination):
        return verify(place, calling_ae_title)
    if isinstance(place, DicomwebDestination):
        try:
            return EchoResult(True, reach_server(place))
        except DestinationDownError as error:
            return EchoResult(False, None, str(error), error.remedy)
    reason = why_not_writable(place.path)
    remedy = "look at path, or let this user write there" if reason else ""
    return EchoResult(not reason, None, reason, remedy)
