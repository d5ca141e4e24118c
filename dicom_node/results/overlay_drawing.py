"""A film with what was found in it: thin boxes on the film, words in strips above and below.

A solid box is a fracture suspected at the specific operating point, a dashed one a doubt at the sensitive one.
"""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageDraw

from dicom_node.results.capture_style import OWN_STYLE, CaptureStyle
from dicom_node.results.film_drawing import (
    BRIGHT,
    CARD,
    DIM,
    STRIP,
    RgbImage,
    draw_frame,
    frame_around,
    grey_film,
    write_line,
)
from dicom_node.results.messages import Message
from dicom_node.results.overlay_layout import OverlayLayout, TextLine, lay_out, wrap_words
from dicom_node.results.wording import percent
from pipeline.findings import ImageFindings, Outcome, Region
from pipeline.geometry import Box
from pipeline.radiograph import Radiograph

# A card has the shape of the film, if that is known.
_CARD_ROWS, _CARD_COLUMNS = 3, 4


def draw_overlay(
    radiograph: Radiograph,
    findings: ImageFindings,
    *,
    longest_side: int,
    style: CaptureStyle = OWN_STYLE,
) -> RgbImage:
    """The film with its result, uint8 (rows, columns, 3), RGB, square pixels, no side above `longest_side`."""
    layout = overlay_layout(radiograph, findings, longest_side=longest_side, style=style)
    canvas = _strips(layout)
    left, top, right, bottom = layout.film
    film = grey_film(radiograph.pixels, right - left, bottom - top)
    canvas.paste(Image.fromarray(film), (left, top))
    _draw_regions(canvas, layout, findings)
    _draw_words(canvas, layout, findings)
    return np.array(canvas)


def draw_card(
    findings: ImageFindings, *, longest_side: int, style: CaptureStyle = OWN_STYLE
) -> RgbImage:
    """A card in the film's place, for a film whose pixels could not be had; shape as `draw_overlay`."""
    layout = card_layout(findings, longest_side=longest_side, style=style)
    canvas = _strips(layout)
    left, top, right, bottom = layout.film
    pen = ImageDraw.Draw(canvas)
    pen.rectangle((left, top, right - 1, bottom - 1), fill=CARD)
    middle = ((left + right) / 2, (top + bottom) / 2)
    font = layout.font_of("title")
    words = wrap_words(style.wording.text(Message.NO_FILM), font, right - left - 2 * layout.margin)
    pen.text(middle, "\n".join(words), fill=DIM, font=font, anchor="mm", align="center")
    _draw_words(canvas, layout, findings)
    return np.array(canvas)


def overlay_layout(
    radiograph: Radiograph,
    findings: ImageFindings,
    *,
    longest_side: int,
    style: CaptureStyle = OWN_STYLE,
) -> OverlayLayout:
    """Where `draw_overlay` puts the film."""
    return lay_out(
        radiograph.rows,
        radiograph.columns,
        findings,
        longest_side=longest_side,
        pixel_aspect=radiograph.pixel_aspect,
        style=style,
    )


def card_layout(
    findings: ImageFindings, *, longest_side: int, style: CaptureStyle = OWN_STYLE
) -> OverlayLayout:
    """Where `draw_card` puts the empty film."""
    known = findings.rows > 0 and findings.columns > 0
    rows, columns = (findings.rows, findings.columns) if known else (_CARD_ROWS, _CARD_COLUMNS)
    # Nothing is lost by a small card.
    return lay_out(rows, columns, findings, longest_side=min(longest_side, 1024), style=style)


def _strips(layout: OverlayLayout) -> Image.Image:
    return Image.new("RGB", (layout.width, layout.height), STRIP)


def _draw_words(canvas: Image.Image, layout: OverlayLayout, findings: ImageFindings) -> None:
    pen = ImageDraw.Draw(canvas)
    margin = layout.margin
    title_height = sum(layout.height_of(line) for line in layout.header if line.rank == "title")
    # A bar in the outcome's colour: read from across the room.
    bar = max(3, layout.unit // 4)
    drop = round(layout.unit * 0.12)
    top, bottom = margin + drop, margin + title_height - 3 * drop
    # Whole or broken as the boxes are: told apart without colour too.
    pieces = 5 if findings.outcome is Outcome.DOUBT else 1
    for piece in range(0, pieces, 2):
        start, end = (round(top + (bottom - top) * share / pieces) for share in (piece, piece + 1))
        pen.rectangle(
            (margin, start, margin + bar - 1, end), fill=layout.style.colour_of(findings.outcome)
        )
    _write(canvas, layout, layout.header, (margin + bar + round(margin * 0.7), margin))
    _write(canvas, layout, layout.footer, (margin, layout.film[3] + margin))


def _write(
    canvas: Image.Image, layout: OverlayLayout, lines: tuple[TextLine, ...], start: tuple[int, int]
) -> None:
    x, y = start
    for line in lines:
        colour = BRIGHT if line.rank == "title" else DIM
        write_line(canvas, (x, y), line.text, colour, layout.font_of(line.rank))
        y += layout.height_of(line)


def _draw_regions(canvas: Image.Image, layout: OverlayLayout, findings: ImageFindings) -> None:
    pen = ImageDraw.Draw(canvas, "RGBA")
    stroke = max(1, round(max(layout.width, layout.height) / 640))
    dash = max(5 * stroke, round(layout.unit * 0.5))
    regions = findings.visible_regions
    frames = [frame_around(layout.box(region.box), layout.film, stroke) for region in regions]
    for region, frame in zip(regions, frames, strict=True):
        doubt = region.outcome is Outcome.DOUBT
        draw_frame(
            pen, frame, stroke, layout.style.colour_of(region.outcome), dash=dash if doubt else 0
        )
    taken = list(frames)
    for region, frame in zip(regions, frames, strict=True):
        taken.append(_draw_label(pen, layout, region, frame, taken))


def _draw_label(
    pen: ImageDraw.ImageDraw, layout: OverlayLayout, region: Region, frame: Box, taken: list[Box]
) -> Box:
    """The region's probability beside its box, where it covers least; the place that it took."""
    words = percent(region.probability, layout.style.wording)
    font = layout.font_of("plain")
    pad = max(2, layout.unit // 5)
    width = font.getlength(words) + 2 * pad
    height = layout.unit * 1.2 + pad
    places = _label_places(frame, width, height, layout, gap=pad)
    place = min(places, key=lambda spot: sum(_shared(spot, other) for other in taken))
    pen.rounded_rectangle(place, radius=pad, fill=(*STRIP, 175))
    middle = ((place[0] + place[2]) / 2, (place[1] + place[3]) / 2)
    pen.text(middle, words, fill=layout.style.colour_of(region.outcome), font=font, anchor="mm")
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
