"""FracAtlas (Abedeen et al., Scientific Data 10:521, 2023, CC BY 4.0) as cleaned tables beside the films."""

from __future__ import annotations

import csv
import json
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np

from pipeline.geometry import Box
from pipeline.model_input import normalise, reduce_film
from pipeline.training.films import Film, Polygon, to_grey

BODY_PARTS = ("hand", "leg", "hip", "shoulder")


class DatasetError(Exception):
    """The data set cannot be read; says which file and why."""


def _rows(path: Path) -> list[dict[str, str]]:
    if not path.is_file():
        raise DatasetError(
            f"{path}: missing; a fracatlas data set has labels.csv, boxes.csv, masks.json"
        )
    with path.open(newline="", encoding="utf-8") as table:
        return list(csv.DictReader(table))


def read_fracatlas(
    folder: Path, *, film_side: int, limit: int | None = None, said: Callable[[str], None] = print
) -> tuple[Film, ...]:
    """Every readable film; one that cannot be read is named through `said` and left out.

    Raises:
        DatasetError: a table is missing, or no film could be read.
    """
    labels = _rows(folder / "labels.csv")
    if limit is not None:
        labels = labels[:: max(1, len(labels) // limit)]
    boxes: dict[str, list[Box]] = defaultdict(list)
    for row in _rows(folder / "boxes.csv"):
        box = (float(row["x0"]), float(row["y0"]), float(row["x1"]), float(row["y1"]))
        boxes[row["id"]].append(box)
    polygons: dict[str, list[list[list[float]]]] = json.loads((folder / "masks.json").read_text())
    films = []
    for row in labels:
        film = _film(folder, row, boxes[row["id"]], polygons.get(row["id"], []), film_side)
        if film is None:
            said(f"{folder / row['file']}: cannot be read as an image, left out")
        else:
            films.append(film)
    if not films:
        raise DatasetError(f"{folder}: no film could be read")
    return tuple(films)


def _film(
    folder: Path,
    row: dict[str, str],
    boxes: list[Box],
    polygons: list[list[list[float]]],
    film_side: int,
) -> Film | None:
    stored = cv2.imread(str(folder / row["file"]), cv2.IMREAD_GRAYSCALE)
    if stored is None:
        return None
    reduced = reduce_film(stored.astype(np.float32) / 255, film_side=film_side)
    height, width = reduced.shape
    size = np.array([width, height], np.float32)
    named = row["body_part"].split(";")
    return Film(
        id=row["id"],
        grey=to_grey(normalise(reduced)),
        fractured=row["fractured"] == "1",
        parts=tuple(part in named for part in BODY_PARTS),
        boxes=tuple((x0 * width, y0 * height, x1 * width, y1 * height) for x0, y0, x1, y1 in boxes),
        polygons=tuple(_polygon(points, size) for points in polygons),
        cluster=row["cluster"],
        split=row["split"],
        hardware=row["hardware"] == "1",
    )


def _polygon(points: list[list[float]], size: Polygon) -> Polygon:
    return np.asarray(points, np.float32) * size
