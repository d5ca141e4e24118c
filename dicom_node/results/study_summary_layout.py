"""How a summary's page is divided: words above and below, and between them a grid of tiles, one for each image.

All in pixels. The grid is the one that shows the films largest and wastes least; every page of a study has the same.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil

from dicom_node.results.capture_style import OWN_STYLE, CaptureStyle
from dicom_node.results.overlay_layout import wrap_words
from dicom_node.results.reduced_film import Film
from dicom_node.results.typeface import Font, font_of
from pipeline.findings import Outcome, Region

# More would make the films too small to be recognised.
MOST_TILES = 12
# A summary of reduced films gains nothing from more pixels; 3:4 is the shape of most monitors, upright or not.
LARGEST_SIDE = 2048
_SHAPES = ((1.0, 0.75), (0.75, 1.0), (1.0, 1.0))
# In units, the height of plain letters: the narrowest tile, and the smallest film that is worth a place.
_NARROWEST_TILE, _SMALLEST_FILM = 11, 6
# Pages with sides below this have no room for the counts above the tiles.
_ROOMY = 480
_SMALLEST_LETTERS = 10


@dataclass(frozen=True, eq=False)
class SummaryTile:
    """An image on the page: its number in the study's results, in words, its film (None where it could not be had), the boxes to draw in the film's pixels.

    `shape`: the film's width over its height.
    """

    outcome: Outcome
    number: str
    place: str
    result: str
    remarks: str
    radiograph: Film | None
    regions: tuple[Region, ...]
    shape: float


@dataclass(frozen=True)
class SummaryWords:
    """What stands on every page: above the tiles title and counts, below them the key's words, notice and readers."""

    title: str
    counts: str
    key: tuple[str, str]
    notice: str
    readers: tuple[str, ...]


@dataclass(frozen=True)
class Letters:
    """The page's letters, `unit` pixels high in plain text."""

    unit: int
    style: CaptureStyle

    def font(self, rank: str) -> Font:
        """`rank` is "title", "plain" or "small"."""
        return font_of(self._size(rank), self.style.typeface)

    def line(self, rank: str) -> int:
        """A line with the space below it."""
        return round(self._size(rank) * 1.4)

    def wrapped(self, text: str, rank: str, room: float) -> tuple[str, ...]:
        """The text in lines no wider than `room`."""
        return wrap_words(text, self.font(rank), room)

    def indent(self, number: str) -> int:
        """What a tile's number takes at the beginning of its lines."""
        return round(self.font("plain").getlength(number) + self.unit * 0.6)

    def _size(self, rank: str) -> int:
        return max(
            _SMALLEST_LETTERS, round(self.unit * {"title": 1.6, "plain": 1.0, "small": 0.86}[rank])
        )


@dataclass(frozen=True)
class SummaryLayout:
    """A page of `columns` tiles beside each other; a film has at most `film_width` x `film_height`."""

    width: int
    height: int
    columns: int
    film_width: int
    film_height: int
    caption_height: int
    top: int
    letters: Letters
    counts: tuple[str, ...]
    notice: tuple[str, ...]
    readers: tuple[str, ...]

    @property
    def margin(self) -> int:
        """Between words and edges."""
        return self.letters.unit

    @property
    def gap(self) -> int:
        """Between tiles."""
        return gap_of(self.letters)

    def tile(self, index: int) -> tuple[int, int]:
        """The upper left corner of a tile, counted by rows from 0."""
        row, column = divmod(index, self.columns)
        return (
            self.margin + column * (self.film_width + self.gap),
            self.top + row * (self.film_height + self.caption_height + self.gap),
        )


def gap_of(letters: Letters) -> int:
    """Between tiles, and within them beside the words."""
    return max(4, round(letters.unit * 0.6))


def lay_out_pages(
    tiles: list[SummaryTile], words: SummaryWords, *, longest_side: int, style: CaptureStyle = OWN_STYLE
) -> tuple[SummaryLayout, list[list[SummaryTile]]]:
    """The layout of all pages, and the tiles of each; no side exceeds `longest_side`.

    As many tiles go on a page as leave the films recognisable, twelve at most, and every page gets about as many.
    """
    side = min(longest_side, LARGEST_SIDE)
    letters = Letters(max(_SMALLEST_LETTERS, round(side * 0.0125)), style)
    for count in range(min(MOST_TILES, len(tiles)), 0, -1):
        pages = ceil(len(tiles) / count)
        count = ceil(len(tiles) / pages)
        layout = _best(tiles, count, words, side, letters)
        if layout is not None and (_recognisable(layout) or count == 1):
            break
    else:
        layout = _page(tiles, 1, 1, words, (side, side), letters)
    split = [tiles[start : start + count] for start in range(0, len(tiles), count)]
    return layout, split


def _recognisable(layout: SummaryLayout) -> bool:
    return min(layout.film_width, layout.film_height) >= _SMALLEST_FILM * layout.letters.unit


def _best(
    tiles: list[SummaryTile], count: int, words: SummaryWords, side: int, letters: Letters
) -> SummaryLayout | None:
    """The page that `count` tiles fill best; None where none has room."""
    best: tuple[float, SummaryLayout] | None = None
    for across, down in _SHAPES:
        page = (round(side * across), round(side * down))
        for columns in range(1, count + 1):
            if tile_width(page[0], columns, letters) < _NARROWEST_TILE * letters.unit:
                break
            layout = _page(tiles, count, columns, words, page, letters)
            if layout.film_height < letters.unit:
                continue
            # Large films, on a page that holds little else: a viewer fits the whole page to its window.
            area = sum(_shown(tile, layout) for tile in tiles)
            worth = area**2 / (layout.width * layout.height)
            if best is None or worth > best[0] * 1.02:
                best = (worth, layout)
    return best[1] if best else None


def _shown(tile: SummaryTile, layout: SummaryLayout) -> float:
    """How large the film is drawn."""
    width, height = film_size(tile, layout.film_width, layout.film_height)
    return float(width * height)


def film_size(tile: SummaryTile, width: int, height: int) -> tuple[int, int]:
    """The largest film in so much room."""
    across = min(float(width), height * tile.shape)
    return max(1, int(across)), max(1, min(height, int(across / tile.shape)))


def _page(
    tiles: list[SummaryTile],
    count: int,
    columns: int,
    words: SummaryWords,
    page: tuple[int, int],
    letters: Letters,
) -> SummaryLayout:
    width, height = page
    margin, gap = letters.unit, gap_of(letters)
    rows = ceil(count / columns)
    across = tile_width(width, columns, letters)
    room = width - 2 * margin
    roomy = max(page) >= _ROOMY
    counts = letters.wrapped(words.counts, "plain", room) if roomy else ()
    notice = letters.wrapped(words.notice, "plain", room)
    readers = tuple(line for text in words.readers for line in letters.wrapped(text, "small", room))
    top = margin + letters.line("title") + len(counts) * letters.line("plain") + gap
    footer = (1 + len(notice)) * letters.line("plain") + len(readers) * letters.line("small") + margin
    caption = max(caption_height(tile, letters, across) for tile in tiles)
    free = (height - top - footer - rows * gap) // rows - caption
    # No page is higher than its films need.
    wanted = max(film_size(tile, across, max(1, free))[1] for tile in tiles)
    film_height = max(0, min(free, wanted))
    return SummaryLayout(
        width=width,
        height=min(height, top + rows * (film_height + caption + gap) + footer),
        columns=columns,
        film_width=across,
        film_height=film_height,
        caption_height=caption,
        top=top,
        letters=letters,
        counts=counts,
        notice=notice,
        readers=readers,
    )


def tile_width(page_width: int, columns: int, letters: Letters) -> int:
    """How wide each of so many tiles beside each other is."""
    return (page_width - 2 * letters.unit - (columns - 1) * gap_of(letters)) // columns


def caption_lines(
    tile: SummaryTile, letters: Letters, width: int
) -> tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]]:
    """Place, result and remarks, wrapped to a tile."""
    room = width - 2 * gap_of(letters)
    return (
        letters.wrapped(tile.place, "small", room - letters.indent(tile.number)) or ("",),
        letters.wrapped(tile.result, "plain", room),
        letters.wrapped(tile.remarks, "small", room),
    )


def caption_height(tile: SummaryTile, letters: Letters, width: int) -> int:
    """The words below a film with the space around them."""
    place, result, remarks = caption_lines(tile, letters, width)
    small, plain = letters.line("small"), letters.line("plain")
    return (len(place) + len(remarks)) * small + len(result) * plain + 2 * gap_of(letters)
