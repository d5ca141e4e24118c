"""How weights move: Muon for the convolutions' matrices, AdamW for all else."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

# Fewer output channels (heads) and a single input channel (the stem) make no matrix worth orthogonalising.
LEAST_OUTPUTS = 5


class Optimiser:
    """Muon (Jordan et al., 2024: the momentum's nearest orthogonal matrix) where a weight is a matrix.

    `rate` is AdamW's, `matrix_rate` Muon's; with a `matrix_rate` of 0 AdamW moves everything.
    """

    def __init__(self, net: nn.Module, *, rate: float, matrix_rate: float, weight_decay: float) -> None:
        free = [weight for weight in net.parameters() if weight.requires_grad]
        self._convolutions = [weight for weight in free if matrix_rate > 0 and _is_matrix(weight)]
        # Views of the same memory: torch's Muon takes two dimensions only.
        self._matrices = [nn.Parameter(_as_matrix(weight.data)) for weight in self._convolutions]
        held = {id(weight) for weight in self._convolutions}
        others = [weight for weight in free if id(weight) not in held]
        self._parts: list[tuple[torch.optim.Optimizer, float]] = [
            (torch.optim.AdamW(others, lr=rate, weight_decay=weight_decay), rate)
        ]
        if self._matrices:
            muon = torch.optim.Muon(self._matrices, lr=matrix_rate, weight_decay=weight_decay)
            self._parts.append((muon, matrix_rate))

    def set_rate(self, share: float) -> None:
        """Both rates at `share` of their top."""
        for part, top in self._parts:
            for group in part.param_groups:
                group["lr"] = top * share

    def step(self) -> None:
        """One step along the gradients, which are then forgotten."""
        for weight, matrix in zip(self._convolutions, self._matrices, strict=True):
            matrix.grad = None if weight.grad is None else _as_matrix(weight.grad)
            weight.grad = None
        for part, _ in self._parts:
            part.step()
            part.zero_grad(set_to_none=True)

    def state_dict(self) -> dict[str, Any]:
        """For a checkpoint."""
        return {str(index): part.state_dict() for index, (part, _) in enumerate(self._parts)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """As `state_dict` gave it.

        Raises:
            ValueError, KeyError: of another network or other rates.
        """
        if len(state) != len(self._parts):
            raise ValueError("the checkpoint's weights were moved by other optimisers")
        for index, (part, _) in enumerate(self._parts):
            part.load_state_dict(state[str(index)])


def _is_matrix(weight: Tensor) -> bool:
    return weight.ndim == 4 and weight.shape[0] >= LEAST_OUTPUTS and weight.shape[1] > 1


def _as_matrix(weight: Tensor) -> Tensor:
    """(outputs, inputs x kernel), a view of weights that lie channels last."""
    lying = weight.contiguous(memory_format=torch.channels_last).permute(0, 2, 3, 1)
    return lying.reshape(weight.shape[0], -1)
