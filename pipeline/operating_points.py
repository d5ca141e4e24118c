"""What is fitted on scores of labelled films: temperature and offset, and the two operating points."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from pipeline.model_description import Calibration, OperatingPoints

Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]

WANTED_SENSITIVITY = 0.90
WANTED_SPECIFICITY = 0.90
# Operating points are rounded to so many steps, always to the safe side.
STEPS = 10_000


def fit_calibration(logits: Floats, labels: Flags) -> Calibration:
    """Temperature and offset by Platt's method (1999): two parameters, damped Newton, smoothed labels."""
    positive, negative = int(labels.sum()), int((~labels).sum())
    if not positive or not negative:
        return Calibration()
    wanted = np.where(labels, (positive + 1) / (positive + 2), 1 / (negative + 2))
    design = np.stack([logits, np.ones_like(logits)], 1)
    weights = np.array([1.0, 0.0])
    for _ in range(100):
        chance = 1 / (1 + np.exp(-np.clip(design @ weights, -30, 30)))
        slope = design.T @ (chance - wanted)
        curve = (design * (chance * (1 - chance))[:, None]).T @ design + 1e-6 * np.eye(2)
        step = np.linalg.solve(curve, slope)
        weights = weights - step / max(1.0, float(np.abs(step).max()))
        if np.abs(step).max() < 1e-8:
            break
    # A slope of zero or below would turn the ranking round; such a model deserves no confidence.
    scale = float(np.clip(weights[0], 0.05, 20.0))
    return Calibration(temperature=round(1 / scale, 4), offset=round(float(weights[1]) / scale, 4))


def probabilities(logits: Floats, calibration: Calibration) -> Floats:
    """Calibrated, one by one, by the very function that serves."""
    return np.array([calibration.probability(float(logit)) for logit in logits])


def film_operating_points(chances: Floats, labels: Flags) -> OperatingPoints:
    """Doubt: the highest with sensitivity 0.90; fracture: the lowest with specificity 0.90, not below doubt."""
    positive = np.sort(chances[labels])[::-1]
    negative = np.sort(chances[~labels])
    doubt = positive[math.ceil(WANTED_SENSITIVITY * len(positive)) - 1]
    fracture = negative[math.ceil(WANTED_SPECIFICITY * len(negative)) - 1]
    return ordered_points(_above(fracture), at_or_below(doubt))


def _above(chance: float) -> float:
    """The next step above: a film at a threshold counts as having reached it."""
    return (math.floor(chance * STEPS + 1e-6) + 1) / STEPS


def at_or_below(chance: float) -> float:
    """The next step below, or this one; the last digits of a float never decide."""
    return math.floor(chance * STEPS - 1e-6) / STEPS


def ordered_points(fracture: float, doubt: float) -> OperatingPoints:
    """Both within 0 and 1, doubt not above fracture."""
    lowest, highest = 1 / STEPS, 1 - 1 / STEPS
    doubt = min(max(doubt, lowest), highest)
    return OperatingPoints(fracture=min(max(fracture, doubt), highest), doubt=doubt)
