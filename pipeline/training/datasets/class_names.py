"""What the names of splits and classes mean."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Self

_SPLITS = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("val", "valid", "validation", "dev"), "val"),
    **dict.fromkeys(("test", "testing"), "test"),
}
_NORMAL = {
    "normal", "no fracture", "no fractures", "negative", "non fracture", "non fractured", "nonfractured",
    "not fractured", "notfractured", "nofracture", "unfractured", "without fracture", "healthy", "intact",
}  # fmt: skip
# Says that there is a fracture, not which: no type of its own beside others.
_ANY_FRACTURE = {"fracture", "fractured", "fractures", "positive", "broken", "bone fracture"}


def split_of(name: str) -> str:
    """ "train", "val" or "test" where a folder or a file is named so, else ""."""
    return _SPLITS.get(name.lower(), "")


def split_within(name: str) -> str:
    """The split that stands as a word in a name such as "instances_train2017"."""
    found = {split_of(word) for word in re.findall(r"[a-z]+", name.lower())} - {""}
    return found.pop() if len(found) == 1 else ""


def is_normal(name: str) -> bool:
    """Whether a class is named as being without fracture."""
    return re.sub(r"[\W_]+", " ", name.lower()).strip() in _NORMAL


@dataclass(frozen=True)
class Classes:
    """A data set's classes: all but the normal-like ones are fractures; several of them make types."""

    types: tuple[str, ...]

    @classmethod
    def of(cls, names: Iterable[str]) -> Self:
        """Of all names of the set."""
        fractures = sorted({name for name in names if not is_normal(name)})
        special = [name for name in fractures if name.lower().replace("_", " ") not in _ANY_FRACTURE]
        return cls(tuple(special) if len(fractures) > 1 else ())

    def types_of(self, names: Collection[str]) -> tuple[bool, ...]:
        """Which types a film with these classes shows."""
        return tuple(name in names for name in self.types)
