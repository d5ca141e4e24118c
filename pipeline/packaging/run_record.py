"""What a training run left behind: its best weights, its settings, what it says of val."""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from pickle import UnpicklingError  # the name of torch's refusal, nothing is unpickled here
from typing import Any

import numpy as np
import torch
from torch import Tensor

from pipeline.networks.fracture_net import FractureNet, FractureNetSettings
from pipeline.training.films import Film
from pipeline.training.fitting import Scores, score

# By how many logits a run's scores and ours may differ: another machine, another batch.
SCORE_TOLERANCE = 0.05


class PackagingError(Exception):
    """The run cannot be packaged; says what is missing or wrong, and the remedy."""


@dataclass(frozen=True, eq=False)
class RunRecord:
    """A run. `weights` are the averaged ones of the best epoch; `history` has a line per epoch."""

    folder: Path
    shape: FractureNetSettings
    settings: dict[str, Any]
    weights: dict[str, Tensor]
    best_epoch: int
    history: list[dict[str, float]]

    @property
    def size(self) -> int:
        """Side of the model input."""
        return int(self.settings["size"])

    @property
    def film_side(self) -> int:
        """Longest side of a film before it becomes a model input."""
        return int(self.settings["film_side"])


def read_run(folder: Path) -> RunRecord:
    """Reads `best.pt`; `weights_only` keeps a checkpoint from running code.

    Raises:
        PackagingError: there is none, or it is not one of ours.
    """
    path = folder / "best.pt"
    if not path.is_file():
        raise PackagingError(
            f"{path}: missing; it is written after the first epoch on films that have a val split"
        )
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
        shape = FractureNetSettings(
            tuple(state["shape"]["widths"]), tuple(state["shape"]["blocks"]), state["shape"]["parts"]
        )
        return RunRecord(
            folder=folder,
            shape=shape,
            settings=state["settings"],
            weights=state["mean"],
            best_epoch=state["epoch"],
            history=_history(folder, state),
        )
    except (UnpicklingError, RuntimeError, EOFError, LookupError, TypeError, ValueError) as error:
        raise PackagingError(
            f"{path}: not a checkpoint of `python -m pipeline.training`: {error}"
        ) from error


def _history(folder: Path, state: dict[str, Any]) -> list[dict[str, float]]:
    record = folder / "run.json"
    if record.is_file():
        return list(json.loads(record.read_text(encoding="utf-8"))["history"])
    last = folder / "last.pt"
    if last.is_file():
        return list(torch.load(last, map_location="cpu", weights_only=True)["history"])
    return list(state["history"])


def val_scores(run: RunRecord, network: FractureNet, films: Sequence[Film]) -> Scores:
    """The run's own val scores where it has them and they are these weights'; else made here.

    Raises:
        PackagingError: the stored scores are not those of these weights.
    """
    path = run.folder / "val_scores.pt"
    if not path.is_file():
        return score(network, films, run.size)
    stored = torch.load(path, map_location="cpu", weights_only=True)
    if stored["ids"] != [film.id for film in films]:
        raise PackagingError(
            f"{path}: scores of other films than the data's val split; delete it to score anew"
        )
    fracture = stored["fracture"].float().numpy()
    probe = score(network, films[:4], run.size).fracture
    if not np.allclose(probe, fracture[:4], atol=SCORE_TOLERANCE):
        raise PackagingError(f"{path}: scores of other weights than best.pt's; delete it to score anew")
    return Scores(fracture, stored["parts"].float().numpy(), stored["heat"].float().numpy())


def image_free_scores(labels: Path, columns: Sequence[str], ids: Sequence[str]) -> list[float]:
    """For each film the share of fractures in train among films that agree in `columns`: no pixel is seen."""
    with labels.open(newline="", encoding="utf-8") as table:
        rows = list(csv.DictReader(table))
    counts: dict[tuple[str, ...], list[int]] = {}
    for row in rows:
        if row["split"] == "train":
            count = counts.setdefault(tuple(row[column] for column in columns), [0, 0])
            count[0] += row["fractured"] == "1"
            count[1] += 1
    everywhere = sum(count[0] for count in counts.values()) / max(1, sum(c[1] for c in counts.values()))
    by_id = {row["id"]: tuple(row[column] for column in columns) for row in rows}
    # Five films' worth of the overall share keeps a rare combination from looking certain.
    return [
        (counts.get(by_id[name], [0, 0])[0] + 5 * everywhere) / (counts.get(by_id[name], [0, 0])[1] + 5)
        for name in ids
    ]
