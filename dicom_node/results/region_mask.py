"""Which pixels of a film belong to the regions that were found."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

from pipeline.findings import Region
from pipeline.geometry import Box, Point

Mask = npt.NDArray[np.bool_]


def region_mask(regions: Iterable[Region], rows: int, columns: int) -> Mask:
    """True in every region, bool (rows, columns).

    A region is its contour, filled: the pixels whose centres lie inside. Where it has none, or one that holds no pixel's
    centre, it is every pixel that its box touches, so that no region is without pixels.
    """
    mask = np.zeros((rows, columns), np.bool_)
    for region in regions:
        filled = fill_polygon(region.contour, rows, columns)
        mask |= filled if filled.any() else _fill_box(region.box, rows, columns)
    return mask


def fill_polygon(points: tuple[Point, ...], rows: int, columns: int) -> Mask:
    """The pixels whose centres lie inside a closed polygon, by the even-odd rule, half-open as boxes are.

    `points`: (x, y) in pixels from the outer corner of the first pixel; the last joins the first. Not cv2.fillPoly, which
    also fills every pixel that the line crosses.
    """
    mask = np.zeros((rows, columns), np.bool_)
    if len(points) < 3:
        return mask
    edges = np.asarray(list(itertools.pairwise((*points, points[0]))), np.float64)
    (x0, y0), (x1, y1) = edges[:, 0].T, edges[:, 1].T
    top, bottom = max(math.floor(y0.min()), 0), min(math.ceil(y0.max()), rows)
    for row in range(top, bottom):
        y = row + 0.5
        crossed = (y0 <= y) != (y1 <= y)
        share = (y - y0[crossed]) / (y1[crossed] - y0[crossed])
        # The first pixel whose centre lies at or beyond each crossing.
        starts = np.ceil(x0[crossed] + share * (x1[crossed] - x0[crossed]) - 0.5)
        first = np.sort(np.clip(starts, 0, columns).astype(int))
        for left, right in zip(first[::2], first[1::2], strict=True):
            mask[row, left:right] = True
    return mask


def _fill_box(box: Box, rows: int, columns: int) -> Mask:
    x0, y0, x1, y1 = box
    left, top = min(math.floor(x0), columns - 1), min(math.floor(y0), rows - 1)
    mask = np.zeros((rows, columns), np.bool_)
    mask[top : max(math.ceil(y1), top + 1), left : max(math.ceil(x1), left + 1)] = True
    return mask
