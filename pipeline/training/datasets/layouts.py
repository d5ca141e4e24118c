"""The door to every data set: its layout is found, its films are grouped, split, read and checked."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from pipeline.training.datasets.checks import Fingerprint, Seen, problems_across
from pipeline.training.datasets.coco import annotation_files, list_coco
from pipeline.training.datasets.film_reading import look_at
from pipeline.training.datasets.folder import list_folder, looks_like_folder
from pipeline.training.datasets.fracatlas import list_fracatlas
from pipeline.training.datasets.grouping import Grouping, divide, group
from pipeline.training.datasets.labelled_file import LabelledFile, Listing
from pipeline.training.datasets.mura import list_mura, looks_like_mura
from pipeline.training.datasets.problems import DatasetError, Problem, told
from pipeline.training.datasets.published_fracatlas import list_published_fracatlas, root_of
from pipeline.training.datasets.yolo import list_yolo, looks_like_yolo
from pipeline.training.films import Film

Said = Callable[[str], None]
Watched = Callable[[Iterable[LabelledFile]], Iterable[LabelledFile]]
TakeFingerprint = Callable[[npt.NDArray[np.uint8]], Fingerprint]


@dataclass(frozen=True)
class Layout:
    """How a layout is known by its files, and how its labels are listed."""

    fits: Callable[[Path], bool]
    list_files: Callable[[Path], Listing]


LAYOUTS = {
    "fracatlas": Layout(lambda folder: (folder / "labels.csv").is_file(), list_fracatlas),
    "fracatlas-published": Layout(lambda folder: root_of(folder) is not None, list_published_fracatlas),
    "coco": Layout(lambda folder: bool(annotation_files(folder)), list_coco),
    "yolo": Layout(looks_like_yolo, list_yolo),
    "mura": Layout(looks_like_mura, list_mura),
    "folder": Layout(looks_like_folder, list_folder),
}


@dataclass(frozen=True)
class Dataset:
    """Films that may be trained on, with the names of their parts and types; `problems` are not fatal."""

    films: tuple[Film, ...]
    part_names: tuple[str, ...]
    type_names: tuple[str, ...]
    layout: str
    problems: tuple[Problem, ...]


@dataclass(frozen=True)
class Examination:
    """What a check found: the labels of the films that can be read, and every problem."""

    listing: Listing
    problems: tuple[Problem, ...]

    @property
    def fatal(self) -> tuple[Problem, ...]:
        """What forbids training."""
        return tuple(problem for problem in self.problems if problem.kind.fatal)


def find_layout(folder: Path) -> str:
    """The one layout whose files are there.

    Raises:
        DatasetError: none fits, or more than one.
    """
    if not folder.is_dir():
        raise DatasetError(f"{folder}: no such folder")
    fitting = [name for name, layout in LAYOUTS.items() if layout.fits(folder)]
    if len(fitting) == 1:
        return fitting[0]
    if fitting:
        raise DatasetError(f"{folder}: fits the layouts {', '.join(fitting)}; say which with --layout")
    raise DatasetError(
        f"{folder}: fits none of the layouts {', '.join(LAYOUTS)}; docs/datasets.md shows their files"
    )


def list_dataset(
    folder: Path, *, layout: str | None, grouping: Grouping | None = None, said: Said = print
) -> Listing:
    """The labels, each film with its cluster and its split.

    Raises:
        DatasetError: the layout is unknown or not found, its tables cannot be read, it has no film, or
            nothing says which films are of one patient.
    """
    name = layout or find_layout(folder)
    if name not in LAYOUTS:
        raise DatasetError(f"--layout {name}: there is {', '.join(LAYOUTS)}")
    listing = LAYOUTS[name].list_files(folder)
    if not listing.files:
        fatal = tuple(problem for problem in listing.problems if problem.kind.fatal)
        raise DatasetError("\n".join([f"{folder}: no film in layout {name}", *told(fatal)]), fatal)
    return divide(group(listing, grouping or Grouping()), said)


def examine(
    listing: Listing,
    *,
    film_side: int = 256,
    fingerprint: TakeFingerprint | None = None,
    watched: Watched = iter,
) -> Examination:
    """Reads every film and keeps none: what training on the data set would meet."""
    problems, seen = list(listing.problems), list[Seen]()
    for _ in _read(watched(listing.files), film_side, problems, seen, fingerprint):
        pass
    problems += problems_across(seen)
    readable = replace(listing, files=tuple(one.file for one in seen))
    return Examination(readable, tuple(problems))


def read_dataset(
    folder: Path,
    *,
    layout: str | None,
    film_side: int,
    limit: int | None = None,
    said: Said = print,
    grouping: Grouping | None = None,
    training: bool = True,
) -> Dataset:
    """Every readable film of a data set; problems are named through `said`.

    `layout` None is found by the files. `limit` takes about so many films, evenly. Without `training` the
    splits need not hold both classes.

    Raises:
        DatasetError: as `list_dataset`, or the films have fatal problems, which the error carries.
    """
    listing = list_dataset(folder, layout=layout, grouping=grouping, said=said)
    step = max(1, len(listing.files) // limit) if limit else 1
    problems, seen = list(listing.problems), list[Seen]()
    films = tuple(_read(_counted(listing.files[::step], said), film_side, problems, seen, None))
    problems += problems_across(seen, training=training)
    fatal = tuple(problem for problem in problems if problem.kind.fatal)
    if fatal or not films:
        lines = (
            [f"{folder}: cannot be used", *told(fatal)]
            if fatal
            else [f"{folder}: no film could be read"]
        )
        raise DatasetError("\n".join(lines), fatal)
    for line in told(problems):
        said(line)
    return Dataset(films, listing.part_names, listing.type_names, listing.layout, tuple(problems))


def _read(
    files: Iterable[LabelledFile],
    film_side: int,
    problems: list[Problem],
    seen: list[Seen],
    fingerprint: TakeFingerprint | None,
) -> Iterator[Film]:
    for file in files:
        look = look_at(file, film_side)
        problems += look.problems
        if look.film is not None:
            print_ = None if fingerprint is None else fingerprint(look.film.grey)
            seen.append(Seen(look.file, look.digest, print_))
            yield look.film


def _counted(files: tuple[LabelledFile, ...], said: Said) -> Iterator[LabelledFile]:
    for count, file in enumerate(files):
        if count and count % 1000 == 0:
            said(f"{count} of {len(files)} films read")
        yield file
