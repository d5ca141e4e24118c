"""C-ECHO (PS3.4 annex A): is a destination there, and does it talk to us."""

from __future__ import annotations

import time
from dataclasses import dataclass

from pynetdicom.presentation import build_context

from dicom_node.delivering.association import Remote, associate, release
from dicom_node.delivering.storage_scu import NATIVE
from dicom_node.dimse_status import StoreStatus
from dicom_node.errors import DestinationDownError
from dicom_node.settings import DicomDestination

VERIFICATION = "1.2.840.10008.1.1"


@dataclass(frozen=True)
class EchoResult:
    """`milliseconds` of a C-ECHO's round trip, None where there was none; `reason` says why not, `remedy` what to do."""

    answered: bool
    milliseconds: float | None
    reason: str = ""
    remedy: str = ""


def verify(destination: DicomDestination | Remote, calling_ae_title: str) -> EchoResult:
    """Associates with a destination, sends one C-ECHO and releases; never raises for what the peer does."""
    remote = Remote.of(destination) if isinstance(destination, DicomDestination) else destination
    try:
        contexts = [build_context(VERIFICATION, list(NATIVE))]
        association = associate(remote, calling_ae_title, contexts)
    except DestinationDownError as error:
        return EchoResult(False, None, str(error), error.remedy)
    began = time.perf_counter()
    status = association.send_c_echo().get("Status")
    milliseconds = 1000 * (time.perf_counter() - began)
    release(association)
    if status is None:
        return EchoResult(False, None, f"{remote}: no answer to C-ECHO")
    if status != StoreStatus.SUCCESS:
        return EchoResult(False, milliseconds, f"{remote} answered C-ECHO with {status:04X}")
    return EchoResult(True, milliseconds)
