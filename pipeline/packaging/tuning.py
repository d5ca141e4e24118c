"""What is fitted on held-out films after training: calibration, operating points, regions, the level of Dice."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from pipeline.evaluation.box_figures import BoxFigures, lies_in
from pipeline.evaluation.film_reading import (
    DICE_LEVELS,
    FilmReading,
    candidates_of,
    dice_at,
    film_score,
    found_regions,
)
from pipeline.evaluation.film_scores import FilmScore, FoundRegion, rounded
from pipeline.localization import Candidate
from pipeline.model_description import Calibration, OperatingPoints, RegionSettings
from pipeline.operating_points import (
    Flags,
    Floats,
    at_or_below,
    film_operating_points,
    fit_calibration,
    ordered_points,
    probabilities,
)

RELATIVE_LEVELS = (0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8)
MINIMUM_CELLS = (1, 3)
MARGINS = (0.0, 0.5, 1.0)
FILM_WEIGHTS = (0.0, 0.5, 1.0)
# Shares of hits among the regions at or above a point: every second one, every fifth one.
REGION_FRACTURE, REGION_DOUBT = 0.5, 0.2
Found = list[tuple[FoundRegion, ...]]


@dataclass(frozen=True)
class Fitted:
    """What was fitted; `dice_level` is None where no fracture is outlined."""

    calibration: Calibration
    thresholds: OperatingPoints
    regions: RegionSettings
    dice_level: float | None


def fit(readings: Sequence[FilmReading], said: Callable[[str], None]) -> Fitted:
    """Everything, on the films' rounded logits: what is committed is what was fitted."""
    labels = np.array([reading.file.fractured for reading in readings])
    logits = np.array([rounded(reading.fracture) for reading in readings])
    calibration = fit_calibration(logits, labels)
    points = film_operating_points(probabilities(logits, calibration), labels)
    return Fitted(calibration, points, tune_regions(readings, said), _best_dice_level(readings))


def scores_of(
    readings: Sequence[FilmReading], folds: dict[str, int], fitted: Fitted
) -> list[FilmScore]:
    """What is committed of the films that were read."""
    scores = []
    for reading in readings:
        found = found_regions(reading, fitted.regions, candidates_of(reading, fitted.regions))
        dice = None if fitted.dice_level is None else dice_at(reading, (fitted.dice_level,))
        overlap = None if dice is None else float(dice[0])
        scores.append(film_score(reading, folds[reading.file.id], found, overlap))
    return scores


def _best_dice_level(readings: Sequence[FilmReading]) -> float | None:
    overlaps = [dice for reading in readings if (dice := dice_at(reading, DICE_LEVELS)) is not None]
    return DICE_LEVELS[int(np.mean(overlaps, axis=0).argmax())] if overlaps else None


def tune_regions(readings: Sequence[FilmReading], said: Callable[[str], None]) -> RegionSettings:
    """The settings with the highest mAP50 on these films, then their calibration and operating points."""
    if not any(reading.file.boxes for reading in readings):
        said("no box among the held-out films: regions keep their usual settings")
        return RegionSettings()
    best, best_precision, best_found = RegionSettings(), -1.0, Found()
    for level in RELATIVE_LEVELS:
        loose = RegionSettings(relative_level=level, minimum_cells=1)
        every = [candidates_of(reading, loose) for reading in readings]
        for cells, margin, weight in itertools.product(MINIMUM_CELLS, MARGINS, FILM_WEIGHTS):
            settings = RegionSettings(
                relative_level=level, minimum_cells=cells, margin=margin, film_weight=weight
            )
            found = _found(readings, every, settings)
            precision = _boxes(readings, found).mean_average_precision
            if precision > best_precision:
                best, best_precision, best_found = settings, precision, found
        said(f"regions at {level} of their peak: best box mAP50 so far {max(best_precision, 0):.3f}")
    return _calibrated(best, readings, best_found)


def _found(
    readings: Sequence[FilmReading],
    candidates: Sequence[Sequence[Candidate]],
    settings: RegionSettings,
) -> Found:
    return [
        found_regions(reading, settings, [one for one in own if one.cells >= settings.minimum_cells])
        for reading, own in zip(readings, candidates, strict=True)
    ]


def _boxes(readings: Sequence[FilmReading], found: Found) -> BoxFigures:
    return BoxFigures([reading.file.boxes for reading in readings], found)


def _calibrated(
    settings: RegionSettings, readings: Sequence[FilmReading], found: Found
) -> RegionSettings:
    """A region's probability is that its centre lies in a labelled box; its points are shares of such hits."""
    pairs = [
        (region.logit, lies_in(region.box, reading.file.boxes))
        for reading, regions in zip(readings, found, strict=True)
        for region in regions
    ]
    logits = np.array([logit for logit, _ in pairs], np.float64)
    hits = np.array([hit for _, hit in pairs], np.bool_)
    if not hits.any() or hits.all():
        return settings
    calibration = fit_calibration(logits, hits)
    chances = probabilities(logits, calibration)
    points = ordered_points(
        _lowest(chances, hits, REGION_FRACTURE), _lowest(chances, hits, REGION_DOUBT)
    )
    return settings.model_copy(update={"calibration": calibration, "thresholds": points})


def _lowest(chances: Floats, hits: Flags, precision: float) -> float:
    """The lowest point from which so large a share of the regions are hits; never reached: next to 1."""
    order = np.argsort(-chances, kind="stable")
    reached = np.flatnonzero(np.cumsum(hits[order]) / np.arange(1, len(order) + 1) >= precision)
    return at_or_below(chances[order[reached[-1]]]) if len(reached) else 1.0
