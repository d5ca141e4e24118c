"""The U-Net's rising half (Ronneberger et al., 2015) on the residual stages: where, at stride 4."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional


class UNetDecoder(nn.Module):
    """Rises from the last stage to the first, joining each stage's features on the way."""

    def __init__(self, widths: tuple[int, ...]) -> None:
        super().__init__()
        rises = []
        for lower, upper in zip(widths[::-1][:-1], widths[::-1][1:], strict=True):
            rises.append(
                nn.Sequential(
                    nn.Conv2d(lower + upper, upper, 3, 1, 1, bias=False),
                    nn.BatchNorm2d(upper),
                    nn.ReLU(inplace=True),
                )
            )
        self.rises = nn.ModuleList(rises)
        self.heat = nn.Conv2d(widths[0], 1, 3, 1, 1)
        nn.init.constant_(self.heat.bias, -4.0)  # type: ignore[arg-type]  # few pixels are fracture

    def forward(self, stages: list[Tensor]) -> Tensor:
        """Stages' features -> heat logits (N, S / 4, S / 4)."""
        flow = stages[-1]
        for rise, side in zip(self.rises, stages[::-1][1:], strict=True):
            flow = functional.interpolate(flow, size=side.shape[2:], mode="nearest")
            flow = rise(torch.cat([flow, side], 1))
        return torch.as_tensor(self.heat(flow).squeeze(1))
