"""A run from labelled films to checkpoints; a run that was cut off goes on as if it had not been."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from pipeline.analysis import Analyzer
from pipeline.packaging.__main__ import main as package
from pipeline.radiograph import Radiograph
from pipeline.training.datasets.fracatlas import DatasetError, read_fracatlas
from pipeline.training.fitting import Fitting, FittingSettings
from tests.made_films import make_fracatlas
from tests.made_model import TINY

SETTINGS = FittingSettings(
    size=64, film_side=96, crop_side=32, crop_epochs=2, film_epochs=2, batch_size=4
)


def weights_of(checkpoint: Path) -> dict[str, torch.Tensor]:
    """Raw and averaged weights."""
    state = torch.load(checkpoint, weights_only=True)
    return {
        f"{kind}.{name}": tensor for kind in ("net", "mean") for name, tensor in state[kind].items()
    }


class CutOffError(Exception):
    """The power fails."""


def fit(data: Path, out: Path, *, cut_after: int | None = None, resume: bool = False) -> None:
    """A run in this process; `cut_after` ends it after so many epochs."""
    out.mkdir(exist_ok=True)
    films = read_fracatlas(data, film_side=SETTINGS.film_side)
    fitting = Fitting(TINY, SETTINGS, out)
    if resume:
        fitting.resume(out / "last.pt")

    def said(_: str) -> None:
        if fitting.epoch == cut_after:
            raise CutOffError

    train = [film for film in films if film.split == "train"]
    fitting.run(train, [film for film in films if film.split == "val"], said)


@pytest.mark.parametrize("cut_after", [1, 3])
def test_a_resumed_run_ends_with_the_very_weights_of_one_that_was_never_cut(
    tmp_path: Path, cut_after: int
) -> None:
    """In the stage of crops and in that of films; dropout, augmentation and averaging included."""
    data = make_fracatlas(tmp_path / "films")
    fit(data, tmp_path / "whole")
    with pytest.raises(CutOffError):
        fit(data, tmp_path / "cut", cut_after=cut_after)
    # What ran in between must not matter.
    torch.manual_seed(99)
    fit(data, tmp_path / "cut", resume=True)
    whole, resumed = weights_of(tmp_path / "whole/last.pt"), weights_of(tmp_path / "cut/last.pt")
    assert whole.keys() == resumed.keys()
    for name, tensor in whole.items():
        assert torch.equal(tensor, resumed[name]), name


def test_a_run_becomes_a_package_that_reads_films(tmp_path: Path, phantom: Radiograph) -> None:
    """From the command line to findings: `python -m pipeline.training`, then `python -m pipeline.packaging`."""
    data = make_fracatlas(tmp_path / "films")
    run, packages = tmp_path / "run", tmp_path / "weights"
    subprocess.run(
        [
            sys.executable, "-m", "pipeline.training", "--data", str(data), "--out", str(run),
            "--size", "64", "--film-side", "96", "--crop-side", "32", "--crop-epochs", "1",
            "--film-epochs", "1", "--batch-size", "4", "--widths", "8", "16", "16", "16", "--blocks", "1", "1", "1", "1",
        ],
        check=True, capture_output=True, timeout=120, env={**os.environ, "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    assert (run / "val_scores.pt").is_file()
    asked = [
        str(run),
        "--data",
        str(data),
        "--version",
        "0.1.0",
        "--out",
        str(packages),
        "--draws",
        "20",
    ]
    assert package(asked) == 0
    findings = Analyzer.open(packages / "fracture-net" / "0.1.0", threads=1).analyze(phantom)
    assert findings.fracture_probability is not None
    card = (packages / "fracture-net/0.1.0/MODEL_CARD.md").read_text()
    assert "epoch 2 of 2 shipped" in card or "epoch 1 of 2 shipped" in card


def test_scores_of_other_weights_are_not_packaged(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A run folder in which two runs met: thresholds of one must not be shipped with weights of the other."""
    data = make_fracatlas(tmp_path / "films")
    fit(data, tmp_path / "run")
    films = [film for film in read_fracatlas(data, film_side=SETTINGS.film_side) if film.split == "val"]
    torch.save(
        {"ids": [film.id for film in films], "fracture": torch.full((len(films),), 9.0),
         "parts": torch.zeros(len(films), 4), "heat": torch.zeros(len(films), 16, 16)},
        tmp_path / "run/val_scores.pt",
    )  # fmt: skip
    asked = [str(tmp_path / "run"), "--data", str(data), "--version", "0.1.0", "--out", str(tmp_path)]
    assert package(asked) == 1
    assert "scores of other weights than best.pt's" in capsys.readouterr().err


def test_a_data_folder_without_tables_is_named(tmp_path: Path) -> None:
    """Which file is missing, and what the layout wants."""
    with pytest.raises(DatasetError, match=r"labels.csv: missing"):
        read_fracatlas(tmp_path, film_side=96)
