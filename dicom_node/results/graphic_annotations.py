"""What a presentation state draws on a film: boxes with their probabilities, and lines of text (PS3.3 C.10.5, C.10.7).

Boxes are in PIXEL units, whose 0\\0 is the outer corner of the first pixel (C.10.5.1.2), as regions are. Lines of text are
in DISPLAY units, shares of the displayed area. A doubt is drawn as dashes, each a short POLYLINE: renderers ignore the
Line Style Sequence (DICOMscope, and whatever was written before it came into the standard), and a doubt must never look
like a fracture.
"""

from __future__ import annotations

import itertools
import textwrap
from collections.abc import Sequence

import numpy as np
from highdicom import pr
from highdicom.color import CIELabColor
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence as Items

from dicom_node.results.film_drawing import COLOURS
from dicom_node.results.messages import Message
from dicom_node.results.wording import (
    Wording,
    caution_words,
    notice_words,
    outcome_words,
    percent,
)
from pipeline.findings import ImageFindings, Outcome, Region
from pipeline.geometry import Box, Point

# A layer for each outcome and one for the words, so that a reader can put each away. Colours as on the overlay.
_REGION_LAYERS = {
    Outcome.FRACTURE: ("FRACTURE", Message.FRACTURE),
    Outcome.DOUBT: ("DOUBT", Message.DOUBT),
}
_NOTICE_LAYER, _NOTICE_COLOUR = "NOTICE", (238, 240, 242)
_LINE_LENGTH = 52
# Shares of the displayed area: from its edge, and from line to line.
_EDGE, _PITCH = 0.012, 0.032
# Share of the film's longest side: letters, and dashes.
_LETTER, _DASH = 0.028, 0.01


def put_annotations(ds: Dataset, findings: ImageFindings, film: Dataset, wording: Wording) -> None:
    """Adds the Graphic Annotation and Graphic Layer Modules; `film` is the item that refers to the image."""
    annotations: list[Dataset] = []
    layers: list[Dataset] = []
    shares = [percent(region.probability, wording) for region in findings.visible_regions]
    notice = _notice(findings, wording)
    places = _label_boxes(findings, shares, [_on_film(line, findings) for line in notice])
    marked = list(zip(findings.visible_regions, shares, places, strict=True))
    for outcome, (name, meaning) in _REGION_LAYERS.items():
        here = [mark for mark in marked if mark[0].outcome is outcome]
        if here:
            layers.append(_layer(name, wording.text(meaning), COLOURS[outcome], len(layers) + 1))
            lines = [line for region, _, _ in here for line in _outline(region, findings)]
            annotations.append(_annotation(name, film, lines, [_label(*mark) for mark in here]))
    layers.append(_layer(_NOTICE_LAYER, ds.SeriesDescription, _NOTICE_COLOUR, len(layers) + 1))
    annotations.append(_annotation(_NOTICE_LAYER, film, [], notice))
    ds.GraphicAnnotationSequence = Items(annotations)
    ds.GraphicLayerSequence = Items(layers)


def _layer(name: str, meaning: str, colour: tuple[int, int, int], order: int) -> Dataset:
    layer: Dataset = pr.GraphicLayer(name, order, meaning, CIELabColor.from_rgb(*colour))
    # For displays without colour: white.
    layer.GraphicLayerRecommendedDisplayGrayscaleValue = 0xFFFF
    return layer


def _annotation(
    layer: str, film: Dataset, lines: Sequence[Dataset], texts: Sequence[Dataset]
) -> Dataset:
    item = Dataset()
    item.ReferencedImageSequence = Items([film])
    item.GraphicLayer = layer
    item.TextObjectSequence = Items(texts)
    if lines:
        item.GraphicObjectSequence = Items(lines)
    return item


def _outline(region: Region, findings: ImageFindings) -> list[Dataset]:
    """A closed line around a fracture, dashes around a doubt."""
    x0, y0, x1, y1 = region.box
    corners = [(x0, y0), (x1, y0), (x1, y1), (x0, y1), (x0, y0)]
    if region.outcome is Outcome.FRACTURE:
        return [_line(corners)]
    dash = max(findings.rows, findings.columns) * _DASH
    sides = itertools.pairwise(corners)
    return [_line(piece) for start, end in sides for piece in _dashes(start, end, dash)]


def _dashes(start: Point, end: Point, dash: float) -> list[list[Point]]:
    """An odd number of dashes and gaps from point to point, so that every corner is drawn."""
    (x0, y0), (x1, y1) = start, end
    pieces = max(3, int(np.hypot(x1 - x0, y1 - y0) / dash) // 2 * 2 + 1)
    ends = np.linspace((x0, y0), (x1, y1), pieces + 1)
    return [[(float(x), float(y)) for x, y in ends[piece : piece + 2]] for piece in range(0, pieces, 2)]


def _line(points: Sequence[Point]) -> Dataset:
    graphic: Dataset = pr.GraphicObject("POLYLINE", np.asarray(points, np.float64), "PIXEL")
    return graphic


def _label(region: Region, share: str, place: Box) -> Dataset:
    """The probability in its place, with a leader to the nearest point of the region's box."""
    x0, y0, x1, y1 = region.box
    middle = ((place[0] + place[2]) / 2, (place[1] + place[3]) / 2)
    anchor = (min(max(middle[0], x0), x1), min(max(middle[1], y0), y1))
    text: Dataset = pr.TextObject(
        share,
        "PIXEL",
        bounding_box=place,
        anchor_point=anchor,
        # In a box as large as the film the words stand inside it, and point at nothing.
        anchor_point_visible=anchor != middle,
    )
    return text


def _label_boxes(findings: ImageFindings, shares: Sequence[str], lines: Sequence[Box]) -> list[Box]:
    """Where each visible region's probability stands: beside its box, where it covers least of boxes and `lines`."""
    taken = [*lines, *(region.box for region in findings.visible_regions)]
    labels: list[Box] = []
    for region, share in zip(findings.visible_regions, shares, strict=True):
        places = _places(region.box, len(share), findings)
        # Rounded: of places that cover the same, the first.
        labels.append(
            min(places, key=lambda place: round(sum(_shared(place, one) for one in taken), 3))
        )
        taken.append(labels[-1])
    return labels


def _places(box: Box, letters: int, findings: ImageFindings) -> list[Box]:
    """Around the box, best first, kept on the film; last inside it, for boxes as large as the film."""
    x0, y0, x1, y1 = box
    rows, columns = float(findings.rows), float(findings.columns)
    letter = max(rows, columns) * _LETTER
    height = min(1.3 * letter, rows)
    width = min(0.65 * letter * letters, columns)
    gap = letter / 2
    corners = [
        (x0, y0 - gap - height),
        (x0, y1 + gap),
        (x1 + gap, y0),
        (x0 - gap - width, y0),
        (x0 + gap, (y0 + y1 - height) / 2),
    ]
    kept = [(min(max(x, 0.0), columns - width), min(max(y, 0.0), rows - height)) for x, y in corners]
    return [(x, y, x + width, y + height) for x, y in kept]


def _shared(first: Box, second: Box) -> float:
    width = min(first[2], second[2]) - max(first[0], second[0])
    height = min(first[3], second[3]) - max(first[1], second[1])
    return max(width, 0.0) * max(height, 0.0)


def _notice(findings: ImageFindings, wording: Wording) -> list[Dataset]:
    """The outcome at the upper edge and the notice at the lower one; a line each, for not all renderers break lines."""
    above = [*_lines(outcome_words(findings, wording)), *_lines(caution_words(findings, wording))]
    below = _lines(notice_words(wording))
    tops = [_EDGE + number * _PITCH for number in range(len(above))]
    tops += [1.0 - _EDGE - (len(below) - number) * _PITCH for number in range(len(below))]
    return [
        pr.TextObject(line, "DISPLAY", bounding_box=(_EDGE, top, 1.0 - _EDGE, top + 0.9 * _PITCH))
        for line, top in zip(above + below, tops, strict=True)
    ]


def _on_film(line: Dataset, findings: ImageFindings) -> Box:
    """Where a line of the notice lies on the film, which is the displayed area."""
    x0, y0 = line.BoundingBoxTopLeftHandCorner
    x1, y1 = line.BoundingBoxBottomRightHandCorner
    rows, columns = findings.rows, findings.columns
    return (x0 * columns, y0 * rows, x1 * columns, y1 * rows)


def _lines(text: str) -> list[str]:
    return textwrap.wrap(text, _LINE_LENGTH)
