"""A film as small pages need it: a study's films lie in memory together, and in full size forty would fill it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import cv2
import numpy as np
import numpy.typing as npt

from dicom_node.results.film_drawing import grey_levels
from pipeline.radiograph import FloatImage, Radiograph


class Film(Protocol):
    """What a page shows of a film: presentation values 0 to 1, as many as there are, and the matrix that boxes refer to."""

    @property
    def pixels(self) -> FloatImage:
        """Float32, of any size with the film's shape."""

    @property
    def rows(self) -> int:
        """Height of the film's own matrix."""

    @property
    def columns(self) -> int:
        """Width of the film's own matrix."""

    @property
    def pixel_aspect(self) -> float:
        """Height of one of its own pixels over its width."""


@dataclass(frozen=True, eq=False)
class ReducedFilm:
    """A film of `rows` x `columns` in fewer pixels. `grey`: uint8, 255 is white."""

    grey: npt.NDArray[np.uint8]
    rows: int
    columns: int
    pixel_aspect: float

    @property
    def pixels(self) -> FloatImage:
        """Made anew each time: four times as large as what is kept."""
        return np.asarray(self.grey, np.float32) / np.float32(255.0)


def reduce_film(radiograph: Radiograph, longest_side: int) -> ReducedFilm:
    """The film with no side longer than `longest_side`, one byte for each pixel; a smaller one keeps its size."""
    rows, columns = radiograph.rows, radiograph.columns
    share = min(1.0, longest_side / max(rows, columns))
    size = (max(1, round(columns * share)), max(1, round(rows * share)))
    pixels = radiograph.pixels
    if share < 1.0:
        pixels = np.asarray(cv2.resize(pixels, size, interpolation=cv2.INTER_AREA), np.float32)
    return ReducedFilm(grey_levels(pixels), rows, columns, radiograph.pixel_aspect)
