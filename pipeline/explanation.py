"""Grad-CAM (Selvaraju et al., ICCV 2017): which places of a film the fracture's logit comes from."""

from __future__ import annotations

from pathlib import Path
from typing import Self

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from pipeline.activation_map import Arrow, Explanation
from pipeline.geometry import Placement
from pipeline.heat_map import spread_over_film
from pipeline.model_input import InputSettings, make_model_input
from pipeline.model_package import ModelPackage, default_package, load_package
from pipeline.networks.fracture_net import FractureNet
from pipeline.radiograph import FloatImage, Mask, Radiograph

Points = npt.NDArray[np.float64]

# Which of the encoder's stages is asked; docs/training.md says what was measured.
STAGE = -1
# Above this share of the maximum a place is hot; an arrow's tail stays out of it.
HOT = 0.35
# The arrow's length as shares of the film's longer side: the shorter one only where the longer has no room.
_LENGTHS = (0.22, 0.16, 0.11)
_DIRECTIONS = 24


class Explainer:
    """Explains films with the network of one verified package; keeps nothing of the last film.

    An engine only infers; gradients need the network itself, in fp32.
    """

    def __init__(self, network: nn.Module, settings: InputSettings) -> None:
        self._network = network.eval()
        self._settings = settings

    @classmethod
    def open(cls, path: Path | None = None) -> Self:
        """Loads and verifies a package, the shipped one by default.

        Raises:
            ModelPackageError: the package is damaged.
        """
        return cls.of_package(load_package(path or default_package()))

    @classmethod
    def of_package(cls, package: ModelPackage) -> Self:
        """With a package that is loaded."""
        return cls(package.network(), package.description.input.settings())

    def explain(self, radiograph: Radiograph) -> Explanation:
        """Where the film's fracture logit comes from, on the very input that serving reads."""
        given = make_model_input(
            radiograph.pixels,
            self._settings,
            mask=radiograph.mask,
            pixel_aspect=radiograph.pixel_aspect,
        )
        cells = class_activation(self._network, given.pixels)
        activation = on_film(cells, given.placement, radiograph.mask)
        return Explanation(activation, choose_arrow(activation))


def class_activation(network: nn.Module, pixels: FloatImage, stage: int = STAGE) -> FloatImage:
    """Float32 (S, S) -> (S / stride, S / stride) of that stage: evidence for a fracture, in logits, 0 or more.

    Of several members the mean is taken before the negative is cut off, as their logits are averaged.
    """
    members = [part for part in network.modules() if isinstance(part, FractureNet)]
    said = torch.stack([_evidence(member, pixels, stage) for member in members]).mean(0)
    return np.asarray(said.clamp(min=0).numpy(), dtype=np.float32)


def _evidence(network: FractureNet, pixels: FloatImage, stage: int) -> Tensor:
    """The stage's channels, each weighted with the mean slope of the fracture's logit along it."""
    kept: list[Tensor] = []
    hook = network.encoder.stages[stage].register_forward_hook(
        lambda _module, _given, made: kept.append(made)
    )
    try:
        # A caller may be in inference mode, which would leave no slopes.
        with torch.inference_mode(False), torch.enable_grad():
            logit = network(torch.from_numpy(pixels)[None, None]).fracture.sum()
            (slope,) = torch.autograd.grad(logit, kept[0])
    finally:
        hook.remove()
    return (slope.mean((2, 3), keepdim=True) * kept[0]).sum((0, 1)).detach()


def on_film(cells: FloatImage, placement: Placement, mask: Mask | None = None) -> FloatImage:
    """A map of the input's cells as float32 (rows, columns) of the film, stretched to a maximum of 1.

    The letterbox is undone; where the film is not exposed (`mask` false) nothing can speak.
    """
    film = np.clip(spread_over_film(cells, placement), 0, None)
    if mask is not None:
        film = np.where(mask, film, 0)
    highest = float(film.max())
    return np.asarray(film / highest if highest > 0 else film, dtype=np.float32)


def choose_arrow(activation: FloatImage) -> Arrow | None:
    """Head at the maximum; the tail inside the film, outside what is hot, where the shaft covers least of it.

    None where the map is empty. A film that is hot all over gets the shaft that covers least.
    """
    rows, columns = activation.shape
    if not activation.any():
        return None
    row, column = np.unravel_index(int(activation.argmax()), activation.shape)
    head = np.array([column + 0.5, row + 0.5])
    turns = np.linspace(0, 2 * np.pi, _DIRECTIONS, endpoint=False) + np.pi / 4
    ways = np.stack([np.cos(turns), np.sin(turns)], 1)
    best: tuple[float, Points] | None = None
    for length in _LENGTHS:
        for way in ways:
            tail = head + way * length * max(rows, columns)
            if not (0 < tail[0] < columns and 0 < tail[1] < rows):
                continue
            covered = _along(activation, head, tail)
            # A hot tail is worse than any covered shaft, a short arrow a little worse than a long one.
            cost = float(covered.mean()) + 10 * float(covered[-1] > HOT) + 0.1 * (_LENGTHS[0] - length)
            if best is None or cost < best[0] - 1e-9:
                best = (cost, tail)
    tail = best[1] if best is not None else np.array([columns / 2, rows / 2])
    return Arrow((float(tail[0]), float(tail[1])), (float(head[0]), float(head[1])))


def _along(activation: FloatImage, head: Points, tail: Points) -> FloatImage:
    """The map's values on the way from head to tail."""
    steps = np.linspace(0, 1, 33)[:, None]
    places = (head + (tail - head) * steps).astype(np.int64)
    rows, columns = activation.shape
    inside = activation[places[:, 1].clip(0, rows - 1), places[:, 0].clip(0, columns - 1)]
    return np.asarray(inside, dtype=np.float32)
