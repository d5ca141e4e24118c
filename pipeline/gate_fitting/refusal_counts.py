"""How many pictures of each kind a gate refuses: counts for the card, no rates."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from pipeline.gate_fitting.cross_fitting import GROUPS, Flags, Judged, Material, fit_tensors, judge
from pipeline.gate_fitting.examples import KINDS, Examples
from pipeline.pixel_gate import GateTensors


@dataclass(frozen=True)
class RefusalCount:
    """How many pictures of a kind were refused, and how many of these were called inverted.

    `unseen`: refused by a gate that was fitted without this kind; None for films and for real pictures, of which
    no gate was fitted on any.
    """

    kind: str
    made: bool
    films: int
    refused: int
    inverted: int
    unseen: int | None = None

    @property
    def title(self) -> str:
        """The kind, and whether its pictures were made."""
        return f"made: {self.kind}" if self.made else self.kind

    @property
    def counts(self) -> str:
        """How many were refused, of how many."""
        unseen = "" if self.unseen is None else f"; {self.unseen} by a gate fitted without this kind"
        inverted = f", {self.inverted} of them as inverted" if self.inverted else ""
        return f"{self.refused} of {self.films} refused{inverted}{unseen}"

    def __str__(self) -> str:
        return f"{self.title}: {self.counts}"


def count(kind: str, refused: Flags, inverted: Flags, *, made: bool = False) -> RefusalCount:
    """Of two masks over the pictures of a kind."""
    return RefusalCount(kind, made, len(refused), int(refused.sum()), int((refused & inverted).sum()))


def count_films(kind: str, judged: Judged, plain: Examples, allowed: float) -> RefusalCount:
    """Each group against the threshold of the others, so that no film chose its own."""
    refused = np.zeros(len(plain), np.bool_)
    for group in range(GROUPS):
        inside = plain.groups == group
        refused[inside] = judged.scores[inside] > np.quantile(judged.scores[~inside], 1 - allowed)
    return count(kind, refused, judged.inverted)


def count_made(material: Material, judged: Judged, threshold: float) -> list[RefusalCount]:
    """Every kind of made outliers, and what a gate does that never saw the kind."""
    counts = []
    for kind in KINDS:
        own = material.outliers.kinds == kind
        without = judge(fit_tensors(material.without_kind(kind)), material.outliers.where(own))
        counted = count(kind, judged.scores[own] > threshold, judged.inverted[own], made=True)
        counts.append(replace(counted, unseen=int((without.scores > threshold).sum())))
    return counts


def count_others(tensors: GateTensors, threshold: float, examples: Examples) -> list[RefusalCount]:
    """Pictures that the gate was not fitted on, kind by kind."""
    judged = judge(tensors, examples)
    return [
        count(
            str(kind),
            judged.scores[examples.kinds == kind] > threshold,
            judged.inverted[examples.kinds == kind],
        )
        for kind in dict.fromkeys(examples.kinds.tolist())
    ]
