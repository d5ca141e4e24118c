"""Transfer learning: a ResNet's weights from a file, frozen or not, and files that will not do."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torchvision.models import resnet18, resnet34

from pipeline.model_package import load_package
from pipeline.networks.fracture_net import FractureNet, FractureNetSettings
from pipeline.packaging.__main__ import main as package
from pipeline.training.errors import TrainingError
from tests.made_films import make_fracatlas
from tests.pipeline.training_runs import record_of, run

ONE_EPOCH = {"crop_epochs": 0, "film_epochs": 1}


@pytest.fixture(scope="module")
def films(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Drawn films of both kinds."""
    return make_fracatlas(tmp_path_factory.mktemp("data") / "films")


@pytest.fixture(scope="module")
def resnet(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Torchvision's state_dict of a ResNet18 with random weights and statistics."""
    torch.manual_seed(4)
    state = resnet18().state_dict()
    for name, tensor in state.items():
        if name.endswith("running_mean"):
            tensor.normal_(0, 0.1)
    path = tmp_path_factory.mktemp("backbone") / "resnet18.pt"
    torch.save(state, path)
    return path


def encoder_of(folder: Path, kind: str) -> dict[str, torch.Tensor]:
    """The encoder's tensors, by torchvision's numbers of layers."""
    state = torch.load(folder / "last.pt", weights_only=True)[kind]
    return {name: tensor for name, tensor in state.items() if name.startswith("encoder.")}


def taken(weights: Path) -> dict[str, torch.Tensor]:
    """The encoder as the file gives it, before any step."""
    network = FractureNet(FractureNetSettings(backbone="resnet18"))
    network.encoder.take(torch.load(weights, weights_only=True), frozen=False)
    return {f"encoder.{name}": tensor for name, tensor in network.encoder.state_dict().items()}


def test_a_frozen_backbone_stays_as_the_file_has_it_and_becomes_a_package(
    films: Path, resnet: Path, tmp_path: Path
) -> None:
    """Bit for bit, batch norms' statistics too, in the raw and in the averaged network; the package knows its shape."""
    run(
        films, tmp_path / "run", backbone="resnet18", backbone_weights=resnet, freeze=True, fitting=ONE_EPOCH
    )  # fmt: skip
    given = taken(resnet)
    for kind in ("net", "mean"):
        found = encoder_of(tmp_path / "run", kind)
        assert found.keys() == given.keys()
        for name, tensor in given.items():
            assert torch.equal(found[name], tensor), f"{kind}: {name}"
    record = record_of(tmp_path / "run")
    assert (record["backbone_weights"], record["frozen"]) == ("resnet18.pt", True)
    words = [tmp_path / "run", "--data", films, "--version", "0.1.0", "--out", tmp_path / "weights"]
    assert package([*map(str, words), "--draws", "20"]) == 0
    packaged = load_package(tmp_path / "weights/fracture-net/0.1.0")
    assert packaged.description.architecture.shape["backbone"] == "resnet18"


def test_a_backbone_that_is_not_frozen_begins_with_the_file_and_learns(
    films: Path, resnet: Path, tmp_path: Path
) -> None:
    """Every stage moves, and none of it is far from where it began."""
    run(films, tmp_path / "run", backbone="resnet18", backbone_weights=resnet, fitting=ONE_EPOCH)
    given, found = taken(resnet), encoder_of(tmp_path / "run", "net")
    for stage in range(4):
        name = f"encoder.stages.{stage}.0.conv1.weight"
        assert not torch.equal(found[name], given[name])
        torch.testing.assert_close(found[name], given[name], atol=0.05, rtol=0)
    assert not torch.equal(found["encoder.stem.1.running_mean"], given["encoder.stem.1.running_mean"])


def test_weights_of_another_network_are_refused(films: Path, tmp_path: Path) -> None:
    """The file, the wanted network and the remedy, before anything is written."""
    torch.save(resnet34().state_dict(), tmp_path / "r34.pt")
    with pytest.raises(
        TrainingError, match=r"r34\.pt: not the weights of resnet18 .*another --backbone"
    ):
        run(films, tmp_path / "run", backbone="resnet18", backbone_weights=tmp_path / "r34.pt")
    assert not (tmp_path / "run/last.pt").exists()


def test_weights_that_are_missing_or_damaged_are_refused(films: Path, tmp_path: Path) -> None:
    """Each by its name."""
    with pytest.raises(TrainingError, match=r"none\.pt: there is no such file"):
        run(films, tmp_path / "run", backbone="resnet18", backbone_weights=tmp_path / "none.pt")
    (tmp_path / "text.pt").write_text("no weights")
    with pytest.raises(TrainingError, match=r"text\.pt: damaged"):
        run(films, tmp_path / "run", backbone="resnet18", backbone_weights=tmp_path / "text.pt")


def test_weights_that_hold_code_are_refused_and_not_run(films: Path, tmp_path: Path) -> None:
    """A file from somewhere is tensors or nothing."""

    class Planted:
        def __reduce__(self) -> tuple[object, ...]:
            return (Path.touch, (tmp_path / "ran",))

    torch.save({"conv1.weight": Planted()}, tmp_path / "bad.pt")
    with pytest.raises(TrainingError, match=r"bad\.pt: .*nothing of it was run"):
        run(films, tmp_path / "run", backbone="resnet18", backbone_weights=tmp_path / "bad.pt")
    assert not (tmp_path / "ran").exists()
