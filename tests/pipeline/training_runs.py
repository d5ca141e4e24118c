"""Trainings that end in seconds, and what they leave, for the tests of this folder."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from pipeline.training.fitting import FittingSettings
from pipeline.training.progress import Progress
from pipeline.training.run import train
from pipeline.training.run_settings import RunSettings

# Not narrower: oneDNN (torch 2.15) writes past its buffers when it trains 4 channels laid out channels last.
WIDTHS, BLOCKS = (8, 8, 16, 16), (1, 1, 1, 1)
FITTING = FittingSettings(
    size=64, film_side=96, crop_side=32, crop_epochs=2, film_epochs=2, batch_size=4
)


def asked(data: Path, out: Path, **changes: Any) -> RunSettings:
    """A tiny run: two epochs on crops, two on films; `fitting` is a dict of changes to its settings."""
    fitting = replace(FITTING, **changes.pop("fitting", {}))
    return RunSettings(data, out, widths=WIDTHS, blocks=BLOCKS, fitting=fitting, **changes)


def run(data: Path, out: Path, **changes: Any) -> list[str]:
    """Trains; returns what was said."""
    said: list[str] = []
    train(asked(data, out, **changes), said.append)
    return said


def stopped_in(epoch: int) -> Callable[[Progress], None]:
    """Somebody presses Ctrl-C in this epoch."""

    def watched(step: Progress) -> None:
        if step.epoch == epoch:
            raise KeyboardInterrupt

    return watched


def weights_of(checkpoint: Path) -> dict[str, torch.Tensor]:
    """Raw and averaged weights."""
    state = torch.load(checkpoint, weights_only=True)
    return {
        f"{kind}.{name}": tensor for kind in ("net", "mean") for name, tensor in state[kind].items()
    }


def record_of(folder: Path, name: str = "run.json") -> dict[str, Any]:
    """A run's record."""
    return dict(json.loads((folder / name).read_text(encoding="utf-8")))
