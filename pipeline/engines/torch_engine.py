"""The network in torch, channels last: on the processor or on a GPU, in fp32 or bf16."""

from __future__ import annotations

import copy
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from typing import Literal

import torch
from torch import nn

from pipeline.engines.engine import FloatArray, Precision, RawReading
from pipeline.errors import EngineError
from pipeline.processor import threads_wanted

Device = Literal["cpu", "cuda"]


class TorchEngine:
    """Runs a network of `networks/`.

    `threads`: 0 takes one per core that this process may use. Torch keeps the number per process,
    so the engine made last decides.
    """

    def __init__(
        self,
        network: nn.Module,
        *,
        threads: int = 0,
        precision: Precision = "fp32",
        device: Device = "cpu",
    ) -> None:
        torch.set_num_threads(threads_wanted(threads))
        # A module moves whole: the network that was given stays where it is.
        own = network if device == "cpu" else copy.deepcopy(network).to(device)
        self._network = own.eval().to(memory_format=torch.channels_last)
        self._precision, self._device = precision, device
        # Always the same thread: OpenMP gives each calling thread a team and buffers of its own.
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="torch")

    @property
    def name(self) -> str:
        """E.g. "torch fp32", on a GPU "cuda fp32"."""
        return f"{'torch' if self._device == 'cpu' else self._device} {self._precision}"

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
        images = torch.from_numpy(batch)[:, None].to(self._device)
        with (
            torch.inference_mode(),
            _exact_convolutions() if self._device == "cuda" else nullcontext(),
            torch.autocast(self._device, torch.bfloat16, enabled=self._precision == "bf16"),
        ):
            said = self._network(images.contiguous(memory_format=torch.channels_last))
        return RawReading(*(part.float().cpu().numpy() for part in said))


def _exact_convolutions() -> AbstractContextManager[None]:
    """On a GPU fp32 means fp32, not TF32, and the same film gives the same digits."""
    return torch.backends.cudnn.flags(
        enabled=True, benchmark=False, deterministic=True, allow_tf32=False
    )
