"""Storage Commitment Push Model (PS3.4 annex J): what is asked of an archive, and what it reports.

Both ways in of a report use it: the association of the request, and one that the archive opens later.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum
from typing import Any, Final

from pydicom.dataset import Dataset

from dicom_node.errors import LedgerError

PUSH_MODEL: Final = "1.2.840.10008.1.20.1"
# PS3.4 J.3.5: every request goes to this one SOP Instance.
PUSH_MODEL_INSTANCE: Final = "1.2.840.10008.1.20.1.1"
# PS3.4 J.3.2.1: Request Storage Commitment.
REQUEST_ACTION: Final = 1


class CommitmentEvent(IntEnum):
    """Event Type ID of an N-EVENT-REPORT (PS3.4 J.3.3.1)."""

    SUCCESSFUL = 1
    FAILURES_EXIST = 2


class EventStatus(IntEnum):
    """Our responses to an N-EVENT-REPORT (PS3.7 10.1.1.1.8)."""

    SUCCESS = 0x0000
    PROCESSING_FAILURE = 0x0110
    NO_SUCH_EVENT_TYPE = 0x0113
    INVALID_ARGUMENT_VALUE = 0x0115


class CommitmentFailure(IntEnum):
    """Failure Reason (PS3.3 C.14.1.1): why an archive does not take responsibility for an instance."""

    PROCESSING_FAILURE = 0x0110
    NO_SUCH_OBJECT_INSTANCE = 0x0112
    CLASS_INSTANCE_CONFLICT = 0x0119
    REFERENCED_SOP_CLASS_NOT_SUPPORTED = 0x0122
    DUPLICATE_TRANSACTION_UID = 0x0131
    RESOURCE_LIMITATION = 0x0213


def failure_words(reason: int) -> str:
    """A Failure Reason as people read it."""
    known = {member.value: member.name.replace("_", " ").lower() for member in CommitmentFailure}
    return f"0x{reason:04X} {known.get(reason, 'reason unknown')}"


@dataclass(frozen=True)
class CommitmentRequest:
    """What an archive is asked to keep: `instances` are (SOP Class UID, SOP Instance UID)."""

    transaction_uid: str
    instances: tuple[tuple[str, str], ...]

    def action_information(self) -> Dataset:
        """The data set of the N-ACTION request (PS3.4 J.3.2.1.1)."""
        ds = Dataset()
        ds.TransactionUID = self.transaction_uid
        ds.ReferencedSOPSequence = [_reference(*one) for one in self.instances]
        return ds


@dataclass(frozen=True)
class CommitmentAnswer:
    """What an archive reported: SOP Instance UIDs that it keeps, and those it does not with its reason."""

    transaction_uid: str
    committed: frozenset[str]
    failed: tuple[tuple[str, int], ...] = ()


# Keeps an answer; False where no request of that destination has its Transaction UID. Raises LedgerError.
TakeAnswer = Callable[[CommitmentAnswer], bool]


def read_answer(information: Dataset) -> CommitmentAnswer | None:
    """The answer in the data set of an N-EVENT-REPORT (PS3.4 J.3.3.1.1); None where it is none."""
    uid = str(information.get("TransactionUID") or "")
    if not uid:
        return None
    committed = {_instance(item) for item in information.get("ReferencedSOPSequence") or ()}
    failed = [
        (_instance(item), int(item.get("FailureReason") or CommitmentFailure.PROCESSING_FAILURE))
        for item in information.get("FailedSOPSequence") or ()
    ]
    # An instance that is in both lists is not kept.
    return CommitmentAnswer(uid, frozenset(committed - {one for one, _ in failed}), tuple(failed))


def take_report(event: Any, take: TakeAnswer) -> EventStatus:
    """Hands the answer of an N-EVENT-REPORT (a pynetdicom event) on; the status of our response.

    Success is answered only after `take` kept it.
    """
    if event.event_type not in tuple(CommitmentEvent):
        return EventStatus.NO_SUCH_EVENT_TYPE
    try:
        answer = read_answer(event.event_information)
    # Whatever is in a data set from the wire.
    except Exception:  # noqa: BLE001
        return EventStatus.INVALID_ARGUMENT_VALUE
    if answer is None:
        return EventStatus.INVALID_ARGUMENT_VALUE
    try:
        known = take(answer)
    except LedgerError:
        return EventStatus.PROCESSING_FAILURE
    return EventStatus.SUCCESS if known else EventStatus.INVALID_ARGUMENT_VALUE


def _reference(sop_class_uid: str, sop_instance_uid: str) -> Dataset:
    item = Dataset()
    item.ReferencedSOPClassUID = sop_class_uid
    item.ReferencedSOPInstanceUID = sop_instance_uid
    return item


def _instance(item: Dataset) -> str:
    return str(item.ReferencedSOPInstanceUID)
