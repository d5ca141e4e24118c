"""Where each kind of result stands in its study: one series per kind, ours or as the site wants it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from dicom_node.records import ResultKind
from dicom_node.results.messages import Message
from dicom_node.results.wording import Wording

# Secondary Capture takes any modality; the others' is fixed by their SOP Class.
CAPTURES = frozenset({ResultKind.OVERLAY, ResultKind.SUMMARY, ResultKind.EXPLANATION})


@dataclass(frozen=True)
class ResultSeries:
    """Modality, Series Number and Series Description of a kind of object."""

    modality: str
    number: int
    description: str


@dataclass(frozen=True)
class SeriesChoice:
    """A site's own place for one kind of object; None leaves ours."""

    number: int | None = None
    description: str | None = None
    modality: str | None = None


class SeriesChooser(Protocol):
    """What a destination's profile says of series."""

    @property
    def series(self) -> tuple[tuple[ResultKind, SeriesChoice], ...]:
        """The site's choices, by kind."""

    @property
    def wording(self) -> Wording:
        """The language of descriptions."""


# Descriptions here are messages, and follow the destination's language.
_DEFAULTS: dict[ResultKind, ResultSeries] = {
    ResultKind.REPORT: ResultSeries("SR", 9001, Message.REPORT_SERIES),
    ResultKind.OVERLAY: ResultSeries("OT", 9002, Message.OVERLAY_SERIES),
    ResultKind.PRESENTATION: ResultSeries("PR", 9003, Message.PRESENTATION_SERIES),
    ResultKind.SEGMENTATION: ResultSeries("SEG", 9004, Message.SEGMENTATION_SERIES),
    ResultKind.KEY_OBJECTS: ResultSeries("KO", 9005, Message.KEY_OBJECTS_SERIES),
    ResultKind.SUMMARY: ResultSeries("OT", 9006, Message.SUMMARY_SERIES),
    ResultKind.EXPLANATION: ResultSeries("OT", 9007, Message.EXPLANATION_SERIES),
    ResultKind.REJECTION: ResultSeries("KO", 9005, Message.REJECTION_SERIES),
}


def series_of(kind: ResultKind, profile: SeriesChooser) -> ResultSeries:
    """The series of a kind of object at a destination.

    Raises:
        CompositionError: the destination's catalogue cannot be used.
    """
    ours = _DEFAULTS[kind]
    chosen = dict(profile.series).get(kind, SeriesChoice())
    return ResultSeries(
        modality=(chosen.modality if kind in CAPTURES else None) or ours.modality,
        number=ours.number if chosen.number is None else chosen.number,
        description=chosen.description or profile.wording.text(ours.description),
    )
