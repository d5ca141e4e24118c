"""Which pixels show something: neither padding nor behind a shutter or a collimator's blades."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from pydicom.dataset import Dataset

from pipeline.header_values import integer_of, numbers_of, values_of
from pipeline.pixel_data import PixelDescription, StoredValues, keep_stored_bits
from pipeline.radiograph import Mask

# An opening smaller than this share of the film is a mistake in the header, not an exposure.
SMALLEST_SHARE = 0.02
# Behind a collimator's blades there is only scatter: what varies more than this, against the open field, is a
# picture. Real headers place whole chests behind their blades (millimetres where pixels belong).
MOST_HIDDEN_SPREAD = 0.5
_SAMPLING = 4


@dataclass(frozen=True)
class Opening:
    """What a shutter or collimator leaves open, in rows and columns counted from 1.

    RECTANGULAR: (upper, lower, left, right), those included. CIRCULAR: (row, column, radius).
    POLYGONAL: row, column of each vertex. `device` is "Shutter" or "Collimator".
    """

    device: str
    shape: str
    numbers: tuple[int, ...]


def read_openings(ds: Dataset) -> tuple[Opening, ...]:
    """Display Shutter (PS3.3 C.7.6.11) and X-Ray Collimator (C.8.7.3); unreadable ones are left out."""
    found = []
    for kind in ("Shutter", "Collimator"):
        for shape in values_of(ds, f"{kind}Shape"):
            numbers = _numbers(ds, kind, str(shape).strip().upper())
            if numbers:
                found.append(Opening(kind, str(shape).strip().upper(), numbers))
    return tuple(found)


def _numbers(ds: Dataset, kind: str, shape: str) -> tuple[int, ...]:
    if shape == "RECTANGULAR":
        edges = ("UpperHorizontalEdge", "LowerHorizontalEdge", "LeftVerticalEdge", "RightVerticalEdge")
        found = [integer_of(ds, f"{kind}{edge}") for edge in edges]
        return () if None in found else tuple(edge for edge in found if edge is not None)
    if shape == "CIRCULAR":
        center, radius = (
            numbers_of(ds, f"CenterOfCircular{kind}"),
            numbers_of(ds, f"RadiusOfCircular{kind}"),
        )
        return tuple(map(int, center + radius)) if (len(center), len(radius)) == (2, 1) else ()
    if shape == "POLYGONAL":
        points = numbers_of(ds, f"VerticesOfThePolygonal{kind}")
        return tuple(map(int, points)) if len(points) >= 6 and len(points) % 2 == 0 else ()
    return ()


def opening_mask(opening: Opening, rows: int, columns: int) -> Mask:
    """True inside an opening."""
    mask = np.zeros((rows, columns), np.uint8)
    # Far outside the film is as good as at its edge, and cv2 wants 32 bits.
    far = 4 * max(rows, columns)
    numbers = [min(max(number, -far), far) for number in opening.numbers]
    if opening.shape == "RECTANGULAR":
        upper, lower, left, right = numbers
        mask[max(upper - 1, 0) : max(lower, 0), max(left - 1, 0) : max(right, 0)] = 1
    elif opening.shape == "CIRCULAR":
        row, column, radius = numbers
        cv2.circle(mask, (column - 1, row - 1), max(radius, 0), 1, cv2.FILLED)
    else:
        vertices = np.asarray(numbers, np.int32).reshape(-1, 2)[:, ::-1] - 1
        cv2.fillPoly(mask, [np.ascontiguousarray(vertices)], 1)
    return mask.view(np.bool_)


def read_padding(ds: Dataset, description: PixelDescription) -> tuple[int, int] | None:
    """The range of stored values that are padding (PS3.3 C.7.5.1.1.2), both ends included."""
    value = integer_of(ds, "PixelPaddingValue")
    if value is None:
        return None
    limit = integer_of(ds, "PixelPaddingRangeLimit")
    ends = [_as_stored(end, description) for end in (value, value if limit is None else limit)]
    return min(ends), max(ends)


def _as_stored(value: int, description: PixelDescription) -> int:
    """A value in the pixels' own bits and sign: the header's US or SS may have been taken for the other."""
    cell = np.asarray([value & 0xFFFF], np.uint16)
    signed = cell.view(np.int16) if description.signed else cell
    return int(keep_stored_bits(signed, description.bits_stored)[0])


def exposed_area(
    values: StoredValues, padding: tuple[int, int] | None, openings: tuple[Opening, ...]
) -> Mask | None:
    """True where the film shows something; None if it does everywhere or the header's claims leave nothing."""
    rows, columns = values.shape
    mask = np.ones((rows, columns), np.bool_)
    if padding is not None:
        mask &= (values < padding[0]) | (values > padding[1])
    for opening in openings:
        inside = opening_mask(opening, rows, columns)
        if _is_plausible(opening, inside, mask, values):
            mask &= inside
    return None if mask.all() or mask.mean() < SMALLEST_SHARE else mask


def _is_plausible(opening: Opening, inside: Mask, exposed: Mask, values: StoredValues) -> bool:
    """A shutter says what to hide and is obeyed; a collimator's claim must agree with the picture."""
    if inside.mean() < SMALLEST_SHARE:
        return False
    if opening.device == "Shutter":
        return True
    sample = (slice(None, None, _SAMPLING), slice(None, None, _SAMPLING))
    few, open_field, exposed = values[sample], inside[sample], exposed[sample]
    shown, hidden = few[open_field & exposed], few[~open_field & exposed]
    if not len(shown) or not len(hidden):
        return True
    return float(hidden.std()) <= MOST_HIDDEN_SPREAD * float(shown.std())
