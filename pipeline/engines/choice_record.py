"""Which engine was the fastest here: a small JSON file, so that the same machine chooses the same at each start."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError

RECORD = "choice.json"
# Of other packages, libraries and machines; the oldest go.
MOST_KEPT = 8
# Model, processor, libraries: what a choice holds for.
Facts = Mapping[str, str | int | None]


class Choice(BaseModel):
    """The engine chosen, what each one took for a film, and what all that holds for."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    engine: str
    milliseconds: dict[str, float]
    facts: dict[str, str | int | None]


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    format: Literal[1]
    choices: dict[str, Choice]


def known_choice(folder: Path, facts: Facts, said: Callable[[str], None]) -> Choice | None:
    """What was chosen for exactly these facts; None if nothing was, or the file does not tell."""
    return _choices(folder, said).get(_key(facts))


def keep_choice(folder: Path, choice: Choice) -> None:
    """Adds a choice, or replaces that of the same facts.

    Raises:
        OSError: the folder or the file cannot be written.
    """
    key = _key(choice.facts)
    # A file that cannot be read was told of when it was asked for the choice.
    others = [(k, v) for k, v in _choices(folder, lambda _: None).items() if k != key]
    record = _Record(format=1, choices=dict([*others, (key, choice)][-MOST_KEPT:]))
    folder.mkdir(parents=True, exist_ok=True)
    unfinished = folder / (RECORD + ".part")
    unfinished.write_text(record.model_dump_json(indent=1) + "\n", encoding="utf-8")
    unfinished.replace(folder / RECORD)


def _choices(folder: Path, said: Callable[[str], None]) -> dict[str, Choice]:
    path = folder / RECORD
    try:
        return _Record.model_validate_json(path.read_bytes()).choices
    except FileNotFoundError:
        return {}
    except OSError as error:
        said(f"{path}: cannot be read: {error.strerror}")
    except ValidationError as error:
        said(f"{path}: no record of engines ({error.error_count()} faults); it is written anew")
    return {}


def _key(facts: Facts) -> str:
    return hashlib.sha256(json.dumps(dict(facts), sort_keys=True).encode()).hexdigest()[:32]
