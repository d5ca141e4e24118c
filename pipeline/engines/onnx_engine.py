"""The network in ONNX Runtime, on the processor, in fp32: what an exported ONNX file is checked with."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

from pipeline.engines.engine import FloatArray, RawReading
from pipeline.engines.onnx_file import INPUT, reading_of
from pipeline.errors import EngineError, EngineUnavailableError
from pipeline.processor import threads_wanted


class OnnxEngine:
    """Runs an ONNX file. `threads`: 0 takes one per core that this process may use.

    Raises:
        EngineUnavailableError: onnxruntime is not installed.
        EngineError: it cannot read the file.
    """

    name = "onnxruntime fp32"

    def __init__(self, model: bytes | Path, *, threads: int = 0) -> None:
        try:
            # Asked for by name: an extra, and without types.
            self._library: Any = importlib.import_module("onnxruntime")
        except ImportError as error:
            raise EngineUnavailableError(
                'onnxruntime is not installed: pip install "fracture-node[export]"'
            ) from error
        options = self._library.SessionOptions()
        options.intra_op_num_threads = threads_wanted(threads)
        # Its errors have no base of their own.
        try:
            self._session = self._library.InferenceSession(
                model if isinstance(model, bytes) else str(model),
                options,
                providers=["CPUExecutionProvider"],
            )
        except Exception as error:
            raise EngineError(f"{self.name}: {error}") from error
        self._outputs = [output.name for output in self._session.get_outputs()]

    def read(self, batch: FloatArray) -> RawReading:
        """Float32 (N, S, S) -> logits.

        Raises:
            EngineError: ONNX Runtime failed this time.
        """
        try:
            said = self._session.run(self._outputs, {INPUT: batch[:, None]})
        except Exception as error:
            raise EngineError(f"{self.name}: {error}") from error
        return reading_of(dict(zip(self._outputs, said, strict=True)), len(batch), batch.shape[-1])
