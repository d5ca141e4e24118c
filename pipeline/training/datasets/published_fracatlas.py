"""FracAtlas as its authors publish it (doi 10.6084/m9.figshare.22363012), before any cleaning."""

from __future__ import annotations

import hashlib
import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pipeline.training.datasets.checks import chained, merged
from pipeline.training.datasets.coco import polygons_of, read_annotations
from pipeline.training.datasets.fracatlas import BODY_PARTS, Line, table_lines
from pipeline.training.datasets.labelled_file import LabelledFile, Listing
from pipeline.training.datasets.problems import DatasetError, Problem, ProblemKind

_VIEWS = ("frontal", "lateral", "oblique")
_FLAGS = (*BODY_PARTS, "hardware", "fractured", *_VIEWS)
_CLASSES = ("Fractured", "Non_fractured")
# A block of neighbours is closed at the first film that looks like another patient's, from here on...
_BLOCK = 20
# ...and here whatever comes.
_LONGEST_BLOCK = 40


@dataclass(frozen=True)
class Numbered:
    """A published film's number and what neighbours of one patient share."""

    number: int
    alike: tuple[object, ...]


def root_of(folder: Path) -> Path | None:
    """The folder with `dataset.csv` and `images/`: this one, or the one that the archive makes in it."""
    for root in (folder, *sorted(folder.glob("*"))):
        if (root / "dataset.csv").is_file() and (root / "images").is_dir():
            return root
    return None


def list_published_fracatlas(folder: Path) -> Listing:
    """`dataset.csv`, `images/{Fractured,Non_fractured}` and the COCO outlines.

    Raises:
        DatasetError: a table, a column or the outlines are missing.
    """
    root = root_of(folder)
    if root is None:
        raise DatasetError(f"{folder}: no dataset.csv with images/ beside it")
    problems: list[Problem] = []
    lines = table_lines(root / "dataset.csv", ("image_id", *_FLAGS))
    drawn = _drawn(root)
    files = [file for line in lines if (file := _file(root, line, drawn, problems)) is not None]
    clusters = merged(blocks([_numbered(file) for file in files]), chained(_copies(files)))
    grouped = [replace(file, cluster=name) for file, name in zip(files, clusters, strict=True)]
    return Listing("fracatlas-published", tuple(grouped), BODY_PARTS, (), tuple(problems))


def _file(
    root: Path, line: Line, drawn: dict[str, dict[str, Any]], problems: list[Problem]
) -> LabelledFile | None:
    cells, name = line.cells, line.cells["image_id"]
    wrong = [flag for flag in _FLAGS if cells[flag] not in ("0", "1")]
    if wrong or re.search(r"\d+", name) is None:
        why = f"{', '.join(wrong)}: not 0 or 1" if wrong else f"image_id {name!r} has no number"
        problems.append(Problem(ProblemKind.BAD_LABEL, line.place, why))
        return None
    places = [root / "images" / kind / Path(name).name for kind in _CLASSES]
    own = drawn.get(Path(name).name, {})
    boxes, polygons = own.get("boxes", ()), own.get("polygons", ())
    fractured = cells["fractured"] == "1"
    return LabelledFile(
        id=Path(name).stem,
        path=next((place for place in places if place.is_file()), places[not fractured]),
        fractured=fractured,
        parts=tuple(cells[part] == "1" for part in BODY_PARTS),
        boxes=tuple(boxes) if fractured else (),
        polygons=tuple(polygons) if fractured else (),
        hardware=cells["hardware"] == "1",
        view=";".join(view for view in _VIEWS if cells[view] == "1"),
        drawn_on=own.get("size") if fractured else None,
    )


def _drawn(root: Path) -> dict[str, dict[str, Any]]:
    """File name to size (rows, columns), boxes and polygons."""
    found = sorted((root / "Annotations" / "COCO JSON").glob("*.json"))
    if not found:
        raise DatasetError(f"{root / 'Annotations' / 'COCO JSON'}: no annotation file")
    given = read_annotations(found[0])
    drawn: dict[str, dict[str, Any]] = {}
    by_id: dict[Any, dict[str, Any]] = {}
    try:
        for image in given["images"]:
            size = (int(image["height"]), int(image["width"]))
            by_id[image["id"]] = drawn[image["file_name"]] = {"size": size, "boxes": [], "polygons": []}
        for one in given["annotations"]:
            own = by_id[one["image_id"]]
            (rows, columns), (x, y, width, height) = own["size"], map(float, one["bbox"])
            own["boxes"].append((x / columns, y / rows, (x + width) / columns, (y + height) / rows))
            own["polygons"] += polygons_of(one, rows, columns)
    except (KeyError, TypeError, ValueError) as error:
        raise DatasetError(f"{found[0]}: {type(error).__name__} {error}") from error
    return drawn


def _numbered(file: LabelledFile) -> Numbered:
    found = re.search(r"\d+", file.id)
    assert found is not None  # noqa: S101 - _file has refused such an id
    return Numbered(int(found[0]), (file.parts, file.hardware))


def blocks(films: Sequence[Numbered]) -> list[str]:
    """A cluster for each film: neighbouring file numbers are views of one patient.

    Films in the order of their numbers fill a block. From 20 films on it ends where a number is missing,
    or where body parts or hardware change; at 40 it ends anyway.
    """
    names = [""] * len(films)
    block, held = -1, 0
    before: Numbered | None = None
    for index in sorted(range(len(films)), key=lambda index: films[index].number):
        film = films[index]
        full = held >= _BLOCK and before is not None
        if full and before is not None:
            full = held >= _LONGEST_BLOCK or _breaks(before, film)
        if before is None or full:
            block, held = block + 1, 0
        names[index], before, held = f"B{block:04d}", film, held + 1
    return names


def _breaks(before: Numbered, film: Numbered) -> bool:
    return film.number - before.number > 1 or film.alike != before.alike


def _copies(files: Sequence[LabelledFile]) -> list[list[int]]:
    """Indices of files with the same bytes."""
    found: dict[str, list[int]] = defaultdict(list)
    for index, file in enumerate(files):
        if file.path.is_file():
            found[hashlib.sha256(file.path.read_bytes()).hexdigest()].append(index)
    return [group for group in found.values() if len(group) > 1]
