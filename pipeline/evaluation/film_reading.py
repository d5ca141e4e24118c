"""Labelled files through the network: decoded, made a model input as in serving, read one by one in fp32."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np
import numpy.typing as npt

from pipeline.engines.engine import Engine, FloatArray
from pipeline.evaluation.film_scores import MOST_REGIONS, FilmScore, FoundRegion, rounded
from pipeline.geometry import Placement
from pipeline.localization import Candidate, candidate_to_film, find_candidates, region_logit
from pipeline.model_description import RegionSettings
from pipeline.model_input import InputSettings, make_model_input
from pipeline.training.datasets.film_reading import decode, look_at
from pipeline.training.datasets.labelled_file import LabelledFile

Said = Callable[[str], None]
Watched = Callable[[Iterable[LabelledFile]], Iterable[LabelledFile]]
# Heat levels (0 to 1) from which the best for Dice is chosen.
DICE_LEVELS = (0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.35, 0.4, 0.45, 0.5, 0.55, 0.6, 0.7, 0.8)


@dataclass(frozen=True, eq=False)
class FilmReading:
    """A film and what the network said of it: the logits of `RawReading`, of one film."""

    file: LabelledFile
    placement: Placement
    fracture: float
    parts: FloatArray
    heat: FloatArray
    boxes: FloatArray


def with_boxes(file: LabelledFile) -> LabelledFile:
    """The file with its boxes as they are trained on; only a label that is a picture is read for it."""
    if file.mask is not None:
        return look_at(file, film_side=64).file
    kept = []
    for box in file.boxes:
        x0, y0, x1, y1 = (min(max(edge, 0.0), 1.0) for edge in box)
        if x0 < x1 and y0 < y1:
            kept.append((x0, y0, x1, y1))
    return replace(file, boxes=tuple(kept))


def read_films(
    files: Sequence[LabelledFile],
    engine_of: Callable[[LabelledFile], Engine],
    settings: InputSettings,
    *,
    said: Said = print,
    watched: Watched = iter,
) -> Iterator[FilmReading]:
    """Reads each film with its engine; one that cannot be decoded is named through `said` and left out.

    Raises:
        EngineError: the engine failed.
    """
    for file in watched(files):
        grey = decode(file.path.read_bytes()) if file.path.is_file() else None
        if grey is None:
            said(f"{file.path}: cannot be read as an image, left out")
            continue
        given = make_model_input(grey.astype(np.float32) / np.float32(255), settings)
        answer = engine_of(file).read(given.pixels[None])
        yield FilmReading(
            file=file,
            placement=given.placement,
            fracture=float(answer.fracture[0]),
            parts=answer.parts[0],
            heat=answer.heat[0],
            boxes=answer.boxes[0],
        )


def candidates_of(reading: FilmReading, settings: RegionSettings) -> tuple[Candidate, ...]:
    """The regions of the heat map, as serving finds them."""
    return find_candidates(reading.heat, settings, reading.boxes)


def found_regions(
    reading: FilmReading, settings: RegionSettings, candidates: Sequence[Candidate]
) -> tuple[FoundRegion, ...]:
    """The strongest candidates in shares of the film, by the logit that serving ranks them by."""
    place, found = reading.placement, []
    for candidate in candidates:
        box = candidate_to_film(candidate, place, reading.heat.shape[0], settings.margin)
        if box is None:
            continue
        x0, y0, x1, y1 = (
            rounded(edge / side)
            for edge, side in zip(box, (place.columns, place.rows) * 2, strict=True)
        )
        logit = rounded(region_logit(candidate, reading.fracture, settings))
        found.append(FoundRegion((x0, y0, x1, y1), logit))
    return tuple(sorted(found, key=lambda region: -region.logit)[:MOST_REGIONS])


def film_score(
    reading: FilmReading, fold: int, regions: tuple[FoundRegion, ...], dice: float | None
) -> FilmScore:
    """The reading as the tables hold it."""
    return FilmScore(
        id=reading.file.id,
        fold=fold,
        fracture=rounded(reading.fracture),
        parts=tuple(rounded(part) for part in reading.parts),
        dice=None if dice is None else rounded(dice),
        regions=regions,
    )


def dice_at(reading: FilmReading, levels: Sequence[float]) -> npt.NDArray[np.float64] | None:
    """Dice of heat and mask on the heat map's cells, for each level; None without an outlined fracture.

    A cell belongs to the mask where half of it is outlined; a mask too small for that keeps every cell it touches.
    """
    if not reading.file.polygons:
        return None
    share = _mask_share(reading)
    mask = share >= 0.5 if (share >= 0.5).any() else share > 0
    if not mask.any():
        return None
    heat = 1 / (1 + np.exp(-np.clip(reading.heat, -30, 30)))
    above = heat[None] >= np.array(levels, np.float32)[:, None, None]
    both = (above & mask).sum((1, 2))
    return np.asarray(2 * both / (above.sum((1, 2)) + mask.sum()), np.float64)


def _mask_share(reading: FilmReading) -> npt.NDArray[np.float32]:
    place = reading.placement
    full = np.zeros((place.size, place.size), np.uint8)
    scale = np.array([place.columns * place.scale_x, place.rows * place.scale_y])
    for polygon in reading.file.polygons:
        points = np.clip(polygon, 0, 1) * scale + (place.left, place.top)
        cv2.fillPoly(full, [np.round(points).astype(np.int32)], 255)
    side = reading.heat.shape[0]
    cells = cv2.resize(full, (side, side), interpolation=cv2.INTER_AREA)
    return np.asarray(cells.astype(np.float32) / 255, np.float32)
