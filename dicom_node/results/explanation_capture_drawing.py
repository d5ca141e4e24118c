"""A film with its Grad-CAM as a picture: heat over grey, an arrow, and in words what that is and what it is not."""

from __future__ import annotations

import cv2
import numpy as np
from PIL import Image, ImageDraw

from dicom_node.results.capture_style import OWN_STYLE, CaptureStyle
from dicom_node.results.film_drawing import (
    BRIGHT,
    DIM,
    STRIP,
    Colour,
    RgbImage,
    grey_film,
    write_line,
)
from dicom_node.results.messages import Message
from dicom_node.results.overlay_layout import OverlayLayout, TextLine, lay_out_strips
from dicom_node.results.wording import (
    Wording,
    caution_words,
    model_words,
    outcome_words,
    threshold_words,
)
from pipeline.activation_map import MOST_LEVEL, Arrow, Explanation, Levels
from pipeline.findings import ImageFindings, Outcome
from pipeline.radiograph import Radiograph

# Nothing of the film is covered where the map is below FAINT; nowhere more than MOST of it.
FAINT, MOST = 0.15, 0.55
# Where the thin line runs: a shape that needs no colour.
HALF = 0.5
# The grey under the scale, about that of bone.
_SCALE_GREY = 120
_EDGE: Colour = (0, 0, 0)
_LINE: Colour = (255, 255, 255)
_POINTED_AT = (Outcome.FRACTURE, Outcome.DOUBT)


def draw_explanation_capture(
    radiograph: Radiograph,
    findings: ImageFindings,
    explanation: Explanation,
    *,
    longest_side: int,
    style: CaptureStyle = OWN_STYLE,
) -> RgbImage:
    """Uint8 (rows, columns, 3), RGB, square pixels, no side above `longest_side`.

    A film below both operating points gets no arrow: it would point at a fracture that is not suspected.
    """
    layout = explanation_layout(
        radiograph, findings, explanation, longest_side=longest_side, style=style
    )
    left, top, right, bottom = layout.film
    width, height = right - left, bottom - top
    # A map holds no detail that could be lost between its pixels.
    resized = cv2.resize(explanation.levels, (width, height), interpolation=cv2.INTER_LINEAR)
    levels = np.asarray(resized, dtype=np.uint16)
    film = heat_over(grey_film(radiograph.pixels, width, height), levels, grey=style.grey)
    stroke = max(1, round(max(layout.width, layout.height) / 900))
    _draw_half(film, levels, stroke)
    if has_arrow(findings, explanation) and explanation.arrow is not None:
        _draw_arrow(film, explanation.arrow, layout)
    canvas = Image.new("RGB", (layout.width, layout.height), STRIP)
    _draw_words(canvas, layout, explanation)
    picture = np.array(canvas)
    picture[top:bottom, left:right] = film
    return picture


def explanation_layout(
    radiograph: Radiograph,
    findings: ImageFindings,
    explanation: Explanation,
    *,
    longest_side: int,
    style: CaptureStyle = OWN_STYLE,
) -> OverlayLayout:
    """Where `draw_explanation_capture` puts the film."""
    return lay_out_strips(
        radiograph.rows,
        radiograph.columns,
        _header(findings, explanation, style.wording),
        _footer(findings, explanation, style.wording),
        longest_side=longest_side,
        pixel_aspect=radiograph.pixel_aspect,
        style=style,
    )


def has_arrow(findings: ImageFindings, explanation: Explanation) -> bool:
    """Whether an arrow is drawn."""
    return explanation.arrow is not None and findings.outcome in _POINTED_AT


def heat_over(film: RgbImage, levels: Levels, *, grey: bool = False) -> RgbImage:
    """The film under inferno, whose lightness rises evenly with the value (van der Walt and Smith, 2015).

    `grey`: under a veil of white, which in grey alone tells more from less. `film`: uint8 (rows, columns, 3), RGB; `levels`: uint16 (rows, columns), an explanation's.
    """
    steps = np.asarray(cv2.convertScaleAbs(levels, alpha=255 / MOST_LEVEL), dtype=np.uint8)
    blended = film.copy()
    x, y, width, height = cv2.boundingRect((steps > FAINT * 255).astype(np.uint8))
    if width and height:
        here = np.s_[y : y + height, x : x + width]
        blended[here] = _blended(film[here], steps[here], grey=grey)
    return blended


def _blended(film: RgbImage, steps: RgbImage, *, grey: bool) -> RgbImage:
    """Heat of 256 steps over the film, its share from a table: a power for each pixel would cost more than all else."""
    every = np.linspace(0, 1, 256)
    shares = np.clip((every - FAINT) / (1 - FAINT), 0, 1) ** 0.7 * MOST
    share = cv2.LUT(steps, shares.astype(np.float32))
    inferno = cv2.cvtColor(cv2.applyColorMap(steps, cv2.COLORMAP_INFERNO), cv2.COLOR_BGR2RGB)
    heat = np.full_like(film, 255) if grey else inferno
    return np.asarray(cv2.blendLinear(film, heat, 1 - share, share), dtype=np.uint8)


def _header(
    findings: ImageFindings, explanation: Explanation, wording: Wording
) -> tuple[TextLine, ...]:
    said = (f"{outcome_words(findings, wording)}.", caution_words(findings, wording))
    empty = [wording.text(Message.EXPLANATION_EMPTY)] if explanation.is_empty else []
    return (
        TextLine(wording.text(Message.EXPLANATION_TITLE), "title"),
        TextLine(wording.text(Message.EXPLANATION_CAUTION), "plain"),
        TextLine(" ".join(part for part in (*said, *empty) if part), "plain"),
    )


def _footer(
    findings: ImageFindings, explanation: Explanation, wording: Wording
) -> tuple[TextLine, ...]:
    """The scale's row first, of which the text is only the lower end."""
    key = [wording.text(Message.EXPLANATION_SCALE)]
    if has_arrow(findings, explanation):
        key.append(wording.text(Message.EXPLANATION_ARROW))
    about = f"{model_words(findings.model, wording)}. {threshold_words(findings, wording)}"
    notice = TextLine(wording.text(Message.NOTICE), "plain")
    if explanation.is_empty:
        return (notice, TextLine(about, "small"))
    return (
        TextLine(wording.text(Message.PERCENT, number=wording.number(0)), "small"),
        TextLine(" ".join(key), "small"),
        notice,
        TextLine(about, "small"),
    )


def _draw_half(film: RgbImage, levels: Levels, stroke: int) -> None:
    """A light line with a dark edge around what reaches half of the strongest."""
    inside = (levels >= HALF * MOST_LEVEL).astype(np.uint8)
    outlines, _ = cv2.findContours(inside, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    for colour, thickness in ((_EDGE, stroke + 2), (_LINE, stroke)):
        cv2.drawContours(film, outlines, -1, colour, thickness, cv2.LINE_AA)


def _draw_arrow(film: RgbImage, arrow: Arrow, layout: OverlayLayout) -> None:
    """A white arrow with a dark edge, which shows on bone and on black."""
    (x0, y0), (x1, y1) = (
        (round(x * layout.scale_x - 0.5), round(y * layout.scale_y - 0.5))
        for x, y in (arrow.tail, arrow.head)
    )
    length = max(1.0, float(np.hypot(x1 - x0, y1 - y0)))
    stroke = max(2, round(max(film.shape) / 400))
    tip = min(0.3, 11 * stroke / length)
    for colour, thickness in ((_EDGE, stroke + 3), (_LINE, stroke)):
        cv2.arrowedLine(film, (x0, y0), (x1, y1), colour, thickness, cv2.LINE_AA, tipLength=tip)


def _draw_words(canvas: Image.Image, layout: OverlayLayout, explanation: Explanation) -> None:
    pen = ImageDraw.Draw(canvas)
    margin = layout.margin
    _write(canvas, layout, layout.header, margin)
    y, footer = layout.film[3] + margin, layout.footer
    if not explanation.is_empty:
        _draw_scale(canvas, pen, layout, y)
        y, footer = y + layout.height_of(footer[0]), footer[1:]
    _write(canvas, layout, footer, y)


def _write(canvas: Image.Image, layout: OverlayLayout, lines: tuple[TextLine, ...], y: int) -> None:
    for line in lines:
        colour = DIM if line.rank == "small" else BRIGHT
        write_line(canvas, (layout.margin, y), line.text, colour, layout.font_of(line.rank))
        y += layout.height_of(line)


def _draw_scale(canvas: Image.Image, pen: ImageDraw.ImageDraw, layout: OverlayLayout, y: int) -> None:
    """From nothing to the strongest, as it looks over grey; a mark where the thin line runs."""
    font, wording = layout.font_of("small"), layout.style.wording
    low = layout.footer[0].text
    high = wording.text(Message.PERCENT, number=wording.number(100))
    height = max(6, round(layout.unit * 0.8))
    left = round(layout.margin + font.getlength(low) + layout.unit * 0.5)
    room = round(layout.width - layout.margin - font.getlength(high) - layout.unit * 0.5) - left
    width = max(24, min(room, round(layout.unit * 18)))
    top = y + round((layout.size_of("small") * 1.2 - height) / 2)
    levels = np.tile(np.linspace(0, MOST_LEVEL, width).astype(np.uint16), (height, 1))
    bar = heat_over(np.full((height, width, 3), _SCALE_GREY, np.uint8), levels, grey=layout.style.grey)
    canvas.paste(Image.fromarray(bar), (left, top))
    middle = left + round(width * HALF)
    pen.rectangle((middle - 1, top - 1, middle + 1, top + height), fill=_EDGE)
    pen.rectangle((middle, top - 1, middle, top + height), fill=_LINE)
    pen.text((layout.margin, y), low, fill=DIM, font=font)
    pen.text((left + width + round(layout.unit * 0.5), y), high, fill=DIM, font=font)
