"""What a report says, read from its content tree (PS3.16 TID 1500) by nothing but its codes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from pydicom import Dataset

MEASUREMENT_GROUP, TRACKING_IDENTIFIER = "125007", "112039"
FRACTURE, PROBABILITY = "72704001", "122157"
PRESENT, NOT_ATTEMPTED, FAILED = "52101004", "111225", "111224"


@dataclass(frozen=True)
class Group:
    """A Measurement Group: its label, the image it points at, coded values and numbers by concept."""

    tracking: str
    sop_instance_uid: str
    codes: dict[str, str] = field(default_factory=dict)
    numbers: dict[str, float] = field(default_factory=dict)

    @property
    def is_whole_image(self) -> bool:
        """Whether it is the image's own result, not a region's."""
        return self.tracking.endswith(", whole image")


def groups(report: Dataset) -> list[Group]:
    """Every Measurement Group, in the report's order."""
    return [_group(item) for item in _below(report) if _concept(item) == MEASUREMENT_GROUP]


def image_groups(report: Dataset) -> dict[str, Group]:
    """The group of each image's own result, by SOP Instance UID."""
    whole = [group for group in groups(report) if group.is_whole_image]
    found = {group.sop_instance_uid: group for group in whole}
    assert len(found) == len(whole), "an image has two groups of its own"
    return found


def evidence(report: Dataset) -> set[str]:
    """The images that a report is about (Current Requested Procedure Evidence Sequence)."""
    return set(_referenced(report.CurrentRequestedProcedureEvidenceSequence))


def predecessors(report: Dataset) -> list[str]:
    """The reports that it replaces."""
    return list(_referenced(report.get("PredecessorDocumentsSequence", ())))


def _referenced(studies: list[Dataset]) -> Iterator[str]:
    for study in studies:
        for series in study.ReferencedSeriesSequence:
            for item in series.ReferencedSOPSequence:
                yield str(item.ReferencedSOPInstanceUID)


def _below(item: Dataset) -> Iterator[Dataset]:
    for inner in item.get("ContentSequence", ()):
        yield inner
        yield from _below(inner)


def _concept(item: Dataset) -> str:
    names = item.get("ConceptNameCodeSequence", ())
    return str(names[0].CodeValue) if names else ""


def _group(container: Dataset) -> Group:
    tracking, image, codes, numbers = "", "", {}, {}
    for item in _below(container):
        if _concept(item) == TRACKING_IDENTIFIER:
            tracking = str(item.TextValue)
        elif item.ValueType == "IMAGE":
            image = str(item.ReferencedSOPSequence[0].ReferencedSOPInstanceUID)
        elif item.ValueType == "CODE":
            codes[_concept(item)] = str(item.ConceptCodeSequence[0].CodeValue)
        elif item.ValueType == "NUM":
            numbers[_concept(item)] = float(item.MeasuredValueSequence[0].NumericValue)
    return Group(tracking, image, codes, numbers)
