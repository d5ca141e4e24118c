"""A film in a picture of a screen: where it lies there, what is drawn over it, and whether it looks as it should."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from pipeline.geometry import Box
from tests.viewer.browser import Shot
from tests.viewer.studies import RIM

Mask = npt.NDArray[np.bool_]
# Channels of a coloured pixel differ by so much; those of a film's pixel not at all.
COLOURED = 80
# Grey levels of 256: a viewer's window and its interpolation are not ours.
SAME_GREY = 8
# Pixels of the screen: half a pixel each for the rim's edge and the line, and the line's own width and shadow.
NEAR = 3
# A dash and its gap measure four pixels each.
DASH = 4


@dataclass(frozen=True)
class Place:
    """Where an image of some size lies in a picture: its outer edges, in pixels of the picture."""

    edges: Box
    rows: int
    columns: int

    def box(self, box: Box) -> Box:
        """A box in pixels of the image, (0, 0) at the outer corner of the first, in pixels of the picture."""
        left, top, right, bottom = self.edges
        across, down = (right - left) / self.columns, (bottom - top) / self.rows
        x0, y0, x1, y1 = box
        return left + x0 * across, top + y0 * down, left + x1 * across, top + y1 * down

    def mask(self, shape: tuple[int, ...]) -> Mask:
        """The pixels of a picture that show the image."""
        return filled(shape, self.edges)


def place_by_rim(shot: Shot, rows: int, columns: int) -> Place:
    """A film's place from the inner edges of its white rim, as a person would lay a ruler on the screen."""
    left, top, right, bottom = (round(edge) for edge in shot.canvas)
    window = shot.picture[top:bottom, left:right]
    white = window.min(axis=2) > 235
    # A rim's column is white over most of the film's height, and the film fills most of the window.
    x0, x1 = _between([int(x) for x in np.flatnonzero(white.mean(axis=0) > 0.6)])
    y0, y1 = _between([int(y) for y in np.flatnonzero(white.mean(axis=1) > 0.6)])
    across, down = (x1 - x0) / (columns - 2 * RIM), (y1 - y0) / (rows - 2 * RIM)
    assert abs(across / down - 1) < 0.01, "the film is stretched"
    edges = (
        left + x0 - RIM * across, top + y0 - RIM * down, left + x1 + RIM * across, top + y1 + RIM * down
    )  # fmt: skip
    return Place(edges, rows, columns)


def place_by_fit(shot: Shot, rows: int, columns: int) -> Place:
    """The place of an image that fills its window in one direction and stands in its middle in the other."""
    left, top, right, bottom = shot.canvas
    scale = min((right - left) / columns, (bottom - top) / rows)
    x, y = (left + right - scale * columns) / 2, (top + bottom - scale * rows) / 2
    return Place((x, y, x + scale * columns, y + scale * rows), rows, columns)


def coloured(picture: npt.NDArray[np.uint8]) -> Mask:
    """The pixels that are no grey."""
    spread = picture.max(axis=2).astype(int) - picture.min(axis=2)
    return np.asarray(spread > COLOURED)


def edge_shares(drawn: Mask, box: Box) -> list[float]:
    """How much of each edge of a box (left, right, top, bottom) has something drawn near it; a gap of a dash counts."""
    x0, y0, x1, y1 = (round(edge) for edge in box)
    bands = [
        drawn[y0:y1, x - NEAR : x + NEAR + 1].any(axis=1) for x in (x0, x1)
    ] + [
        drawn[y - NEAR : y + NEAR + 1, x0:x1].any(axis=0) for y in (y0, y1)
    ]  # fmt: skip
    return [
        float(np.convolve(band, np.ones(2 * DASH + 1), "same").astype(bool).mean()) for band in bands
    ]


def without_edges(drawn: Mask, box: Box) -> Mask:
    """What is left of a drawing when all near a box's edges is rubbed out."""
    x0, y0, x1, y1 = box
    band = filled(drawn.shape, (x0 - NEAR, y0 - NEAR, x1 + NEAR, y1 + NEAR))
    band &= ~filled(drawn.shape, (x0 + NEAR, y0 + NEAR, x1 - NEAR, y1 - NEAR))
    return np.asarray(drawn & ~band)


def without_words(drawn: Mask, shot: Shot) -> Mask:
    """What is left of a drawing without the words beside its marks and the dotted lines that lead to them."""
    rubbed = np.zeros(drawn.shape, dtype=np.uint8)
    for ends in shot.links:
        x0, y0, x1, y1 = (round(end) for end in ends)
        cv2.line(rubbed, (x0, y0), (x1, y1), 1, 2 * NEAR)
    left = drawn & (rubbed == 0)
    for left_edge, top, right, bottom in shot.words:
        # Letters throw a shadow.
        left &= ~filled(drawn.shape, (left_edge, top, right + NEAR, bottom + NEAR))
    return np.asarray(left)


def without_marks(area: Mask, shot: Shot) -> Mask:
    """What is left of an area when all marks on the screen are rubbed out, and the words beside them."""
    near = np.ones((2 * NEAR + 1, 2 * NEAR + 1), np.uint8)
    marks = cv2.dilate(coloured(shot.picture).astype(np.uint8), near) > 0
    return without_words(area & ~marks, shot)


def filled(shape: tuple[int, ...], box: Box) -> Mask:
    """A mask of a picture's shape, true inside a box."""
    mask = np.zeros(shape[:2], dtype=bool)
    x0, y0, x1, y1 = (max(0, round(edge)) for edge in box)
    mask[y0:y1, x0:x1] = True
    return mask


def as_shown(image: npt.NDArray[Any], place: Place, shape: tuple[int, ...]) -> npt.NDArray[np.uint8]:
    """An image (rows, columns, 3), 8 bit, laid at its place in a black picture of this shape."""
    x0, y0, x1, y1 = place.edges
    across, down = (x1 - x0) / place.columns, (y1 - y0) / place.rows
    # OpenCV's coordinates are those of pixels' centres.
    move = np.array([[across, 0, x0 + across / 2 - 0.5], [0, down, y0 + down / 2 - 0.5]])
    return np.asarray(cv2.warpAffine(image, move, (shape[1], shape[0]), flags=cv2.INTER_LINEAR))


def share_alike(shot: Shot, place: Place, image: npt.NDArray[np.uint8], area: Mask) -> float:
    """How many of the pixels of an area have the colours of an image at its place."""
    expected = as_shown(image, place, shot.picture.shape).astype(int)
    alike = (np.abs(shot.picture.astype(int) - expected) <= SAME_GREY).all(axis=2)
    return float(alike[area].mean())


def _between(found: list[int]) -> tuple[int, int]:
    """The first pixel after the first run of numbers, and the first of the last run."""
    breaks = [index for index in range(1, len(found)) if found[index] != found[index - 1] + 1]
    assert breaks, "the film's white rim is not on the screen"
    return found[breaks[0] - 1] + 1, found[breaks[-1]]
