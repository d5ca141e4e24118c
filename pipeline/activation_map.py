"""What a Grad-CAM says of a film: frozen values without the network that they come from."""

from __future__ import annotations

from dataclasses import dataclass

from pipeline.geometry import Point
from pipeline.radiograph import FloatImage


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
