"""A whole model package in a second: a tiny network with random weights, fitted on drawn films."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import torch

from pipeline.networks.fracture_net import FractureNet, FractureNetSettings
from pipeline.packaging.writing import write_package
from pipeline.training.fitting import FittingSettings
from tests.made_films import make_fracatlas

# Not narrower: oneDNN (torch 2.15) writes past its buffers when it trains 4 channels laid out channels last.
TINY = FractureNetSettings((8, 16, 16, 16), (1, 1, 1, 1), 4)


def make_untrained_run(folder: Path, *, seed: int = 1, size: int = 64) -> Path:
    """A run folder as training leaves it, with weights that have learnt nothing."""
    folder.mkdir(parents=True)
    torch.manual_seed(seed)
    network = FractureNet(TINY)
    # As drawn, every cell's heat is near 0.02, so no region would ever appear.
    torch.nn.init.constant_(network.decoder.heat.bias, -3.0)
    torch.nn.init.normal_(network.decoder.heat.weight, std=3.0)
    torch.save(
        {
            "mean": network.state_dict(),
            "epoch": 1,
            "history": [{"epoch": 1, "loss": 1.0, "val_auc": 0.5}],
            "shape": asdict(TINY),
            "settings": asdict(FittingSettings(size=size, film_side=96)),
        },
        folder / "best.pt",
    )
    return folder


def make_package(
    folder: Path, *, name: str = "tiny-net", version: str = "0.0.1", seed: int = 1
) -> Path:
    """A verified package under `folder`/weights; its readings mean nothing, but are always the same."""
    return write_package(
        make_untrained_run(folder / "run", seed=seed),
        folder / "weights",
        data=make_fracatlas(folder / "films"),
        name=name,
        version=version,
        draws=20,
        said=lambda _: None,
    )
