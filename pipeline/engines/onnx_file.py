"""A network as an ONNX file: one input, one named output for each field of a reading."""

from __future__ import annotations

import importlib
import io
import warnings
from collections.abc import Mapping
from dataclasses import fields
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from pipeline.engines.engine import FloatArray, RawReading
from pipeline.errors import EngineError, EngineUnavailableError

INPUT = "images"
OUTPUTS = tuple(field.name for field in fields(RawReading))
# What every runtime of the last years reads; nothing newer is needed.
OPSET = 17


class _SpeakingOutputs(nn.Module):
    """The network without outputs that have no channel: not every runtime takes an empty tensor."""

    def __init__(self, network: nn.Module, kept: tuple[int, ...]) -> None:
        super().__init__()
        self.network, self.kept = network, kept

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        said = self.network(images)
        return tuple(said[index] for index in self.kept)


def import_onnx() -> Any:
    """The library, which the node does not need.

    Raises:
        EngineUnavailableError: it is not installed.
    """
    try:
        # Asked for by name: an extra.
        return importlib.import_module("onnx")
    except ImportError as error:
        raise EngineUnavailableError(
            'onnx is not installed: pip install "fracture-node[export]"'
        ) from error


def make_onnx(network: nn.Module, size: int) -> bytes:
    """The ONNX file of a network for films of side `size`, any number at a time.

    Input "images": float32 (n, 1, size, size). Outputs: the fields of `RawReading` that have values.

    Raises:
        EngineUnavailableError: onnx, which torch writes the file with, is not installed.
        EngineError: torch cannot write this network.
    """
    import_onnx()
    images = torch.zeros(1, 1, size, size)
    with torch.inference_mode():
        said = network.eval()(images)
    kept = tuple(index for index, part in enumerate(said) if part.numel())
    names = [OUTPUTS[index] for index in kept]
    file = io.BytesIO()
    with warnings.catch_warnings(), torch.no_grad():
        # Torch's newer exporter wants one more library and gives the same graph.
        warnings.simplefilter("ignore")
        try:
            torch.onnx.export(
                _SpeakingOutputs(network, kept).eval(),
                (images,),
                file,  # type: ignore[arg-type]  # this exporter takes files that are open
                input_names=[INPUT],
                output_names=names,
                dynamic_axes={name: {0: "n"} for name in (INPUT, *names)},
                opset_version=OPSET,
                dynamo=False,
            )
        except RuntimeError as error:
            raise EngineError(f"the network cannot be written as ONNX: {error}") from error
    return file.getvalue()


def reading_of(outputs: Mapping[str, FloatArray], films: int, side: int) -> RawReading:
    """The outputs of such a file, run on (films, 1, side, side), as a reading.

    Raises:
        EngineError: an output that every network has is missing.
    """
    missing = {"fracture", "parts", "heat", "features"} - outputs.keys()
    if missing:
        raise EngineError(f"the network file has no output {', '.join(sorted(missing))}")
    empty = {
        "types": np.zeros((films, 0), np.float32),
        "boxes": np.zeros((films, 0, side // 4, side // 4), np.float32),
    }
    said = {name: outputs.get(name, empty.get(name)) for name in OUTPUTS}
    return RawReading(**{name: np.array(value, np.float32) for name, value in said.items()})
