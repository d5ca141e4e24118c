"""FracAtlas (Abedeen et al., Scientific Data 10:521, 2023, CC BY 4.0) as cleaned tables beside the films."""

from __future__ import annotations

import csv
import json
import math
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from pipeline.geometry import Box
from pipeline.training.datasets.film_reading import look_at
from pipeline.training.datasets.labelled_file import (
    UNKNOWN_PART,
    LabelledFile,
    Listing,
    images_in,
    relative,
)
from pipeline.training.datasets.problems import DatasetError, Problem, ProblemKind
from pipeline.training.films import Film, Polygon

__all__ = ["BODY_PARTS", "DatasetError", "Line", "list_fracatlas", "read_fracatlas", "table_lines"]

BODY_PARTS = ("hand", "leg", "hip", "shoulder")
_NEEDED = ("id", "file", "fractured", "body_part", "split", "cluster")


@dataclass(frozen=True)
class Line:
    """A line of a table; `place` is "file:line" for reports."""

    place: str
    cells: dict[str, str]


def table_lines(path: Path, needed: Iterable[str]) -> list[Line]:
    """The lines of a CSV file.

    Raises:
        DatasetError: the file or a needed column is missing, or it is no text.
    """
    if not path.is_file():
        raise DatasetError(f"{path}: missing; its columns are {', '.join(needed)}")
    try:
        with path.open(newline="", encoding="utf-8-sig") as table:
            reader = csv.DictReader(table, restval="")
            absent = [name for name in needed if name not in (reader.fieldnames or ())]
            if absent:
                raise DatasetError(f"{path}: no column {', '.join(absent)}")
            return [Line(f"{path}:{reader.line_num}", row) for row in reader]
    except (UnicodeDecodeError, csv.Error) as error:
        raise DatasetError(f"{path}: no CSV file in UTF-8, {error}") from error


def list_fracatlas(folder: Path) -> Listing:
    """The tables `labels.csv`, `boxes.csv`, `masks.json`.

    Raises:
        DatasetError: a table or a column is missing.
    """
    problems: list[Problem] = []
    lines = table_lines(folder / "labels.csv", _NEEDED)
    boxes = _boxes(folder / "boxes.csv", {line.cells["id"] for line in lines}, problems)
    polygons = _polygons(folder / "masks.json", problems)
    named = {part for line in lines for part in line.cells["body_part"].split(";") if part}
    parts = (
        (BODY_PARTS if named <= set(BODY_PARTS) else tuple(sorted(named))) if named else UNKNOWN_PART
    )
    files = []
    for line in lines:
        file = _file(folder, line, parts, problems)
        if file is not None:
            files.append(
                replace(file, boxes=tuple(boxes[file.id]), polygons=tuple(polygons.get(file.id, ())))
            )
    known = {line.cells["file"] for line in lines}
    problems += [
        Problem(ProblemKind.NO_LABEL, relative(path, folder))
        for path in images_in(folder / "images")
        if relative(path, folder) not in known
    ]
    return Listing("fracatlas", tuple(files), parts, (), tuple(problems))


def _file(
    folder: Path, line: Line, parts: tuple[str, ...], problems: list[Problem]
) -> LabelledFile | None:
    cells = line.cells
    wrong = [
        f"{name} is {cells.get(name)!r}; it must be 0 or 1"
        for name in ("fractured", "hardware")
        if cells.get(name, "0") not in ("0", "1")
    ]
    wrong += [f"{name} is empty" for name in ("id", "file") if not cells[name]]
    if wrong:
        problems += [Problem(ProblemKind.BAD_LABEL, line.place, why) for why in wrong]
        return None
    named = cells["body_part"].split(";")
    return LabelledFile(
        id=cells["id"],
        path=folder / cells["file"],
        fractured=cells["fractured"] == "1",
        parts=(True,) if parts == UNKNOWN_PART else tuple(part in named for part in parts),
        cluster=cells["cluster"],
        split=cells["split"],
        hardware=cells.get("hardware") == "1",
        view=cells.get("view", ""),
    )


def _boxes(path: Path, known: set[str], problems: list[Problem]) -> dict[str, list[Box]]:
    boxes: dict[str, list[Box]] = defaultdict(list)
    for line in table_lines(path, ("id", "x0", "y0", "x1", "y1")):
        try:
            x0, y0, x1, y1 = (float(line.cells[edge]) for edge in ("x0", "y0", "x1", "y1"))
        except ValueError:
            problems.append(Problem(ProblemKind.BAD_LABEL, line.place, "an edge is no number"))
            continue
        if not all(math.isfinite(edge) for edge in (x0, y0, x1, y1)):
            problems.append(Problem(ProblemKind.BAD_LABEL, line.place, "an edge is not finite"))
            continue
        if line.cells["id"] not in known:
            why = f"labels.csv has no film {line.cells['id']!r}"
            problems.append(Problem(ProblemKind.NO_FILM, line.place, why))
        boxes[line.cells["id"]].append((x0, y0, x1, y1))
    return boxes


def _polygons(path: Path, problems: list[Problem]) -> dict[str, list[Polygon]]:
    if not path.is_file():
        raise DatasetError(f"{path}: missing; it leads from id to polygons ({{}} where there are none)")
    try:
        given = json.loads(path.read_text(encoding="utf-8"))
        entries = given.items()
    except (ValueError, AttributeError) as error:
        raise DatasetError(f"{path}: no JSON object, {error}") from error
    polygons: dict[str, list[Polygon]] = defaultdict(list)
    for name, outlines in entries:
        try:
            points = [np.asarray(outline, np.float32) for outline in outlines]
        except (TypeError, ValueError):
            points = [np.empty(0, np.float32)]
        if any(one.ndim != 2 or one.shape[1] != 2 or not np.isfinite(one).all() for one in points):
            problems.append(Problem(ProblemKind.BAD_LABEL, f"{path}: {name}", "no lists of [x, y]"))
            continue
        polygons[name] = points
    return polygons


def read_fracatlas(
    folder: Path, *, film_side: int, limit: int | None = None, said: Callable[[str], None] = print
) -> tuple[Film, ...]:
    """Every readable film, whatever its split; one that cannot be read is named and left out.

    Raises:
        DatasetError: a table is missing or holds nonsense, or no film could be read.
    """
    listing = list_fracatlas(folder)
    fatal = [problem for problem in listing.problems if problem.kind.fatal]
    if fatal:
        raise DatasetError(str(fatal[0]), fatal)
    step = max(1, len(listing.files) // limit) if limit else 1
    films = []
    for file in listing.files[::step]:
        look = look_at(file, film_side)
        if look.film is None:
            said(f"{file.path}: cannot be read as an image, left out")
        else:
            films.append(look.film)
    if not films:
        raise DatasetError(f"{folder}: no film could be read")
    return tuple(films)
