"""Verdicts as a labelled data set in the layout `fracatlas`: films, boxes, parts and groups, and nobody's name.

What is exported is built from nothing but pixels, boxes, the model's body part and keyed digests.
"""

from __future__ import annotations

import csv
import io
import struct
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from dicom_node.register.verdict_films import VerdictFilms
from dicom_node.register.verdicts import FractureWord, Verdict
from pipeline.findings import RESEARCH_NOTICE
from pipeline.geometry import Box

_PNG = b"\x89PNG\r\n\x1a\n"
# Signature, length and type of IHDR, width, height.
_PNG_START = 24
_NAME_LENGTH = 32


@dataclass(frozen=True)
class ExportedFilm:
    """One film with what was said of it. `boxes` are shares of width and height; `path` is where its pixels lie."""

    id: str
    path: str
    fractured: bool
    body_part: str
    cluster: str
    boxes: tuple[Box, ...]


@dataclass(frozen=True)
class ExportCounts:
    """What became of the films that were judged."""

    films: int = 0
    fractured: int = 0
    without_box: int = 0
    boxes: int = 0
    patients: int = 0
    cannot_say: int = 0
    conflicts: int = 0
    burned_in: int = 0
    gone: int = 0

    @property
    def words(self) -> str:
        """On one line, for people."""
        return (
            f"{self.films} films of {self.patients} patients, {self.fractured} fractured, {self.boxes} boxes; left "
            f"out: {self.cannot_say} nobody could say, {self.conflicts} in conflict, {self.burned_in} with words "
            f"burned in, {self.gone} gone"
        )


@dataclass(frozen=True)
class Export:
    """Films to export, ordered by their digests, which tell nothing of when they were judged."""

    films: tuple[ExportedFilm, ...]
    counts: ExportCounts


def choose_films(standing: Iterable[Verdict], kept: VerdictFilms) -> Export:
    """What the verdicts that stand make of each film.

    "Cannot say" has no vote. The others must agree, else the film is left out; the boxes are those of the latest
    person who drew any. Of one person's words on the same pixels the latest counts.
    """
    by_film: dict[str, list[Verdict]] = defaultdict(list)
    for one in sorted(standing, key=lambda one: (one.at, one.id), reverse=True):
        if all(one.person != later.person for later in by_film[one.pixel_digest]):
            by_film[one.pixel_digest].append(one)
    counts, films = ExportCounts(), list[ExportedFilm]()
    for digest, said in by_film.items():
        chosen = [one for one in said if one.fracture is not FractureWord.CANNOT_SAY]
        if not chosen:
            counts = replace(counts, cannot_say=counts.cannot_say + 1)
        elif len({one.fracture for one in chosen}) > 1:
            counts = replace(counts, conflicts=counts.conflicts + 1)
        elif not chosen[0].film_path:
            counts = replace(counts, burned_in=counts.burned_in + 1)
        elif (size := _size(kept.read(chosen[0].film_path, _PNG_START))) is None:
            counts = replace(counts, gone=counts.gone + 1)
        else:
            films.append(_film(kept.keyed_digest("film", digest), chosen, size))
    return Export(tuple(sorted(films, key=lambda film: film.id)), _counted(counts, films))


def _film(name: str, said: Sequence[Verdict], size: tuple[int, int]) -> ExportedFilm:
    latest, (rows, columns) = said[0], size
    drawn = next((one.boxes for one in said if one.boxes), ())
    return ExportedFilm(
        id=name[:_NAME_LENGTH],
        path=latest.film_path,
        fractured=latest.fracture is FractureWord.PRESENT,
        body_part=latest.body_part,
        cluster=latest.group_digest[:_NAME_LENGTH],
        boxes=tuple((x0 / columns, y0 / rows, x1 / columns, y1 / rows) for x0, y0, x1, y1 in drawn),
    )


def _counted(counts: ExportCounts, films: Sequence[ExportedFilm]) -> ExportCounts:
    fractured = [film for film in films if film.fractured]
    return replace(
        counts,
        films=len(films),
        fractured=len(fractured),
        without_box=sum(not film.boxes for film in fractured),
        boxes=sum(len(film.boxes) for film in films),
        patients=len({film.cluster for film in films}),
    )


def exported_files(export: Export, kept: VerdictFilms) -> Iterator[tuple[str, bytes]]:
    """Name and bytes of every file of the data set, one at a time; the same verdicts give the same bytes."""
    names = ("id", "file", "fractured", "body_part", "split", "cluster")
    rows: list[tuple[object, ...]] = [
        (film.id, f"images/{film.id}.png", int(film.fractured), film.body_part, "", film.cluster)
        for film in export.films
    ]
    yield "README.txt", _readme(export.counts).encode()
    yield "labels.csv", _table(names, rows)
    boxes = [(film.id, *(f"{edge:.6f}" for edge in box)) for film in export.films for box in film.boxes]
    yield "boxes.csv", _table(("id", "x0", "y0", "x1", "y1"), boxes)
    yield "masks.json", b"{}\n"
    for film in export.films:
        data = kept.read(film.path)
        if data is not None:
            yield f"images/{film.id}.png", data


def _table(names: Sequence[str], rows: Iterable[Sequence[object]]) -> bytes:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(names)
    writer.writerows(rows)
    return text.getvalue().encode()


def _size(data: bytes | None) -> tuple[int, int] | None:
    """Rows and columns of a PNG (ISO/IEC 15948 11.2.2); None where it is none."""
    if data is None or not data.startswith(_PNG) or len(data) < _PNG_START:
        return None
    columns, rows = struct.unpack(">II", data[16:24])
    return (rows, columns) if rows and columns else None


def _readme(counts: ExportCounts) -> str:
    return f"""{RESEARCH_NOTICE}

Films as radiologists judged them at a Fracture Node, in the layout that `dicom-node train` and `dicom-node dataset`
call fracatlas (docs/datasets.md).

  {counts.films} films of {counts.patients} patients, {counts.fractured} fractured ({counts.without_box} of them without a box), {counts.boxes} boxes
  left out: {counts.cannot_say} films of which nobody could say, {counts.conflicts} of which two people said different things,
            {counts.burned_in} whose header says that words are burned in, {counts.gone} whose pixels are gone

labels.csv  fractured: 1 where a radiologist said that a fracture is present, 0 where absent. "Cannot say" has no vote.
            body_part: as the model named it; nobody judged it.
            cluster: a keyed digest of whose film it is. It names the patient to nobody; films of one patient share it.
boxes.csv   where the fracture is, as shares of width and height; of several people's boxes the latest.
images/     8 bits, as the header's window showed the film. No header, no UID, no date; the names are keyed digests.

Not removed: words that are burned into the pixels of a film whose header does not say so. Look at every film before
you give it away. The labels follow readings that the people who judged had seen: they are no independent truth.
"""
