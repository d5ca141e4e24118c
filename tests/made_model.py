"""A whole model package in a second: a tiny network with random weights, fitted on drawn films."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from pathlib import Path

import torch

from pipeline.networks.fracture_net import FractureNet, FractureNetSettings
from pipeline.packaging.held_out import TrainingData
from pipeline.packaging.packing import write_package
from pipeline.training.fitting import FittingSettings
from tests.made_films import make_fracatlas

# Not narrower: oneDNN (torch 2.15) writes past its buffers when it trains 4 channels laid out channels last.
TINY = FractureNetSettings((8, 16, 16, 16), (1, 1, 1, 1), 4)
# So many that a cluster of two is no giant, which would train in every fold.
FILMS_FOR_FOLDS = 48


def make_untrained_run(
    folder: Path,
    *,
    seed: int = 1,
    size: int = 64,
    folds: int | None = None,
    fold: int | None = None,
    shape: FractureNetSettings = TINY,
) -> Path:
    """A run folder as training leaves it, with weights that have learnt nothing."""
    folder.mkdir(parents=True)
    torch.manual_seed(seed)
    network = FractureNet(shape)
    # As drawn, every cell's heat is near 0.02, so no region would ever appear.
    assert network.decoder.heat.bias is not None
    torch.nn.init.constant_(network.decoder.heat.bias, -3.0)
    torch.nn.init.normal_(network.decoder.heat.weight, std=3.0)
    history = [{"epoch": 1, "loss": 1.0, "val_auc": 0.5}]
    torch.save(
        {
            "mean": network.state_dict(),
            "epoch": 1,
            "history": history,
            "shape": asdict(shape),
            "settings": asdict(FittingSettings(size=size, film_side=96)),
        },
        folder / "best.pt",
    )
    types = [f"type {index}" for index in range(shape.types)]
    record = {"folds": folds, "fold": fold, "history": history, "type_names": types}
    (folder / "run.json").write_text(json.dumps(record))
    return folder


def make_package(
    folder: Path,
    *,
    name: str = "tiny-net",
    version: str = "0.0.1",
    seed: int = 1,
    members: int = 1,
    box_head: bool = False,
) -> Path:
    """A verified package under `folder`/weights; its readings mean nothing, but are always the same.

    With several `members` there is one network for each fold of a cross-validation.
    """
    shape = replace(TINY, box_head=box_head)
    folds = members if members > 1 else None
    runs = [
        make_untrained_run(
            folder / f"run{fold}",
            seed=seed + fold,
            folds=folds,
            fold=fold if folds else None,
            shape=shape,
        )
        for fold in range(members)
    ]
    films = FILMS_FOR_FOLDS if members > 1 else 32
    return write_package(
        runs,
        folder / "weights",
        data=TrainingData(make_fracatlas(folder / "films", films=films)),
        name=name,
        version=version,
        draws=20,
        said=lambda _: None,
    )
