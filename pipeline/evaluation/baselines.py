"""What can be had without looking at a film: rates of fracture among films that agree in their labels."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
from sklearn.model_selection import GroupKFold
from sklearn.preprocessing import TargetEncoder

from pipeline.evaluation.film_scores import ALWAYS_TRAINED
from pipeline.evaluation.sample import Sample
from pipeline.training.datasets.labelled_file import LabelledFile

Floats = npt.NDArray[np.float64]
# So many films' worth of the overall share keeps a rare combination from looking certain.
SMOOTHING = 5.0
MOST_FOLDS = 5


def _part_and_view(file: LabelledFile) -> str:
    return f"{file.parts} {file.view}"


def _part_view_and_hardware(file: LabelledFile) -> str:
    return f"{file.parts} {file.view} {file.hardware}"


BASELINES: dict[str, Callable[[LabelledFile], str]] = {
    "body part and view": _part_and_view,
    "body part, view and hardware": _part_view_and_hardware,
}


def baseline_scores(sample: Sample, described: Callable[[LabelledFile], str]) -> Floats:
    """For each film read, the share of fractures among like films of the other folds.

    Films without folds are shared out, whole clusters together, into up to five.
    """
    every, folds = sample.everything, np.array([sample.folds[one.id] for one in sample.everything])
    words = np.array([[described(file)] for file in every], dtype=object)
    labels = np.array([file.fractured for file in every], np.int64)
    if not (folds != ALWAYS_TRAINED).any():
        folds = _made_folds(sample)
    rates = np.full(len(every), labels.mean())
    for fold in np.unique(folds[folds != ALWAYS_TRAINED]):
        here, there = folds == fold, folds != fold
        if 0 < labels[there].sum() < there.sum():
            encoder = TargetEncoder(smooth=SMOOTHING, target_type="binary")
            rates[here] = encoder.fit(words[there], labels[there]).transform(words[here])[:, 0]
    place = {file.id: index for index, file in enumerate(every)}
    return rates[[place[file.id] for file in sample.files]]


def _made_folds(sample: Sample) -> npt.NDArray[np.intp]:
    clusters = [file.cluster for file in sample.everything]
    count = min(MOST_FOLDS, len(set(clusters)))
    folds = np.full(len(clusters), ALWAYS_TRAINED, np.intp)
    if count > 1:
        for fold, (_, here) in enumerate(GroupKFold(count).split(clusters, groups=clusters)):
            folds[here] = fold
    return folds
