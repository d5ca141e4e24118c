"""A fresh training from every layout: what the labels offer is learnt, what they lack is said, and all is packaged."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner

from dicom_node.cli import app
from pipeline.analysis import Analyzer
from pipeline.packaging.__main__ import main as package
from pipeline.radiograph import Radiograph
from pipeline.training.datasets.grouping import Grouping
from pipeline.training.datasets.labelled_file import images_in
from pipeline.training.datasets.layouts import LAYOUTS
from tests.made_datasets import make_coco, make_folder, make_mura, make_published_fracatlas, make_yolo
from tests.made_films import make_fracatlas
from tests.pipeline.training_runs import record_of, run

SHORT = {"crop_epochs": 1, "film_epochs": 1, "batch_size": 2}
BY_NUMBER = Grouping(by=r"^p\d+")


def make_types(folder: Path) -> Path:
    """Folders of two kinds of fracture and of none."""
    return make_folder(folder, kinds=("normal", "oblique", "spiral"), part="wrist")


CASES = [
    (make_fracatlas, "fracatlas", True, Grouping()),
    (make_published_fracatlas, "fracatlas-published", True, Grouping()),
    (make_coco, "coco", True, Grouping()),
    (make_yolo, "yolo", True, BY_NUMBER),
    (make_folder, "folder", False, Grouping()),
    (make_mura, "mura", False, Grouping()),
]


def test_no_layout_is_left_out() -> None:
    """A layout that is added is trained on and packaged here too."""
    assert sorted(layout for _, layout, _, _ in CASES) == sorted(LAYOUTS)


@pytest.mark.parametrize(
    ("make", "layout", "marked", "grouping"), CASES, ids=[layout for _, layout, _, _ in CASES]
)
def test_every_layout_can_be_trained_on_and_packaged(
    tmp_path: Path, make: Callable[[Path], Path], layout: str, marked: bool, grouping: Grouping
) -> None:
    """Found by its files. Without boxes and masks whole films are trained for all epochs, and it is said.

    The run becomes a package, and the commands read and measure the same data with it.
    """
    said = run(make(tmp_path / "films"), tmp_path / "run", fitting=SHORT, grouping=grouping)
    record = record_of(tmp_path / "run")
    assert record["dataset"]["layout"] == layout
    assert record["shape"]["box_head"] is marked
    assert record["settings"]["crop_epochs"] == (1 if marked else 0)
    assert len(record["history"]) == 2
    assert any("whole films only" in line for line in said) is not marked
    assert len(record["part_names"]) == record["shape"]["parts"]
    state = torch.load(tmp_path / "run/best.pt", weights_only=True)
    assert all(tensor.isfinite().all() for tensor in state["mean"].values())
    films, made = tmp_path / "films", tmp_path / "made" / "fracture-net" / "0.1.0"
    as_labelled = ["--data", films, "--draws", 2]
    as_labelled += ["--group-by", grouping.by] if grouping.by else []
    typed(
        "model",
        "package",
        tmp_path / "run",
        "--version",
        "0.1.0",
        "--out",
        tmp_path / "made",
        *as_labelled,
    )
    answer = json.loads(typed("predict", "--json", "--model", made, next(iter(images_in(films)))))
    assert (answer["model"], answer["reason"]) == ("fracture-net 0.1.0", None)
    # So few films can be told apart without an error, and then the calibration is as sure.
    assert 0 <= answer["fracture_probability"] <= 1
    assert answer["body_part"] in record["part_names"]
    typed("evaluate", "--model", made, "--split", "val", "--out", tmp_path / "report", *as_labelled)
    held_out = json.loads((made / "figures.json").read_text())
    measured = json.loads((tmp_path / "report/figures.json").read_text())
    assert (measured["films"], measured["fractured"]) == (held_out["films"], held_out["fractured"])
    assert 0 < measured["fractured"] < measured["films"]


def typed(*words: object) -> str:
    """What a command prints on its standard output, once it has ended well."""
    done = CliRunner().invoke(app, [str(word) for word in words])
    assert done.exit_code == 0, done.output
    return done.stdout


def test_types_of_fracture_are_learnt_and_packaged(tmp_path: Path, phantom: Radiograph) -> None:
    """A class beside the unfractured one is a type: the package names it and each film is answered for it."""
    data, out = make_types(tmp_path / "films"), tmp_path / "run"
    run(data, out, fitting=SHORT)
    record = record_of(out)
    assert (record["type_names"], record["shape"]["types"]) == (["oblique", "spiral"], 2)
    assert record["part_names"] == ["wrist"]
    assert set(record_of(out, "metrics.json")["type_auc"]) == {"oblique", "spiral"}
    findings = packaged(out, data, tmp_path / "weights").analyze(phantom)
    assert [label.name for label in findings.types] == ["oblique", "spiral"]
    assert all(0 <= label.probability <= 1 for label in findings.types)


def test_a_run_becomes_a_package_that_reads_films(tmp_path: Path, phantom: Radiograph) -> None:
    """Films to run to package to findings."""
    data = make_fracatlas(tmp_path / "films")
    run(data, tmp_path / "run", fitting={"crop_epochs": 1, "film_epochs": 1})
    findings = packaged(tmp_path / "run", data, tmp_path / "weights").analyze(phantom)
    assert findings.fracture_probability is not None
    assert findings.body_part is not None


def packaged(run_folder: Path, data: Path, target: Path) -> Analyzer:
    """An analyzer of the run's package."""
    words = [run_folder, "--data", data, "--version", "0.1.0", "--out", target, "--draws", 20]
    assert package([str(word) for word in words]) == 0
    return Analyzer.open(target / "fracture-net" / "0.1.0", threads=1)
