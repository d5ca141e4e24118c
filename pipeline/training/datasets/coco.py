"""COCO: an annotation file with images, boxes and outlines; also one for each split, as Roboflow exports it."""

from __future__ import annotations

import importlib
import json
from collections import defaultdict
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.geometry import Box
from pipeline.training.datasets.class_names import Classes, is_normal, split_of, split_within
from pipeline.training.datasets.film_reading import outlines
from pipeline.training.datasets.labelled_file import LabelledFile, Listing, images_in, relative
from pipeline.training.datasets.problems import DatasetError, Problem, ProblemKind
from pipeline.training.films import Polygon

_ROBOFLOW = "_annotations.coco.json"
_PATIENT_KEYS = ("patient", "patient_id", "cluster")


def annotation_files(folder: Path) -> list[Path]:
    """`annotations.json`, `annotations/*.json` and `SPLIT/_annotations.coco.json`, where they are."""
    found = [folder / "annotations.json", *folder.glob("annotations/*.json")]
    return sorted(path for path in (*found, *folder.glob(f"*/{_ROBOFLOW}")) if path.is_file())


def list_coco(folder: Path) -> Listing:
    """Every image of the annotation files; one without an annotation is unfractured.

    Raises:
        DatasetError: an annotation file is no COCO, or needs pycocotools and it is not installed.
    """
    problems: list[Problem] = []
    given = {path: read_annotations(path) for path in annotation_files(folder)}
    if not given:
        raise DatasetError(f"{folder}: no annotations.json, annotations/*.json or SPLIT/{_ROBOFLOW}")
    classes = Classes.of(name for one in given.values() for name in _categories(one).values())
    files = [
        file for path, one in given.items() for file in _files(folder, path, one, classes, problems)
    ]
    known = {file.path for file in files}
    problems += [
        Problem(ProblemKind.NO_LABEL, relative(path, folder), "no annotation file names it")
        for path in images_in(folder)
        if path not in known
    ]
    return Listing("coco", tuple(files), type_names=classes.types, problems=tuple(problems))


def read_annotations(path: Path) -> dict[str, Any]:
    """A COCO object.

    Raises:
        DatasetError: the file is no JSON, or has no images, annotations and categories.
    """
    try:
        given = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, OSError) as error:
        raise DatasetError(f"{path}: no JSON, {error}") from error
    lists = ("images", "annotations", "categories")
    if not isinstance(given, dict) or not all(isinstance(given.get(name), list) for name in lists):
        raise DatasetError(f"{path}: no COCO file; it has lists named {', '.join(lists)}")
    return given


def _categories(given: dict[str, Any]) -> dict[int, str]:
    """Names of those that are used: exports often begin with an empty parent."""
    used = {one.get("category_id") for one in given["annotations"]}
    return {one["id"]: str(one["name"]) for one in given["categories"] if one.get("id") in used}


def _files(
    folder: Path, path: Path, given: dict[str, Any], classes: Classes, problems: list[Problem]
) -> list[LabelledFile]:
    names, split = _categories(given), split_of(path.parent.name) or split_within(path.stem)
    drawn: dict[Any, list[dict[str, Any]]] = defaultdict(list)
    for one in given["annotations"]:
        drawn[one.get("image_id")].append(one)
    unknown = drawn.keys() - {image.get("id") for image in given["images"]}
    problems += [
        Problem(ProblemKind.NO_FILM, f"{path}: image_id {one}", "no image has this id")
        for one in sorted(unknown, key=str)
    ]
    files = []
    for image in given["images"]:
        try:
            file = _file(folder, path, image, drawn[image["id"]], names, classes)
        except (KeyError, TypeError, ValueError) as error:
            place = f"{path}: image {image.get('id')}"
            problems.append(Problem(ProblemKind.BAD_LABEL, place, f"{type(error).__name__} {error}"))
            continue
        files.append(replace(file, split=file.split or split))
    return files


def _file(
    folder: Path,
    path: Path,
    image: dict[str, Any],
    drawn: list[dict[str, Any]],
    names: dict[int, str],
    classes: Classes,
) -> LabelledFile:
    place = _place(folder, path, str(image["file_name"]))
    rows, columns = int(image["height"]), int(image["width"])
    fractures = [one for one in drawn if not is_normal(names[one["category_id"]])]
    inner = place.relative_to(folder).parts
    return LabelledFile(
        id=relative(place, folder),
        path=place,
        fractured=bool(fractures),
        boxes=tuple(_box(one, rows, columns) for one in fractures),
        polygons=tuple(polygon for one in fractures for polygon in polygons_of(one, rows, columns)),
        cluster=next((str(image[key]) for key in _PATIENT_KEYS if key in image), ""),
        split=split_of(inner[1]) if inner[0] == "images" and len(inner) > 2 else "",
        types=classes.types_of({names[one["category_id"]] for one in fractures}),
        drawn_on=(rows, columns),
    )


def _place(folder: Path, path: Path, name: str) -> Path:
    """Beside a Roboflow file, else in `images/`, else as the name says from the folder.

    Raises:
        ValueError: the name leads out of the folder.
    """
    beside = path.parent if path.name == _ROBOFLOW else folder / "images"
    places = [beside / name, *beside.glob(f"*/{Path(name).name}"), folder / name]
    place = next((one for one in places if one.is_file()), places[0])
    if not place.resolve().is_relative_to(folder.resolve()):
        raise ValueError(f"file_name {name!r} leads out of the data set")
    return place


def _box(one: dict[str, Any], rows: int, columns: int) -> Box:
    x, y, width, height = (float(value) for value in one["bbox"])
    if not np.isfinite([x, y, width, height]).all():
        raise ValueError(f"bbox {one['bbox']}: not finite")
    return x / columns, y / rows, (x + width) / columns, (y + height) / rows


def polygons_of(one: dict[str, Any], rows: int, columns: int) -> list[Polygon]:
    """An annotation's outlines as shares; a run-length mask goes through pycocotools.

    Raises:
        ValueError: no pairs of numbers.
        DatasetError: a run-length mask, and pycocotools is not installed.
    """
    given = one.get("segmentation") or []
    if isinstance(given, dict):
        return list(outlines(_run_length(given, rows, columns))[1])
    size = np.array([columns, rows], np.float32)
    found = [np.asarray(flat, np.float32).reshape(-1, 2) / size for flat in given]
    if any(not np.isfinite(points).all() for points in found):
        raise ValueError("segmentation: not finite")
    return found


def _run_length(given: dict[str, Any], rows: int, columns: int) -> Any:
    try:
        # Not a library that training needs: asked for by name, where a data set has such masks.
        masks: Any = importlib.import_module("pycocotools.mask")
    except ImportError as error:
        raise DatasetError(
            "a segmentation is a run-length mask, which pycocotools reads, and it is not installed: "
            'pip install "fracture-node[training]", or export outlines'
        ) from error
    if isinstance(given["counts"], list):
        given = masks.frPyObjects(given, rows, columns)
    return masks.decode(given).astype(bool)
