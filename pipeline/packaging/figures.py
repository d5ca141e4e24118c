"""Figures of merit in numpy, each with an interval from resampling whole clusters."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pipeline.geometry import Box, intersection_over_union

Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]
Indices = npt.NDArray[np.intp]


@dataclass(frozen=True)
class Estimate:
    """A figure and its 95 % interval; not a number where it could not be had."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.value:.3f} [{self.low:.3f}, {self.high:.3f}]"


def estimate(
    figure: Callable[[Indices], float], clusters: Sequence[str], *, draws: int = 1000, seed: int = 1
) -> Estimate:
    """`figure` of all films, and its 2.5th and 97.5th percentiles over draws of clusters with replacement."""
    names = np.array(clusters)
    groups = [np.flatnonzero(names == name) for name in np.unique(names)]
    chance = np.random.default_rng(seed)
    drawn = [
        figure(
            np.concatenate([groups[pick] for pick in chance.integers(len(groups), size=len(groups))])
        )
        for _ in range(draws)
    ]
    finite = np.array(drawn)[np.isfinite(drawn)]
    low, high = np.percentile(finite, (2.5, 97.5)) if len(finite) else (np.nan, np.nan)
    return Estimate(figure(np.arange(len(names))), float(low), float(high))


def area_under_curve(scores: Floats, labels: Flags) -> float:
    """The chance that a positive scores above a negative (Mann-Whitney), ties halved."""
    positive, negative = scores[labels], np.sort(scores[~labels])
    if not len(positive) or not len(negative):
        return float("nan")
    below = np.searchsorted(negative, positive, "left") + np.searchsorted(negative, positive, "right")
    return float(below.mean() / 2 / len(negative))


def sensitivity(scores: Floats, labels: Flags, threshold: float) -> float:
    """Share of the positives at or above the threshold."""
    return _share(scores[labels] >= threshold)


def specificity(scores: Floats, labels: Flags, threshold: float) -> float:
    """Share of the negatives below the threshold."""
    return _share(scores[~labels] < threshold)


def _share(flags: Flags) -> float:
    return float(flags.mean()) if len(flags) else float("nan")


def brier(probabilities: Floats, labels: Flags) -> float:
    """Mean squared distance of probability and label."""
    return float(np.square(probabilities - labels).mean())


def calibration_error(probabilities: Floats, labels: Flags, bins: int = 10) -> float:
    """Expected calibration error over `bins` equally filled bins."""
    order = np.argsort(probabilities, kind="stable")
    parts = [part for part in np.array_split(order, bins) if len(part)]
    gaps = [abs(probabilities[part].mean() - labels[part].mean()) * len(part) for part in parts]
    return float(sum(gaps) / len(probabilities))


@dataclass(frozen=True)
class FilmBoxes:
    """A film's boxes: the labelled ones, and the found ones with their scores, best first."""

    labelled: tuple[Box, ...]
    found: tuple[Box, ...]
    scores: tuple[float, ...]


def matches(film: FilmBoxes, overlap: float = 0.5) -> list[bool]:
    """For each found box whether it claims a labelled one that no better box has claimed."""
    free = list(film.labelled)
    hits = []
    for box in film.found:
        best = max(free, key=lambda label: intersection_over_union(box, label), default=None)
        hit = best is not None and intersection_over_union(box, best) >= overlap
        if hit and best is not None:
            free.remove(best)
        hits.append(hit)
    return hits


def lies_in(box: Box, labelled: Sequence[Box]) -> bool:
    """Whether the box's centre lies in a labelled one: this project's "hit"."""
    x, y = (box[0] + box[2]) / 2, (box[1] + box[3]) / 2
    return any(x0 <= x < x1 and y0 <= y < y1 for x0, y0, x1, y1 in labelled)


def average_precision(scores: Floats, hits: Flags, labelled: int) -> float:
    """Area under precision over recall, precision made falling (all points, as COCO's at one overlap)."""
    if not labelled:
        return float("nan")
    order = np.argsort(-scores, kind="stable")
    true = np.cumsum(hits[order])
    precision = true / np.arange(1, len(order) + 1)
    falling = np.maximum.accumulate(precision[::-1])[::-1]
    return float(falling[hits[order]].sum() / labelled)


class BoxFigures:
    """Figures over films' boxes, prepared once so that resampling is cheap."""

    def __init__(self, films: Sequence[FilmBoxes]) -> None:
        self._labelled = np.array([len(film.labelled) for film in films])
        self._counts = np.array([len(film.found) for film in films])
        self._starts = np.concatenate([[0], np.cumsum(self._counts)])
        self._scores = np.array([score for film in films for score in film.scores], np.float64)
        self._matched = np.array([hit for film in films for hit in matches(film)], np.bool_)
        self._top = np.array(
            [bool(film.found) and lies_in(film.found[0], film.labelled) for film in films]
        )

    def mean_average_precision(self, films: Indices) -> float:
        """Of one class at an overlap of 0.5, films without a fracture included."""
        rows = np.concatenate(
            [np.arange(self._starts[film], self._starts[film + 1]) for film in films] or [np.arange(0)]
        ).astype(np.intp)
        return average_precision(
            self._scores[rows], self._matched[rows], int(self._labelled[films].sum())
        )

    def top_hit_rate(self, films: Indices) -> float:
        """Share of the films with a labelled box whose likeliest region's centre lies in one."""
        return _share(self._top[films[self._labelled[films] > 0]])
