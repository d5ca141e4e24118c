"""From a film to the network's input: the one function that training and serving share.

Torch, numpy and opencv only, so that it runs on a bare training machine.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import cv2
import numpy as np
import numpy.typing as npt

from pipeline.geometry import Placement

FloatImage = npt.NDArray[np.float32]
Mask = npt.NDArray[np.bool_]

# A film is brought here first: published films of higher resolution are more often fractured, so
# sharpness would otherwise be a label.
FILM_SIDE = 454
LOW_PERCENTILE, HIGH_PERCENTILE = 0.5, 99.5
# Grey levels of the input: between the percentiles at least, at most, and where there is no film.
LEAST_SPREAD, MOST_LEVEL, BLACK = 1e-4, 1.2, -1.0


@dataclass(frozen=True)
class InputSettings:
    """What a model package fixes about its input."""

    size: int = 320
    film_side: int = FILM_SIDE


@dataclass(frozen=True)
class ModelInput:
    """`pixels` is float32 of shape (size, size), about -1 to 1; `placement` leads back to the film."""

    pixels: FloatImage
    placement: Placement


def reduce_film(
    pixels: FloatImage, *, film_side: int = FILM_SIDE, pixel_aspect: float = 1.0
) -> FloatImage:
    """The film with square pixels and its longest side at most `film_side`, by area averaging.

    `pixel_aspect` is the height of a pixel over its width (PS3.3 C.7.6.3.1.7 gives row over column).
    """
    rows, columns = pixels.shape
    scale = film_side / max(rows * pixel_aspect, columns)
    if scale >= 1.0 and pixel_aspect == 1.0:
        return pixels
    width = max(1, round(columns * scale))
    height = max(1, round(rows * pixel_aspect * scale))
    reduced = cv2.resize(pixels, (width, height), interpolation=cv2.INTER_AREA)
    return np.asarray(reduced, dtype=np.float32)


def normalise(pixels: FloatImage, mask: Mask | None = None) -> FloatImage:
    """Grey levels spread so that the 0.5th and 99.5th percentiles lie at -1 and 1, clipped a little beyond.

    `mask` is true where the film is exposed; padding and the shutter's blinds do not count.
    """
    counted = pixels if mask is None or not mask.any() else pixels[mask]
    low, high = np.percentile(counted, (LOW_PERCENTILE, HIGH_PERCENTILE))
    spread = max(float(high - low), LEAST_SPREAD)
    levels = (pixels - np.float32(low)) * np.float32(2.0 / spread) - 1.0
    return np.asarray(np.clip(levels, -MOST_LEVEL, MOST_LEVEL), dtype=np.float32)


def letterbox(reduced: FloatImage, size: int) -> tuple[FloatImage, Placement]:
    """The film in the middle of a `size` square, black around, and where it lies in it."""
    rows, columns = reduced.shape
    scale = size / max(rows, columns)
    width, height = max(1, round(columns * scale)), max(1, round(rows * scale))
    way = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    resized = cv2.resize(reduced, (width, height), interpolation=way)
    left, top = (size - width) // 2, (size - height) // 2
    square = np.full((size, size), BLACK, np.float32)
    square[top : top + height, left : left + width] = resized
    return square, Placement(rows, columns, size, width / columns, height / rows, left, top)


def make_model_input(
    pixels: FloatImage,
    settings: InputSettings,
    *,
    mask: Mask | None = None,
    pixel_aspect: float = 1.0,
) -> ModelInput:
    """The network's input of a film.

    `pixels`: float32 (rows, columns), larger is brighter (MONOCHROME2). `mask`: true where exposed.
    """
    rows, columns = pixels.shape
    reduced = reduce_film(pixels, film_side=settings.film_side, pixel_aspect=pixel_aspect)
    small_mask = None
    if mask is not None:
        shape = (reduced.shape[1], reduced.shape[0])
        small_mask = cv2.resize(mask.astype(np.uint8), shape, interpolation=cv2.INTER_NEAREST) > 0
    grey = normalise(reduced, small_mask)
    if small_mask is not None:
        grey = np.where(small_mask, grey, np.float32(BLACK))
    square, placed = letterbox(grey, settings.size)
    return ModelInput(
        square,
        replace(
            placed,
            rows=rows,
            columns=columns,
            scale_x=placed.scale_x * reduced.shape[1] / columns,
            scale_y=placed.scale_y * reduced.shape[0] / rows,
        ),
    )
