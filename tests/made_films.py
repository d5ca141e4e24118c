"""Drawn films in the fracatlas layout: bright shafts, some with a dark gap that is labelled as a fracture."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import cv2
import numpy as np

PARTS = ("hand", "leg", "hip", "shoulder")
LABELS = ("id", "file", "fractured", "body_part", "view", "hardware", "split", "cluster")


def make_fracatlas(folder: Path, *, films: int = 32, seed: int = 3) -> Path:
    """`films` films of both kinds, four in ten of them in val; clusters of two; landscape and portrait."""
    (folder / "images").mkdir(parents=True)
    chance = np.random.default_rng(seed)
    labels, boxes, masks = [], [], {}
    for index in range(films):
        name, fractured = f"made_{index:03d}", index % 3 == 0
        rows, columns = ((120, 90), (80, 110))[index % 2]
        film, box = _film(rows, columns, fractured, chance)
        cv2.imwrite(str(folder / "images" / f"{name}.jpg"), film)
        split = "val" if index % 10 >= 6 else "train"
        part, view = PARTS[index // 3 % 4], ("frontal", "lateral")[index % 2]
        labels.append(
            (name, f"images/{name}.jpg", int(fractured), part, view, 0, split, f"C{index // 2}")
        )
        if fractured:
            x0, y0, x1, y1 = box[0] / columns, box[1] / rows, box[2] / columns, box[3] / rows
            boxes.append((name, x0, y0, x1, y1))
            masks[name] = [[[x0, y0], [x1, y0], [x1, y1], [x0, y1]]]
    _table(folder / "labels.csv", LABELS, labels)
    _table(folder / "boxes.csv", ("id", "x0", "y0", "x1", "y1"), boxes)
    (folder / "masks.json").write_text(json.dumps(masks))
    return folder


def _film(
    rows: int, columns: int, fractured: bool, chance: np.random.Generator
) -> tuple[np.ndarray, tuple[int, int, int, int]]:
    film = chance.normal(30, 4, (rows, columns)).astype(np.float32)
    x = int(chance.integers(columns // 4, columns * 3 // 4))
    film[8:-8, x - 8 : x + 8] += 150
    y = int(chance.integers(24, rows - 24))
    if fractured:
        film[y - 3 : y + 3, x - 8 : x + 8] -= 120
    return np.clip(film, 0, 255).astype(np.uint8), (x - 9, y - 4, x + 9, y + 4)


def _table(path: Path, head: tuple[str, ...], rows: list[tuple[object, ...]]) -> None:
    with path.open("w", newline="", encoding="utf-8") as table:
        csv.writer(table).writerows([head, *rows])
