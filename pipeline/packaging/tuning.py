"""What is fitted on val after training: calibration, operating points, region settings."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

import numpy as np

from pipeline.geometry import Placement
from pipeline.localization import Candidate, candidate_to_film, find_candidates, region_logit
from pipeline.model_description import Calibration, OperatingPoints, RegionSettings
from pipeline.model_input import letterbox
from pipeline.packaging.figures import BoxFigures, FilmBoxes, Flags, Floats, lies_in
from pipeline.training.films import Film, from_grey
from pipeline.training.fitting import Scores

WANTED_SENSITIVITY = 0.90
WANTED_SPECIFICITY = 0.90
RELATIVE_LEVELS = (0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8)
MINIMUM_CELLS = (1, 3)
MARGINS = (0.0, 0.5, 1.0)
FILM_WEIGHTS = (0.0, 0.5, 1.0)
# Shares of hits among the regions at or above a point: every second one, every fifth one.
REGION_FRACTURE, REGION_DOUBT = 0.5, 0.2
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
    return _points(_above(fracture), _at_or_below(doubt))


def _above(chance: float) -> float:
    """The next step above: a film at a threshold counts as having reached it."""
    return (math.floor(chance * STEPS + 1e-6) + 1) / STEPS


def _at_or_below(chance: float) -> float:
    """The next step below, or this one; the last digits of a float never decide."""
    return math.floor(chance * STEPS - 1e-6) / STEPS


def _points(fracture: float, doubt: float) -> OperatingPoints:
    lowest, highest = 1 / STEPS, 1 - 1 / STEPS
    doubt = min(max(doubt, lowest), highest)
    return OperatingPoints(fracture=min(max(fracture, doubt), highest), doubt=doubt)


def tune_regions(films: Sequence[Film], scores: Scores, size: int) -> RegionSettings:
    """The settings with the highest mAP50 on these films, then their calibration and operating points."""
    placements = placements_of(films, size)
    best, best_precision = RegionSettings(), -1.0
    for level in RELATIVE_LEVELS:
        loose = RegionSettings(relative_level=level, minimum_cells=1)
        every = [find_candidates(heat, loose) for heat in scores.heat]
        for cells, margin, weight in itertools.product(MINIMUM_CELLS, MARGINS, FILM_WEIGHTS):
            settings = RegionSettings(
                relative_level=level, minimum_cells=cells, margin=margin, film_weight=weight
            )
            large = [[one for one in found if one.cells >= cells] for found in every]
            boxes = found_boxes(films, scores, placements, settings, large)
            precision = BoxFigures(boxes).mean_average_precision(np.arange(len(films)))
            if precision > best_precision:
                best, best_precision = settings, precision
    candidates = [find_candidates(heat, best) for heat in scores.heat]
    return _calibrated(best, found_boxes(films, scores, placements, best, candidates))


def placements_of(films: Sequence[Film], size: int) -> list[Placement]:
    """Where each film lies in its model input."""
    return [letterbox(from_grey(film.grey), size)[1] for film in films]


def found_boxes(
    films: Sequence[Film],
    scores: Scores,
    placements: Sequence[Placement],
    settings: RegionSettings,
    candidates: Sequence[Sequence[Candidate]],
) -> list[FilmBoxes]:
    """Labelled and found boxes of each film, in the pixels of its `grey`; scores are region logits."""
    made = []
    for film, logit, place, found in zip(films, scores.fracture, placements, candidates, strict=True):
        pairs = [
            (region_logit(candidate, float(logit), settings), box)
            for candidate in found
            if (box := candidate_to_film(candidate, place, scores.heat.shape[1], settings.margin))
        ]
        pairs.sort(key=lambda pair: -pair[0])
        boxes, logits = tuple(box for _, box in pairs), tuple(score for score, _ in pairs)
        made.append(FilmBoxes(film.boxes, boxes, logits))
    return made


def _calibrated(settings: RegionSettings, films: Sequence[FilmBoxes]) -> RegionSettings:
    """A region's probability is that its centre lies in a labelled box; its points are shares of such hits."""
    logits = np.array([score for film in films for score in film.scores], np.float64)
    hits = np.array([lies_in(box, film.labelled) for film in films for box in film.found], np.bool_)
    if not hits.any() or hits.all():
        return settings
    calibration = fit_calibration(logits, hits)
    chances = probabilities(logits, calibration)
    points = _points(_lowest(chances, hits, REGION_FRACTURE), _lowest(chances, hits, REGION_DOUBT))
    return settings.model_copy(update={"calibration": calibration, "thresholds": points})


def _lowest(chances: Floats, hits: Flags, precision: float) -> float:
    """The lowest point from which so large a share of the regions are hits; never reached: next to 1."""
    order = np.argsort(-chances, kind="stable")
    reached = np.flatnonzero(np.cumsum(hits[order]) / np.arange(1, len(order) + 1) >= precision)
    return _at_or_below(chances[order[reached[-1]]]) if len(reached) else 1.0
