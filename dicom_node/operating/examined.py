"""One line of an examination."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Verdict(StrEnum):
    """`NOTE` is for reading only: it fails nothing."""

    GOOD = "good"
    FAILED = "failed"
    NOTE = "note"


@dataclass(frozen=True)
class Examined:
    """What was looked at, and what is said of it: where it failed, with the remedy."""

    what: str
    verdict: Verdict
    said: str
