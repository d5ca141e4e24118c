"""The heat map into regions: peaks, the cells connected to each, a box around them, back to the film."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import cv2
import numpy as np
import numpy.typing as npt

from pipeline.engines.engine import FloatArray
from pipeline.findings import Outcome, Region
from pipeline.geometry import Box, Placement, Point
from pipeline.model_description import RegionSettings

Cells = npt.NDArray[np.bool_]
KEPT_BELOW_THRESHOLD = 5
# Neighbours of a peak within two cells are the same peak.
PEAK_WINDOW = np.ones((5, 5), np.uint8)
MOST_PEAKS = 24
# How a lesser peak is cut off a greater one that it would flow into.
RISING_LEVELS = (0.6, 0.75, 0.9)
CONTOUR_STEPS = 4
_RANK = (Outcome.NO_FRACTURE, Outcome.DOUBT, Outcome.FRACTURE)


@dataclass(frozen=True)
class Candidate:
    """A box in cells of the heat map, half-open, without margin; its peak's logit; which cells it is (H, W)."""

    box: Box
    peak: float
    mask: Cells = field(repr=False, compare=False)

    @property
    def cells(self) -> int:
        """How many cells it has."""
        return int(self.mask.sum())

    @property
    def contour(self) -> tuple[Point, ...]:
        """The outline of the cells, in cells: the longest where they touch only by corners."""
        # Four points a cell: findContours runs through pixels' centres and would lose half a cell on each side.
        fine = self.mask.astype(np.uint8).repeat(CONTOUR_STEPS, 0).repeat(CONTOUR_STEPS, 1)
        outlines, _ = cv2.findContours(fine, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
        longest = max(outlines, key=cv2.contourArea)
        points = cv2.approxPolyDP(longest, CONTOUR_STEPS / 2, True)[:, 0]
        return tuple(((x + 0.5) / CONTOUR_STEPS, (y + 0.5) / CONTOUR_STEPS) for x, y in points.tolist())


def find_candidates(
    heat: FloatArray, settings: RegionSettings, edges: FloatArray | None = None
) -> tuple[Candidate, ...]:
    """Heat logits (H, W) -> boxes, strongest peak first; none overlaps a stronger one's cells.

    `edges` (4, H, W): what the box head says; without it (None, or no channel) a box is drawn around the cells.
    """
    clipped = np.clip(heat, -30, 30)
    level = (1 / (1 + np.exp(-clipped))).astype(np.float32)
    peaks = np.argwhere((level == cv2.dilate(level, PEAK_WINDOW)) & (level >= settings.floor))
    peaks = peaks[np.argsort([-level[y, x] for y, x in peaks], kind="stable")][:MOST_PEAKS]
    taken = np.zeros(level.shape, np.bool_)
    found = []
    for y, x in peaks:
        cells = _cells_of(level, int(y), int(x), taken, settings.relative_level)
        if cells is None:
            continue
        taken |= cells
        if cells.sum() >= settings.minimum_cells:
            box = _box_of(cells) if edges is None or not len(edges) else _said_box(cells, level, edges)
            found.append(Candidate(box, float(heat[y, x]), cells))
    return tuple(found)


def _cells_of(level: FloatArray, y: int, x: int, taken: Cells, relative: float) -> Cells | None:
    """The cells connected to a peak, or None where it is only the shoulder of a stronger one."""
    if taken[y, x]:
        return None
    for share in (relative, *(rising for rising in RISING_LEVELS if rising > relative)):
        above = (level >= share * level[y, x]).astype(np.uint8)
        _, labelled = cv2.connectedComponents(above, connectivity=8)
        cells: Cells = labelled == labelled[y, x]
        if not (cells & taken).any():
            return cells
    return None


def _box_of(cells: Cells) -> Box:
    ys, xs = np.nonzero(cells)
    return float(xs.min()), float(ys.min()), float(xs.max() + 1), float(ys.max() + 1)


def _said_box(cells: Cells, level: FloatArray, edges: FloatArray) -> Box:
    """The mean of what a region's cells say of their box, each by its heat."""
    ys, xs = np.nonzero(cells)
    weights = level[ys, xs] / level[ys, xs].sum()
    left, top, right, bottom = edges[:, ys, xs]
    return (
        float(weights @ (xs + 0.5 - left)),
        float(weights @ (ys + 0.5 - top)),
        float(weights @ (xs + 0.5 + right)),
        float(weights @ (ys + 0.5 + bottom)),
    )


def candidate_to_film(
    candidate: Candidate, placement: Placement, heat_side: int, margin: float
) -> Box | None:
    """The box with `margin` cells around it in the film's pixels; None if it lies in the black beside the film."""
    stride = placement.size / heat_side
    x0, y0, x1, y1 = candidate.box
    grown = (x0 - margin, y0 - margin, x1 + margin, y1 + margin)
    left, top, right, bottom = (edge * stride for edge in grown)
    box = placement.box_to_film((left, top, right, bottom))
    return box if box[0] < box[2] and box[1] < box[3] else None


def region_logit(candidate: Candidate, film_logit: float, settings: RegionSettings) -> float:
    """The evidence for a region, before calibration: its own and a share of the film's."""
    return candidate.peak + settings.film_weight * film_logit


def region_probabilities(heat: FloatArray, film_logit: float, settings: RegionSettings) -> FloatArray:
    """Heat logits (H, W) -> for each cell the probability that a region would have of which it were the peak."""
    logits = (heat + settings.film_weight * film_logit + settings.calibration.offset) / (
        settings.calibration.temperature
    )
    return np.asarray(0.5 * (1.0 + np.tanh(logits / 2.0)), dtype=np.float32)


def find_regions(
    heat: FloatArray,
    film_logit: float,
    film_outcome: Outcome,
    placement: Placement,
    settings: RegionSettings,
    edges: FloatArray | None = None,
) -> tuple[Region, ...]:
    """Heat logits (S / 4, S / 4) and what the box head says (4 or 0, S / 4, S / 4) -> regions in the film, likeliest first.

    All that reach an operating point, and up to five below. A region never says more than its film:
    in a film of doubt no region is a fracture. A suspicious film always says where to look first: its
    likeliest region is a doubt at least, with whatever probability it has.
    """
    thresholds = settings.thresholds.thresholds()
    regions = []
    for candidate in find_candidates(heat, settings, edges):
        box = candidate_to_film(candidate, placement, heat.shape[0], settings.margin)
        if box is None:
            continue
        probability = settings.calibration.probability(region_logit(candidate, film_logit, settings))
        own = thresholds.outcome(probability)
        stride = placement.size / heat.shape[0]
        contour = tuple(placement.point_to_film((x * stride, y * stride)) for x, y in candidate.contour)
        said = min(own, film_outcome, key=_RANK.index)
        regions.append(Region(box, probability, said, contour))
    regions.sort(key=lambda region: -region.probability)
    if (
        regions
        and regions[0].outcome is Outcome.NO_FRACTURE
        and film_outcome is not Outcome.NO_FRACTURE
    ):
        regions[0] = replace(regions[0], outcome=Outcome.DOUBT)
    reached = sum(region.probability >= settings.thresholds.doubt for region in regions)
    return tuple(regions[: reached + KEPT_BELOW_THRESHOLD])
