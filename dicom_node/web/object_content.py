"""What is in an object, in words: the content tree of a document, and what overlays and masks hold."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from pydicom.dataset import Dataset

from dicom_node.web.header_facts import value_words
from pipeline.header_values import items_of

# Value Type -> the attribute that holds its value (PS3.3 C.17.3.2); the rest is told below.
_PLAIN = {
    "TEXT": "TextValue",
    "UIDREF": "UID",
    "PNAME": "PersonName",
    "DATE": "Date",
    "TIME": "Time",
    "DATETIME": "DateTime",
}


@dataclass(frozen=True)
class ContentItem:
    """One content item of a document (PS3.3 C.17.3), with what lies below it."""

    relationship: str
    value_type: str
    name: str
    value: str
    items: tuple[ContentItem, ...]


def content_tree(ds: Dataset) -> ContentItem:
    """The root of a document, SR or Key Object Selection."""
    return ContentItem(
        relationship=value_words(ds, "RelationshipType"),
        value_type=value_words(ds, "ValueType"),
        name=_meaning(items_of(ds, "ConceptNameCodeSequence")),
        value=_value(ds),
        items=tuple(content_tree(item) for item in items_of(ds, "ContentSequence")),
    )


def _value(item: Dataset) -> str:
    kind = value_words(item, "ValueType")
    if kind in _PLAIN:
        return value_words(item, _PLAIN[kind])
    if kind == "CODE":
        return _code(items_of(item, "ConceptCodeSequence"))
    if kind == "NUM":
        return "; ".join(_number(one) for one in items_of(item, "MeasuredValueSequence"))
    if kind in ("IMAGE", "COMPOSITE", "WAVEFORM"):
        references = items_of(item, "ReferencedSOPSequence")
        return "; ".join(value_words(one, "ReferencedSOPInstanceUID") for one in references)
    if kind == "SCOORD":
        return f"{value_words(item, 'GraphicType')} {value_words(item, 'GraphicData')}"
    return ""


def _number(measured: Dataset) -> str:
    unit = items_of(measured, "MeasurementUnitsCodeSequence")
    words = value_words(unit[0], "CodeValue") if unit else ""
    return f"{value_words(measured, 'NumericValue')} {words}".strip()


def _meaning(codes: list[Dataset]) -> str:
    return value_words(codes[0], "CodeMeaning") if codes else ""


def _code(codes: list[Dataset]) -> str:
    if not codes:
        return ""
    scheme = value_words(codes[0], "CodingSchemeDesignator")
    return f"{_meaning(codes)} ({value_words(codes[0], 'CodeValue')}, {scheme})"


def summary_lines(ds: Dataset) -> Iterator[tuple[str, str]]:
    """What overlays, masks and key objects hold, by the words of the page."""
    for layer in items_of(ds, "GraphicLayerSequence"):
        name = value_words(layer, "GraphicLayer")
        yield "Layer", f"{name} {value_words(layer, 'GraphicLayerDescription')}".strip()
    for annotation in items_of(ds, "GraphicAnnotationSequence"):
        for drawn in items_of(annotation, "GraphicObjectSequence"):
            points = value_words(drawn, "NumberOfGraphicPoints")
            yield "Line", f"{value_words(drawn, 'GraphicType')}, {points} points"
        for text in items_of(annotation, "TextObjectSequence"):
            yield "Text", value_words(text, "UnformattedTextValue")
    for shown in items_of(ds, "SoftcopyVOILUTSequence"):
        center, width = value_words(shown, "WindowCenter"), value_words(shown, "WindowWidth")
        if center:
            yield "Window", f"centre {center}, width {width}"
    for segment in items_of(ds, "SegmentSequence"):
        label = value_words(segment, "SegmentLabel")
        yield "Segment", f"{label}, {value_words(segment, 'SegmentAlgorithmName')}"
    if "SegmentSequence" in ds:
        frames, kind = value_words(ds, "NumberOfFrames"), value_words(ds, "SegmentationType")
        size = f"{value_words(ds, 'Columns')} × {value_words(ds, 'Rows')}"
        yield "Mask", f"{kind}, {frames} frame{'' if frames == '1' else 's'} of {size}"
    yield from _references(ds)


def _references(ds: Dataset) -> Iterator[tuple[str, str]]:
    """Which images an object speaks of, by series or by study."""
    for study in items_of(ds, "CurrentRequestedProcedureEvidenceSequence"):
        for series in items_of(study, "ReferencedSeriesSequence"):
            for one in items_of(series, "ReferencedSOPSequence"):
                yield "Speaks of", value_words(one, "ReferencedSOPInstanceUID")
    for series in items_of(ds, "ReferencedSeriesSequence"):
        for keyword in ("ReferencedImageSequence", "ReferencedInstanceSequence"):
            for one in items_of(series, keyword):
                yield "Speaks of", value_words(one, "ReferencedSOPInstanceUID")
    for one in items_of(ds, "SourceImageSequence"):
        yield "Made from", value_words(one, "ReferencedSOPInstanceUID")
