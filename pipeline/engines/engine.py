"""What an inference engine does: a batch of model inputs in, logits out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class RawReading:
    """Logits, float32: `fracture` (N,), `parts` (N, body parts), `heat` (N, S / 4, S / 4)."""

    fracture: FloatArray
    parts: FloatArray
    heat: FloatArray


class Engine(Protocol):
    """One way of running the network; `name` says which and in what precision, e.g. "torch fp32"."""

    @property
    def name(self) -> str:
        """Part of a result's identity: the same on every start of the same machine."""

    def read(self, batch: FloatArray) -> RawReading:
        """Float32 (N, S, S) -> logits.

        Raises:
            EngineError: the engine failed this time.
        """
