"""A run from labelled films to its folder: what it leaves, how it is stopped, resumed, ended early and refused."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from functools import partial
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from pipeline.networks.fracture_net import FractureNet, FractureNetSettings
from pipeline.training.checkpoint import load_tensors
from pipeline.training.curves import draw_curves
from pipeline.training.datasets.layouts import read_dataset
from pipeline.training.datasets.problems import DatasetError
from pipeline.training.errors import TrainingError, TrainingInterrupted
from pipeline.training.fitting import Fitting, FittingSettings, area_under_curve, film_loss, score
from pipeline.training.progress import Progress
from pipeline.training.run import train
from pipeline.training.run_settings import RunSettings, with_epochs, with_size
from tests.made_films import make_fracatlas
from tests.pipeline.training_runs import (
    FITTING,
    asked,
    record_of,
    run,
    stopped_in,
    weights_of,
)


@pytest.fixture(scope="module")
def films(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Drawn films of both kinds with boxes and masks."""
    return make_fracatlas(tmp_path_factory.mktemp("data") / "films")


@pytest.fixture(scope="module")
def whole(films: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that was never stopped."""
    out = tmp_path_factory.mktemp("runs") / "whole"
    torch.set_num_threads(1)
    run(films, out)
    return out


def same_weights(first: Path, second: Path) -> bool:
    """Bit for bit, the averaged ones too."""
    one, other = weights_of(first), weights_of(second)
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


@pytest.mark.parametrize("epoch", [1, 2, 4])
def test_a_stopped_run_goes_on_as_if_it_had_never_been_stopped(
    films: Path, whole: Path, tmp_path: Path, epoch: int
) -> None:
    """Ctrl-C in the first epoch, on crops and on films: the end is the same, bit for bit, and so is the record."""
    with pytest.raises(TrainingInterrupted, match=r"last\.pt holds .* of 4 epochs.*--resume") as stop:
        train(asked(films, tmp_path / "cut"), lambda _: None, stopped_in(epoch))
    assert stop.value.epoch == epoch - 1
    # What ran in between must not matter.
    torch.manual_seed(99)
    run(films, tmp_path / "cut", resume=True)
    assert same_weights(whole / "last.pt", tmp_path / "cut/last.pt")
    assert same_weights(whole / "best.pt", tmp_path / "cut/best.pt")
    assert record_of(whole)["metrics"] == record_of(tmp_path / "cut")["metrics"]


def test_ctrl_c_ends_the_program_with_130_and_says_how_to_go_on(films: Path, tmp_path: Path) -> None:
    """A real signal to a real process, also while it draws films in other threads."""
    command = [
        sys.executable, "-m", "pipeline.training", "--data", str(films), "--out", str(tmp_path / "run"),
        "--size", "64", "--film-side", "96", "--crop-side", "32", "--crop-epochs", "500", "--film-epochs", "1",
        "--batch-size", "4", "--widths", "8", "8", "16", "16", "--blocks", "1", "1", "1", "1",
    ]  # fmt: skip
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        # Whoever runs the tests in the background has them ignore Ctrl-C.
        preexec_fn=partial(signal.signal, signal.SIGINT, signal.SIG_DFL),
    ) as training:  # fmt: skip
        assert training.stdout is not None
        for line in training.stdout:
            if line.startswith("epoch 1/"):
                break
        training.send_signal(signal.SIGINT)
        _, said = training.communicate(timeout=120)
    assert training.returncode == 130, said
    assert "--resume" in said
    assert "Traceback" not in said
    assert torch.load(tmp_path / "run/last.pt", weights_only=True)["epoch"] >= 1


def test_a_run_folder_says_how_it_was_trained(whole: Path, films: Path) -> None:
    """Names, layout, counts, seed, versions, settings and figures; the curves are a picture."""
    record = record_of(whole)
    assert record["part_names"] == ["hand", "leg", "hip", "shoulder"]
    assert (record["type_names"], record["seed"], record["folds"]) == ([], 1, None)
    assert record["settings"]["crop_epochs"] == 2
    assert record["dataset"]["layout"] == "fracatlas"
    given = read_dataset(films, layout=None, film_side=96, said=lambda _: None).films
    for split, key in (("train", "train"), ("val", "held_out")):
        counted = [film for film in given if film.split == split]
        assert record["dataset"][key]["films"] == len(counted)
        assert record["dataset"][key]["fractured"] == sum(film.fractured for film in counted)
    assert record["versions"]["torch"] == torch.__version__
    metrics = record_of(whole, "metrics.json")
    assert [line["epoch"] for line in metrics["history"]] == [1, 2, 3, 4]
    assert set(metrics["part_auc"]) == {"hand", "leg", "hip", "shoulder"}
    assert cv2.imread(str(whole / "curves.png")) is not None
    assert str(films) not in (whole / "run.json").read_text()


def test_the_figures_are_of_the_weights_that_are_kept(whole: Path, films: Path) -> None:
    """`scores.pt` and `metrics.json` come from `best.pt`, also where a later epoch was worse."""
    best = torch.load(whole / "best.pt", weights_only=True)
    network = FractureNet(FractureNetSettings(**best["shape"]))
    network.load_state_dict(best["mean"])
    given = read_dataset(films, layout=None, film_side=96, said=lambda _: None).films
    held_out = [film for film in given if film.split == "val"]
    said = score(network, held_out, 64)
    stored = torch.load(whole / "scores.pt", weights_only=True)
    assert stored["ids"] == [film.id for film in held_out]
    np.testing.assert_allclose(stored["fracture"].numpy(), said.fracture, atol=1e-4)
    labels = np.array([film.fractured for film in held_out])
    metrics = record_of(whole, "metrics.json")
    assert metrics["auc"] == pytest.approx(area_under_curve(said.fracture, labels), abs=1e-6)
    assert metrics["loss"] == pytest.approx(film_loss(said.fracture, labels), abs=1e-4)
    assert metrics["best_epoch"] == best["epoch"]


@pytest.fixture(scope="module")
def hopeless(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Films of which those held out look the same in both classes: the AUC is one half after every epoch."""
    folder = make_fracatlas(tmp_path_factory.mktemp("hopeless") / "films")
    given = read_dataset(folder, layout=None, film_side=96, said=lambda _: None).films
    held_out = [film.id for film in given if film.split == "val"]
    for name in held_out[1:]:
        shutil.copy(folder / f"images/{held_out[0]}.jpg", folder / f"images/{name}.jpg")
    return folder


NEVER_BETTER = {"crop_epochs": 0, "film_epochs": 9, "patience": 2}


def test_a_run_without_a_gain_stops_early_and_keeps_the_best_weights(
    hopeless: Path, tmp_path: Path
) -> None:
    """The first epoch is the best of three that are the same: two judgements without a gain end the run."""
    said = run(hopeless, tmp_path / "run", fitting=NEVER_BETTER)
    record = record_of(tmp_path / "run")
    assert [line["val_auc"] for line in record["history"]] == [0.5, 0.5, 0.5]
    assert record["metrics"]["best_epoch"] == 1
    assert any("no gain in 2 judgements: stopped" in line for line in said)
    best, last = weights_of(tmp_path / "run/best.pt"), weights_of(tmp_path / "run/last.pt")
    assert not torch.equal(
        best["mean.heads.fracture_head.weight"], last["mean.heads.fracture_head.weight"]
    )


def test_a_run_that_stopped_early_has_ended_also_when_it_is_resumed(
    hopeless: Path, tmp_path: Path
) -> None:
    """Stopped by hand, resumed, ended early, and resumed once more: the very weights of a run left alone."""
    run(hopeless, tmp_path / "alone", fitting=NEVER_BETTER)
    with pytest.raises(TrainingInterrupted):
        train(asked(hopeless, tmp_path / "cut", fitting=NEVER_BETTER), lambda _: None, stopped_in(3))
    for _ in range(2):
        run(hopeless, tmp_path / "cut", fitting=NEVER_BETTER, resume=True)
        assert same_weights(tmp_path / "alone/last.pt", tmp_path / "cut/last.pt")
        assert same_weights(tmp_path / "alone/best.pt", tmp_path / "cut/best.pt")


def test_held_out_films_of_one_kind_do_not_end_the_run(films: Path, tmp_path: Path) -> None:
    """There is no AUC to choose by: the last weights are kept, and it is said."""
    given = read_dataset(films, layout=None, film_side=96, said=lambda _: None).films
    unfractured = [film for film in given if film.split == "val" and not film.fractured]
    fitting = Fitting(FractureNetSettings((8, 8, 16, 16), (1, 1, 1, 1), 4), FITTING, tmp_path)
    said: list[str] = []
    fitting.run([film for film in given if film.split == "train"], unfractured, said.append)
    assert any("the last epoch's weights are kept" in line for line in said)
    assert same_weights(tmp_path / "best.pt", tmp_path / "last.pt")
    assert all("val_auc" not in line for line in fitting.history)
    assert "val_loss" in fitting.history[-1]


def test_every_fold_is_held_out_once_and_judged_at_its_end(tmp_path: Path) -> None:
    """`fold` None trains one network for each; together their held-out films are all that may be held out."""
    data = make_fracatlas(tmp_path / "films", films=48)
    folders = train(
        asked(
            data, tmp_path / "folds", folds=2, fold=None, fitting={"crop_epochs": 1, "film_epochs": 1}
        ),
        lambda _: None,
    )
    assert folders == (tmp_path / "folds/fold0", tmp_path / "folds/fold1")
    ids = [torch.load(folder / "scores.pt", weights_only=True)["ids"] for folder in folders]
    assert not set(ids[0]) & set(ids[1])
    assert len(ids[0]) + len(ids[1]) == 48
    for fold, folder in enumerate(folders):
        assert (record_of(folder)["folds"], record_of(folder)["fold"]) == (2, fold)
        assert same_weights(folder / "best.pt", folder / "last.pt")


def test_a_run_is_never_written_over(films: Path, whole: Path) -> None:
    """Without --resume a folder that holds a run is refused, and stays as it was."""
    before = (whole / "last.pt").read_bytes()
    with pytest.raises(TrainingError, match=r"last\.pt: a run is there.*--resume"):
        run(films, whole)
    assert (whole / "last.pt").read_bytes() == before


def test_a_run_is_not_resumed_with_another_network_or_other_films(
    films: Path, whole: Path, tmp_path: Path
) -> None:
    """What differs is named; a changed setting that only shapes what is to come is said."""
    kept = shutil.copytree(whole, tmp_path / "run")
    with pytest.raises(TrainingError, match=r"begun with box_head = True, now False"):
        run(films, kept, resume=True, box_head=False)
    with pytest.raises(TrainingError, match=r"begun with other training films"):
        run(make_fracatlas(tmp_path / "others", films=40), kept, resume=True)
    said = run(films, kept, resume=True, fitting={"film_epochs": 3})
    assert any("begun with film_epochs = 2, goes on with 3" in line for line in said)
    assert len(record_of(kept)["history"]) == 5


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"fitting": {"size": 100}}, r"size = 100: give a multiple of 32"),
        ({"fitting": {"crop_side": 40}}, r"crop_side = 40: give a multiple of 32"),
        ({"fitting": {"batch_size": 1}}, r"batch_size = 1"),
        ({"fitting": {"crop_epochs": 0, "film_epochs": 0}}, r"epochs = 0 \+ 0"),
        ({"folds": 3, "fold": 3}, r"fold = 3: of 3 folds give 0 to 2"),
        ({"folds": 3, "fitting": {"patience": 2}}, r"patience = 2: a fold is judged once"),
        ({"fold": 1}, r"fold = 1: give folds"),
        ({"backbone": "vgg"}, r"backbone = 'vgg': give one of residual, resnet18"),
        ({"freeze": True}, r"freeze: .*give backbone_weights"),
        (
            {"backbone_weights": Path("r18.pt")},
            r"backbone = 'residual' takes none; give one of resnet18",
        ),
    ],
)
def test_settings_that_contradict_each_other_are_refused_before_any_film_is_read(
    tmp_path: Path, changes: dict[str, object], message: str
) -> None:
    """The key, its value and the remedy; the folder of films is not even there."""
    with pytest.raises(TrainingError, match=message):
        asked(tmp_path / "nothing", tmp_path / "run", **changes)


def test_channels_that_would_corrupt_memory_are_refused(tmp_path: Path) -> None:
    """Fewer than eight."""
    with pytest.raises(TrainingError, match=r"widths = \[4, 8, 8, 8\]: give 8 at least"):
        RunSettings(tmp_path, tmp_path, widths=(4, 8, 8, 8))


def test_fewer_films_than_a_batch_are_refused_with_the_number_that_would_do(
    films: Path, tmp_path: Path
) -> None:
    """Else every epoch would be empty and nobody would know."""
    with pytest.raises(TrainingError, match=r"batch_size = 64: .*give --batch-size \d+ or less"):
        run(films, tmp_path / "run", fitting={"batch_size": 64})


def test_a_loss_that_is_no_number_ends_the_run(films: Path, tmp_path: Path) -> None:
    """The last whole epoch stays as it was."""
    with pytest.raises(TrainingError, match=r"epoch 1: the loss is .*lower --rate"):
        run(films, tmp_path / "run", fitting={"rate": 1e30})
    assert torch.load(tmp_path / "run/last.pt", weights_only=True)["epoch"] == 0


def test_a_data_set_that_cannot_be_trained_on_leaves_no_run(films: Path, tmp_path: Path) -> None:
    """A patient in two splits: named, and nothing is begun."""
    data = Path(shutil.copytree(films, tmp_path / "films"))
    table = (data / "labels.csv").read_text().splitlines()
    table[1] = table[1].rsplit(",", 2)[0] + ",val,C0"
    (data / "labels.csv").write_text("\n".join(table) + "\n")
    with pytest.raises(DatasetError, match=r"C0"):
        run(data, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_film_that_cannot_be_read_is_named_and_left_out(films: Path, tmp_path: Path) -> None:
    """The others are trained on."""
    data = Path(shutil.copytree(films, tmp_path / "films"))
    broken = data / "images/made_001.jpg"
    broken.write_bytes(broken.read_bytes()[:300])
    said = run(data, tmp_path / "run", fitting={"crop_epochs": 0, "film_epochs": 1})
    assert any("made_001.jpg" in line for line in said)
    counts = record_of(tmp_path / "run")["dataset"]
    assert counts["train"]["films"] + counts["held_out"]["films"] == 31


def test_progress_rises_evenly_to_one(films: Path, tmp_path: Path) -> None:
    """Every step is told, crops before films, and a film's step counts for more than a crop's."""
    steps: list[Progress] = []
    train(asked(films, tmp_path / "run"), lambda _: None, steps.append)
    shares = [step.share for step in steps]
    assert shares == sorted(shares)
    assert shares[-1] == pytest.approx(1.0)
    assert {step.stage for step in steps if step.epoch == 1} == {"crops"}
    assert {step.stage for step in steps if step.epoch == steps[-1].epoch} == {"films"}
    crops = max(step.share for step in steps if step.stage == "crops")
    assert crops == pytest.approx(32**2 / (32**2 + 64**2))


def test_epochs_are_shared_out_in_the_default_proportion() -> None:
    """One number on the command line; whole films always get an epoch."""
    usual = FittingSettings()
    for epochs in (1, 2, 7, 42, 100):
        shared = with_epochs(usual, epochs)
        assert shared.crop_epochs + shared.film_epochs == epochs
        assert shared.film_epochs >= 1
        wanted = epochs * usual.crop_epochs / (usual.crop_epochs + usual.film_epochs)
        assert abs(shared.crop_epochs - wanted) <= 1
    sized = with_size(usual, 512)
    assert (sized.size, sized.crop_side, sized.film_side) == (512, 256, 512)


def test_a_checkpoint_that_holds_code_is_refused_and_not_run(tmp_path: Path) -> None:
    """A pickle may run anything when it is loaded."""

    class Planted:
        def __reduce__(self) -> tuple[object, ...]:
            return (Path.touch, (tmp_path / "ran",))

    torch.save({"net": Planted()}, tmp_path / "last.pt")
    with pytest.raises(TrainingError, match=r"last\.pt: .*nothing of it was run"):
        load_tensors(tmp_path / "last.pt", torch.device("cpu"))
    assert not (tmp_path / "ran").exists()


def test_curves_are_drawn_also_of_one_epoch_and_of_none() -> None:
    """A rehearsal has a point and no line; a better loss lies lower."""
    empty = draw_curves([])
    one = draw_curves([{"epoch": 1, "loss": 2.0}])
    assert empty.shape == one.shape == (400, 1280, 3)
    assert not np.array_equal(empty, one)
    falling = draw_curves(
        [{"epoch": n, "loss": 3.0 - n / 2, "val_auc": 0.5 + n / 10} for n in (1, 2, 3, 4)]
    )
    blue = np.argwhere((falling[50:350, 80:620] == (178, 114, 0)).all(2))
    first, last = blue[blue[:, 1].argmin()], blue[blue[:, 1].argmax()]
    assert first[0] < last[0]


def test_a_run_can_begin_with_the_weights_of_another(films: Path, whole: Path, tmp_path: Path) -> None:
    """So trainings add up: the first epoch starts where the other run's best weights were."""
    said = run(films, tmp_path / "on", begin_with=whole / "best.pt", fitting={"rate": 1e-12})
    assert f"{whole / 'best.pt'}: its weights are the first" in said
    before, after = weights_of(whole / "best.pt"), weights_of(tmp_path / "on" / "best.pt")
    name = "net.encoder.stem.0.weight"
    assert torch.allclose(before["mean" + name.removeprefix("net")], after[name], atol=1e-6)
    assert record_of(tmp_path / "on")["begun_with"] == "best.pt"


def test_a_run_does_not_begin_with_another_network(films: Path, whole: Path, tmp_path: Path) -> None:
    """The difference is named."""
    other = RunSettings(
        films, tmp_path / "on", widths=(8, 8, 16, 24), blocks=(1, 1, 1, 1), fitting=FITTING,
        begin_with=whole / "best.pt",
    )  # fmt: skip
    with pytest.raises(TrainingError, match=r"best.pt: begun with widths"):
        train(other, said=lambda _: None)
