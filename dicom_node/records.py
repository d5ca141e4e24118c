"""The frozen values that travel between rooms, in the order of the walk."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from enum import IntEnum, StrEnum

from pipeline.findings import ImageFindings


class Priority(IntEnum):
    """Smaller goes first."""

    EMERGENCY = 1
    URGENT = 5
    ROUTINE = 10


@dataclass(frozen=True)
class ReceivedInstance:
    """An instance whose bytes are safe on disk, as the receiver knows it from its header alone.

    `id` names these bytes of this SOP Instance: sha256 of SOP Instance UID and `bytes_digest`.
    `spool_path` is relative to the data folder and made of digests only.
    """

    id: str
    sop_instance_uid: str
    sop_class_uid: str
    study_instance_uid: str
    series_instance_uid: str
    transfer_syntax_uid: str
    bytes_digest: str
    byte_count: int
    spool_path: str
    calling_ae_title: str
    called_ae_title: str
    address: str
    priority: Priority
    modality: str
    received_at: datetime


class AssociationEnding(StrEnum):
    """How an association ended, in words."""

    REJECTED = "rejected"
    RELEASED = "released"
    ABORTED = "aborted by the peer"
    LOST = "connection lost"
    TIMED_OUT = "timed out"
    STOPPED = "ended by this node"
    PROTOCOL = "the peer broke the protocol"
    FAILED = "ended by an error of this node"


@dataclass(frozen=True)
class ProposedContext:
    """One presentation context that a peer proposed, and the answer (PS3.8 9.3.2.2, 9.3.3.2).

    `result` is that of PS3.8 table 9-18, None where the whole association was rejected; `accepted` is the transfer
    syntax of a context that was accepted, else "".
    """

    id: int
    abstract_syntax: str
    transfer_syntaxes: tuple[str, ...]
    result: int | None
    accepted: str = ""


@dataclass(frozen=True)
class AssociationDetail:
    """What was negotiated, and how it went on.

    `contexts` holds what is kept of the `proposed`; `is_capped` says that this is not all. `byte_count` is all that
    came over the connection.
    """

    implementation_class_uid: str
    implementation_version_name: str
    contexts: tuple[ProposedContext, ...]
    proposed: int
    accepted: int
    is_capped: bool
    ended_at: datetime
    ending: AssociationEnding
    byte_count: int


@dataclass(frozen=True)
class AssociationRecord:
    """One association: who, from where, what came of it. For people, not for logic."""

    calling_ae_title: str
    called_ae_title: str
    address: str
    at: datetime
    accepted: bool
    reason: str = ""
    stored: int = 0
    refused: int = 0
    detail: AssociationDetail | None = None


@dataclass(frozen=True)
class StudyImage:
    """One image of a study with its reading, as a report needs it.

    `header_digest` covers every header value that results copy; `pixel_digest` the decoded pixels
    (empty where they could not be had).
    """

    instance_id: str
    sop_instance_uid: str
    sop_class_uid: str
    pixel_digest: str
    header_digest: str
    findings: ImageFindings


@dataclass(frozen=True)
class SopReference:
    """A SOP Instance Reference with where it lies in the hierarchy (PS3.3 C.17.2.1)."""

    study_instance_uid: str
    series_instance_uid: str
    sop_class_uid: str
    sop_instance_uid: str


@dataclass(frozen=True)
class StudyFindings:
    """The findings of a study, closed: revision n. A late image makes revision n + 1.

    `predecessors` are the reports that this revision replaces at the destination it is composed for.
    """

    study_instance_uid: str
    revision: int
    closed_at: datetime
    images: tuple[StudyImage, ...]
    predecessors: tuple[SopReference, ...] = ()


class ResultKind(StrEnum):
    """What can go to a destination."""

    REPORT = "sr"
    OVERLAY = "sc"
    SUMMARY = "summary"
    EXPLANATION = "gradcam"
    PRESENTATION = "gsps"
    SEGMENTATION = "seg"
    KEY_OBJECTS = "kos"
    REJECTION = "rejection"


@dataclass(frozen=True)
class ResultObject:
    """A composed object: `data` is a whole DICOM file (PS3.10) and never changes under its UID."""

    kind: ResultKind
    sop_class_uid: str
    sop_instance_uid: str
    series_instance_uid: str
    study_instance_uid: str
    transfer_syntax_uid: str
    data: bytes = field(repr=False)


class DeliveryState(StrEnum):
    """Where a delivery stands; `QUEUED`, `WAITING` still go on by themselves."""

    QUEUED = "queued"
    WAITING = "waiting"
    DELIVERED = "delivered"
    PARKED = "parked"
    CANCELLED = "cancelled"
    REPLACED = "replaced"


@dataclass(frozen=True)
class Delivery:
    """One object to one destination; `trying_since` is when its hours began to count."""

    id: str
    sop_instance_uid: str
    sop_class_uid: str
    transfer_syntax_uid: str
    destination: str
    object_path: str
    state: DeliveryState
    attempts: int
    trying_since: datetime
