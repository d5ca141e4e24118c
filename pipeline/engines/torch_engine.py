"""The network in torch: fp32, channels last; bf16 where the processor has it and the answer agrees."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Literal

import torch
from torch import nn

from pipeline.engines.engine import FloatArray, RawReading
from pipeline.errors import EngineError
from pipeline.golden import summarise

Precision = Literal["fp32", "bf16"]
# In logits, about 0.025 of a probability: less than the network's own uncertainty.
BF16_TOLERANCE = 0.1
BF16_FLAGS = frozenset({"avx512_bf16", "amx_bf16"})


class TorchEngine:
    """Runs a network of `networks/` on the processor.

    `threads`: 0 takes one per core that this process may use. Torch keeps the number per process,
    so the engine made last decides.
    """

    def __init__(self, network: nn.Module, *, threads: int = 0, precision: Precision = "fp32") -> None:
        torch.set_num_threads(threads or len(os.sched_getaffinity(0)))
        self._network = network.eval().to(memory_format=torch.channels_last)
        self._precision = precision
        # Always the same thread: OpenMP gives each calling thread a team and buffers of its own.
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="torch")

    @property
    def name(self) -> str:
        """E.g. "torch fp32"."""
        return f"torch {self._precision}"

    def read(self, batch: FloatArray) -> RawReading:
        """Float32 (N, S, S) -> logits.

        Raises:
            EngineError: torch failed, for want of memory for example.
        """
        try:
            return self._thread.submit(self._read, batch).result()
        except (RuntimeError, MemoryError) as error:
            raise EngineError(f"{self.name}: {error}") from error

    def _read(self, batch: FloatArray) -> RawReading:
        images = torch.from_numpy(batch)[:, None].contiguous(memory_format=torch.channels_last)
        with (
            torch.inference_mode(),
            torch.autocast("cpu", torch.bfloat16, enabled=self._precision == "bf16"),
        ):
            said = self._network(images)
        return RawReading(*(part.float().numpy() for part in said))


def has_bf16(processor_record: Path = Path("/proc/cpuinfo")) -> bool:
    """Whether the processor multiplies bfloat16 itself; without that bf16 is slower than fp32."""
    try:
        text = processor_record.read_text(encoding="ascii", errors="replace")
    except OSError:
        return False
    flags = next((line for line in text.splitlines() if line.startswith("flags")), "")
    return not BF16_FLAGS.isdisjoint(flags.split())


def choose_engine(
    network: nn.Module, batch: FloatArray, *, threads: int = 0, bf16: bool | None = None
) -> TorchEngine:
    """Bf16 if the processor has it and reads `batch`, the golden input, as fp32 does; else fp32.

    Chosen by agreement and never by a stopwatch: the engine's name is part of a result's identity.
    """
    exact = TorchEngine(network, threads=threads)
    if not (has_bf16() if bf16 is None else bf16):
        return exact
    fast = TorchEngine(network, threads=threads, precision="bf16")
    answers = [summarise(engine.read(batch), BF16_TOLERANCE) for engine in (exact, fast)]
    return fast if answers[0].difference(answers[1]) <= BF16_TOLERANCE else exact
