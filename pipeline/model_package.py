"""A model package: a folder that describes itself, verified file by file before anything of it is used.

```
weights/<name>/<x.y.z>/
  model.toml            identity, architecture by name, input, labels, regions, digests of the other files
  weights.safetensors   tensors, never code
  gate.safetensors      optional: what tells a limb's film from other pictures
  MODEL_CARD.md
  golden/               an input and its answer, replayed before serving
```
"""

from __future__ import annotations

import hashlib
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np
import safetensors.torch
import torch
from pydantic import ValidationError
from safetensors import SafetensorError
from torch import Tensor, nn

from pipeline.errors import ModelPackageError
from pipeline.golden import Golden, GoldenAnswer
from pipeline.model_description import (
    GATE,
    GOLDEN_ANSWER,
    GOLDEN_INPUT,
    PACKAGED_FILES,
    WEIGHTS,
    Architecture,
    ModelDescription,
)
from pipeline.networks.fracture_net import ARCHITECTURES, Members
from pipeline.pixel_gate import PixelGate, load_gate

DESCRIPTION = "model.toml"
_RESTORE = "restore the package as it was published"


@dataclass(frozen=True, eq=False)
class ModelPackage:
    """A verified package. `digest`: sha256 of model.toml, which holds the digests of all other files.

    `gate` is None in a package without one: its films are refused by their headers only. `profile`: sha256 of the
    site profile whose calibration and thresholds stand in the description in place of the package's; else empty.
    """

    folder: Path
    description: ModelDescription
    digest: str
    golden: Golden
    tensors: Mapping[str, Tensor] = field(repr=False)
    gate: PixelGate | None = None
    profile: str = ""

    def network(self) -> nn.Module:
        """A fresh network with the package's weights, float32, ready to read."""
        network = build_network(self.description.architecture)
        network.load_state_dict(self.tensors)
        return network.eval()


def load_package(folder: Path) -> ModelPackage:
    """Reads and verifies a package; what was verified is what is kept, no file is read twice.

    Raises:
        ModelPackageError: naming the file, what is wrong with it and the remedy.
    """
    text = _bytes_of(folder, DESCRIPTION)
    description = _description(folder / DESCRIPTION, text)
    contents = {name: _verified(folder, name, digest) for name, digest in description.files.items()}
    return ModelPackage(
        folder=folder,
        description=description,
        digest=hashlib.sha256(text).hexdigest(),
        golden=_golden(folder, contents),
        tensors=_tensors(folder / WEIGHTS, contents[WEIGHTS], description.architecture),
        gate=_gate(folder / GATE, contents, description),
    )


def build_network(architecture: Architecture) -> nn.Module:
    """A network of our own dictionary, untrained.

    Raises:
        ModelPackageError: the name is unknown, or the shape is not one that it has.
    """
    if architecture.name not in ARCHITECTURES:
        raise ModelPackageError(
            f"{DESCRIPTION}: architecture.name = {architecture.name!r} is not one of {sorted(ARCHITECTURES)}; "
            "use a release that knows it"
        )
    network, shape = ARCHITECTURES[architecture.name]
    try:
        settings = shape(**architecture.shape)  # type: ignore[arg-type]  # refused below
        if architecture.members == 1:
            return network(settings)
        return Members([network(settings) for _ in range(architecture.members)])
    except (TypeError, ValueError, RuntimeError) as error:
        raise ModelPackageError(
            f"{DESCRIPTION}: architecture.shape does not fit {architecture.name!r}: {error}; {_RESTORE}"
        ) from error


def shipped_packages_folder() -> Path:
    """The folder of the packages that came with this program: beside the code in a wheel and in a checkout."""
    rooms = Path(__file__).resolve().parent
    in_wheel = rooms / "_shipped" / "weights"
    return in_wheel if in_wheel.is_dir() else rooms.parent / "weights"


def default_package(packages: Path | None = None) -> Path:
    """The folder of the highest version; of two names with the same version, the last in the alphabet.

    Raises:
        ModelPackageError: there is none.
    """
    packages = packages or shipped_packages_folder()
    found = [path.parent for path in packages.glob(f"*/*/{DESCRIPTION}")]
    versions = [(version, path) for path in found if (version := _version(path.name))]
    if not versions:
        raise ModelPackageError(
            f"{packages}: no model package in it (<name>/<x.y.z>/{DESCRIPTION}); "
            "name one with [model] path, or package a trained run with `python -m pipeline.packaging`"
        )
    return max(versions, key=lambda entry: (entry[0], entry[1].parent.name))[1]


def _version(name: str) -> tuple[int, ...] | None:
    parts = name.split(".")
    return tuple(map(int, parts)) if len(parts) == 3 and all(map(str.isdecimal, parts)) else None


def _bytes_of(folder: Path, name: str) -> bytes:
    try:
        return (folder / name).read_bytes()
    except FileNotFoundError:
        raise ModelPackageError(f"{folder / name}: missing; {_RESTORE}") from None
    except OSError as error:
        raise ModelPackageError(f"{folder / name}: cannot be read: {error.strerror}") from error


def _verified(folder: Path, name: str, digest: str) -> bytes:
    contents = _bytes_of(folder, name)
    found = hashlib.sha256(contents).hexdigest()
    if found != digest:
        raise ModelPackageError(
            f"{folder / name}: sha256 is {found[:12]}..., {DESCRIPTION} says {digest[:12]}...; {_RESTORE}"
        )
    return contents


def _description(path: Path, text: bytes) -> ModelDescription:
    try:
        return ModelDescription.model_validate(tomllib.loads(text.decode("utf-8")))
    except ValidationError as error:
        faults = "; ".join(
            f"{'.'.join(map(str, fault['loc'])) or DESCRIPTION}: {fault['msg'].removeprefix('Value error, ')}"
            for fault in error.errors()
        )
        raise ModelPackageError(f"{path}: {faults}; {_RESTORE}") from error
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ModelPackageError(f"{path}: not valid TOML: {error}; {_RESTORE}") from error


def _golden(folder: Path, contents: Mapping[str, bytes]) -> Golden:
    grey = cv2.imdecode(np.frombuffer(contents[GOLDEN_INPUT], np.uint8), cv2.IMREAD_UNCHANGED)
    if grey is None or grey.ndim != 2 or grey.dtype != np.uint8:
        raise ModelPackageError(f"{folder / GOLDEN_INPUT}: not an 8-bit grey PNG; {_RESTORE}")
    try:
        answer = GoldenAnswer.model_validate_json(contents[GOLDEN_ANSWER])
    except ValidationError as error:
        raise ModelPackageError(
            f"{folder / GOLDEN_ANSWER}: not a golden answer: {error}; {_RESTORE}"
        ) from error
    return Golden(grey.astype(np.float32) / np.float32(255), answer)


def _gate(path: Path, contents: Mapping[str, bytes], description: ModelDescription) -> PixelGate | None:
    if description.gate is None:
        return None
    architecture, side = description.architecture, description.input.size
    with torch.device("meta"):  # asks for the width of the features, computes nothing
        features = build_network(architecture).eval()(torch.empty(1, 1, side, side)).features.shape[1]
    members = architecture.members
    return load_gate(path, contents[path.name], description.gate, members, features // members)


def _tensors(path: Path, contents: bytes, architecture: Architecture) -> Mapping[str, Tensor]:
    try:
        tensors = safetensors.torch.load(contents)
    except (SafetensorError, ValueError, KeyError) as error:
        raise ModelPackageError(f"{path}: not a safetensors file: {error}; {_RESTORE}") from error
    with torch.device("meta"):  # shapes only: nothing is allocated before the file has been checked
        wanted = build_network(architecture).state_dict()
    for name in sorted(wanted.keys() - tensors.keys()):
        raise ModelPackageError(f"{path}: tensor {name!r} is missing; {_RESTORE}")
    for name in sorted(tensors.keys() - wanted.keys()):
        raise ModelPackageError(
            f"{path}: tensor {name!r} is not one of {architecture.name!r}; {_RESTORE}"
        )
    for name, tensor in tensors.items():
        if tensor.shape != wanted[name].shape:
            raise ModelPackageError(
                f"{path}: tensor {name!r} has shape {tuple(tensor.shape)}, "
                f"the architecture wants {tuple(wanted[name].shape)}; {_RESTORE}"
            )
        if not tensor.isfinite().all():
            raise ModelPackageError(f"{path}: tensor {name!r} is not finite; {_RESTORE}")
    return {name: tensor.to(wanted[name].dtype) for name, tensor in tensors.items()}


__all__ = [
    "DESCRIPTION",
    "PACKAGED_FILES",
    "ModelPackage",
    "build_network",
    "default_package",
    "load_package",
    "shipped_packages_folder",
]
