"""Folders of classes: `split/part/class/film`, of which split and part may be absent."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from pipeline.training.datasets.class_names import Classes, is_normal, split_of
from pipeline.training.datasets.fracatlas import table_lines
from pipeline.training.datasets.labelled_file import (
    UNKNOWN_PART,
    LabelledFile,
    Listing,
    images_in,
    relative,
)
from pipeline.training.datasets.problems import DatasetError, Problem, ProblemKind

_MASKS = "masks"


@dataclass(frozen=True)
class _Place:
    """Where a film lies in the tree."""

    path: Path
    split: str
    part: str
    kind: str


def list_folder(folder: Path) -> Listing:
    """Each film's class is the folder that holds it; `masks/` beside the films holds PNGs of the same stem.

    Raises:
        DatasetError: no class is named as normal.
    """
    problems: list[Problem] = []
    places = _places(folder, problems)
    kinds = Counter(place.kind for place in places)
    if not any(is_normal(kind) for kind in kinds):
        raise DatasetError(
            f"{folder}: no class is named as being without fracture; the classes are "
            f"{', '.join(sorted(kinds)) or 'none'}; name it normal, negative or no fracture"
        )
    classes = Classes.of(kinds)
    parts = tuple(sorted({place.part for place in places if place.part})) or UNKNOWN_PART
    patients = _patients(folder)
    files = tuple(
        LabelledFile(
            id=relative(place.path, folder),
            path=place.path,
            fractured=not is_normal(place.kind),
            parts=(True,) if parts == UNKNOWN_PART else tuple(part == place.part for part in parts),
            cluster=patients.get(relative(place.path, folder), patients.get(place.path.name, "")),
            split=place.split,
            types=classes.types_of((place.kind,)),
            mask=_mask(place.path),
        )
        for place in places
    )
    problems += _lonely_masks(folder, files)
    return Listing("folder", files, parts, classes.types, tuple(problems))


def _places(folder: Path, problems: list[Problem]) -> list[_Place]:
    places = []
    for path in images_in(folder):
        levels = list(path.relative_to(folder).parts[:-1])
        if _MASKS in levels:
            continue
        split = split_of(levels[0]) if levels else ""
        rest = levels[1:] if split else levels
        if len(rest) not in (1, 2):
            why = "a film lies in [split/][body part/]class/"
            problems.append(Problem(ProblemKind.BAD_LABEL, relative(path, folder), why))
            continue
        places.append(_Place(path, split, rest[0] if len(rest) == 2 else "", rest[-1]))
    return places


def _mask(film: Path) -> Path | None:
    mask = film.parent / _MASKS / f"{film.stem}.png"
    return mask if mask.is_file() else None


def _lonely_masks(folder: Path, files: tuple[LabelledFile, ...]) -> list[Problem]:
    used = {file.mask for file in files}
    return [
        Problem(ProblemKind.NO_FILM, relative(path, folder))
        for path in images_in(folder)
        if _MASKS in path.relative_to(folder).parts and path not in used
    ]


def _patients(folder: Path) -> dict[str, str]:
    """`patients.csv` (file, patient), where there is one; `file` is a path in the folder or a bare name."""
    table = folder / "patients.csv"
    if not table.is_file():
        return {}
    return {
        line.cells["file"]: line.cells["patient"] for line in table_lines(table, ("file", "patient"))
    }


def looks_like_folder(folder: Path) -> bool:
    """Whether some folder up to three levels down is named as a class without fracture."""
    for depth in ("*", "*/*", "*/*/*"):
        for path in folder.glob(depth):
            # A published FracAtlas keeps its classes under images/, and has tables beside.
            if path.is_dir() and is_normal(path.name) and path.parent.name != "images":
                return True
    return False
