"""Intervals from resampling whole clusters: films of one patient are drawn together or not at all."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Estimate:
    """A figure and its 95 % interval; not a number where it could not be had."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.value:.3f} [{self.low:.3f}, {self.high:.3f}]"


def cluster_weights(clusters: Sequence[str], *, draws: int, seed: int = 1) -> Floats:
    """How often each film is in each sample, (draws, films): clusters are drawn with replacement."""
    names, cluster_of = np.unique(np.array(clusters), return_inverse=True)
    picks = np.random.default_rng(seed).integers(len(names), size=(draws, len(names)))
    counts = np.stack([np.bincount(row, minlength=len(names)) for row in picks])
    return counts[:, cluster_of].astype(np.float64)


def estimate(value: float, drawn: Floats) -> Estimate:
    """The figure with the 2.5th and 97.5th percentiles of the draws in which it could be had."""
    finite = drawn[np.isfinite(drawn)]
    if not np.isfinite(value) or not len(finite):
        return Estimate(value, np.nan, np.nan)
    low, high = np.percentile(finite, (2.5, 97.5))
    return Estimate(value, float(low), float(high))
