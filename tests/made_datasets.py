"""Tiny data sets of drawn films in every layout that can be read; each holds both classes in train and val."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import cv2
import numpy as np

# Of each film: 48 x 64 pixels, so that a mix-up of rows and columns shows.
ROWS, COLUMNS = 64, 48
# A box in pixels: left, top, width, height.
BOX = (12, 16, 24, 8)
AS_SHARES = (0.25, 0.25, 0.75, 0.375)


def draw(path: Path, seed: int, rows: int = ROWS, columns: int = COLUMNS) -> Path:
    """A film like no other: smooth noise of its seed."""
    coarse = np.random.default_rng(seed).integers(0, 256, (8, 6)).astype(np.uint8)
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), cv2.resize(coarse, (columns, rows), interpolation=cv2.INTER_CUBIC))
    return path


def make_folder(folder: Path, kinds: tuple[str, ...] = ("normal", "fractured"), part: str = "") -> Path:
    """`split/[part/]class/patientN_view.png`: two patients of two films in each class of each split."""
    seed = 0
    for split in ("train", "val"):
        for kind in kinds:
            for _ in range(4):
                name = f"patient{seed // 2:03d}_{seed % 2}.png"
                draw(folder / split / part / kind / name, seed)
                seed += 1
    return folder


def make_coco(folder: Path, names: tuple[str, ...] = ("fracture",)) -> Path:
    """`images/` and one file of annotations without a split: 16 films of 8 patients, every other one fractured."""
    images, drawn = [], []
    for index in range(16):
        draw(folder / "images" / f"{index:02d}.png", index)
        images.append(
            {"id": index, "file_name": f"{index:02d}.png", "width": COLUMNS, "height": ROWS,
             "patient": f"P{index // 2}"}
        )  # fmt: skip
        if index // 2 % 2:
            x, y, width, height = BOX
            outline = [x, y, x + width, y, x + width, y + height]
            drawn.append(
                {"id": len(drawn), "image_id": index, "category_id": 1 + len(drawn) % len(names),
                 "bbox": list(BOX), "segmentation": [outline]}
            )  # fmt: skip
    categories = [{"id": 0, "name": "bones"}]
    categories += [{"id": number, "name": name} for number, name in enumerate(names, 1)]
    given = {"images": images, "annotations": drawn, "categories": categories}
    (folder / "annotations.json").write_text(json.dumps(given))
    return folder


def make_yolo(folder: Path, names: str = "classes.txt") -> Path:
    """`images/SPLIT`, `labels/SPLIT`; the names of the classes in `classes.txt` or `data.yaml`."""
    for index in range(16):
        split = "train" if index < 8 else "val"
        draw(folder / "images" / split / f"p{index // 2}_{index}.png", index)
        label = folder / "labels" / split / f"p{index // 2}_{index}.txt"
        label.parent.mkdir(parents=True, exist_ok=True)
        label.write_text("0 0.5 0.3125 0.5 0.125\n" if index // 2 % 2 else "")
    text = "fracture\n" if names == "classes.txt" else "nc: 1\nnames: [fracture]\n"
    (folder / names).write_text(text)
    return folder


def make_mura(folder: Path) -> Path:
    """Two parts, train and valid, a positive and a negative patient in each."""
    seed = 0
    for split in ("train", "valid"):
        for part in ("XR_WRIST", "XR_ELBOW"):
            for outcome in ("positive", "negative"):
                study = folder / split / part / f"patient{seed:05d}" / f"study1_{outcome}"
                draw(study / "image1.png", seed)
                (study / "._image1.png").write_bytes(b"a Mac's leaving")
                seed += 1
    return folder


def make_published_fracatlas(folder: Path, films: int = 60) -> Path:
    """The archive's tree, with a copy (as the next film), a truncated film and a film of high resolution."""
    root, rows, images, drawn = folder / "FracAtlas", [], [], []
    for index in range(films):
        fractured = index % 3 == 0
        name = f"IMG{index:07d}.jpg"
        path = root / "images" / ("Fractured" if fractured else "Non_fractured") / name
        draw(path, 500 if index == 30 else index, *((800, 600) if index == 1 else (ROWS, COLUMNS)))
        if index == 2:
            path.write_bytes(path.read_bytes()[:-200])
        if index == 31:
            path.write_bytes((root / "images/Fractured/IMG0000030.jpg").read_bytes())
        part = [int(index < 25), int(index >= 25), 0, 0]
        rows.append([name, *part, 0, int(index == 0), 0, int(fractured), int(fractured), 1, 0, 0])
        if fractured:
            images.append({"id": index, "file_name": name, "width": COLUMNS, "height": ROWS})
            x, y, width, height = BOX
            drawn.append(
                {"id": index, "image_id": index, "category_id": 0, "bbox": list(BOX),
                 "segmentation": [[x, y, x + width, y, x + width, y + height]]}
            )  # fmt: skip
    head = "image_id,hand,leg,hip,shoulder,mixed,hardware,multiscan,fractured,fracture_count,frontal,lateral,oblique"
    with (root / "dataset.csv").open("w", newline="") as table:
        csv.writer(table).writerows([head.split(","), *rows])
    outlines = root / "Annotations" / "COCO JSON" / "COCO_fracture_masks.json"
    outlines.parent.mkdir(parents=True)
    categories = [{"id": 0, "name": "fractured"}]
    outlines.write_text(json.dumps({"images": images, "annotations": drawn, "categories": categories}))
    return folder
