"""The stored values of a native phantom, out and in."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from pydicom.dataset import Dataset


def stored_values(ds: Dataset) -> npt.NDArray[Any]:
    """The stored values of a native phantom, as (rows, columns)."""
    kind = f"<{'i' if ds.PixelRepresentation else 'u'}{ds.BitsAllocated // 8}"
    return np.frombuffer(ds.PixelData, kind)[: ds.Rows * ds.Columns].reshape(ds.Rows, ds.Columns)


def put_values(ds: Dataset, values: npt.NDArray[Any], bits_stored: int) -> None:
    """Replaces the stored values; the dtype says how many bits are allocated and whether they are signed."""
    ds.Rows, ds.Columns = values.shape
    ds.BitsAllocated, ds.BitsStored, ds.HighBit = (
        values.dtype.itemsize * 8,
        bits_stored,
        bits_stored - 1,
    )
    ds.PixelRepresentation = int(values.dtype.kind == "i")
    data = values.astype(values.dtype.newbyteorder("<")).tobytes()
    ds.add_new("PixelData", "OB" if ds.BitsAllocated == 8 else "OW", data + b"\0" * (len(data) % 2))


def scale_window(ds: Dataset, slope: float, intercept: float = 0.0) -> None:
    """Moves the window along with values that became `slope * value + intercept`."""
    centers, widths = np.atleast_1d(ds.WindowCenter), np.atleast_1d(ds.WindowWidth)
    ds.WindowCenter = [float(center) * slope + intercept for center in centers]
    ds.WindowWidth = [float(width) * slope for width in widths]
