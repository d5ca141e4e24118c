"""From the published FracAtlas to the `fracatlas` layout: copies and damage out, films reduced, patients kept whole."""

from __future__ import annotations

import csv
import hashlib
import json
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from pipeline.training.datasets.checks import Fingerprint, chained, merged, near_pairs
from pipeline.training.datasets.film_reading import Grey, decode, look_at
from pipeline.training.datasets.fracatlas import BODY_PARTS
from pipeline.training.datasets.grouping import divide
from pipeline.training.datasets.labelled_file import LabelledFile, Listing
from pipeline.training.datasets.problems import DatasetError, Problem, told
from pipeline.training.datasets.published_fracatlas import list_published_fracatlas

LONGEST_SIDE = 512
_QUALITY = 95
_LABELS = (
    "id", "file", "original_file", "width", "height", "fractured", "body_part", "view", "hardware",
    "split", "cluster", "copies_dropped", "label_conflict",
)  # fmt: skip
NOTE = (
    "one published label is known to be wrong, but not which: it is not mended here; where copies of a film "
    "disagree, the copy that is labelled as fractured was kept (column label_conflict)"
)


@dataclass(frozen=True)
class Cleaned:
    """What was written and what was left out."""

    films: int
    copies: int
    problems: tuple[Problem, ...]


@dataclass(frozen=True)
class _Kept:
    """One readable film; `pixels` is the digest of its upright grey levels."""

    file: LabelledFile
    pixels: str
    rows: int
    columns: int
    fingerprint: Fingerprint


def clean(
    published: Path,
    to: Path,
    *,
    fingerprint: Callable[[Grey], Fingerprint],
    said: Callable[[str], None] = print,
    watched: Callable[[Sequence[LabelledFile]], Iterable[LabelledFile]] = iter,
) -> Cleaned:
    """Writes `images/`, `masks.json`, `boxes.csv` and, last, `labels.csv` into `to`.

    Clusters are blocks of neighbouring file numbers, joined where films are copies or near-duplicates of one
    another; val is 15 % of the clusters, by hash. The same archive gives the same tables.

    Raises:
        DatasetError: the archive's tables cannot be used, or no film could be read.
    """
    listing = list_published_fracatlas(published)
    problems = list(listing.problems)
    (to / "images").mkdir(parents=True, exist_ok=True)
    found = []
    for file in watched(listing.files):
        one = _one(file, to, problems, fingerprint)
        if one is not None:
            found.append(one)
    if not found:
        lines = [f"{published}: no film could be read", *told(problems)]
        raise DatasetError("\n".join(lines), problems)
    kept, copies, conflicts = _without_copies(_joined(found), to)
    divided = divide(Listing("fracatlas", tuple(one.file for one in kept)), said)
    rows = [
        _row(replace(one, file=file), copies[one.pixels], one.pixels in conflicts)
        for one, file in zip(kept, divided.files, strict=True)
    ]
    _write_tables(to, divided.files, rows)
    return Cleaned(len(kept), sum(copies.values()), tuple(problems))


def _one(
    file: LabelledFile,
    to: Path,
    problems: list[Problem],
    fingerprint: Callable[[Grey], Fingerprint],
) -> _Kept | None:
    look = look_at(file, film_side=64)
    problems += look.problems
    if look.film is None:
        return None
    data = file.path.read_bytes()
    stored = decode(data)
    assert stored is not None  # noqa: S101 - look_at has just decoded it
    _write_image(to / "images" / f"{file.id}.jpg", data, stored)
    digest = hashlib.sha256(repr(stored.shape).encode() + stored.tobytes()).hexdigest()
    rows, columns = stored.shape
    return _Kept(look.file, digest, rows, columns, fingerprint(stored))


def _write_image(path: Path, data: bytes, stored: Grey) -> None:
    scale = LONGEST_SIDE / max(stored.shape)
    plain = cv2.imdecode(
        np.frombuffer(data, np.uint8), cv2.IMREAD_GRAYSCALE | cv2.IMREAD_IGNORE_ORIENTATION
    )
    upright = plain is not None and np.array_equal(plain, stored)
    if scale >= 1 and data.startswith(b"\xff\xd8") and upright:
        path.write_bytes(data)  # coding it again would only lose
        return
    if scale < 1:
        size = (
            max(1, round(stored.shape[1] * scale)),
            max(1, round(stored.shape[0] * scale)),
        )
        stored = np.asarray(cv2.resize(stored, size, interpolation=cv2.INTER_AREA), np.uint8)
    if not cv2.imwrite(str(path), stored, [cv2.IMWRITE_JPEG_QUALITY, _QUALITY]):
        raise DatasetError(f"{path}: cannot be written")


def _joined(found: list[_Kept]) -> list[_Kept]:
    """Blocks that hold copies or near-duplicates of one another become one cluster."""
    copies: dict[str, list[int]] = defaultdict(list)
    for index, one in enumerate(found):
        copies[one.pixels].append(index)
    prints: npt.NDArray[np.bool_] = np.stack([one.fingerprint for one in found])
    pairs = [*chained(list(copies.values())), *near_pairs(prints)]
    names = merged([one.file.cluster for one in found], iter(pairs))
    return [
        replace(one, file=replace(one.file, cluster=name))
        for one, name in zip(found, names, strict=True)
    ]


def _without_copies(found: list[_Kept], to: Path) -> tuple[list[_Kept], dict[str, int], frozenset[str]]:
    """One film for each picture; how many copies it had beside; which pictures had two labels."""
    groups: dict[str, list[_Kept]] = defaultdict(list)
    for one in found:
        groups[one.pixels].append(one)
    kept = []
    for group in groups.values():
        first, *rest = sorted(group, key=lambda one: (not one.file.fractured, one.file.id))
        kept.append(first)
        for one in rest:
            (to / "images" / f"{one.file.id}.jpg").unlink(missing_ok=True)
    copies = {pixels: len(group) - 1 for pixels, group in groups.items()}
    conflicts = frozenset(
        pixels for pixels, group in groups.items() if len({one.file.fractured for one in group}) > 1
    )
    return sorted(kept, key=lambda one: one.file.id), copies, conflicts


def _row(one: _Kept, copies: int, conflict: bool) -> tuple[object, ...]:
    file = one.file
    from_archive = "/".join(file.path.parts[-3:])
    named = ";".join(part for part, shown in zip(BODY_PARTS, file.parts, strict=True) if shown)
    return (
        file.id, f"images/{file.id}.jpg", from_archive, one.columns, one.rows, int(file.fractured),
        named, file.view, int(file.hardware), file.split, file.cluster, copies, int(conflict),
    )  # fmt: skip


def _write_tables(to: Path, files: Sequence[LabelledFile], rows: Sequence[tuple[object, ...]]) -> None:
    boxes = [
        (file.id, *(f"{edge:.6f}" for edge in box), "fracture") for file in files for box in file.boxes
    ]
    masks = {
        file.id: [np.round(polygon.astype(float), 6).tolist() for polygon in file.polygons]
        for file in files
        if file.polygons
    }
    (to / "masks.json").write_text(json.dumps(masks), encoding="utf-8")
    _write(to / "boxes.csv", [("id", "x0", "y0", "x1", "y1", "class"), *boxes])
    # Last: with it the folder is a data set.
    _write(to / "labels.csv", [_LABELS, *rows])


def _write(path: Path, rows: Sequence[tuple[object, ...]]) -> None:
    unfinished = path.with_name(path.name + ".part")
    with unfinished.open("w", newline="", encoding="utf-8") as table:
        csv.writer(table).writerows(rows)
    unfinished.replace(path)
