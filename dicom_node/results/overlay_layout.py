"""Where the film and the strips of text lie on an overlay, and how large its letters are.

Text stands in strips above and below the film: inside it, letters would hide side markers and bone.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from dicom_node.results.capture_style import OWN_STYLE, CaptureStyle
from dicom_node.results.messages import Message
from dicom_node.results.typeface import Font, font_of
from dicom_node.results.wording import (
    Wording,
    body_part_words,
    caution_words,
    model_words,
    outcome_words,
    threshold_words,
)
from pipeline.findings import ImageFindings, Outcome
from pipeline.geometry import Box

# Films smaller than this are enlarged, if the destination allows it: letters of 10 pixels are no letters.
_SMALLEST_LONGEST_SIDE = 1024
# A film narrower than this share of the longest side, or than these pixels, gets margins at its sides too.
_NARROWEST, _NARROWEST_PIXELS = 0.55, 320


@dataclass(frozen=True)
class TextLine:
    """A line of a strip; `rank` is "title", "plain" or "small"."""

    text: str
    rank: str


@dataclass(frozen=True)
class OverlayLayout:
    """All in pixels of the overlay. The film lies in `film`; `scale_x`, `scale_y` lead from film to overlay."""

    width: int
    height: int
    film: tuple[int, int, int, int]
    scale_x: float
    scale_y: float
    unit: int
    header: tuple[TextLine, ...]
    footer: tuple[TextLine, ...]
    style: CaptureStyle

    def box(self, box: Box) -> Box:
        """A box of the film on the overlay."""
        left, top = self.film[:2]
        x0, y0, x1, y1 = box
        return (
            left + x0 * self.scale_x,
            top + y0 * self.scale_y,
            left + x1 * self.scale_x,
            top + y1 * self.scale_y,
        )

    def size_of(self, rank: str) -> int:
        """The letters of a line, in pixels."""
        return {"title": round(self.unit * 1.55), "plain": self.unit, "small": round(self.unit * 0.84)}[
            rank
        ]

    def font_of(self, rank: str) -> Font:
        """The letters of a line."""
        return font_of(self.size_of(rank), self.style.typeface)

    def height_of(self, line: TextLine) -> int:
        """A line with the space below it."""
        return round(self.size_of(line.rank) * 1.36)

    @property
    def margin(self) -> int:
        """Between text and edge."""
        return round(self.unit * 0.8)

    def strip_height(self, lines: tuple[TextLine, ...]) -> int:
        """A strip with its margins."""
        return sum(self.height_of(line) for line in lines) + 2 * self.margin


def lay_out(
    rows: int,
    columns: int,
    findings: ImageFindings,
    *,
    longest_side: int,
    pixel_aspect: float = 1.0,
    style: CaptureStyle = OWN_STYLE,
) -> OverlayLayout:
    """The overlay of a film with its reading in words; arguments and answer as `lay_out_strips`."""
    return lay_out_strips(
        rows,
        columns,
        _header(findings, style.wording),
        _footer(findings, style.wording),
        longest_side=longest_side,
        pixel_aspect=pixel_aspect,
        style=style,
    )


def lay_out_strips(
    rows: int,
    columns: int,
    header: tuple[TextLine, ...],
    footer: tuple[TextLine, ...],
    *,
    longest_side: int,
    pixel_aspect: float = 1.0,
    style: CaptureStyle = OWN_STYLE,
) -> OverlayLayout:
    """The largest picture whose sides are at most `longest_side`; small films grow up to 1,024 pixels.

    `header`, `footer`: lines of any length, which are wrapped to the picture's width. `pixel_aspect` is the height of
    a pixel over its width: the picture's pixels are square.
    """
    rows, columns = max(rows, 1), max(columns, 1)
    tall = rows * pixel_aspect
    side = min(longest_side, max(round(max(tall, columns)), _SMALLEST_LONGEST_SIDE))
    unit = max(9, min(12, side // 36), round(side * 0.0165))
    scale = side / max(tall, columns)
    for _ in range(8):
        layout = _at(scale, (rows, columns, tall), side, unit, (header, footer), style)
        if layout.height <= side:
            break
        scale = min(scale, (side - (layout.height - (layout.film[3] - layout.film[1]))) / tall)
        scale = max(scale, 1 / max(tall, columns))
    return layout


def _at(
    scale: float,
    film: tuple[int, int, float],
    side: int,
    unit: int,
    strips: tuple[tuple[TextLine, ...], tuple[TextLine, ...]],
    style: CaptureStyle,
) -> OverlayLayout:
    rows, columns, tall = film
    film_width, film_height = max(1, int(columns * scale)), max(1, int(tall * scale))
    width = max(film_width, round(side * _NARROWEST), min(side, _NARROWEST_PIXELS))
    empty = OverlayLayout(
        width, 0, (0, 0, 0, 0), film_width / columns, film_height / rows, unit, (), (), style
    )
    header, footer = (
        tuple(wrapped for line in lines for wrapped in _wrapped(line, empty)) for lines in strips
    )
    top, left = empty.strip_height(header), (width - film_width) // 2
    return OverlayLayout(
        width=width,
        height=top + film_height + empty.strip_height(footer),
        film=(left, top, left + film_width, top + film_height),
        scale_x=empty.scale_x,
        scale_y=empty.scale_y,
        unit=unit,
        header=header,
        footer=footer,
        style=style,
    )


def _header(findings: ImageFindings, wording: Wording) -> tuple[TextLine, ...]:
    words = (body_part_words(findings, wording), caution_words(findings, wording))
    parts = [part for part in words if part]
    title = TextLine(outcome_words(findings, wording), "title")
    return (title, TextLine(". ".join(parts), "plain")) if parts else (title,)


def _footer(findings: ImageFindings, wording: Wording) -> tuple[TextLine, ...]:
    marked = any(r.outcome in (Outcome.FRACTURE, Outcome.DOUBT) for r in findings.visible_regions)
    key = [wording.text(Message.KEY_TO_BOXES)] if marked else []
    about = (f"{model_words(findings.model, wording)}.", threshold_words(findings, wording))
    return (
        TextLine(wording.text(Message.NOTICE), "plain"),
        TextLine(" ".join([*key, *about]), "small"),
    )


def _wrapped(line: TextLine, layout: OverlayLayout) -> tuple[TextLine, ...]:
    """The line in as few as fit beside the margins."""
    room = layout.width - 3 * layout.margin
    return tuple(
        TextLine(text, line.rank) for text in wrap_words(line.text, layout.font_of(line.rank), room)
    )


# A layout is tried at several sizes, and asked for by what draws and by what describes.
@lru_cache(maxsize=2048)
def wrap_words(text: str, font: Font, room: float) -> tuple[str, ...]:
    """A text in as few lines as fit into `room` pixels, of about the same length."""
    pieces = [piece for word in _words(text) for piece in _broken(word, font, room)]
    words = [(piece, _length(f"{piece} ", font)) for piece in pieces]
    lines = _fill(words, room)
    # An orphaned last word reads badly: the narrowest room with as few lines.
    for share in range(95, 40, -5):
        narrower = _fill(words, room * share / 100)
        if len(narrower) > len(lines):
            break
        lines = narrower
    return tuple(lines)


# The same words are laid out again and again, and measuring is what costs.
@lru_cache(maxsize=8192)
def _length(text: str, font: Font) -> float:
    return font.getlength(text)


def _words(text: str) -> list[str]:
    """What no line end parts: words, each with the % or : that stands apart behind it."""
    words: list[str] = []
    for word in text.split():
        if words and not any(letter.isalnum() for letter in word):
            words[-1] = f"{words[-1]} {word}"
        else:
            words.append(word)
    return words


def _broken(word: str, font: Font, room: float) -> list[str]:
    """A word wider than `room` in pieces that fit: some languages write without spaces."""
    if _length(f"{word} ", font) <= room:
        return [word]
    pieces = [""]
    for letter in word:
        if pieces[-1] and font.getlength(f"{pieces[-1]}{letter} ") > room:
            pieces.append("")
        pieces[-1] += letter
    return pieces


def _fill(words: list[tuple[str, float]], room: float) -> list[str]:
    """Words with their widths, in lines no wider than `room`; a wider word stands alone."""
    lines: list[list[str]] = []
    used = 0.0
    for word, width in words:
        if lines and used + width <= room:
            lines[-1].append(word)
            used += width
        else:
            lines.append([word])
            used = width
    return [" ".join(line) for line in lines]
