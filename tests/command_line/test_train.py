"""`dicom-node train`: what it leaves, and how it ends when it cannot."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from dicom_node.cli import app
from tests.made_films import make_fracatlas

SHORT = ("--epochs", 2, "--image-size", 64, "--batch-size", 4)


def run(*words: object) -> Result:
    """The command in this process."""
    return CliRunner().invoke(app, ["train", *map(str, words)], env={"COLUMNS": "200"})


@pytest.fixture(scope="module")
def films(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Drawn films of both kinds."""
    return make_fracatlas(tmp_path_factory.mktemp("data") / "films")


def test_one_command_trains_and_a_second_one_goes_no_further(films: Path, tmp_path: Path) -> None:
    """A run folder with its record; the same command again needs --resume, which finds nothing left to do."""
    out = tmp_path / "run"
    done = run("--data", films, "--out", out, *SHORT)
    assert done.exit_code == 0, done.output
    assert "trained; best.pt, run.json, metrics.json, curves.png" in done.output
    record = json.loads((out / "run.json").read_text())
    settings = record["settings"]
    assert (settings["size"], settings["crop_side"], settings["batch_size"]) == (64, 32, 4)
    assert settings["crop_epochs"] + settings["film_epochs"] == len(record["history"]) == 2
    assert {path.name for path in out.iterdir()} == {
        "best.pt", "last.pt", "run.json", "metrics.json", "scores.pt", "curves.png",
    }  # fmt: skip
    again = run("--data", films, "--out", out, *SHORT)
    assert again.exit_code == 1
    assert "--resume" in again.output
    resumed = run("--data", films, "--out", out, *SHORT, "--resume")
    assert resumed.exit_code == 0, resumed.output
    assert json.loads((out / "run.json").read_text())["history"] == record["history"]


def test_a_folder_that_is_no_data_set_is_named(tmp_path: Path) -> None:
    """1, a line that says which layouts there are, and no traceback."""
    (tmp_path / "nothing").mkdir()
    done = run("--data", tmp_path / "nothing", "--out", tmp_path / "run")
    assert done.exit_code == 1
    assert "fits none of the layouts" in done.output
    assert "Traceback" not in done.output


@pytest.mark.parametrize(
    ("words", "status", "message"),
    [
        (("--image-size", 100), 1, "size = 100: give a multiple of 32"),
        (("--fold", "two", "--folds", 3), 2, "neither a number nor all"),
        (("--freeze",), 1, "give backbone_weights"),
    ],
)
def test_settings_that_will_not_do_are_refused(
    films: Path, tmp_path: Path, words: tuple[object, ...], status: int, message: str
) -> None:
    """Before any film is read."""
    done = run("--data", films, "--out", tmp_path / "run", *words)
    assert done.exit_code == status
    assert message in done.output
    assert not (tmp_path / "run").exists()
