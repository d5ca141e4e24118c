"""A package's member back into a file that a training can begin with."""

from __future__ import annotations

from pathlib import Path

import torch

from pipeline.model_package import ModelPackage
from pipeline.packaging.run_record import PackagingError


def unpack_member(package: ModelPackage, member: int, path: Path) -> Path:
    """Writes the weights of one network of a package as `--begin-with` of the training takes them.

    They were stored in half precision, so the training does not go on where it ended, but close to it.

    Raises:
        PackagingError: the package has no such member, or the file exists.
    """
    count = package.description.architecture.members
    if not 0 <= member < count:
        raise PackagingError(
            f"{package.folder}: member = {member}, it has {count}: give 0 to {count - 1}"
        )
    if path.exists():
        raise PackagingError(f"{path}: there already; give another --out")
    prefix = f"networks.{member}." if count > 1 else ""
    weights = {
        name.removeprefix(prefix): tensor
        for name, tensor in package.tensors.items()
        if name.startswith(prefix)
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.save({"mean": weights, "shape": dict(package.description.architecture.shape)}, path)
    return path
