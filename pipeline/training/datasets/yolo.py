"""YOLO: `images/SPLIT` and `labels/SPLIT` (or `SPLIT/images` and `SPLIT/labels`), one text file for a film."""

from __future__ import annotations

import importlib
import math
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.geometry import Box
from pipeline.training.datasets.class_names import Classes, is_normal, split_of
from pipeline.training.datasets.labelled_file import LabelledFile, Listing, images_in, relative
from pipeline.training.datasets.problems import DatasetError, Problem, ProblemKind
from pipeline.training.films import Polygon

_NAMES = "classes.txt"
_DATA = ("data.yaml", "data.yml")


def list_yolo(folder: Path) -> Listing:
    """The films below every `images` folder. One without a label file is taken as unfractured, as YOLO does.

    Raises:
        DatasetError: the classes' names cannot be had.
    """
    problems: list[Problem] = []
    names = _names(folder)
    classes = Classes.of(names)
    files, used = [], set[Path]()
    for images in _image_folders(folder):
        labels = images.parent / "labels"
        for path in images_in(images):
            inner = path.relative_to(images)
            label = (labels / inner).with_suffix(".txt")
            used.add(label)
            split = split_of(inner.parts[0]) or split_of(images.parent.name)
            files.append(_file(folder, path, label, split, names, classes, problems))
        problems += [
            Problem(ProblemKind.NO_FILM, relative(path, folder))
            for path in sorted(labels.rglob("*.txt"))
            if path not in used and path.name != _NAMES
        ]
    return Listing("yolo", tuple(files), type_names=classes.types, problems=tuple(problems))


def _image_folders(folder: Path) -> list[Path]:
    return sorted(path for path in (folder / "images", *folder.glob("*/images")) if path.is_dir())


def _file(
    folder: Path,
    path: Path,
    label: Path,
    split: str,
    names: tuple[str, ...],
    classes: Classes,
    problems: list[Problem],
) -> LabelledFile:
    shown: set[str] = set()
    boxes: list[Box] = []
    polygons: list[Polygon] = []
    if label.is_file():
        for number, text in enumerate(label.read_text(encoding="utf-8").splitlines(), 1):
            if not text.strip():
                continue
            try:
                name, box, polygon = _object(text, names)
            except ValueError as error:
                place = f"{label}:{number}"
                problems.append(Problem(ProblemKind.BAD_LABEL, place, f"{text[:60]!r}: {error}"))
                continue
            if is_normal(name):
                continue
            shown.add(name)
            boxes.append(box)
            polygons += polygon
    else:
        why = "no label file; taken as unfractured, as YOLO takes it"
        problems.append(Problem(ProblemKind.NO_LABEL, relative(path, folder), why))
    return LabelledFile(
        id=relative(path, folder),
        path=path,
        fractured=bool(shown),
        boxes=tuple(boxes),
        polygons=tuple(polygons),
        split=split,
        types=classes.types_of(shown),
    )


def _object(text: str, names: tuple[str, ...]) -> tuple[str, Box, list[Polygon]]:
    """`class cx cy w h`, or `class x1 y1 x2 y2 x3 y3 ...` for an outline.

    Raises:
        ValueError: neither of them.
    """
    first, *rest = text.split()
    number, values = int(first), [float(value) for value in rest]
    if not 0 <= number < len(names):
        raise ValueError(f"class {number} of {len(names)}")
    if not all(math.isfinite(value) for value in values):
        raise ValueError("not finite")
    if len(values) == 4:
        x, y, width, height = values
        return names[number], (x - width / 2, y - height / 2, x + width / 2, y + height / 2), []
    if len(values) < 6 or len(values) % 2:
        raise ValueError(f"{len(values)} values; a box has 4, an outline 6 or more, in pairs")
    points = np.array(values, np.float32).reshape(-1, 2)
    (x0, y0), (x1, y1) = points.min(0).tolist(), points.max(0).tolist()
    return names[number], (x0, y0, x1, y1), [points]


def _names(folder: Path) -> tuple[str, ...]:
    text = folder / _NAMES
    if text.is_file():
        names = [line.strip() for line in text.read_text(encoding="utf-8").splitlines() if line.strip()]
    else:
        names = _names_of_yaml(next(folder / name for name in _DATA if (folder / name).is_file()))
    if not names:
        raise DatasetError(f"{folder}: no class has a name")
    return tuple(names)


def _names_of_yaml(path: Path) -> list[str]:
    try:
        # Not a library that training needs: asked for by name, and classes.txt does without.
        yaml: Any = importlib.import_module("yaml")
    except ImportError as error:
        raise DatasetError(
            f"{path}: PyYAML is not installed; install it, or write the classes' names into "
            f"{path.with_name(_NAMES)}, one a line"
        ) from error
    try:
        given = yaml.safe_load(path.read_text(encoding="utf-8"))["names"]
        return [str(name) for name in (dict(given).values() if isinstance(given, dict) else given)]
    except (yaml.YAMLError, TypeError, KeyError) as error:
        raise DatasetError(f"{path}: no list `names` in it, {error}") from error


def looks_like_yolo(folder: Path) -> bool:
    """Whether the names of classes and a folder of labels are there."""
    named = any((folder / name).is_file() for name in (_NAMES, *_DATA))
    return named and any(path.is_dir() for path in (folder / "labels", *folder.glob("*/labels")))
