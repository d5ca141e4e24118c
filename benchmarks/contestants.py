"""The ways of running a network that the benchmarks compare: the node's engines, and two that it does not ship.

"torch fp32, contiguous" is what plain PyTorch does: eager, channels first, no inference mode. "openvino int8"
is the network quantised after training (static, convolutions only, per channel) with films of the training
split: tried, not shipped.
"""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from pipeline.engines.building import EngineBuilder
from pipeline.engines.engine import Engine, FloatArray, RawReading
from pipeline.engines.onnx_engine import OnnxEngine
from pipeline.engines.onnx_file import INPUT, make_onnx
from pipeline.engines.openvino_engine import OpenVinoEngine
from pipeline.errors import EngineUnavailableError
from pipeline.processor import has_bf16

NAIVE, INT8 = "torch fp32, contiguous", "openvino int8"


class ContiguousTorch:
    """As plain PyTorch reads: eager, channels first."""

    name = NAIVE

    def __init__(self, network: nn.Module) -> None:
        self._network = network.eval()

    def read(self, batch: FloatArray) -> RawReading:
        """Float32 (N, S, S) -> logits."""
        with torch.no_grad():
            said = self._network(torch.from_numpy(batch)[:, None])
        return RawReading(*(part.numpy() for part in said))


class Int8OpenVino(OpenVinoEngine):
    """OpenVINO on a quantised network."""

    @property
    def name(self) -> str:
        """Its own: this is no engine of the node."""
        return INT8


class _FilmReader:
    """Films one by one, as ONNX Runtime's calibration asks for them."""

    def __init__(self, films: FloatArray) -> None:
        self._films = iter(films)

    def get_next(self) -> dict[str, FloatArray] | None:
        """The next film, or None."""
        film = next(self._films, None)
        return None if film is None else {INPUT: film[None, None]}


def quantise(onnx: bytes, films: FloatArray) -> bytes:
    """The network with convolutions in int8; `films` (N, S, S) say how far each activation reaches."""
    from onnxruntime import quantization

    with tempfile.TemporaryDirectory() as folder:
        before, after = Path(folder) / "fp32.onnx", Path(folder) / "int8.onnx"
        before.write_bytes(onnx)
        quantization.quantize_static(
            str(before),
            str(after),
            _FilmReader(films),
            quant_format=quantization.QuantFormat.QDQ,
            op_types_to_quantize=["Conv"],
            per_channel=True,
            activation_type=quantization.QuantType.QUInt8,
            weight_type=quantization.QuantType.QInt8,
        )
        return after.read_bytes()


def contestants(make: Any, size: int, *, threads: int, calibration: FloatArray | None) -> list[Engine]:
    """Every engine that runs here, the naive one first; `make` builds the network anew for each.

    Int8 needs `calibration` (N, S, S) and the export extra; what cannot run is left out and said.
    """
    torch.set_num_threads(threads)
    onnx = make_onnx(make(), size)
    builder = EngineBuilder(make(), lambda: onnx, threads=threads, bf16=has_bf16())
    engines: list[Engine] = [ContiguousTorch(make())]
    engines += [builder.build(name) for name in builder.names()]
    with contextlib.suppress(EngineUnavailableError):
        engines.append(OnnxEngine(onnx, threads=threads))
    if calibration is None:
        print(f"{INT8}: left out, no films to calibrate it with (--data)")
        return engines
    try:
        engines.append(Int8OpenVino(quantise(onnx, calibration), threads=threads))
    except (ImportError, EngineUnavailableError) as error:
        print(f"{INT8}: left out: {error}")
    return engines


def spread_over(items: Sequence[Any], count: int) -> list[Any]:
    """At most `count` of them, evenly spaced, in order."""
    chosen = np.linspace(0, len(items) - 1, min(count, len(items))).round().astype(int)
    return [items[index] for index in chosen]
