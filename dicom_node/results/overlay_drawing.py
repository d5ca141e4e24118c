"""A film with what was found in it: thin boxes on the film, words in strips above and below.

A solid box is a fracture suspected at the specific operating point, a dashed one a doubt at the sensitive one.
"""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw

from dicom_node.results.overlay_layout import OverlayLayout, TextLine, font_of, lay_out
from dicom_node.results.wording import percent
from pipeline.findings import ImageFindings, Outcome, Region
from pipeline.geometry import Box
from pipeline.radiograph import FloatImage, Radiograph

RgbImage = npt.NDArray[np.uint8]
Colour = tuple[int, int, int]

_STRIP: Colour = (15, 17, 20)
_CARD: Colour = (26, 29, 33)
_BRIGHT: Colour = (238, 240, 242)
_DIM: Colour = (158, 164, 172)
_HALO = (0, 0, 0, 120)
# Told apart by lightness too, so that no one needs to see the hue.
_COLOURS: dict[Outcome, Colour] = {
    Outcome.FRACTURE: (255, 138, 76),
    Outcome.DOUBT: (250, 214, 105),
    Outcome.NO_FRACTURE: (126, 168, 190),
    Outcome.NOT_PROCESSED: (140, 146, 156),
}
# A card has the shape of the film, if that is known.
_CARD_ROWS, _CARD_COLUMNS = 3, 4


def draw_overlay(radiograph: Radiograph, findings: ImageFindings, *, longest_side: int) -> RgbImage:
    """The film with its result, uint8 (rows, columns, 3), RGB, square pixels, no side above `longest_side`."""
    layout = overlay_layout(radiograph, findings, longest_side=longest_side)
    canvas = _strips(layout)
    left, top, right, bottom = layout.film
    film = _grey(radiograph.pixels, right - left, bottom - top)
    canvas.paste(Image.fromarray(film), (left, top))
    _draw_regions(canvas, layout, findings)
    _draw_words(canvas, layout, findings)
    return np.array(canvas)


def draw_card(findings: ImageFindings, *, longest_side: int) -> RgbImage:
    """A card in the film's place, for a film whose pixels could not be had; shape as `draw_overlay`."""
    layout = card_layout(findings, longest_side=longest_side)
    canvas = _strips(layout)
    left, top, right, bottom = layout.film
    pen = ImageDraw.Draw(canvas)
    pen.rectangle((left, top, right - 1, bottom - 1), fill=_CARD)
    words = "No film shown"
    font = font_of(layout.size_of("title"))
    place = ((left + right - font.getlength(words)) / 2, (top + bottom - layout.size_of("title")) / 2)
    pen.text(place, words, fill=_DIM, font=font)
    _draw_words(canvas, layout, findings)
    return np.array(canvas)


def overlay_layout(
    radiograph: Radiograph, findings: ImageFindings, *, longest_side: int
) -> OverlayLayout:
    """Where `draw_overlay` puts the film."""
    return lay_out(
        radiograph.rows,
        radiograph.columns,
        findings,
        longest_side=longest_side,
        pixel_aspect=radiograph.pixel_aspect,
    )


def card_layout(findings: ImageFindings, *, longest_side: int) -> OverlayLayout:
    """Where `draw_card` puts the empty film."""
    known = findings.rows > 0 and findings.columns > 0
    rows, columns = (findings.rows, findings.columns) if known else (_CARD_ROWS, _CARD_COLUMNS)
    # Nothing is lost by a small card.
    return lay_out(rows, columns, findings, longest_side=min(longest_side, 1024))


def _strips(layout: OverlayLayout) -> Image.Image:
    return Image.new("RGB", (layout.width, layout.height), _STRIP)


def _grey(pixels: FloatImage, width: int, height: int) -> RgbImage:
    """Presentation values 0 to 1 as RGB of that size."""
    way = cv2.INTER_AREA if width < pixels.shape[1] else cv2.INTER_CUBIC
    resized = cv2.resize(pixels, (width, height), interpolation=way)
    grey = (np.nan_to_num(np.clip(resized, 0.0, 1.0)) * 255.0 + 0.5).astype(np.uint8)
    return np.asarray(cv2.cvtColor(grey, cv2.COLOR_GRAY2RGB), dtype=np.uint8)


def _draw_words(canvas: Image.Image, layout: OverlayLayout, findings: ImageFindings) -> None:
    pen = ImageDraw.Draw(canvas)
    margin = layout.margin
    title_height = sum(layout.height_of(line) for line in layout.header if line.rank == "title")
    # A bar in the outcome's colour: read from across the room.
    bar = max(3, layout.unit // 4)
    drop = round(layout.unit * 0.12)
    pen.rectangle(
        (margin, margin + drop, margin + bar - 1, margin + title_height - 3 * drop),
        fill=_COLOURS[findings.outcome],
    )
    _write(pen, layout, layout.header, (margin + bar + round(margin * 0.7), margin))
    _write(pen, layout, layout.footer, (margin, layout.film[3] + margin))


def _write(
    pen: ImageDraw.ImageDraw, layout: OverlayLayout, lines: tuple[TextLine, ...], start: tuple[int, int]
) -> None:
    x, y = start
    for line in lines:
        colour = _BRIGHT if line.rank == "title" else _DIM
        pen.text((x, y), line.text, fill=colour, font=font_of(layout.size_of(line.rank)))
        y += layout.height_of(line)


def _draw_regions(canvas: Image.Image, layout: OverlayLayout, findings: ImageFindings) -> None:
    pen = ImageDraw.Draw(canvas, "RGBA")
    stroke = max(1, round(max(layout.width, layout.height) / 640))
    dash = max(5 * stroke, round(layout.unit * 0.5))
    regions = findings.visible_regions
    frames = [_outside(layout.box(region.box), layout, stroke) for region in regions]
    for region, frame in zip(regions, frames, strict=True):
        doubt = region.outcome is Outcome.DOUBT
        _draw_frame(pen, frame, stroke, _COLOURS[region.outcome], dash=dash if doubt else 0)
    taken = list(frames)
    for region, frame in zip(regions, frames, strict=True):
        taken.append(_draw_label(pen, layout, region, frame, taken))


def _outside(box: Box, layout: OverlayLayout, stroke: int) -> Box:
    """The frame around a box, so that its line covers nothing of the region; within the film."""
    left, top, right, bottom = layout.film
    x0 = min(max(round(box[0]) - stroke, left), right - 2 * stroke)
    y0 = min(max(round(box[1]) - stroke, top), bottom - 2 * stroke)
    x1 = max(min(round(box[2]) + stroke, right), x0 + 2 * stroke)
    y1 = max(min(round(box[3]) + stroke, bottom), y0 + 2 * stroke)
    return (x0, y0, x1, y1)


def _draw_frame(
    pen: ImageDraw.ImageDraw, frame: Box, stroke: int, colour: Colour, *, dash: int
) -> None:
    x0, y0, x1, y1 = frame
    # A dark edge on both sides, and dark gaps, keep the line visible on white bone.
    for grown in (stroke, 0, -stroke) if dash else (stroke, -stroke):
        halo = (x0 - grown, y0 - grown, x1 + grown - 1, y1 + grown - 1)
        if halo[0] <= halo[2] and halo[1] <= halo[3]:
            pen.rectangle(halo, outline=_HALO, width=stroke)
    if not dash:
        pen.rectangle((x0, y0, x1 - 1, y1 - 1), outline=colour, width=stroke)
        return
    for start, end in _dashes(x0, x1, dash):
        pen.rectangle((start, y0, end, y0 + stroke - 1), fill=colour)
        pen.rectangle((start, y1 - stroke, end, y1 - 1), fill=colour)
    for start, end in _dashes(y0, y1, dash):
        pen.rectangle((x0, start, x0 + stroke - 1, end), fill=colour)
        pen.rectangle((x1 - stroke, start, x1 - 1, end), fill=colour)


def _dashes(start: float, end: float, dash: int) -> list[tuple[float, float]]:
    """An odd number of dashes and gaps, so that every corner is drawn."""
    pieces = max(3, int((end - start) / dash) // 2 * 2 + 1)
    step = (end - start) / pieces
    places = [
        (round(start + step * piece), round(start + step * (piece + 1)))
        for piece in range(0, pieces, 2)
    ]
    return [(first, max(last - 1, first)) for first, last in places]


def _draw_label(
    pen: ImageDraw.ImageDraw, layout: OverlayLayout, region: Region, frame: Box, taken: list[Box]
) -> Box:
    """The region's probability beside its box, where it covers least; the place that it took."""
    words = percent(region.probability)
    font = font_of(layout.size_of("plain"))
    pad = max(2, layout.unit // 5)
    width = font.getlength(words) + 2 * pad
    height = layout.unit * 1.2 + pad
    places = _label_places(frame, width, height, layout, gap=pad)
    place = min(places, key=lambda spot: sum(_shared(spot, other) for other in taken))
    pen.rounded_rectangle(place, radius=pad, fill=(*_STRIP, 175))
    middle = ((place[0] + place[2]) / 2, (place[1] + place[3]) / 2)
    pen.text(middle, words, fill=_COLOURS[region.outcome], font=font, anchor="mm")
    return place


def _label_places(
    frame: Box, width: float, height: float, layout: OverlayLayout, *, gap: int
) -> list[Box]:
    """Beside the box, best first, kept on the film; last in a corner inside it, for boxes as large as the film."""
    x0, y0, x1, y1 = frame
    left, top, right, bottom = layout.film
    corners = [
        (x0, y0 - gap - height),
        (x1 - width, y0 - gap - height),
        (x0, y1 + gap),
        (x1 - width, y1 + gap),
        (x1 + gap, y0),
        (x0 - gap - width, y0),
        (x0 + 2 * gap, y0 + 2 * gap),
    ]
    kept = [(min(max(x, left), right - width), min(max(y, top), bottom - height)) for x, y in corners]
    return [(x, y, x + width, y + height) for x, y in kept]


def _shared(first: Box, second: Box) -> float:
    width = min(first[2], second[2]) - max(first[0], second[0])
    height = min(first[3], second[3]) - max(first[1], second[1])
    return max(width, 0.0) * max(height, 0.0)
