"""A model package is verified before anything of it is used; what is wrong is named."""

from __future__ import annotations

import hashlib
import json
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import safetensors.torch
import tomlkit
import torch

from pipeline.analysis import Analyzer
from pipeline.errors import ModelPackageError
from pipeline.model_package import default_package, load_package, shipped_packages_folder
from pipeline.packaging.held_out import TrainingData
from pipeline.packaging.packing import write_package
from pipeline.packaging.run_record import PackagingError, read_run
from pipeline.training.datasets.problems import DatasetError
from tests.made_films import make_fracatlas
from tests.made_model import make_untrained_run


@pytest.fixture
def package(package_folder: Path, tmp_path: Path) -> Path:
    """A copy to damage."""
    return Path(shutil.copytree(package_folder, tmp_path / "0.0.1"))


def rewrite(package: Path, name: str, contents: bytes) -> None:
    """Replaces a file and its digest, as a forger or a careless author would."""
    (package / name).write_bytes(contents)
    with_description(
        package, lambda toml: toml["files"].update({name: hashlib.sha256(contents).hexdigest()})
    )


def with_description(package: Path, change: Callable[[dict], object]) -> None:
    """Changes model.toml."""
    toml = tomlkit.parse((package / "model.toml").read_text())
    change(toml)
    (package / "model.toml").write_text(tomlkit.dumps(toml))


def tensors_of(package: Path) -> dict[str, torch.Tensor]:
    """The stored tensors, as they are."""
    return safetensors.torch.load_file(package / "weights.safetensors")


def test_a_written_package_comes_back_with_the_run_s_weights_and_input(package_folder: Path) -> None:
    """What training found is what serves, up to what bfloat16 holds."""
    package = load_package(package_folder)
    trained = read_run(package_folder.parents[2] / "run0")
    assert (package.description.name, package.description.version) == ("tiny-net", "0.0.1")
    assert package.description.input.settings().size == trained.size == 64
    for name, tensor in package.network().state_dict().items():
        # It keeps eight bits.
        assert torch.allclose(tensor.double(), trained.weights[name].double(), rtol=2**-8, atol=1e-7), (
            name
        )


def test_the_package_s_digest_is_that_of_model_toml(package_folder: Path) -> None:
    """model.toml holds the digests of all other files, so its own stands for the whole."""
    text = (package_folder / "model.toml").read_bytes()
    assert load_package(package_folder).digest == hashlib.sha256(text).hexdigest()


def test_the_same_run_gives_the_same_package_byte_for_byte(
    package_folder: Path, tmp_path: Path
) -> None:
    """No clock and no chance enters a package."""
    again = write_package(
        [package_folder.parents[2] / "run0"], tmp_path, data=TrainingData(package_folder.parents[2] / "films"),
        name="tiny-net", version="0.0.1", draws=20, said=lambda _: None,
    )  # fmt: skip
    for path in (path for path in package_folder.rglob("*") if path.is_file()):
        assert path.read_bytes() == (again / path.relative_to(package_folder)).read_bytes(), path.name


@pytest.mark.parametrize(
    "name", ["weights.safetensors", "MODEL_CARD.md", "golden/input.png", "golden/answer.json"]
)
def test_one_changed_byte_is_refused(package: Path, name: str) -> None:
    """Also in the card: a digest covers everything that is published."""
    contents = bytearray((package / name).read_bytes())
    contents[len(contents) // 2] ^= 1
    (package / name).write_bytes(bytes(contents))
    with pytest.raises(ModelPackageError, match=rf"{name}: sha256 is .* restore the package"):
        load_package(package)


@pytest.mark.parametrize(
    "name", ["model.toml", "weights.safetensors", "golden/input.png", "golden/answer.json"]
)
def test_a_missing_file_is_named(package: Path, name: str) -> None:
    """A package without its golden answer is not served on trust."""
    (package / name).unlink()
    with pytest.raises(ModelPackageError, match=rf"{name}: missing"):
        load_package(package)


def _drop_golden(toml: dict) -> None:
    del toml["files"]["golden/answer.json"]


def _other_architecture(toml: dict) -> None:
    toml["architecture"]["name"] = "os.system"


def _other_shape(toml: dict) -> None:
    toml["architecture"]["shape"]["depth"] = 3


def _path_outside(toml: dict) -> None:
    toml["files"]["../../secret"] = "0" * 64


def _doubt_above(toml: dict) -> None:
    toml["fracture"]["thresholds"]["doubt"] = 0.999
    toml["fracture"]["thresholds"]["fracture"] = 0.5


def _unknown_key(toml: dict) -> None:
    toml["fracture"]["hook"] = "x"


def _part_too_many(toml: dict) -> None:
    toml["body_parts"].append(toml["body_parts"][0])


def _odd_size(toml: dict) -> None:
    toml["input"]["size"] = 100


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (_drop_golden, r"files: 'golden/answer.json' has no digest"),
        (_other_architecture, r"architecture.name = 'os.system' is not one of \['fracture-net'\]"),
        (_other_shape, r"architecture.shape does not fit 'fracture-net'.*depth"),
        (_path_outside, r"'../../secret' leaves the package"),
        (_doubt_above, r"fracture.thresholds: doubt = 0.999 is above fracture = 0.5"),
        (_unknown_key, r"fracture.hook: Extra inputs are not permitted"),
        (_part_too_many, r"shape.parts = 4, but 5 body_parts"),
        (_odd_size, r"input.size: .*multiple of 32"),
    ],
)
def test_a_description_that_contradicts_itself_is_refused(
    package: Path, change: Callable[[dict], None], said: str
) -> None:
    """The message names the key and what is wrong with it."""
    with_description(package, change)
    with pytest.raises(ModelPackageError, match=said):
        load_package(package)


def test_a_description_that_is_no_toml_is_refused(package: Path) -> None:
    """By the file's name, not with a parser's traceback."""
    (package / "model.toml").write_text("[identity\n")
    with pytest.raises(ModelPackageError, match=r"model.toml: not valid TOML"):
        load_package(package)


def _without(tensors: dict[str, torch.Tensor]) -> None:
    del tensors["heads.fracture_head.weight"]


def _with_another(tensors: dict[str, torch.Tensor]) -> None:
    tensors["extra"] = torch.zeros(2)


def _reshaped(tensors: dict[str, torch.Tensor]) -> None:
    tensors["evidence.weight"] = torch.zeros(1, 3)


def _not_finite(tensors: dict[str, torch.Tensor]) -> None:
    tensors["evidence.bias"] = torch.tensor([float("nan")])


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (_without, r"tensor 'heads.fracture_head.weight' is missing"),
        (_with_another, r"tensor 'extra' is not one of 'fracture-net'"),
        (_reshaped, r"tensor 'evidence.weight' has shape \(1, 3\), the architecture wants \(1, 2\)"),
        (_not_finite, r"tensor 'evidence.bias' is not finite"),
    ],
)
def test_weights_of_another_network_are_refused_by_the_tensor_s_name(
    package: Path, change: Callable[[dict[str, torch.Tensor]], None], said: str
) -> None:
    """Even with a matching digest."""
    tensors = tensors_of(package)
    change(tensors)
    rewrite(package, "weights.safetensors", safetensors.torch.save(tensors))
    with pytest.raises(ModelPackageError, match=said):
        load_package(package)


class Payload:
    """What an attacker pickles: it writes a file when it is loaded."""

    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self) -> tuple[object, ...]:
        return Path.write_text, (self.trace, "executed")


def test_a_pickle_as_weights_is_refused_and_runs_nothing(package: Path, tmp_path: Path) -> None:
    """Safetensors hold numbers only."""
    rewrite(package, "weights.safetensors", pickle.dumps(Payload(tmp_path / "trace")))
    with pytest.raises(ModelPackageError, match=r"weights.safetensors: not a safetensors file"):
        load_package(package)
    assert not (tmp_path / "trace").exists()


def test_a_checkpoint_cannot_run_code(tmp_path: Path) -> None:
    """Neither its weights nor the scores beside them."""
    run = make_untrained_run(tmp_path / "run")
    (run / "best.pt").rename(run / "honest.pt")
    torch.save({"mean": Payload(tmp_path / "trace")}, run / "best.pt")
    with pytest.raises(PackagingError, match=r"best.pt: not a checkpoint"):
        read_run(run)
    (run / "honest.pt").replace(run / "best.pt")
    torch.save({"ids": Payload(tmp_path / "trace")}, run / "scores.pt")
    with pytest.raises(PackagingError, match=r"not a checkpoint"):
        read_run(run)
    assert not (tmp_path / "trace").exists()


def test_a_model_that_answers_otherwise_is_not_served(package: Path) -> None:
    """The golden input is replayed at every start; here its answer was another network's."""
    answer = json.loads((package / "golden/answer.json").read_text())
    answer["fracture"] += 0.5
    rewrite(package, "golden/answer.json", json.dumps(answer).encode())
    load_package(package)
    with pytest.raises(ModelPackageError, match=r"answer.json: torch (fp32|bf16) answers 0.\d+ away"):
        Analyzer.open(package, threads=1)


def test_a_published_version_is_never_written_again(package_folder: Path) -> None:
    """Whoever has a version has the same bytes as everybody else."""
    with pytest.raises(PackagingError, match=r"published already and never edited"):
        write_package(
            [package_folder.parents[2] / "run0"], package_folder.parents[1],
            data=TrainingData(package_folder.parents[2] / "films"), name="tiny-net", version="0.0.1",
        )  # fmt: skip


def test_a_val_split_of_one_kind_cannot_give_thresholds(tmp_path: Path) -> None:
    """And nothing is left behind."""
    data = make_fracatlas(tmp_path / "films", films=20)
    with pytest.raises(DatasetError, match=r"val 0 fractured, 5 not"):
        write_package(
            [make_untrained_run(tmp_path / "run")], tmp_path / "weights",
            data=TrainingData(_without_val_fractures(data)), name="tiny-net", version="0.0.1", said=lambda _: None,
        )  # fmt: skip
    assert not list(tmp_path.glob("weights/**/model.toml"))


def _without_val_fractures(data: Path) -> Path:
    table = (data / "labels.csv").read_text().splitlines()
    kept = [line for line in table if ",val," not in line or line.split(",")[2] == "0"]
    (data / "labels.csv").write_text("\n".join([*kept, ""]))
    return data


def test_the_highest_version_is_the_default(package_folder: Path, tmp_path: Path) -> None:
    """By number, not by letter; an unfinished one does not count."""
    for version in ("0.2.0", "0.10.0", "0.9.9", "0.11.0.part"):
        shutil.copytree(package_folder, tmp_path / "tiny-net" / version)
    assert default_package(tmp_path) == tmp_path / "tiny-net" / "0.10.0"


def test_without_a_package_the_remedy_is_said(tmp_path: Path) -> None:
    """Not an empty list's traceback."""
    with pytest.raises(ModelPackageError, match=r"no model package in it .* \[model\] path"):
        default_package(tmp_path)


def test_the_shipped_packages_lie_beside_the_code() -> None:
    """In this checkout that is `weights/`; in a wheel it lies inside the package."""
    folder = shipped_packages_folder()
    assert folder.name == "weights"
    assert folder.parent.name == "_shipped" or (folder.parent / "pyproject.toml").is_file()


def test_the_card_says_what_every_reader_must_know(package_folder: Path) -> None:
    """Research only, that the data came without citation and licence, and that val's figures are optimistic."""
    card = (package_folder / "MODEL_CARD.md").read_text()
    for words in (
        "Not a medical device",
        "Citation: no citation given",
        "Licence of the data: not given",
        "these figures are optimistic",
    ):
        assert words in card
    assert "$" not in card
