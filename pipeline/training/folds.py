"""Folds for cross-validation: whole clusters, fractures shared out evenly."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Protocol

# A cluster with more than this share of the films would be a fold of its own; it trains in every fold.
GIANT_SHARE = 0.05
ALWAYS_TRAINS = -1


class Grouped(Protocol):
    """A labelled film, read or not: all that a fold asks of it."""

    @property
    def cluster(self) -> str:
        """What a fold may never cut."""

    @property
    def fractured(self) -> bool:
        """Its label."""


def folds_of(films: Sequence[Grouped], folds: int) -> dict[str, int]:
    """Cluster -> fold that holds it out, or `ALWAYS_TRAINS`; the same for the same films in any order.

    Raises:
        ValueError: fewer than two folds, or fewer clusters than folds.
    """
    members: dict[str, list[Grouped]] = defaultdict(list)
    for film in films:
        members[film.cluster].append(film)
    shared = [name for name in members if len(members[name]) <= GIANT_SHARE * len(films)]
    if not 2 <= folds <= len(shared):
        raise ValueError(f"{folds} folds cannot be made of {len(shared)} clusters that may be held out")
    chosen = dict.fromkeys(members, ALWAYS_TRAINS)
    held = [[0, 0] for _ in range(folds)]
    for name in sorted(shared, key=lambda name: (-len(members[name]), name)):
        fractured = sum(film.fractured for film in members[name])
        # The fold with the fewest of what this cluster brings most of.
        least = min(range(folds), key=lambda fold: held[fold] if fractured else held[fold][::-1])
        held[least][0] += fractured
        held[least][1] += len(members[name])
        chosen[name] = least
    return chosen
