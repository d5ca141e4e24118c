"""What a Grad-CAM says of a film: frozen values without the network that they come from."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import cv2
import numpy as np
import numpy.typing as npt

from pipeline.geometry import Point
from pipeline.radiograph import FloatImage

Levels = npt.NDArray[np.uint16]
MOST_LEVEL = 65535


@dataclass(frozen=True)
class Arrow:
    """From `tail` to `head`, (x, y) in the film's pixels from the outer corner of its first pixel."""

    tail: Point
    head: Point


@dataclass(frozen=True, eq=False)
class Explanation:
    """`activation`: float32 (rows, columns) of the film, 0 to 1, its maximum 1; all 0 if nothing speaks for a fracture.

    `arrow` points at the maximum; None where there is none.
    """

    activation: FloatImage
    arrow: Arrow | None

    @cached_property
    def levels(self) -> Levels:
        """Uint16 (rows, columns), 0 to `MOST_LEVEL`: the map as finely as a picture needs it."""
        levels = cv2.multiply(self.activation, MOST_LEVEL, dtype=cv2.CV_16U)
        return np.asarray(levels, dtype=np.uint16)

    @cached_property
    def is_empty(self) -> bool:
        """Whether nothing speaks for a fracture."""
        return not self.levels.any()
