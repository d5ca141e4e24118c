"""What a network says of films that were held out, in a few figures; `null` where a class is missing."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from pipeline.training.films import Film
from pipeline.training.fitting import Scores, area_under_curve, film_loss


def held_out_figures(
    scores: Scores, films: Sequence[Film], part_names: Sequence[str], type_names: Sequence[str]
) -> dict[str, object]:
    """Films, AUC and cross-entropy of the film's label, body parts and types; no operating point is chosen here.

    `part_accuracy`: of the films with one labelled part, the share whose likeliest part is that one.
    """
    fractured = np.array([film.fractured for film in films])
    parts = np.array([film.parts for film in films], bool)
    types = np.array([film.types for film in films], bool).reshape(len(films), len(type_names))
    single = parts.sum(1) == 1
    right = scores.parts.argmax(1) == parts.argmax(1)
    return {
        "films": len(films),
        "fractured": int(fractured.sum()),
        "auc": _or_null(area_under_curve(scores.fracture, fractured)),
        "loss": _or_null(film_loss(scores.fracture, fractured)),
        "part_accuracy": float(right[single].mean()) if single.any() else None,
        "part_auc": _by_name(scores.parts, parts, part_names),
        "type_auc": _by_name(scores.types, types, type_names),
    }


def _by_name(
    logits: npt.NDArray[np.float32], labels: npt.NDArray[np.bool_], names: Sequence[str]
) -> dict[str, float | None]:
    return {
        name: _or_null(area_under_curve(logits[:, index], labels[:, index]))
        for index, name in enumerate(names)
    }


def _or_null(value: float) -> float | None:
    """JSON has no NaN."""
    return value if math.isfinite(value) else None
