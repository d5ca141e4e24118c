"""Files that torch wrote: read without running what they say, and told from those of another run."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from pickle import UnpicklingError  # the name of torch's refusal, nothing is unpickled here
from typing import Any

import torch

from pipeline.networks.fracture_net import FractureNetSettings
from pipeline.training.errors import TrainingError
from pipeline.training.films import Film


def films_digest(films: Sequence[Film]) -> str:
    """A word for these films in this order: their ids and labels."""
    told = hashlib.sha256()
    for film in films:
        told.update(repr((film.id, film.fractured, film.parts, film.types, film.boxes)).encode())
    return told.hexdigest()


def load_tensors(path: Path, device: torch.device) -> dict[str, Any]:
    """A file of torch; `weights_only` keeps it from running code.

    Raises:
        TrainingError: there is none, it is damaged, or it holds something other than tensors.
    """
    try:
        state = torch.load(path, map_location=device, weights_only=True)
    except FileNotFoundError:
        raise TrainingError(f"{path}: there is no such file") from None
    except (UnpicklingError, RuntimeError, EOFError, ValueError, KeyError, OSError) as error:
        # Torch's own words advise weights_only=False, which would run what the file says.
        first = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise TrainingError(
            f"{path}: damaged, or holds more than tensors ({first[:160]}); nothing of it was run: give a "
            "state_dict as torch.save(network.state_dict(), path) writes it"
        ) from error
    if not isinstance(state, dict):
        raise TrainingError(f"{path}: holds no state_dict")
    return state


def refuse_other_run(checkpoint: Path, state: dict[str, Any], shape: FractureNetSettings) -> None:
    """Names the first difference between a checkpoint's network and the wanted one.

    Raises:
        TrainingError: there is one, or it is no checkpoint.
    """
    if "optimiser" not in state:
        raise TrainingError(f"{checkpoint}: no checkpoint of a training")
    refuse_other_shape(checkpoint, state, shape)


def refuse_other_shape(path: Path, state: dict[str, Any], shape: FractureNetSettings) -> None:
    """Names the first difference between a file's network and the wanted one.

    Raises:
        TrainingError: there is one, or the file tells no shape.
    """
    if "shape" not in state:
        raise TrainingError(f"{path}: no checkpoint of a training")
    for name, wanted in asdict(shape).items():
        stored = state["shape"].get(name)
        if stored is not None and stored != wanted:
            raise TrainingError(
                f"{path}: begun with {name} = {stored}, now {wanted}; resume with the same settings "
                "and films, or begin in another folder"
            )
