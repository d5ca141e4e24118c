"""The pixels' gate: a picture that is no film of a limb is not read, and costs no second pass of the network.

A linear score of the film's statistics, of the network's pooled features and of how far both lie from the films
that the gate was fitted on. Each member of the network has a score of its own; their mean is compared with one
threshold. Distances: Mahalanobis in whitened principal components, and what these leave over (Lee et al., 2018;
Wang et al., "ViM", 2022).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
import numpy.typing as npt
import safetensors.numpy
from safetensors import SafetensorError

from pipeline.errors import ModelPackageError
from pipeline.film_statistics import STATISTICS, film_statistics
from pipeline.findings import NotProcessed
from pipeline.model_description import GateRecord
from pipeline.model_input import ModelInput

Floats = npt.NDArray[np.float64]
Array = npt.NDArray[np.float32]

# In standard deviations: what lies further out says no more by that.
_FURTHEST = 8.0


@dataclass(frozen=True, eq=False)
class GateTensors:
    """What is fitted, float32, for M members, F statistics, N features a member, P and Q components.

    `mean`, `scale` (M, F) of the statistics, `whitening` (M, F, P) of the standardised ones; `feature_mean` (M, N),
    `feature_whitening` (M, N, Q) and `feature_basis` (M, N, Q), orthonormal; `leftover` (M, 2): mean and deviation
    of the log of what the basis leaves over. `weights` (M, D) and `bias` (M,) score the terms of `gate_terms`;
    `inverted` (F,) and `inverted_bias` (1,) tell an inverted film from other refused pictures.
    """

    mean: Array
    scale: Array
    whitening: Array
    feature_mean: Array
    feature_whitening: Array
    feature_basis: Array
    leftover: Array
    weights: Array
    bias: Array
    inverted: Array
    inverted_bias: Array

    @property
    def members(self) -> int:
        """How many networks stand side by side in the features."""
        return int(self.mean.shape[0])


@dataclass(frozen=True)
class Refusal:
    """Why a picture is not read, and by how much."""

    reason: NotProcessed
    detail: str


def standardised(values: Floats, mean: Array, scale: Array) -> Floats:
    """In standard deviations from the mean, (..., F), clipped far out."""
    return np.clip((values - mean) / scale, -_FURTHEST, _FURTHEST)


def gate_terms(tensors: GateTensors, member: int, statistics: Floats, features: Floats) -> Floats:
    """What a member's score is linear in, (K, D): of K films' statistics (K, F) and that member's features (K, N)."""
    near = standardised(statistics, tensors.mean[member], tensors.scale[member])
    spread = near @ tensors.whitening[member]
    centred = features - tensors.feature_mean[member]
    seen = np.clip(centred @ tensors.feature_whitening[member], -_FURTHEST, _FURTHEST)
    basis = tensors.feature_basis[member]
    over = np.linalg.norm(centred - (centred @ basis) @ basis.T, axis=1)
    middle, deviation = tensors.leftover[member]
    leftover = np.clip((np.log(over + 1e-6) - middle) / deviation, -_FURTHEST, _FURTHEST)
    distances = [np.log1p((part * part).mean(1)) for part in (spread, seen)]
    return np.concatenate([near, np.abs(near), seen, np.stack([*distances, leftover], 1)], 1)


class PixelGate:
    """Judges a picture by its model input and by what the network made of it."""

    def __init__(self, record: GateRecord, tensors: GateTensors) -> None:
        self.record, self.tensors = record, tensors

    def score(self, statistics: Floats, features: Array) -> float:
        """How little the picture looks like the films: statistics (F,), features (members x N,) -> a log-odds."""
        tensors = self.tensors
        parts = np.split(features.astype(np.float64), tensors.members)
        said = [
            float(
                gate_terms(tensors, k, statistics[None], part[None])[0] @ tensors.weights[k]
                + tensors.bias[k]
            )
            for k, part in enumerate(parts)
        ]
        return float(np.mean(said))

    def refusal(self, given: ModelInput, features: Array) -> Refusal | None:
        """None for a picture that may be read. `features`: (members x N,), as the engine gave them."""
        statistics = film_statistics(given)
        score = self.score(statistics, features)
        if score <= self.record.threshold:
            return None
        near = standardised(statistics, self.tensors.mean[0], self.tensors.scale[0])
        inverted = float(near @ self.tensors.inverted + self.tensors.inverted_bias[0]) > 0
        return Refusal(
            NotProcessed.INVERTED if inverted else NotProcessed.NOT_A_LIMB,
            f"score {score:.2f}, read up to {self.record.threshold:.2f}",
        )


def pack_gate(tensors: GateTensors) -> bytes:
    """The tensors as a safetensors file."""
    # safetensors writes an array's memory as it lies: a transposed one would come back scrambled.
    return safetensors.numpy.save(
        {field.name: np.ascontiguousarray(getattr(tensors, field.name)) for field in fields(tensors)}
    )


def load_gate(
    path: Path, contents: bytes, record: GateRecord, members: int, features: int
) -> PixelGate:
    """The gate of a file for a network of `members` with `features` pooled features each.

    Raises:
        ModelPackageError: naming the file, what is wrong with it and the remedy.
    """
    if record.statistics != STATISTICS:
        raise ModelPackageError(
            f"{path}: gate.statistics = {record.statistics!r}, this release computes {STATISTICS!r}; "
            "use a release that knows it"
        )
    try:
        found = safetensors.numpy.load(contents)
        tensors = GateTensors(**found)
    except (SafetensorError, ValueError, KeyError, TypeError) as error:
        raise ModelPackageError(
            f"{path}: not a gate: {error}; restore the package as it was published"
        ) from error
    for name, wanted in _shapes(tensors, members, features).items():
        tensor = found[name]
        if tensor.shape != wanted or tensor.dtype != np.float32 or not np.isfinite(tensor).all():
            raise ModelPackageError(
                f"{path}: tensor {name!r} is {tensor.dtype} {tensor.shape}, the network wants finite float32 {wanted}; "
                "restore the package as it was published"
            )
    return PixelGate(record, tensors)


def _shapes(tensors: GateTensors, members: int, features: int) -> Mapping[str, tuple[int, ...]]:
    statistics, kept, seen = (
        tensors.mean.shape[-1],
        tensors.whitening.shape[-1],
        tensors.feature_basis.shape[-1],
    )
    return {
        "mean": (members, statistics),
        "scale": (members, statistics),
        "whitening": (members, statistics, kept),
        "feature_mean": (members, features),
        "feature_whitening": (members, features, seen),
        "feature_basis": (members, features, seen),
        "leftover": (members, 2),
        "weights": (members, 2 * statistics + seen + 3),
        "bias": (members,),
        "inverted": (statistics,),
        "inverted_bias": (1,),
    }


__all__ = [
    "GateTensors",
    "PixelGate",
    "Refusal",
    "gate_terms",
    "load_gate",
    "pack_gate",
    "standardised",
]
