"""What the last stage says of the whole film: body part, fracture with specialists, further labels."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn


class FilmReading(NamedTuple):
    """Logits `fracture` (N,), `parts` (N, P), `types` (N, T); `features` (N, 2 C) they were made of."""

    fracture: Tensor
    parts: Tensor
    types: Tensor
    features: Tensor


class FilmHeads(nn.Module):
    """Linear heads on the pooled last stage.

    A specialist adds its own logit to the shared one, by as much as the film shows its body part.
    """

    def __init__(self, width: int, parts: int, types: int, specialists: tuple[int, ...]) -> None:
        super().__init__()
        self.specialists = tuple(specialists)
        self.dropout = nn.Dropout(0.2)
        self.part_head = nn.Linear(width * 2, parts)
        self.fracture_head = nn.Linear(width * 2, 1 + len(self.specialists))
        self.type_head = nn.Linear(width * 2, types) if types else None

    def forward(self, last: Tensor) -> FilmReading:
        """The last stage (N, C, H, W) -> logits."""
        features = torch.cat([last.mean((2, 3)), last.amax((2, 3))], 1)
        dropped = self.dropout(features)
        parts = self.part_head(dropped)
        shared_and_special = self.fracture_head(dropped)
        fracture = shared_and_special[:, 0]
        if self.specialists:
            # The part is judged by its own labels: a fracture must not teach it.
            shown = torch.sigmoid(parts.detach()[:, list(self.specialists)])
            fracture = fracture + (shown * shared_and_special[:, 1:]).sum(1)
        types = self.type_head(dropped) if self.type_head is not None else dropped[:, :0]
        return FilmReading(fracture, parts, types, features)
