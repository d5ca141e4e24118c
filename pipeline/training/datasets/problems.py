"""What is wrong with a data set, film by film, and what of it forbids training."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import Enum


class ProblemKind(Enum):
    """`fatal` problems forbid training; the others are named, and their film or box is left out."""

    NO_FILE = ("a labelled film is not there", False)
    NO_FILM = ("a label or a mask without its film", False)
    NO_LABEL = ("a film without a label", False)
    CORRUPT = ("a film cannot be read as an image", False)
    BOX_CLIPPED = ("a box reached a little over the film's edge and was clipped", False)
    BOX_OUTSIDE = ("a box lies outside the film or has no area, and was left out", False)
    OTHER_SIZE = ("the annotation was drawn on an image of another shape", False)
    CONTRADICTION = ("labels contradict each other", False)
    SAME_FILE = ("the same file twice", False)
    NEAR_DUPLICATE = ("films of two splits look the same", False)
    NOT_FRACTURES = ("the labels do not mean a fracture", False)
    EACH_ALONE = ("nothing says which films are of one patient", False)
    BAD_LABEL = ("a label that cannot be understood", True)
    MASK_SIZE = ("a mask of another size than its film", True)
    EMPTY_CLASS = ("no film to learn from or to judge by", True)
    SPLIT_OVERLAP = ("the same patient or the same file in two splits", True)

    def __init__(self, meaning: str, fatal: bool) -> None:
        self.meaning, self.fatal = meaning, fatal


@dataclass(frozen=True)
class Problem:
    """One finding: `where` is a file (with its line) or a film's id."""

    kind: ProblemKind
    where: str
    detail: str = ""

    def __str__(self) -> str:
        return f"{self.where}: {self.detail or self.kind.meaning}"


class DatasetError(Exception):
    """The data set cannot be used; says which file and why. `problems` are the fatal ones, if it was read."""

    def __init__(self, message: str, problems: Iterable[Problem] = ()) -> None:
        super().__init__(message)
        self.problems = tuple(problems)


def told(problems: Iterable[Problem], most: int | None = 5) -> Iterator[str]:
    """Lines for people: each kind with its count, fatal ones first, and `most` of its names (None: all)."""
    kinds: dict[ProblemKind, list[Problem]] = {}
    for problem in problems:
        kinds.setdefault(problem.kind, []).append(problem)
    for kind in sorted(kinds, key=lambda kind: not kind.fatal):
        found = kinds[kind]
        yield f"{'FATAL: ' if kind.fatal else ''}{kind.meaning} ({len(found)})"
        yield from (f"  {problem}" for problem in found[:most])
        if most is not None and len(found) > most:
            yield f"  and {len(found) - most} more"
