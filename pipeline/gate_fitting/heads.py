"""One member's part of the gate: where its films lie, and the linear score (scikit-learn fits it, numpy serves)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from pipeline.film_statistics import Floats
from pipeline.pixel_gate import GateTensors, gate_terms, standardised

# Components of the statistics and of the features; a dozenth of the films at most, so that few films still do.
COMPONENTS = 32
FILMS_PER_COMPONENT = 12
# Strength of the ridge (scikit-learn's C): small, because the made kinds are not all that there is.
RIDGE = 0.02
Array = npt.NDArray[np.float32]
# Statistics (K, F) and one member's features (K, N).
Numbers = tuple[Floats, Floats]


def components_for(films: int, features: int) -> int:
    """How many components so many held-out films can bear, with so many features a film."""
    return max(2, min(COMPONENTS, films // FILMS_PER_COMPONENT, features - 1))


def fit_head(films: Numbers, altered: Numbers, outliers: Numbers, count: int) -> GateTensors:
    """The tensors of one member (M = 1) with `count` components, `inverted` left empty."""
    statistics, features = (np.concatenate(pair) for pair in zip(films, altered, strict=True))
    mean, scale = statistics.mean(0), statistics.std(0) + 0.05 * np.abs(statistics).mean(0) + 1e-3
    near = standardised(statistics, mean.astype(np.float32), scale.astype(np.float32))
    _, whitening = _components(near, count)
    basis, feature_whitening = _components(features, count)
    centred = features - features.mean(0)
    over = np.log(np.linalg.norm(centred - (centred @ basis) @ basis.T, axis=1) + 1e-6)
    parts = {
        "mean": mean,
        "scale": scale,
        "whitening": whitening,
        "feature_mean": features.mean(0),
        "feature_whitening": feature_whitening,
        "feature_basis": basis,
        "leftover": np.array([over.mean(), over.std() + 1e-3]),
        "weights": np.zeros(0),
        "bias": np.zeros(()),
    }
    unweighted = GateTensors(
        **{name: part[None].astype(np.float32) for name, part in parts.items()},
        inverted=np.zeros(0, np.float32),
        inverted_bias=np.zeros(1, np.float32),
    )
    return _weighted(unweighted, (films, altered), outliers)


def _components(values: Floats, count: int) -> tuple[Floats, Floats]:
    """The first principal components (D, count), orthonormal and scaled so that each has variance one."""
    centred = values - values.mean(0)
    _, singular, directions = np.linalg.svd(centred, full_matrices=False)
    spread = singular[:count] / np.sqrt(max(1, len(values) - 1))
    basis = directions[:count].T
    return basis, basis / (spread + 1e-3 * spread[0] + 1e-6)


def _weighted(tensors: GateTensors, films: Sequence[Numbers], outliers: Numbers) -> GateTensors:
    terms = [gate_terms(tensors, 0, *numbers) for numbers in (*films, outliers)]
    labels = np.arange(sum(map(len, terms))) >= sum(map(len, terms[:-1]))
    weights, bias = _logistic(np.concatenate(terms), labels, "balanced")
    return replace(tensors, weights=weights[None], bias=bias)


def _logistic(
    terms: Floats, labels: npt.NDArray[np.bool_], weighting: str | None
) -> tuple[Array, Array]:
    from sklearn.linear_model import LogisticRegression

    fitted = LogisticRegression(C=RIDGE, class_weight=weighting, max_iter=3000).fit(terms, labels)
    return fitted.coef_[0].astype(np.float32), fitted.intercept_.astype(np.float32)


def fit_inverted(inverted: Floats, others: Floats) -> tuple[Array, Array]:
    """Weights (F,) and bias (1,) over standardised statistics: above 0 the picture is an inverted film."""
    labels = np.arange(len(inverted) + len(others)) < len(inverted)
    # Unweighted, so that few are called inverted that are not: the reason must not mislead.
    return _logistic(np.concatenate([inverted, others]), labels, None)


def join_heads(heads: Sequence[GateTensors]) -> GateTensors:
    """X is still empty."""
    return GateTensors(
        **{
            name: np.concatenate([getattr(head, name) for head in heads])
            for name in ("mean", "scale", "whitening", "feature_mean", "feature_whitening", "feature_basis",
                         "leftover", "weights", "bias")
        },
        inverted=np.zeros(0, np.float32),
        inverted_bias=np.zeros(1, np.float32),
    )  # fmt: skip
