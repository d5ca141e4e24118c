"""`dicom-node evaluate` and `dicom-node model package`, as people type them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner

from dicom_node.cli import app
from tests.made_films import make_fracatlas
from tests.made_model import FILMS_FOR_FOLDS, make_package, make_untrained_run


@pytest.fixture(autouse=True)
def one_thread() -> None:
    """Tiny networks on several threads mostly wait for one another."""
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two networks, one for each of two folds; its films lie in `films` beside its weights."""
    return make_package(tmp_path_factory.mktemp("typed"), members=2)


def typed(*words: object) -> tuple[int, str]:
    """Exit status, and all that is printed."""
    given = CliRunner().invoke(app, [str(word) for word in words], terminal_width=200)
    return given.exit_code, given.output


def test_a_model_is_measured_and_the_report_lies_there(package: Path, tmp_path: Path) -> None:
    """Films that it was trained on are measured too, but it is said loudly."""
    films = package.parents[2] / "films"
    code, said = typed(
        "evaluate", "--model", package, "--data", films, "--draws", 2, "--limit", 12, "--out", tmp_path
    )
    assert code == 0, said
    assert "WARNING: 12 of these films were seen" in " ".join(said.split())
    assert json.loads((tmp_path / "figures.json").read_text())["films"] == 12
    assert (tmp_path / "report.html").is_file()


def test_committed_scores_give_the_committed_figures(package: Path, tmp_path: Path) -> None:
    """The folder of scores is enough: the package lies around it."""
    films = package.parents[2] / "films"
    code, said = typed(
        "evaluate", "--scores", package / "out_of_fold", "--data", films, "--draws", 20, "--out", tmp_path
    )  # fmt: skip
    assert code == 0, said
    assert "WARNING" not in said
    assert (tmp_path / "figures.json").read_bytes() == (package / "figures.json").read_bytes()


def test_what_cannot_be_measured_ends_with_a_line(package: Path, tmp_path: Path) -> None:
    """No layout, a split that there is not: status 1 and no traceback."""
    (tmp_path / "empty").mkdir()
    code, said = typed("evaluate", "--model", package, "--data", tmp_path / "empty")
    assert code == 1
    assert "fits none of the layouts" in " ".join(said.split())
    films = package.parents[2] / "films"
    code, said = typed("evaluate", "--model", package, "--data", films, "--split", "test")
    assert code == 1
    assert "--split test: there is val, train, all" in " ".join(said.split())


def test_a_library_that_is_not_installed_is_named_with_its_extra(
    package: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Measuring needs more than the node."""
    monkeypatch.setitem(__import__("sys").modules, "pipeline.evaluation.evaluating", None)
    code, said = typed("evaluate", "--model", package, "--data", package.parents[2] / "films")
    assert code == 1
    assert "fracture-node[training]" in said


def test_runs_are_packaged(tmp_path: Path) -> None:
    """The runs of both folds, in any order, into one package."""
    films = make_fracatlas(tmp_path / "films", films=FILMS_FOR_FOLDS)
    runs = [
        make_untrained_run(tmp_path / f"run{fold}", seed=fold, folds=2, fold=fold) for fold in (1, 0)
    ]
    code, said = typed(
        "model", "package", *runs, "--data", films, "--version", "1.0.0", "--draws", 2, "--out", tmp_path / "made",
        "--citation", "Us (2026)",
    )  # fmt: skip
    assert code == 0, said
    card = (tmp_path / "made/fracture-net/1.0.0/MODEL_CARD.md").read_text()
    assert "Citation: Us (2026)." in card
