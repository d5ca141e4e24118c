"""The network in OpenVINO, on the processor, in fp32 or bf16; read from an ONNX or OpenVINO IR file."""

from __future__ import annotations

import importlib
import io
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np

from pipeline.engines.engine import FloatArray, Precision, RawReading
from pipeline.engines.onnx_file import INPUT, reading_of
from pipeline.errors import EngineError, EngineUnavailableError
from pipeline.processor import threads_wanted

_HINTS = {"fp32": "f32", "bf16": "bf16"}


def import_openvino() -> Any:
    """The library, which the node does not need.

    Raises:
        EngineUnavailableError: it is not installed.
    """
    try:
        # Asked for by name: an extra, and without types.
        return importlib.import_module("openvino")
    except ImportError as error:
        raise EngineUnavailableError(
            'openvino is not installed: pip install "fracture-node[openvino]"'
        ) from error


class OpenVinoEngine:
    """Runs a network file: the bytes of an ONNX file, or the path of an ONNX or IR (.xml) file.

    `threads`: 0 takes one per core that this process may use.

    Raises:
        EngineUnavailableError: openvino is not installed.
        EngineError: it cannot read the file.
    """

    def __init__(self, model: bytes | Path, *, threads: int = 0, precision: Precision = "fp32") -> None:
        self._precision = precision
        self._core = import_openvino().Core()
        try:
            self._model = self._core.read_model(
                io.BytesIO(model) if isinstance(model, bytes) else model
            )
        except RuntimeError as error:
            raise EngineError(f"{self.name}: {error}") from error
        self._settings = {
            "PERFORMANCE_HINT": "LATENCY",
            "NUM_STREAMS": 1,
            "INFERENCE_NUM_THREADS": threads_wanted(threads),
            "INFERENCE_PRECISION_HINT": _HINTS[precision],
        }
        # One compiled network for each number of films: fixed shapes are faster, and there are few.
        self._requests: dict[tuple[int, ...], Any] = {}
        self._turn = Lock()

    @property
    def name(self) -> str:
        """E.g. "openvino bf16"."""
        return f"openvino {self._precision}"

    def read(self, batch: FloatArray) -> RawReading:
        """Float32 (N, S, S) -> logits.

        Raises:
            EngineError: OpenVINO failed this time.
        """
        try:
            with self._turn:
                said = self._request(batch.shape).infer({INPUT: batch[:, None]})
                outputs = {port.any_name: np.array(value, np.float32) for port, value in said.items()}
        except (RuntimeError, MemoryError) as error:
            raise EngineError(f"{self.name}: {error}") from error
        return reading_of(outputs, len(batch), batch.shape[-1])

    def _request(self, shape: tuple[int, ...]) -> Any:
        if shape not in self._requests:
            films, *side = shape
            self._model.reshape({INPUT: [films, 1, *side]})
            compiled = self._core.compile_model(self._model, "CPU", self._settings)
            self._requests[shape] = compiled.create_infer_request()
        return self._requests[shape]
