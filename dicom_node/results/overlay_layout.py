"""Where the film and the strips of text lie on an overlay, and how large its letters are.

Text stands in strips above and below the film: inside it, letters would hide side markers and bone.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from PIL import ImageFont

from dicom_node.results.wording import (
    body_part_words,
    caution_words,
    model_words,
    outcome_words,
    threshold_words,
)
from pipeline.findings import RESEARCH_NOTICE, ImageFindings, Outcome
from pipeline.geometry import Box

# Films smaller than this are enlarged, if the destination allows it: letters of 10 pixels are no letters.
_SMALLEST_LONGEST_SIDE = 1024
# A film narrower than this share of the longest side, or than these pixels, gets margins at its sides too.
_NARROWEST, _NARROWEST_PIXELS = 0.55, 320

Font = ImageFont.FreeTypeFont | ImageFont.ImageFont


@lru_cache(maxsize=32)
def font_of(size: int) -> Font:
    """Pillow's own TrueType font, the same on every machine."""
    return ImageFont.load_default(size)


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
    rows: int, columns: int, findings: ImageFindings, *, longest_side: int, pixel_aspect: float = 1.0
) -> OverlayLayout:
    """The largest overlay whose sides are at most `longest_side`; small films grow up to 1,024 pixels.

    `pixel_aspect` is the height of a pixel over its width: the overlay's pixels are square.
    """
    rows, columns = max(rows, 1), max(columns, 1)
    tall = rows * pixel_aspect
    side = min(longest_side, max(round(max(tall, columns)), _SMALLEST_LONGEST_SIDE))
    unit = max(9, min(12, side // 36), round(side * 0.0165))
    scale = side / max(tall, columns)
    for _ in range(8):
        layout = _at(scale, rows, columns, tall, side, unit, findings)
        if layout.height <= side:
            break
        scale = min(scale, (side - (layout.height - (layout.film[3] - layout.film[1]))) / tall)
        scale = max(scale, 1 / max(tall, columns))
    return layout


def _at(
    scale: float, rows: int, columns: int, tall: float, side: int, unit: int, findings: ImageFindings
) -> OverlayLayout:
    film_width, film_height = max(1, int(columns * scale)), max(1, int(tall * scale))
    width = max(film_width, round(side * _NARROWEST), min(side, _NARROWEST_PIXELS))
    empty = OverlayLayout(
        width, 0, (0, 0, 0, 0), film_width / columns, film_height / rows, unit, (), ()
    )
    header, footer = _header(findings, empty), _footer(findings, empty)
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
    )


def _header(findings: ImageFindings, layout: OverlayLayout) -> tuple[TextLine, ...]:
    parts = [part for part in (body_part_words(findings), caution_words(findings)) if part]
    lines = _wrapped(outcome_words(findings), "title", layout)
    return lines + (_wrapped(". ".join(parts), "plain", layout) if parts else ())


def _footer(findings: ImageFindings, layout: OverlayLayout) -> tuple[TextLine, ...]:
    key = "Solid box: fracture suspected. Dashed box: doubt. "
    marked = any(r.outcome in (Outcome.FRACTURE, Outcome.DOUBT) for r in findings.visible_regions)
    about = f"{model_words(findings.model)}; {threshold_words(findings)}."
    return _wrapped(RESEARCH_NOTICE, "plain", layout) + _wrapped(
        f"{key if marked else ''}{about}", "small", layout
    )


def _wrapped(text: str, rank: str, layout: OverlayLayout) -> tuple[TextLine, ...]:
    """The text in as few lines as fit beside the margins, of about the same length."""
    room = layout.width - 3 * layout.margin
    font = font_of(layout.size_of(rank))
    words = [(word, font.getlength(f"{word} ")) for word in text.split()]
    lines = _fill(words, room)
    # An orphaned last word reads badly: the narrowest room with as few lines.
    for share in range(95, 40, -5):
        narrower = _fill(words, room * share / 100)
        if len(narrower) > len(lines):
            break
        lines = narrower
    return tuple(TextLine(line, rank) for line in lines)


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
