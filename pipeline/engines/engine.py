"""What an inference engine does: a batch of model inputs in, logits out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float32]
Precision = Literal["fp32", "bf16"]


@dataclass(frozen=True, eq=False)
class RawReading:
    """What a network says of N films, float32; fields and shapes as `networks.fracture_net.Reading` has them.

    `fracture` (N,), `parts` (N, P), `heat` (N, S / 4, S / 4), `types` (N, T): logits. `boxes` (N, 4, S / 4, S / 4):
    from a cell's centre to its box's left, top, right and bottom edge, in cells; (N, 0, ...) without a box head.
    `features` (N, F).
    """

    fracture: FloatArray
    parts: FloatArray
    heat: FloatArray
    boxes: FloatArray
    types: FloatArray
    features: FloatArray


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
