"""A gate from its material, and the scores of that material by gates that were fitted without it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from pipeline.film_statistics import Floats
from pipeline.gate_fitting.altered_films import INVERTED
from pipeline.gate_fitting.examples import Examples
from pipeline.gate_fitting.heads import components_for, fit_head, fit_inverted, join_heads
from pipeline.pixel_gate import GateTensors, gate_terms, standardised
from pipeline.training.films import Film

GROUPS = 4
Flags = npt.NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Material:
    """What a gate is fitted on: films as they are and altered, which must pass, and made outliers."""

    plain: Examples
    altered: Examples
    outliers: Examples

    def where(self, chosen: Sequence[Flags]) -> Material:
        """The examples of three masks."""
        plain, altered, outliers = chosen
        return Material(
            self.plain.where(plain), self.altered.where(altered), self.outliers.where(outliers)
        )

    def without_kind(self, kind: str) -> Material:
        """All but one kind of outliers."""
        return replace(self, outliers=self.outliers.where(self.outliers.kinds != kind))

    @property
    def parts(self) -> tuple[Examples, Examples, Examples]:
        """The three, in their order."""
        return self.plain, self.altered, self.outliers


@dataclass(frozen=True, eq=False)
class Judged:
    """(K,) each: the score, and whether the picture would be called inverted if it were refused."""

    scores: Floats
    inverted: Flags


def groups_of(films: Sequence[Film]) -> list[int]:
    """Whole clusters, dealt out by size; the same for the same films."""
    sizes: dict[str, int] = {}
    for film in films:
        sizes[film.cluster] = sizes.get(film.cluster, 0) + 1
    filled, place = [0] * GROUPS, {}
    for cluster in sorted(sizes, key=lambda name: (-sizes[name], name)):
        place[cluster] = filled.index(min(filled))
        filled[place[cluster]] += sizes[cluster]
    return [place[film.cluster] for film in films]


def fit_tensors(material: Material) -> GateTensors:
    """Each member's head on the films that asked it and on all outliers."""
    plain, altered, outliers = material.parts
    members = plain.features.shape[1]
    counts = np.bincount(_member_of(plain), minlength=members)
    count = components_for(int(counts.min()), plain.features.shape[2])
    heads = []
    for member in range(members):
        own, other = (one.where(_member_of(one) == member) for one in (plain, altered))
        heads.append(
            fit_head(
                (own.statistics, own.features[:, member]),
                (other.statistics, other.features[:, member]),
                (outliers.statistics, outliers.features[:, member]),
                count,
            )
        )
    tensors = join_heads(heads)
    if not (outliers.kinds == INVERTED).any():
        nothing = np.zeros(tensors.mean.shape[1], np.float32)
        return replace(tensors, inverted=nothing, inverted_bias=np.full(1, -1, np.float32))
    everything = np.concatenate([one.statistics for one in material.parts])
    labels = np.concatenate([one.kinds == INVERTED for one in material.parts])
    near = standardised(everything, tensors.mean[0], tensors.scale[0])
    weights, bias = fit_inverted(near[labels], near[~labels])
    return replace(tensors, inverted=weights, inverted_bias=bias)


def judge(tensors: GateTensors, examples: Examples) -> Judged:
    """The mean score over the members that each picture asked."""
    columns = []
    for member in range(tensors.members):
        features = np.nan_to_num(examples.features[:, member])
        terms = gate_terms(tensors, member, examples.statistics, features)
        said = terms @ tensors.weights[member] + tensors.bias[member]
        columns.append(np.where(np.isfinite(examples.features[:, member, 0]), said, np.nan))
    near = standardised(examples.statistics, tensors.mean[0], tensors.scale[0])
    inverted = near @ tensors.inverted + tensors.inverted_bias[0] > 0
    return Judged(np.asarray(np.nanmean(np.stack(columns, 1), axis=1)), np.asarray(inverted))


def cross_judge(material: Material) -> tuple[Judged, Judged, Judged]:
    """Every picture of the three parts, judged by a gate that was fitted without its group."""
    made = [Judged(np.zeros(len(one)), np.zeros(len(one), np.bool_)) for one in material.parts]
    for group in range(GROUPS):
        tensors = fit_tensors(material.where([one.groups != group for one in material.parts]))
        for kept, one in zip(made, material.parts, strict=True):
            inside = one.groups == group
            judged = judge(tensors, one.where(inside))
            kept.scores[inside], kept.inverted[inside] = judged.scores, judged.inverted
    return made[0], made[1], made[2]


def _member_of(examples: Examples) -> npt.NDArray[np.intp]:
    """The member that was asked, of pictures that asked one."""
    return np.asarray(np.isfinite(examples.features[:, :, 0]).argmax(1), np.intp)
