"""A film for the viewer's canvas: its whole grey depth, and the window that it opens with.

The canvas gets what the VOI works on, not presentation values: what lies outside of the default window can then be
windowed back. Where the VOI is a table its output is given, for there is no window that would undo it.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
from pydicom.dataset import Dataset

from pipeline.errors import UnreadableError
from pipeline.exposed_area import exposed_area
from pipeline.film_file import read_dataset
from pipeline.findings import NotProcessed
from pipeline.greyscale import Greyscale
from pipeline.lookup_tables import (
    Levels,
    LookupTable,
    Rescale,
    Window,
    apply_lookup_table,
    apply_window,
)
from pipeline.pixel_conversion import (
    level_brightness,
    levels_present,
    read_pixel_aspect,
    read_presentation,
    read_spacing,
)
from pipeline.pixel_data import StoredValues, describe_pixels, read_stored_values
from pipeline.radiograph import Mask, Spacing

_CELLS = 65536
Grey = npt.NDArray[np.uint8]


@dataclass(frozen=True, eq=False)
class FilmPixels:
    """A film before its window.

    Attributes:
        values: uint16 (rows, columns); slope * value + intercept is in the window's units.
        window: how the film is shown at first; `inverted`: the smallest value is white.
        lowest, highest: of the exposed film, in the window's units.
        aspect: height of a pixel over its width.
    """

    values: npt.NDArray[np.uint16]
    slope: float
    intercept: float
    window: Window
    inverted: bool
    lowest: float
    highest: float
    aspect: float
    spacing: Spacing | None

    def description(self) -> str:
        """What the canvas must know beside the values: JSON in ASCII, fit for a header."""
        rows, columns = self.values.shape
        shape = {
            "rows": rows,
            "columns": columns,
            "aspect": self.aspect,
            "spacing_mm": None
            if self.spacing is None
            else [self.spacing.row_mm, self.spacing.column_mm],
            "spacing_from": None if self.spacing is None else self.spacing.source,
            "slope": self.slope,
            "intercept": self.intercept,
            "window_center": self.window.center,
            "window_width": self.window.width,
            "voi_function": self.window.function,
            "inverted": self.inverted,
            "lowest": self.lowest,
            "highest": self.highest,
        }
        return json.dumps(shape, separators=(",", ":"))

    def little_endian(self) -> bytes:
        """The values, row by row, two bytes each."""
        return self.values.astype("<u2", copy=False).tobytes()

    @cached_property
    def shown(self) -> Grey:
        """The film as its window shows it: uint8 (rows, columns), 255 is white."""
        levels = self.slope * np.arange(_CELLS, dtype=np.float64) + self.intercept
        bright = apply_window(levels, self.window)
        bright = 1.0 - bright if self.inverted else bright
        return np.asarray(np.rint(bright * 255.0).astype(np.uint8)[self.values], np.uint8)

    def png(self) -> bytes:
        """The film as shown, whole, as a grey PNG that holds pixels and nothing else."""
        return _encoded(".png", self.shown, cv2.IMWRITE_PNG_COMPRESSION, 3)

    def thumbnail(self, longest_side: int) -> bytes:
        """The film as shown, small and with square pixels, as JPEG."""
        rows, columns = self.values.shape
        height, width = rows * self.aspect, float(columns)
        share = min(1.0, longest_side / max(height, width))
        size = (max(1, round(width * share)), max(1, round(height * share)))
        small = cv2.resize(self.shown, size, interpolation=cv2.INTER_AREA)
        return _encoded(".jpg", np.asarray(small, np.uint8), cv2.IMWRITE_JPEG_QUALITY, 85)


def read_film_pixels(path: Path) -> FilmPixels:
    """The film of a DICOM file.

    Raises:
        OSError: there is no such file.
        ScopeError: colour, more than one frame, or too large.
        UnreadableError: no film can be had from it.
    """
    ds = read_dataset(path)
    description = describe_pixels(ds)
    stored = read_stored_values(ds, description)
    presentation = read_presentation(ds, description)
    mask = exposed_area(stored, presentation.padding, presentation.openings)
    present = levels_present(stored, mask)
    if np.count_nonzero(present) < 2:
        raise UnreadableError(NotProcessed.BLANK)
    levels = _levels(stored)
    _, greyscale = level_brightness(levels, present, presentation)
    return _film(ds, stored, mask, levels, present, greyscale)


def _film(
    ds: Dataset,
    stored: StoredValues,
    mask: Mask | None,
    levels: Levels,
    present: npt.NDArray[np.bool_],
    greyscale: Greyscale,
) -> FilmPixels:
    cells, slope, intercept = _cell_values(levels, greyscale)
    values = cells[stored.view(f"u{stored.dtype.itemsize}")]
    if mask is not None:
        # The extreme that no window shows brighter than anything else.
        values[~mask] = 0 if (slope > 0) != greyscale.inverted else _CELLS - 1
    units = slope * cells[present].astype(np.float64) + intercept
    spacing = read_spacing(ds)
    return FilmPixels(
        values=values,
        slope=slope,
        intercept=intercept,
        window=_window(greyscale),
        inverted=greyscale.inverted,
        lowest=float(units.min()),
        highest=float(units.max()),
        aspect=read_pixel_aspect(ds, spacing),
        spacing=spacing,
    )


def _cell_values(levels: Levels, greyscale: Greyscale) -> tuple[npt.NDArray[np.uint16], float, float]:
    """Each level's uint16, and the line that leads from it to the window's units."""
    modality, voi = greyscale.modality, greyscale.voi
    if isinstance(modality, LookupTable) or isinstance(voi, LookupTable):
        modal = levels
        if isinstance(modality, LookupTable):
            modal = apply_lookup_table(levels, modality)
        elif modality is not None:
            modal = modality.slope * levels + modality.intercept
        if isinstance(voi, LookupTable):
            modal = apply_lookup_table(modal, voi)
        return modal.astype(np.uint16), 1.0, 0.0
    least = float(levels.min())
    rescale = modality or Rescale(1.0, 0.0)
    return (
        (levels - least).astype(np.uint16),
        rescale.slope,
        rescale.intercept + rescale.slope * least,
    )


def _window(greyscale: Greyscale) -> Window:
    if isinstance(greyscale.voi, Window):
        return greyscale.voi
    # PS3.3 C.11.2.1.1: a table's output spans the bits of its descriptor.
    largest = 2.0**greyscale.voi.bits - 1.0
    return Window(largest / 2.0, largest, "LINEAR_EXACT")


def _levels(stored: StoredValues) -> Levels:
    """Every value of the stored type, in the order of its unsigned cells."""
    size = stored.dtype.itemsize
    cells = np.arange(1 << (8 * size), dtype=f"u{size}")
    return cells.view(stored.dtype).astype(np.float64)


def _encoded(suffix: str, grey: Grey, option: int, value: int) -> bytes:
    _, data = cv2.imencode(suffix, grey, [option, value])
    return bytes(data.tobytes())
