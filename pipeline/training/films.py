"""A labelled film, as every dataset layout gives it to the fitting."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pipeline.geometry import Box

Polygon = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Film:
    """One film: `grey` is uint8 (rows, columns), normalised and at most `film_side` long.

    Boxes and polygons are in the pixels of `grey`; `cluster` is what a split may never cut. `view`
    is the data set's own word ("" when it has none); `types` are further labels, such as fracture types.
    """

    id: str
    grey: npt.NDArray[np.uint8]
    fractured: bool
    parts: tuple[bool, ...]
    boxes: tuple[Box, ...]
    polygons: tuple[Polygon, ...]
    cluster: str
    split: str
    hardware: bool = False
    view: str = ""
    types: tuple[bool, ...] = ()


def to_grey(normalised: npt.NDArray[np.float32]) -> npt.NDArray[np.uint8]:
    """Normalised levels (-1.2 to 1.2) packed into bytes."""
    return np.round((normalised + 1.2) * (255 / 2.4)).astype(np.uint8)


def from_grey(grey: npt.NDArray[np.generic]) -> npt.NDArray[np.float32]:
    """Bytes back into normalised levels."""
    return grey.astype(np.float32) * np.float32(2.4 / 255) - np.float32(1.2)
