"""The worst misreadings as pictures: labelled boxes and found boxes on the film."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from pipeline.evaluation.film_scores import FilmScore
from pipeline.evaluation.sample import Sample
from pipeline.geometry import Box
from pipeline.training.datasets.film_reading import decode
from pipeline.training.datasets.labelled_file import LabelledFile

MOST = 12
SIDE = 320
LABELLED, FOUND = (60, 200, 60), (40, 140, 255)  # blue, green, red, as OpenCV has them
_QUALITY = [cv2.IMWRITE_JPEG_QUALITY, 80]


@dataclass(frozen=True)
class Miss:
    """A film to show; `picture` is a JPEG in a data URI."""

    id: str
    chance: float
    words: str
    picture: str


def missed_fractures(sample: Sample) -> tuple[Miss, ...]:
    """Fractured films below the sensitive point, the least likely first."""
    called, _ = sample.reached(sample.label.thresholds)
    wrong = np.flatnonzero(sample.labels & ~called)
    return _shown(sample, wrong[np.argsort(sample.chances[wrong], kind="stable")])


def called_normals(sample: Sample) -> tuple[Miss, ...]:
    """Normal films at or above the sensitive point, the likeliest first."""
    called, _ = sample.reached(sample.label.thresholds)
    wrong = np.flatnonzero(~sample.labels & called)
    return _shown(sample, wrong[np.argsort(-sample.chances[wrong], kind="stable")])


def _shown(sample: Sample, worst: npt.NDArray[np.intp]) -> tuple[Miss, ...]:
    shown: list[Miss] = []
    for index in worst:
        file, score = sample.files[index], sample.scores[index]
        picture = _picture(file, score)
        if picture is not None:
            words = _words(file, sample.part_names)
            shown.append(Miss(file.id, float(sample.chances[index]), words, picture))
        if len(shown) == MOST:
            break
    return tuple(shown)


def _words(file: LabelledFile, names: Sequence[str]) -> str:
    parts = [name for name, there in zip(names, file.parts, strict=False) if there]
    said = [", ".join(parts), file.view.replace(";", " and "), "hardware" if file.hardware else ""]
    return "; ".join(word for word in said if word)


def _picture(file: LabelledFile, score: FilmScore) -> str | None:
    grey = decode(file.path.read_bytes()) if file.path.is_file() else None
    if grey is None:
        return None
    scale = SIDE / max(grey.shape)
    size = (max(1, round(grey.shape[1] * scale)), max(1, round(grey.shape[0] * scale)))
    film = cv2.cvtColor(cv2.resize(grey, size, interpolation=cv2.INTER_AREA), cv2.COLOR_GRAY2BGR)
    for region in reversed(score.regions):
        _draw(film, region.box, FOUND, 2 if region is score.regions[0] else 1)
    for box in file.boxes:
        _draw(film, box, LABELLED, 2)
    coded = cv2.imencode(".jpg", film, _QUALITY)[1].tobytes()
    return "data:image/jpeg;base64," + base64.b64encode(coded).decode("ascii")


def _draw(film: npt.NDArray[np.generic], box: Box, colour: tuple[int, int, int], width: int) -> None:
    rows, columns = film.shape[:2]
    corners = [round(edge * side) for edge, side in zip(box, (columns, rows) * 2, strict=True)]
    cv2.rectangle(film, (corners[0], corners[1]), (corners[2], corners[3]), colour, width)
