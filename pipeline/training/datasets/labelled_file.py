"""What a layout says of a film before its pixels are read."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pipeline.geometry import Box
from pipeline.training.datasets.problems import Problem
from pipeline.training.films import Polygon

IMAGE_SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff"})
# A data set that does not say the part: one part that every film shows. Its logit is learnt at once,
# and the loss over the parts stays a number, which a mean over no parts would not.
UNKNOWN_PART = ("unknown",)


@dataclass(frozen=True)
class LabelledFile:
    """One film's labels. Boxes and polygons are shares of width and height; "" means not said.

    `mask` is a picture of the fracture, as large as the film; `drawn_on` is the (rows, columns) that
    the annotation names.
    """

    id: str
    path: Path
    fractured: bool
    parts: tuple[bool, ...] = (True,)
    boxes: tuple[Box, ...] = ()
    polygons: tuple[Polygon, ...] = ()
    cluster: str = ""
    split: str = ""
    hardware: bool = False
    view: str = ""
    types: tuple[bool, ...] = ()
    mask: Path | None = None
    drawn_on: tuple[int, int] | None = None


@dataclass(frozen=True)
class Listing:
    """A data set's labels as its layout gives them."""

    layout: str
    files: tuple[LabelledFile, ...]
    part_names: tuple[str, ...] = UNKNOWN_PART
    type_names: tuple[str, ...] = ()
    problems: tuple[Problem, ...] = ()


def images_in(folder: Path) -> Iterator[Path]:
    """Image files below a folder, sorted; hidden ones (such as "._image1.png") are not films."""
    for path in sorted(folder.rglob("*")):
        if path.suffix.lower() in IMAGE_SUFFIXES and not path.name.startswith("."):
            yield path


def relative(path: Path, folder: Path) -> str:
    """A path as ids and reports name it."""
    return path.relative_to(folder).as_posix()
