"""Figures of boxes: matched by pycocotools at an overlap of one half, negatives included."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from pipeline.evaluation.film_scores import MOST_REGIONS, FoundRegion
from pipeline.geometry import Box

Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]
OVERLAP = 0.5
FALSE_BOXES = (0.125, 0.25, 0.5, 1.0, 2.0, 4.0)
_RECALLS = np.linspace(0, 1, 101)


class BoxFigures:
    """Films' labelled and found boxes (shares of width and height), matched once so that drawing is cheap."""

    def __init__(
        self, labelled: Sequence[tuple[Box, ...]], found: Sequence[tuple[FoundRegion, ...]]
    ) -> None:
        self._labelled = np.array([len(boxes) for boxes in labelled], np.float64)
        judged = _judged(labelled, found)
        self.mean_average_precision = _precision_of(judged) if judged else self._without_a_box()
        films, scores, matched = _matches(judged)
        order = np.argsort(-scores, kind="mergesort")
        self._films, self._matched = films[order], matched[order]
        self.top_hits: Flags = np.array(
            [
                bool(regions) and lies_in(regions[0].box, boxes)
                for boxes, regions in zip(labelled, found, strict=True)
            ]
        )

    @property
    def boxed(self) -> Flags:
        """The films that have a labelled box."""
        return np.asarray(self._labelled > 0)

    def _without_a_box(self) -> float:
        return 0.0 if self._labelled.any() else np.nan

    def drawn_mean_average_precision(self, weights: Floats) -> Floats:
        """COCO's precision at 101 recalls, one number per draw of films."""
        drawn = []
        for row in weights:
            labels = float(row @ self._labelled)
            if labels <= 0:
                drawn.append(np.nan)
                continue
            of_box = row[self._films]
            true, every = np.cumsum(of_box * self._matched), np.cumsum(of_box)
            precision = true / np.maximum(every, np.spacing(1))
            falling = np.append(np.maximum.accumulate(precision[::-1])[::-1], 0.0)
            drawn.append(float(falling[np.searchsorted(true / labels, _RECALLS)].mean()))
        return np.array(drawn)

    def drawn_sensitivities(self, weights: Floats) -> Floats:
        """FROC, (draws, false boxes per film): share of labels found before so many boxes are false."""
        drawn = []
        for row in weights:
            labels, films = float(row @ self._labelled), float(row.sum())
            of_box = row[self._films]
            true = np.concatenate([[0.0], np.cumsum(of_box * self._matched)])
            false = np.concatenate([[0.0], np.cumsum(of_box * ~self._matched)]) / max(films, 1.0)
            reached = np.searchsorted(false, FALSE_BOXES, side="right") - 1
            drawn.append(true[reached] / labels if labels else np.full(len(FALSE_BOXES), np.nan))
        return np.array(drawn)

    def sensitivities(self) -> Floats:
        """The FROC of the films as they are."""
        return np.asarray(self.drawn_sensitivities(np.ones((1, len(self._labelled))))[0])

    def free_response(self) -> tuple[Floats, Floats]:
        """The whole curve: false boxes per film, and the share of labels found."""
        false, true = np.cumsum(~self._matched), np.cumsum(self._matched)
        return false / max(1, len(self._labelled)), true / max(1.0, float(self._labelled.sum()))


def lies_in(box: Box, labelled: Sequence[Box]) -> bool:
    """Whether the box's centre lies in a labelled one: this project's "hit"."""
    x, y = (box[0] + box[2]) / 2, (box[1] + box[3]) / 2
    return any(x0 <= x < x1 and y0 <= y < y1 for x0, y0, x1, y1 in labelled)


def _judged(
    labelled: Sequence[tuple[Box, ...]], found: Sequence[tuple[FoundRegion, ...]]
) -> COCOeval | None:
    """pycocotools' evaluation, matched and accumulated; None if no box was found."""
    if not any(found):
        return None
    with contextlib.redirect_stdout(io.StringIO()):  # it prints as it goes
        truth = COCO()
        truth.dataset = {
            "images": [{"id": film} for film in range(len(labelled))],
            "categories": [{"id": 1}],
            # An id of 0 would read as "not matched".
            "annotations": [
                {"id": count, "iscrowd": 0, **entry}
                for count, entry in enumerate(_entries(labelled), 1)
            ],
        }
        truth.createIndex()
        said = [tuple(region.box for region in regions) for regions in found]
        logits = [region.logit for regions in found for region in regions]
        results = [
            {**entry, "score": logit} for entry, logit in zip(_entries(said), logits, strict=True)
        ]
        judged = COCOeval(truth, truth.loadRes(results), "bbox")
        judged.params.iouThrs = np.array([OVERLAP])
        judged.params.areaRng, judged.params.areaRngLbl = [[0, 1e10]], ["all"]
        judged.params.maxDets = [MOST_REGIONS]
        judged.evaluate()
        judged.accumulate()
    return judged


def _entries(boxes: Sequence[tuple[Box, ...]]) -> list[dict[str, object]]:
    return [
        {
            "image_id": film,
            "category_id": 1,
            "bbox": [x0, y0, x1 - x0, y1 - y0],
            "area": (x1 - x0) * (y1 - y0),
        }
        for film, own in enumerate(boxes)
        for x0, y0, x1, y1 in own
    ]


def _precision_of(judged: COCOeval) -> float:
    precision = np.asarray(judged.eval["precision"], np.float64)
    return float(precision.mean()) if (precision >= 0).all() else np.nan


def _matches(judged: COCOeval | None) -> tuple[npt.NDArray[np.intp], Floats, Flags]:
    """Film, score and whether it is matched, of every found box."""
    films, scores, matched = [np.zeros(0)], [np.zeros(0)], [np.zeros(0)]
    for entry in () if judged is None else judged.evalImgs:
        if entry is not None:
            films.append(np.full(len(entry["dtScores"]), entry["image_id"]))
            scores.append(np.asarray(entry["dtScores"]))
            matched.append(entry["dtMatches"][0] > 0)
    return (
        np.concatenate(films).astype(np.intp),
        np.concatenate(scores).astype(np.float64),
        np.concatenate(matched).astype(np.bool_),
    )
