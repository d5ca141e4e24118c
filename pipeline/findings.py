"""What the pipeline says of a film: frozen values that every room may read."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Self

from pydantic import TypeAdapter

from pipeline.geometry import Box, Point

RESEARCH_NOTICE = (
    "For research only. Not a medical device. Not for diagnosis, triage or exclusion of fracture."
)


class Outcome(StrEnum):
    """Every received image ends in exactly one of these. Silence is never negative."""

    FRACTURE = "fracture"
    DOUBT = "doubt"
    NO_FRACTURE = "no fracture"
    NOT_PROCESSED = "not processed"


class NotProcessed(StrEnum):
    """Why an image was not read: code (our scheme), meaning, and whether reading was attempted.

    `attempted` chooses between 111224 Failed and 111225 Not Attempted (DCM, CID 6042).
    """

    SOP_CLASS = ("FN-001", "Not a CR or DX image", False)
    FOR_PROCESSING = ("FN-002", "Image for processing, not for presentation", False)
    BODY_PART = ("FN-003", "Body part outside the model's scope", False)
    PHOTOMETRIC = ("FN-004", "Not a monochrome image", False)
    MULTI_FRAME = ("FN-005", "More than one frame", False)
    TOO_LARGE = ("FN-006", "Image larger than is read", False)
    OWN_RESULT = ("FN-007", "A result object, not an acquired image", False)
    VIEW = ("FN-008", "View outside the model's scope", False)
    AGE = ("FN-009", "Patient younger than the minimum age", False)
    NO_PIXELS = ("FN-101", "No pixel data", True)
    BAD_GEOMETRY = ("FN-102", "Rows, columns or bits do not describe an image", True)
    TRUNCATED = ("FN-103", "Pixel data shorter than declared", True)
    NO_DECODER = ("FN-104", "No decoder for the transfer syntax", True)
    UNDECODABLE = ("FN-105", "Pixel data cannot be decoded", True)
    NOT_AN_IMAGE = ("FN-106", "File is neither DICOM, PNG nor JPEG", True)
    BLANK = ("FN-107", "Image holds a single grey level", True)
    READING_FAILED = ("FN-108", "Reading failed", True)
    # The gate of the pixels errs too, and its refusals are therefore told like a failure, never in silence.
    NOT_A_LIMB = ("FN-109", "Picture does not look like a limb radiograph", True)
    INVERTED = ("FN-110", "Picture looks inverted: black and white exchanged", True)

    meaning: str
    attempted: bool

    def __new__(cls, code: str, meaning: str, attempted: bool) -> Self:
        """A member whose value is its code."""
        member = str.__new__(cls, code)
        member._value_ = code
        member.meaning, member.attempted = meaning, attempted
        return member

    @classmethod
    def of_code(cls, code: str) -> NotProcessed:
        """The reason of a code, as the ledger keeps it."""
        return next(reason for reason in cls if reason.value == code)


@dataclass(frozen=True)
class Thresholds:
    """Two operating points: `fracture` is the specific one, `doubt` the sensitive one."""

    fracture: float
    doubt: float

    def outcome(self, probability: float) -> Outcome:
        """What a probability means at these operating points."""
        if probability >= self.fracture:
            return Outcome.FRACTURE
        return Outcome.DOUBT if probability >= self.doubt else Outcome.NO_FRACTURE


@dataclass(frozen=True)
class ModelIdentity:
    """Which model read the film: `digest` is that of the whole package, `engine` e.g. "torch fp32".

    `profile`: sha256 of the site profile whose calibration and thresholds were used; empty for the package's own.
    """

    name: str
    version: str
    digest: str
    engine: str
    profile: str = ""


@dataclass(frozen=True)
class Region:
    """Where: a half-open box in source pixels from the outer corner of the first pixel.

    `contour`: the outline of the heat in it, a closed polygon in the same pixels; empty where none was drawn.
    """

    box: Box
    probability: float
    outcome: Outcome
    contour: tuple[Point, ...] = ()


@dataclass(frozen=True)
class BodyPart:
    """One of the model's coarse parts ("hand", "leg", "hip", "shoulder") and how sure."""

    name: str
    probability: float


@dataclass(frozen=True)
class FurtherLabel:
    """One of the package's further labels, a fracture type for example, and how likely; it decides nothing."""

    name: str
    probability: float


@dataclass(frozen=True)
class ImageFindings:
    """The reading of one image. `rows` x `columns` is the source's matrix.

    Not processed: `reason` is set, and probability, body part and regions are not.
    Regions are sorted by probability and include up to five below the threshold.
    """

    outcome: Outcome
    rows: int
    columns: int
    model: ModelIdentity
    thresholds: Thresholds
    fracture_probability: float | None = None
    body_part: BodyPart | None = None
    regions: tuple[Region, ...] = ()
    types: tuple[FurtherLabel, ...] = ()
    reason: NotProcessed | None = None
    detail: str = ""

    @property
    def visible_regions(self) -> tuple[Region, ...]:
        """The regions to draw: those at or above an operating point, in a film that is itself."""
        if self.outcome not in (Outcome.FRACTURE, Outcome.DOUBT):
            return ()
        return tuple(r for r in self.regions if r.outcome is not Outcome.NO_FRACTURE)


_FINDINGS = TypeAdapter(ImageFindings)


def dump_findings(findings: ImageFindings) -> str:
    """Findings as JSON, for the ledger."""
    return _FINDINGS.dump_json(findings).decode()


def load_findings(text: str) -> ImageFindings:
    """The findings that `dump_findings` wrote."""
    return _FINDINGS.validate_json(text)
