"""How far a training is, after each step."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Progress:
    """`epoch` of `epochs`, counted from 1; `stage` is "crops" or "films"; `loss` of the last step.

    `share`: of the run's pixels that have been trained on, 0 to 1. A film has more of them than a crop, so
    `share` grows evenly with time.
    """

    epoch: int
    epochs: int
    stage: str
    loss: float
    share: float


Watched = Callable[[Progress], None]


def unwatched(_: Progress) -> None:
    """For runs that say one line an epoch and no more."""
