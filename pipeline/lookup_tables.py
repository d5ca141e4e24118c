"""The steps from stored values to brightness, one pure function each (PS3.3 C.11.1, C.11.2; PS3.4 N.2).

They work on levels, all values that a pixel can have, and not on pixels: a film of any size costs the same.
"""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
from pydicom.dataset import Dataset

from pipeline.header_values import items_of, number_of, numbers_of, text_of, value_of

Levels = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class LookupTable:
    """A LUT: `entries[0]` belongs to the input `first` and all below it, the last entry to all above."""

    first: int
    bits: int
    entries: npt.NDArray[np.uint16]

    @cached_property
    def digest(self) -> str:
        """sha256 of the table."""
        data = self.entries.astype("<u2").tobytes()
        return hashlib.sha256(f"{self.first} {self.bits} ".encode() + data).hexdigest()


@dataclass(frozen=True)
class Rescale:
    """output = slope * stored value + intercept (PS3.3 C.11.1.1.2)."""

    slope: float
    intercept: float


@dataclass(frozen=True)
class Window:
    """Window Center, Window Width, VOI LUT Function (PS3.3 C.11.2.1.2, C.11.2.1.3)."""

    center: float
    width: float
    function: str


def apply_rescale(levels: Levels, rescale: Rescale) -> Levels:
    """PS3.3 C.11.1.1.2: output units = m * SV + b."""
    return levels * rescale.slope + rescale.intercept


def apply_lookup_table(levels: Levels, table: LookupTable) -> Levels:
    """PS3.3 C.11.1.1, C.11.2.1.1: inputs below the first mapped value take the first entry, those above the last."""
    index = np.clip(np.rint(levels) - table.first, 0, len(table.entries) - 1).astype(np.int64)
    output: Levels = table.entries[index].astype(np.float64)
    return output


def apply_voi_lookup_table(levels: Levels, table: LookupTable) -> Levels:
    """A VOI LUT to 0..1: its output range is that of its third descriptor value (PS3.3 C.11.2.1.1)."""
    return apply_lookup_table(levels, table) / (2.0**table.bits - 1.0)


def apply_window(levels: Levels, window: Window) -> Levels:
    """A window to 0..1 by its VOI LUT Function."""
    c, w = window.center, window.width
    if window.function == "SIGMOID":
        # PS3.3 C.11.2.1.3.1: y = 1 / (1 + exp(-4 (x - c) / w))
        return np.asarray(1.0 / (1.0 + np.exp(np.clip(-4.0 * (levels - c) / w, -700.0, 700.0))))
    if window.function == "LINEAR_EXACT":
        # PS3.3 C.11.2.1.3.2: y = (x - c) / w + 0.5
        return np.clip((levels - c) / w + 0.5, 0.0, 1.0)
    # PS3.3 C.11.2.1.2.1: y = (x - (c - 0.5)) / (w - 1) + 0.5; a width of 1 is a threshold
    if w == 1.0:
        return np.where(levels > c - 0.5, 1.0, 0.0)
    return np.clip((levels - (c - 0.5)) / (w - 1.0) + 0.5, 0.0, 1.0)


def spread_levels(levels: Levels, low: float, high: float) -> Levels:
    """`low` to 0 and `high` to 1: what is shown where the source gives no usable VOI."""
    if not high > low:
        return np.full_like(levels, 0.5)
    return np.clip((levels - low) / (high - low), 0.0, 1.0)


def invert(brightness: Levels) -> Levels:
    """MONOCHROME1: the smallest value is white (PS3.3 C.7.6.3.1.2)."""
    return 1.0 - brightness


def read_rescale(ds: Dataset) -> Rescale | None:
    """Rescale Slope and Intercept; None where absent or where the slope maps all to one level."""
    slope, intercept = number_of(ds, "RescaleSlope"), number_of(ds, "RescaleIntercept")
    if slope is None and intercept is None:
        return None
    slope = 1.0 if slope is None else slope
    return None if slope == 0.0 else Rescale(slope, intercept or 0.0)


def read_window(ds: Dataset) -> Window | None:
    """The first window; None where there is none with a width that means anything."""
    center, width = number_of(ds, "WindowCenter"), number_of(ds, "WindowWidth")
    function = text_of(ds, "VOILUTFunction") or "LINEAR"
    if function not in ("LINEAR", "LINEAR_EXACT", "SIGMOID"):
        function = "LINEAR"
    if center is None or width is None or not math.isfinite(center / max(abs(width), 1e-300)):
        return None
    smallest = 1.0 if function == "LINEAR" else 1e-9
    return Window(center, width, function) if smallest <= width < 1e12 else None


def read_lookup_table(
    ds: Dataset, sequence: str, *, signed: bool, little_endian: bool
) -> LookupTable | None:
    """The first LUT of a sequence; None where there is none or it contradicts itself.

    `signed` says whether its input, and so its second descriptor value, may be negative.
    """
    items = items_of(ds, sequence)
    descriptor = numbers_of(items[0], "LUTDescriptor") if items else ()
    if len(descriptor) != 3:
        return None
    # PS3.3 C.11.1.1: 65,536 entries are written as 0; a negative value may have been read as unsigned.
    count, first, bits = int(descriptor[0]) % 65536 or 65536, int(descriptor[1]), int(descriptor[2])
    if signed and first > 32767:
        first -= 65536
    elif not signed and first < 0:
        first += 65536
    entries = _read_entries(items[0], count, bits, little_endian)
    if entries is None or len(entries) != count:
        return None
    needed = int(entries.max()).bit_length()
    return LookupTable(first, bits if needed <= bits <= 16 else max(needed, 1), entries)


def _read_entries(
    item: Dataset, count: int, bits: int, little_endian: bool
) -> npt.NDArray[np.uint16] | None:
    """LUT Data as words, whether it came as OW, as US, or with two entries of 8 bits in each word."""
    data = value_of(item, "LUTData")
    if isinstance(data, bytes | bytearray):
        if len(data) >= 2 * count:
            return np.frombuffer(data, "<u2" if little_endian else ">u2", count).astype(np.uint16)
        if bits <= 8 and len(data) >= count:
            packed = np.frombuffer(data, np.uint8)
            if not little_endian and len(packed) % 2 == 0:
                packed = packed.reshape(-1, 2)[:, ::-1].reshape(-1)
            return packed[:count].astype(np.uint16)
        return None
    numbers = numbers_of(item, "LUTData")
    if not numbers or min(numbers) < -32768 or max(numbers) > 65535:
        return None
    return np.asarray(numbers, np.int64).astype(np.uint16)[:count]
