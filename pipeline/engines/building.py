"""The engines by name: which of them run well on this machine, and how each is made."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from typing import cast

import torch
from torch import nn

from pipeline.engines.engine import Engine, Precision
from pipeline.engines.openvino_engine import OpenVinoEngine
from pipeline.engines.torch_engine import TorchEngine
from pipeline.errors import EngineUnavailableError

EXACT = "torch fp32"
# The simplest first: of two that are equally fast the first is taken.
ENGINES = (EXACT, "torch bf16", "openvino fp32", "openvino bf16", "cuda fp32", "cuda bf16")


class EngineBuilder:
    """Makes engines of one network; `onnx` gives it as an ONNX file, and is asked only when one is needed."""

    def __init__(
        self, network: nn.Module, onnx: Callable[[], bytes], *, threads: int, bf16: bool
    ) -> None:
        self._network, self._onnx, self._threads, self._bf16 = network, onnx, threads, bf16

    def names(self) -> tuple[str, ...]:
        """What is worth measuring here: installed, with its device there, and bf16 only where it is native."""
        libraries = ["torch"]
        if all(map(importlib.util.find_spec, ("openvino", "onnx"))):
            libraries.append("openvino")
        precisions = ["fp32", "bf16"] if self._bf16 else ["fp32"]
        here = {f"{library} {precision}" for library in libraries for precision in precisions}
        if torch.cuda.is_available():
            here |= {"cuda fp32"} | ({"cuda bf16"} if torch.cuda.is_bf16_supported(False) else set())
        return tuple(name for name in ENGINES if name in here)

    def build(self, name: str) -> Engine:
        """The engine of a name of `ENGINES`.

        Raises:
            EngineUnavailableError: there is none of that name, or it cannot run on this machine.
            EngineError: it could not be made this time.
        """
        if name not in ENGINES:
            raise EngineUnavailableError(f"engine = {name!r} is not one of {', '.join(ENGINES)}")
        library, _, word = name.partition(" ")
        precision = cast(Precision, word)
        if library == "openvino":
            return OpenVinoEngine(self._onnx(), threads=self._threads, precision=precision)
        if library == "torch":
            return TorchEngine(self._network, threads=self._threads, precision=precision)
        if not torch.cuda.is_available():
            raise EngineUnavailableError(f"engine = {name!r}: torch sees no GPU on this machine")
        return TorchEngine(self._network, threads=self._threads, precision=precision, device="cuda")
