"""From a site's labelled films to its profile: calibration and operating points of its own for one package."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from pipeline.engines.engine import Engine
from pipeline.errors import PipelineError
from pipeline.evaluation import film_figures as figures
from pipeline.evaluation.cluster_draws import Estimate, cluster_weights, estimate
from pipeline.evaluation.evaluating import recorded_folds
from pipeline.model_description import Calibration, OperatingPoints
from pipeline.model_input import make_model_input
from pipeline.model_package import ModelPackage
from pipeline.operating_points import (
    Flags,
    Floats,
    film_operating_points,
    fit_calibration,
    probabilities,
)
from pipeline.site_profile import Figure, FittedOn, SiteProfile
from pipeline.training.datasets.film_reading import decode
from pipeline.training.datasets.labelled_file import LabelledFile

FEWEST_FILMS, FEWEST_OF_EITHER = 50, 15
Watched = Callable[[Iterable[LabelledFile]], Iterable[LabelledFile]]


class CalibrationError(PipelineError):
    """The films will not do for a profile; says why and what would."""


@dataclass(frozen=True, eq=False)
class ReadFilms:
    """What the network said of the films that were read: `logits` (N,), `labels` (N,), their clusters.

    `refused`: how many the package's gate would not read.
    """

    logits: Floats
    labels: Flags
    clusters: tuple[str, ...]
    refused: int


def read_logits(
    package: ModelPackage,
    engine: Engine,
    files: Sequence[LabelledFile],
    *,
    said: Callable[[str], None] = print,
    watched: Watched = iter,
) -> ReadFilms:
    """The films as serving reads them; one that cannot be decoded is named and left out.

    Raises:
        EngineError: the engine failed.
    """
    settings = package.description.input.settings()
    logits, kept, refused = list[float](), list[LabelledFile](), 0
    for file in watched(files):
        grey = decode(file.path.read_bytes()) if file.path.is_file() else None
        if grey is None:
            said(f"{file.path}: cannot be read as an image, left out")
            continue
        given = make_model_input(grey.astype(np.float32) / np.float32(255), settings)
        answer = engine.read(given.pixels[None])
        if package.gate is not None and package.gate.refusal(given, answer.features[0]):
            refused += 1
            continue
        logits.append(float(answer.fracture[0]))
        kept.append(file)
    labels = np.array([file.fractured for file in kept], np.bool_)
    return ReadFilms(
        np.array(logits, np.float64), labels, tuple(file.cluster for file in kept), refused
    )


def known_films(package: ModelPackage, files: Sequence[LabelledFile]) -> tuple[LabelledFile, ...]:
    """Those with the id of a film that the package records: it was trained on it or judged on it.

    Ids are all that a package records of its films: the same film under another id is not found.

    Raises:
        EvaluationError: the package's table of scores holds something else.
    """
    recorded = recorded_folds(package.folder)
    return tuple(file for file in files if file.id in recorded)


def calibrate(package: ModelPackage, films: ReadFilms, *, draws: int = 1000) -> SiteProfile:
    """The profile of these films: Platt's calibration, then doubt at sensitivity 0.90, fracture at specificity 0.90.

    Raises:
        CalibrationError: too few films, or too few of one label.
    """
    fractured, count = int(films.labels.sum()), len(films.labels)
    if count < FEWEST_FILMS or min(fractured, count - fractured) < FEWEST_OF_EITHER:
        raise CalibrationError(
            f"{count} films can be used, {fractured} with a fracture and {count - fractured} without; a profile needs "
            f"{FEWEST_FILMS} and {FEWEST_OF_EITHER} of either kind: add films, or set [model] fracture_threshold and "
            "doubt_threshold by hand"
        )
    calibration = fit_calibration(films.logits, films.labels)
    chances = probabilities(films.logits, calibration)
    points = film_operating_points(chances, films.labels)
    description = package.description
    return SiteProfile(
        format=1,
        package=f"{description.name} {description.version}",
        package_digest=package.digest,
        calibration=calibration,
        thresholds=points,
        fitted_on=_fitted_on(films, calibration, points, draws),
    )


def _fitted_on(
    films: ReadFilms, calibration: Calibration, points: OperatingPoints, draws: int
) -> FittedOn:
    chances, labels = probabilities(films.logits, calibration), films.labels
    weights = cluster_weights(films.clusters, draws=draws)
    doubt, fracture = chances >= points.doubt, chances >= points.fracture

    def share(right: Flags, among: Flags) -> Figure:
        return _figure(estimate(float(right[among].mean()), figures.drawn_share(right, among, weights)))

    area = figures.area_under_curve(films.logits, labels)
    return FittedOn(
        films=len(labels),
        fractured=int(labels.sum()),
        clusters=len(set(films.clusters)),
        left_out_by_the_gate=films.refused,
        auc=_figure(estimate(area, figures.drawn_area_under_curve(films.logits, labels, weights))),
        sensitivity_at_doubt=share(doubt, labels),
        specificity_at_doubt=share(~doubt, ~labels),
        sensitivity_at_fracture=share(fracture, labels),
        specificity_at_fracture=share(~fracture, ~labels),
    )


def _figure(given: Estimate) -> Figure:
    # One cluster alone has no interval: then it is as wide as can be.
    low, high = (given.low, given.high) if np.isfinite(given.low) else (0.0, 1.0)
    return round(given.value, 4), round(low, 4), round(high, 4)
