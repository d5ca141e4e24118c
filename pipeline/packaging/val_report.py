"""The figures of the val films, as they stand in the model card."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pipeline.localization import find_candidates
from pipeline.model_description import Calibration, OperatingPoints, RegionSettings
from pipeline.packaging import figures
from pipeline.packaging.figures import BoxFigures, Estimate, Flags, Floats, Indices, estimate
from pipeline.packaging.run_record import image_free_scores
from pipeline.packaging.tuning import (
    film_operating_points,
    fit_calibration,
    found_boxes,
    placements_of,
    probabilities,
    tune_regions,
)
from pipeline.training.datasets.fracatlas import BODY_PARTS
from pipeline.training.films import Film
from pipeline.training.fitting import Scores

FEWEST = 5


@dataclass(frozen=True)
class Fitted:
    """What was fitted on val."""

    calibration: Calibration
    thresholds: OperatingPoints
    regions: RegionSettings


@dataclass(frozen=True)
class Row:
    """One figure of the card: its name, on how many films, its value."""

    name: str
    films: int
    estimate: Estimate


def fit_on_val(films: Sequence[Film], scores: Scores, size: int) -> Fitted:
    """Calibration, operating points and region settings."""
    labels = np.array([film.fractured for film in films])
    logits = scores.fracture.astype(np.float64)
    calibration = fit_calibration(logits, labels)
    thresholds = film_operating_points(probabilities(logits, calibration), labels)
    return Fitted(calibration, thresholds, tune_regions(films, scores, size))


def val_rows(films: Sequence[Film], scores: Scores, size: int, fitted: Fitted, draws: int) -> list[Row]:
    """Every figure of the model on val; a subgroup with fewer than five of either label is left out."""
    labels = np.array([film.fractured for film in films])
    clusters = [film.cluster for film in films]
    chances = probabilities(scores.fracture.astype(np.float64), fitted.calibration)
    every = np.arange(len(films))
    rows: list[Row] = []

    def add(name: str, figure: Callable[[Indices], float], among: Indices = every) -> None:
        given = estimate(lambda i: figure(among[i]), [clusters[i] for i in among], draws=draws)
        rows.append(Row(name, len(among), given))

    points = fitted.thresholds
    add("AUC", lambda i: figures.area_under_curve(chances[i], labels[i]))
    for name, at in (("sensitive", points.doubt), ("specific", points.fracture)):
        add(f"sensitivity at the {name} point", _at(figures.sensitivity, chances, labels, at))
        add(f"specificity at the {name} point", _at(figures.specificity, chances, labels, at))
    for name, group in _subgroups(films, labels):
        add(f"AUC, {name}", lambda i: figures.area_under_curve(chances[i], labels[i]), group)
    named = np.array(
        [film.parts[int(said)] for film, said in zip(films, scores.parts.argmax(1), strict=True)]
    )
    add("body part named correctly", lambda i: float(named[i].mean()))
    candidates = [find_candidates(heat, fitted.regions) for heat in scores.heat]
    boxes = BoxFigures(
        found_boxes(films, scores, placements_of(films, size), fitted.regions, candidates)
    )
    boxed = np.flatnonzero([bool(film.boxes) for film in films])
    add("hit rate of the top region (its centre in a labelled box)", boxes.top_hit_rate, boxed)
    add("box mAP50", boxes.mean_average_precision)
    add("Brier score", lambda i: figures.brier(chances[i], labels[i]))
    add(
        "expected calibration error, 10 bins",
        lambda i: figures.calibration_error(chances[i], labels[i]),
    )
    return rows


def _at(figure: Callable[[Floats, Flags, float], float], chances: Floats, labels: Flags, threshold: float) -> Callable[[Indices], float]:  # fmt: skip
    return lambda films: figure(chances[films], labels[films], threshold)


def _subgroups(films: Sequence[Film], labels: Flags) -> list[tuple[str, Indices]]:
    """Each body part, and the films without hardware."""
    groups = [
        (part, np.flatnonzero([film.parts[index] for film in films]))
        for index, part in enumerate(BODY_PARTS)
    ]
    groups.append(("without hardware", np.flatnonzero([not film.hardware for film in films])))
    return [
        (name, group)
        for name, group in groups
        if FEWEST <= int(labels[group].sum()) <= len(group) - FEWEST
    ]


def baseline_rows(films: Sequence[Film], labels_table: Path, draws: int) -> list[Row]:
    """What can be had without looking at a film."""
    labels = np.array([film.fractured for film in films])
    clusters, ids = [film.cluster for film in films], [film.id for film in films]
    rows = []
    for name, columns in (
        ("AUC of body part and view alone", ("body_part", "view")),
        ("AUC of body part, view and hardware alone", ("body_part", "view", "hardware")),
    ):
        guesses = np.array(image_free_scores(labels_table, columns, ids))
        given = estimate(_auc_of(guesses, labels), clusters, draws=draws)
        rows.append(Row(name, len(films), given))
    return rows


def _auc_of(scores: Floats, labels: Flags) -> Callable[[Indices], float]:
    return lambda films: figures.area_under_curve(scores[films], labels[films])
