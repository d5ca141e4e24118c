"""Figures of film scores: the value by scikit-learn, the draws of its interval in one matrix.

`weights` is (draws, films) as `cluster_weights` makes it; a `drawn_...` function gives one number per draw.
"""

from __future__ import annotations

import warnings

import numpy as np
import numpy.typing as npt
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import average_precision_score, brier_score_loss, recall_score, roc_auc_score

Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]
BINS = 10


def area_under_curve(scores: Floats, labels: Flags) -> float:
    """Area under the ROC curve; not a number without films of both kinds."""
    return float(roc_auc_score(labels, scores)) if _both(labels) else np.nan


def drawn_area_under_curve(scores: Floats, labels: Flags, weights: Floats) -> Floats:
    """By ranks (Mann-Whitney), ties halved."""
    positive, negative = _by_level(scores, labels, weights)
    below = np.cumsum(negative, 1) - negative
    pairs = positive.sum(1) * negative.sum(1)
    return _ratio((positive * (below + negative / 2)).sum(1), pairs)


def average_precision(scores: Floats, labels: Flags) -> float:
    """Mean precision over the recalls."""
    return float(average_precision_score(labels, scores)) if labels.any() else np.nan


def drawn_average_precision(scores: Floats, labels: Flags, weights: Floats) -> Floats:
    """Precision at each level of the score, weighted by the recall that the level adds."""
    positive, negative = (part[:, ::-1] for part in _by_level(scores, labels, weights))
    reached = np.cumsum(positive, 1)
    precision = reached / np.maximum(reached + np.cumsum(negative, 1), 1e-12)
    return _ratio((precision * positive).sum(1), positive.sum(1))


def _by_level(scores: Floats, labels: Flags, weights: Floats) -> tuple[Floats, Floats]:
    """Weight of the positives and of the negatives at each score that occurs, lowest first."""
    order = np.argsort(scores, kind="stable")
    _, starts = np.unique(scores[order], return_index=True)
    sorted_weights = weights[:, order]
    positive = np.add.reduceat(sorted_weights * labels[order], starts, axis=1)
    return positive, np.add.reduceat(sorted_weights * ~labels[order], starts, axis=1)


def sensitivity(called: Flags, labels: Flags) -> float:
    """Share of the fractured films that are called."""
    return float(recall_score(labels, called, zero_division=np.nan)) if labels.any() else np.nan


def specificity(called: Flags, labels: Flags) -> float:
    """Share of the unfractured films that are not called."""
    if labels.all():
        return np.nan
    return float(recall_score(labels, called, pos_label=False, zero_division=np.nan))


def drawn_share(values: npt.NDArray[np.generic], among: Flags, weights: Floats) -> Floats:
    """The mean of `values` over the films `among`: any figure that is a mean."""
    return _ratio(weights[:, among] @ values[among].astype(np.float64), weights[:, among].sum(1))


def brier(chances: Floats, labels: Flags) -> float:
    """Mean squared distance of probability and label."""
    return float(brier_score_loss(labels, chances))


def drawn_calibration_error(chances: Floats, labels: Flags, weights: Floats) -> Floats:
    """Expected calibration error (Guo, 2017) over ten equally wide bins."""
    # As scikit-learn's calibration_curve has them: an edge belongs to the bin below.
    place = np.searchsorted(np.linspace(0, 1, BINS + 1)[1:-1], chances)
    bins = (place[:, None] == np.arange(BINS)).astype(np.float64)
    gaps = np.abs(weights @ (bins * (chances - labels)[:, None]))
    return _ratio(gaps.sum(1), weights.sum(1))


def calibration_error(chances: Floats, labels: Flags) -> float:
    """The same over the films as they are."""
    return float(drawn_calibration_error(chances, labels, np.ones((1, len(labels))))[0])


def slope_and_intercept(
    chances: Floats, labels: Flags, weights: Floats | None = None
) -> tuple[float, float]:
    """Cox's (1958) calibration: the labels regressed on the log odds; 1 and 0 are perfect."""
    used = np.ones(len(labels), np.bool_) if weights is None else weights > 0
    if not _both(labels[used]):
        return np.nan, np.nan
    inside = np.clip(chances[used], 1e-6, 1 - 1e-6)
    odds = np.log(inside / (1 - inside))[:, None]
    with warnings.catch_warnings():
        # Films that a threshold separates have no finite slope; what the fit stops at says as much.
        warnings.simplefilter("ignore", ConvergenceWarning)
        fit = LogisticRegression(C=np.inf, solver="newton-cholesky").fit(
            odds, labels[used], None if weights is None else weights[used]
        )
    return float(fit.coef_[0, 0]), float(fit.intercept_[0])


def drawn_slopes_and_intercepts(
    chances: Floats, labels: Flags, weights: Floats
) -> tuple[Floats, Floats]:
    """One regression per draw."""
    fits = np.array([slope_and_intercept(chances, labels, row) for row in weights])
    return fits[:, 0], fits[:, 1]


def _both(labels: Flags) -> bool:
    return bool(labels.any() and not labels.all())


def _ratio(over: Floats, under: Floats) -> Floats:
    return np.asarray(np.divide(over, under, out=np.full(len(under), np.nan), where=under > 0))
