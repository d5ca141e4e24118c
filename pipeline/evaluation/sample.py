"""Labelled films with what was said of them, side by side, and the probabilities that follow."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from pipeline.errors import EvaluationError
from pipeline.evaluation.film_scores import ALWAYS_TRAINED, FilmScore
from pipeline.model_description import Calibration, FractureLabel, OperatingPoints
from pipeline.operating_points import film_operating_points, fit_calibration, probabilities
from pipeline.training.datasets.labelled_file import LabelledFile

Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Sample:
    """The films that were read, in the data set's order, and their scores.

    `folds`: the fold of every labelled film that has one, read or not; baselines learn from the other folds.
    """

    files: tuple[LabelledFile, ...]
    scores: tuple[FilmScore, ...]
    label: FractureLabel
    part_names: tuple[str, ...]
    everything: tuple[LabelledFile, ...]
    folds: Mapping[str, int]

    @classmethod
    def of(
        cls,
        files: Sequence[LabelledFile],
        scores: Sequence[FilmScore],
        label: FractureLabel,
        part_names: tuple[str, ...],
    ) -> Sample:
        """The films of `files` that have a score.

        Raises:
            EvaluationError: a scored film is not among the files, or none was scored, or all are of one kind.
        """
        known = {file.id: file for file in files}
        strange = [score.id for score in scores if score.id not in known]
        if strange:
            raise EvaluationError(
                f"{len(strange)} of {len(scores)} scored films, {strange[0]!r} first, are not in the data: "
                "give the data set that the scores were made of"
            )
        by_id = {score.id: score for score in scores if score.fracture is not None}
        read = tuple(file for file in files if file.id in by_id)
        fractured = sum(file.fractured for file in read)
        if not 0 < fractured < len(read):
            raise EvaluationError(
                f"{fractured} of {len(read)} scored films are fractured; figures need films of both kinds"
            )
        folds = {score.id: score.fold for score in scores}
        return cls(
            files=read,
            scores=tuple(by_id[file.id] for file in read),
            label=label,
            part_names=part_names,
            everything=tuple(file for file in files if file.id in folds),
            folds=folds,
        )

    @cached_property
    def labels(self) -> Flags:
        """Which films are fractured."""
        return np.array([file.fractured for file in self.files])

    @cached_property
    def clusters(self) -> tuple[str, ...]:
        """Whose film it is."""
        return tuple(file.cluster for file in self.files)

    @cached_property
    def logits(self) -> Floats:
        """The film's logits."""
        return np.array([score.fracture for score in self.scores], np.float64)

    @cached_property
    def chances(self) -> Floats:
        """The probabilities that the package's calibration makes of the logits."""
        return probabilities(self.logits, self.label.calibration)

    @cached_property
    def fold_of(self) -> npt.NDArray[np.intp]:
        """The fold that held each film out."""
        return np.array([score.fold for score in self.scores], np.intp)

    @property
    def has_folds(self) -> bool:
        """Whether the films were held out in two or more folds."""
        return len(np.unique(self.fold_of[self.fold_of != ALWAYS_TRAINED])) > 1

    def fitted_elsewhere(self) -> tuple[Floats, Flags, Flags]:
        """Probabilities, and whether doubt and fracture are reached, with a calibration and operating points
        fitted on the other folds: what the package's own, fitted on these films, would do to new ones."""
        chances = self.chances.copy()
        doubt, fracture = self.reached(self.label.thresholds)
        for fold in np.unique(self.fold_of) if self.has_folds else ():
            here, there = self.fold_of == fold, self.fold_of != fold
            if not 0 < self.labels[there].sum() < there.sum():
                continue
            calibration = fit_calibration(self.logits[there], self.labels[there])
            points = _points(self.logits[there], self.labels[there], calibration)
            chances[here] = probabilities(self.logits[here], calibration)
            doubt[here] = chances[here] >= points.doubt
            fracture[here] = chances[here] >= points.fracture
        return chances, doubt, fracture

    def reached(self, points: OperatingPoints) -> tuple[Flags, Flags]:
        """The films at or above doubt, and those at or above fracture."""
        return self.chances >= points.doubt, self.chances >= points.fracture


def _points(logits: Floats, labels: Flags, calibration: Calibration) -> OperatingPoints:
    return film_operating_points(probabilities(logits, calibration), labels)
