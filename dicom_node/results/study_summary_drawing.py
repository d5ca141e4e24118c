"""A page of the study's summary: each film reduced, with its boxes, and below it what was said of it."""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageDraw

from dicom_node.results.film_drawing import (
    BRIGHT,
    CARD,
    DIM,
    STRIP,
    Colour,
    RgbImage,
    draw_frame,
    frame_around,
    grey_film,
    write_line,
)
from dicom_node.results.reduced_film import Film
from dicom_node.results.study_summary_layout import (
    SummaryLayout,
    SummaryTile,
    SummaryWords,
    caption_lines,
    film_size,
)
from pipeline.findings import Outcome

_BLACK: Colour = (0, 0, 0)


def draw_page(
    tiles: list[SummaryTile],
    layout: SummaryLayout,
    words: SummaryWords,
    *,
    page: str,
    no_film: str,
) -> RgbImage:
    """Uint8 (rows, columns, 3), RGB. `page`: "page 1 of 2", or "" on the only one; `no_film` stands for a missing film."""
    canvas = Image.new("RGB", (layout.width, layout.height), STRIP)
    _draw_header(canvas, layout, words, page)
    for index, tile in enumerate(tiles):
        _draw_tile(canvas, tile, layout, layout.tile(index), no_film)
    _draw_footer(canvas, layout, words)
    return np.array(canvas)


def _draw_header(canvas: Image.Image, layout: SummaryLayout, words: SummaryWords, page: str) -> None:
    pen = ImageDraw.Draw(canvas)
    letters, margin, top = layout.letters, layout.margin, round(layout.margin * 0.6)
    baseline, right = top + letters.font("title").getmetrics()[0], layout.width - margin
    room = right - 2 * margin - letters.font("plain").getlength(page)
    # On the smallest pages title and page number share a line in plain letters.
    rank = "title" if letters.font("title").getlength(words.title) <= room else "plain"
    pen.text((margin, baseline), words.title, fill=BRIGHT, font=letters.font(rank), anchor="ls")
    pen.text((right, baseline), page, fill=DIM, font=letters.font("plain"), anchor="rs")
    _draw_lines(canvas, layout, layout.counts, "plain", (margin, top + letters.line("title")), DIM)


def _draw_tile(
    canvas: Image.Image,
    tile: SummaryTile,
    layout: SummaryLayout,
    corner: tuple[int, int],
    no_film: str,
) -> None:
    x, y = corner
    width, height = layout.film_width, layout.film_height
    canvas.paste(CARD, (x, y, x + width, y + height + layout.caption_height))
    if height:
        canvas.paste(_BLACK, (x, y, x + width, y + height))
        if tile.radiograph is None:
            middle = (x + width / 2, y + height / 2)
            font = layout.letters.font("plain")
            ImageDraw.Draw(canvas).text(middle, no_film, fill=DIM, font=font, anchor="mm")
        else:
            _draw_film(canvas, tile, tile.radiograph, layout, corner)
    # A bar in the outcome's colour parts film and words.
    bar = max(2, layout.letters.unit // 6)
    canvas.paste(
        layout.letters.style.colour_of(tile.outcome), (x, y + height, x + width, y + height + bar)
    )
    _draw_caption(canvas, tile, layout, (x, y + height))


def _draw_film(
    canvas: Image.Image,
    tile: SummaryTile,
    radiograph: Film,
    layout: SummaryLayout,
    corner: tuple[int, int],
) -> None:
    width, height = film_size(tile, layout.film_width, layout.film_height)
    left = corner[0] + (layout.film_width - width) // 2
    top = corner[1] + (layout.film_height - height) // 2
    canvas.paste(Image.fromarray(grey_film(radiograph.pixels, width, height)), (left, top))
    across, down = width / radiograph.columns, height / radiograph.rows
    pen = ImageDraw.Draw(canvas, "RGBA")
    stroke = max(1, round(max(layout.width, layout.height) / 640))
    dash = max(4 * stroke, round(layout.letters.unit * 0.4))
    for region in tile.regions:
        x0, y0, x1, y1 = region.box
        box = (left + x0 * across, top + y0 * down, left + x1 * across, top + y1 * down)
        frame = frame_around(box, (left, top, left + width, top + height), stroke)
        doubt = region.outcome is Outcome.DOUBT
        draw_frame(
            pen,
            frame,
            stroke,
            layout.letters.style.colour_of(region.outcome),
            dash=dash if doubt else 0,
        )


def _draw_caption(
    canvas: Image.Image, tile: SummaryTile, layout: SummaryLayout, corner: tuple[int, int]
) -> None:
    gap = layout.gap
    x, y = corner[0] + gap, corner[1] + gap
    place, result, remarks = caption_lines(tile, layout.letters, layout.film_width)
    baseline = y + layout.letters.font("small").getmetrics()[0]
    font = layout.letters.font("plain")
    ImageDraw.Draw(canvas).text((x, baseline), tile.number, fill=BRIGHT, font=font, anchor="ls")
    beside = (x + layout.letters.indent(tile.number), y)
    y = _draw_lines(canvas, layout, place, "small", beside, DIM)
    said = (
        DIM if tile.outcome is Outcome.NOT_PROCESSED else layout.letters.style.colour_of(tile.outcome)
    )
    y = _draw_lines(canvas, layout, result, "plain", (x, y), said)
    _draw_lines(canvas, layout, remarks, "small", (x, y), DIM)


def _draw_footer(canvas: Image.Image, layout: SummaryLayout, words: SummaryWords) -> None:
    letters, x = layout.letters, layout.margin
    small, plain = letters.line("small"), letters.line("plain")
    height = plain * (1 + len(layout.notice)) + small * len(layout.readers)
    y = layout.height - height - round(layout.margin * 0.7)
    _draw_key(canvas, layout, words, (x, y))
    y = _draw_lines(canvas, layout, layout.notice, "plain", (x, y + plain), BRIGHT)
    _draw_lines(canvas, layout, layout.readers, "small", (x, y), DIM)


def _draw_key(
    canvas: Image.Image, layout: SummaryLayout, words: SummaryWords, corner: tuple[int, int]
) -> None:
    """Two small boxes with what they mean."""
    pen = ImageDraw.Draw(canvas, "RGBA")
    x, y = corner
    unit, font = layout.letters.unit, layout.letters.font("plain")
    stroke = max(1, unit // 10)
    for outcome, said in zip((Outcome.FRACTURE, Outcome.DOUBT), words.key, strict=True):
        swatch = (x, y + round(unit * 0.1), x + round(unit * 1.7), y + round(unit * 1.1))
        dash = max(3, unit // 4) if outcome is Outcome.DOUBT else 0
        draw_frame(pen, swatch, stroke, layout.letters.style.colour_of(outcome), dash=dash)
        pen.text((x + unit * 2.1, y), said, fill=BRIGHT, font=font)
        x += round(unit * 3.6 + font.getlength(said))


def _draw_lines(
    canvas: Image.Image,
    layout: SummaryLayout,
    lines: tuple[str, ...],
    rank: str,
    start: tuple[int, int],
    colour: Colour,
) -> int:
    """The lines below each other; where the next would begin."""
    x, y = start
    for line in lines:
        write_line(canvas, (x, y), line, colour, layout.letters.font(rank))
        y += layout.letters.line(rank)
    return y
