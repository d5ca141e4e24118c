"""Film and mask bent together: one affine map for both, then grey levels for the film alone."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from pipeline.model_input import letterbox
from pipeline.training.films import Film, from_grey

HEAT_STRIDE = 4
# A box is asked for in this inner share of it (FCOS' centre sampling), and if so much of it is in the picture.
INNER = 0.7
LEAST_SEEN = 0.4
FloatImage = npt.NDArray[np.float32]
Matrix = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Example:
    """`image` (side, side) float32; `heat` (side / 4, side / 4) share of fracture per cell.

    `boxes` (4, side / 4, side / 4): from a cell's centre to its box's edges, in cells; `in_box`: where that holds.
    `known`: 0 where a fracture is there but nobody drew it, so that the heat is no label; else 1.
    """

    image: FloatImage
    heat: FloatImage
    boxes: FloatImage
    in_box: FloatImage
    known: float
    fractured: float
    parts: tuple[bool, ...]
    types: tuple[bool, ...]


def plain_film(film: Film, size: int) -> FloatImage:
    """The film as serving sees it, without augmentation."""
    return letterbox(from_grey(film.grey), size)[0]


def random_film(film: Film, size: int, chance: np.random.Generator) -> Example:
    """The whole film: turned, scaled, flipped, shifted, with other grey levels."""
    rows, columns = film.grey.shape
    centre = np.array([columns / 2, rows / 2]) + chance.uniform(-0.06, 0.06, 2) * max(rows, columns)
    scale = size / max(rows, columns) * chance.uniform(0.8, 1.25)
    return _example(film, centre, scale, size, chance)


def random_crop(film: Film, size: int, side: int, chance: np.random.Generator) -> Example:
    """A square of `side` at the scale of a `size` input: around a lesion, or anywhere on the anatomy.

    A quarter of a fractured film's crops lie anywhere: its plaster and its metal are no fracture. A crop is
    fractured where a lesion shows.
    """
    rows, columns = film.grey.shape
    scale = size / max(rows, columns) * chance.uniform(0.75, 1.35)
    reach = side / scale
    if film.boxes and chance.random() < 0.75:
        x0, y0, x1, y1 = film.boxes[chance.integers(len(film.boxes))]
        jitter = chance.uniform(-0.35, 0.35, 2) * reach
        centre = np.array([(x0 + x1) / 2, (y0 + y1) / 2]) + jitter
    else:
        bright = np.argwhere(film.grey[::8, ::8] > 90) * 8
        y, x = bright[chance.integers(len(bright))] if len(bright) else (rows // 2, columns // 2)
        centre = np.array([x, y]) + chance.uniform(-8, 8, 2)
    return _example(film, centre, scale, side, chance)


def _example(
    film: Film, centre: npt.NDArray[np.float64], scale: float, side: int, chance: np.random.Generator
) -> Example:
    matrix = _affine(centre, scale, side, chance)
    image = cv2.warpAffine(
        from_grey(film.grey), matrix, (side, side), flags=cv2.INTER_LINEAR, borderValue=-1.0
    )
    heat = _heat(film, matrix, side)
    boxes, in_box = _boxes(film, matrix, side)
    marked = bool(film.polygons or film.boxes)
    fractured = film.fractured and (not marked or bool(heat.max() > 0.2))
    return Example(
        _grey_levels(image.astype(np.float32), chance),
        heat,
        boxes,
        in_box,
        float(marked or not film.fractured),
        float(fractured),
        film.parts,
        film.types if fractured else (False,) * len(film.types),
    )


def _affine(
    centre: npt.NDArray[np.float64], scale: float, side: int, chance: np.random.Generator
) -> Matrix:
    angle = np.deg2rad(chance.normal(0, 14))
    if chance.random() < 0.15:
        angle += np.pi / 2 * chance.integers(1, 4)
    flip = -1.0 if chance.random() < 0.5 else 1.0
    stretch = chance.uniform(0.93, 1.07)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    linear = scale * turn @ np.diag([flip * stretch, 1 / stretch])
    return np.hstack([linear, (side / 2 - linear @ centre)[:, None]])


def _outlines(film: Film, matrix: Matrix) -> list[npt.NDArray[np.float64]]:
    """Each lesion's outline in the example: its polygon, or an ellipse in its box where none was drawn."""
    drawn = [np.asarray(polygon, np.float64) for polygon in film.polygons]
    if not drawn:
        turn = np.linspace(0, 2 * np.pi, 24, endpoint=False)
        circle = np.stack([np.cos(turn), np.sin(turn)], 1) / 2
        for x0, y0, x1, y1 in film.boxes:
            drawn.append(circle * (x1 - x0, y1 - y0) + ((x0 + x1) / 2, (y0 + y1) / 2))
    return [points @ matrix[:, :2].T + matrix[:, 2] for points in drawn]


def _heat(film: Film, matrix: Matrix, side: int) -> FloatImage:
    full = np.zeros((side, side), np.uint8)
    for points in _outlines(film, matrix):
        cv2.fillPoly(full, [np.round(points).astype(np.int32)], 255)
    cells = cv2.resize(full, (side // HEAT_STRIDE,) * 2, interpolation=cv2.INTER_AREA)
    return np.asarray(cells.astype(np.float32) / 255, dtype=np.float32)


def _boxes(film: Film, matrix: Matrix, side: int) -> tuple[FloatImage, FloatImage]:
    """Edges and where they hold: the inner part of each box, the smaller box where two overlap."""
    cells = side // HEAT_STRIDE
    edges, held = np.zeros((4, cells, cells), np.float32), np.zeros((cells, cells), np.float32)
    corners = [
        (points.min(0) / HEAT_STRIDE, points.max(0) / HEAT_STRIDE) for points in _outlines(film, matrix)
    ]
    centres = np.arange(cells, dtype=np.float64) + 0.5
    for low, high in sorted(corners, key=lambda pair: -float(np.prod(pair[1] - pair[0]))):
        seen = np.clip(high, 0, cells) - np.clip(low, 0, cells)
        if np.prod(seen) < LEAST_SEEN * np.prod(high - low):
            continue
        low, high = np.clip(low, 0, cells), np.clip(high, 0, cells)
        reach = np.maximum((high - low) * INNER / 2, 0.75)
        middle = (low + high) / 2
        columns = np.flatnonzero(np.abs(centres - middle[0]) <= reach[0])
        rows = np.flatnonzero(np.abs(centres - middle[1]) <= reach[1])
        where = np.ix_(rows, columns)
        held[where] = 1
        edges[0][where] = (centres[columns] - low[0])[None]
        edges[1][where] = (centres[rows] - low[1])[:, None]
        edges[2][where] = (high[0] - centres[columns])[None]
        edges[3][where] = (high[1] - centres[rows])[:, None]
    return np.maximum(edges, 0.05), held


def _grey_levels(image: FloatImage, chance: np.random.Generator) -> FloatImage:
    unit = np.clip((image + 1) / 2, 0, 1) ** np.float32(np.exp(chance.normal(0, 0.25)))
    contrast, shift = np.float32(chance.uniform(0.8, 1.15)), np.float32(chance.normal(0, 0.08))
    image = np.asarray((unit * 2 - 1) * contrast + shift, dtype=np.float32)
    if chance.random() < 0.25:
        image = cv2.GaussianBlur(image, (0, 0), chance.uniform(0.4, 1.2)).astype(np.float32)
    if chance.random() < 0.4:
        noise = chance.standard_normal(image.shape, dtype=np.float32)
        image = image + noise * np.float32(chance.uniform(0.01, 0.07))
    if chance.random() < 0.15:
        side = image.shape[0]
        width, height = chance.integers(side // 10, side // 4, 2)
        x, y = chance.integers(0, side - width), chance.integers(0, side - height)
        image[y : y + height, x : x + width] = np.float32(chance.uniform(-1, 0.5))
    return np.asarray(image, dtype=np.float32)
