"""Film and mask bent together: one affine map for both, then grey levels for the film alone."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from pipeline.model_input import letterbox
from pipeline.training.films import Film, from_grey

HEAT_STRIDE = 4
FloatImage = npt.NDArray[np.float32]
Matrix = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Example:
    """`image` (side, side) float32; `heat` (side / 4, side / 4) share of fracture per cell."""

    image: FloatImage
    heat: FloatImage
    fractured: float
    parts: tuple[bool, ...]


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
    """A square of `side` at the scale of a `size` input: around a lesion if there is one.

    A crop is fractured when it shows at least half of a lesion's mask area.
    """
    rows, columns = film.grey.shape
    scale = size / max(rows, columns) * chance.uniform(0.75, 1.35)
    reach = side / scale
    if film.boxes:
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
    fractured = float(film.fractured and (not film.polygons or bool(heat.max() > 0.2)))
    return Example(_grey_levels(image.astype(np.float32), chance), heat, fractured, film.parts)


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


def _heat(film: Film, matrix: Matrix, side: int) -> FloatImage:
    full = np.zeros((side, side), np.uint8)
    for polygon in film.polygons:
        points = polygon @ matrix[:, :2].T + matrix[:, 2]
        cv2.fillPoly(full, [np.round(points).astype(np.int32)], 255)
    cells = cv2.resize(full, (side // HEAT_STRIDE,) * 2, interpolation=cv2.INTER_AREA)
    return np.asarray(cells.astype(np.float32) / 255, dtype=np.float32)


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
