"""What a training run left behind: its weights, its settings, which fold it held out."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from pickle import UnpicklingError  # the name of torch's refusal, nothing is unpickled here
from typing import Any

import torch
from torch import Tensor

from pipeline.errors import PipelineError
from pipeline.networks.fracture_net import FractureNetSettings


class PackagingError(PipelineError):
    """The run cannot be packaged; says what is missing or wrong, and the remedy."""


@dataclass(frozen=True, eq=False)
class RunRecord:
    """A run. `weights` are the averaged ones of the shipped epoch; `history` has a line per epoch.

    `folds`, `fold`: how it was cross-validated (None: on the data's own split). `held_out`: the ids that it
    scored (None: not recorded). `part_names`, `type_names`: empty where the run does not say.
    """

    folder: Path
    shape: FractureNetSettings
    settings: dict[str, Any]
    weights: dict[str, Tensor]
    best_epoch: int
    history: list[dict[str, float]]
    folds: int | None
    fold: int | None
    held_out: tuple[str, ...] | None
    part_names: tuple[str, ...]
    type_names: tuple[str, ...]

    @property
    def size(self) -> int:
        """Side of the model input."""
        return int(self.settings["size"])

    @property
    def film_side(self) -> int:
        """Longest side of a film before it becomes a model input."""
        return int(self.settings["film_side"])


def read_run(folder: Path) -> RunRecord:
    """Reads `best.pt`, `run.json` and `scores.pt`; `weights_only` keeps a checkpoint from running code.

    Raises:
        PackagingError: there is no checkpoint, or it is not one of ours.
    """
    path = folder / "best.pt"
    if not path.is_file():
        raise PackagingError(
            f"{path}: missing; it is written after the first epoch that is judged, or at the end of a run "
            "that judges none"
        )
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
        said = _run_json(folder)
        return RunRecord(
            folder=folder,
            shape=_shape(state["shape"]),
            settings=state["settings"],
            weights=state["mean"],
            best_epoch=state["epoch"],
            history=list(said.get("history") or state["history"]),
            folds=said.get("folds"),
            fold=said.get("fold"),
            held_out=_held_out(folder),
            part_names=tuple(said.get("part_names", ())),
            type_names=tuple(said.get("type_names", ())),
        )
    except (UnpicklingError, RuntimeError, EOFError, LookupError, TypeError, ValueError) as error:
        raise PackagingError(
            f"{path}: not a checkpoint of `python -m pipeline.training`: {error}"
        ) from error


def _shape(given: dict[str, Any]) -> FractureNetSettings:
    known = {field.name for field in fields(FractureNetSettings)}
    wanted: dict[str, Any] = {
        name: tuple(value) if isinstance(value, list) else value
        for name, value in given.items()
        if name in known
    }
    return FractureNetSettings(**wanted)


def _run_json(folder: Path) -> dict[str, Any]:
    record = folder / "run.json"
    return dict(json.loads(record.read_text(encoding="utf-8"))) if record.is_file() else {}


def _held_out(folder: Path) -> tuple[str, ...] | None:
    path = folder / "scores.pt"
    if not path.is_file():
        return None
    return tuple(torch.load(path, map_location="cpu", weights_only=True, mmap=True)["ids"])


def read_runs(folders: Sequence[Path]) -> tuple[RunRecord, ...]:
    """One run, or the runs of several folds of one cross-validation, in the order of their folds.

    Raises:
        PackagingError: they do not belong together, or a fold is missing.
    """
    runs = [read_run(folder) for folder in folders]
    first = runs[0]
    if len(runs) == 1:
        return (first,)
    for run in runs[1:]:
        for name, own, other in (
            ("shape", run.shape, first.shape),
            ("size", run.size, first.size),
            ("film_side", run.film_side, first.film_side),
            ("folds", run.folds, first.folds),
        ):
            if own != other:
                raise PackagingError(
                    f"{run.folder}: {name} is {own}, but {other} in {first.folder}; members need the same"
                )
    held = sorted(-1 if run.fold is None else run.fold for run in runs)
    if first.folds is None or len(set(held)) < len(held):
        raise PackagingError(
            f"{', '.join(str(run.folder) for run in runs)}: they hold out the folds {held} of {first.folds}; "
            "give one run, or runs of different folds (`python -m pipeline.training --folds N --fold K`)"
        )
    return tuple(sorted(runs, key=lambda run: run.fold or 0))
