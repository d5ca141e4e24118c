"""The U-Net's rising half (Ronneberger et al., 2015) on the residual stages: where, at stride 4."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

# What the box head counts in: about half a median lesion, in cells.
BOX_UNIT = 3.0


class UNetDecoder(nn.Module):
    """Rises from the last stage to the first, joining each stage's features on the way."""

    def __init__(self, widths: tuple[int, ...], *, box_head: bool = False) -> None:
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

        self.boxes = nn.Conv2d(widths[0], 4, 3, 1, 1) if box_head else None

    def forward(self, stages: list[Tensor]) -> tuple[Tensor, Tensor]:
        """Stages' features -> heat logits (N, S / 4, S / 4), box edges in cells (N, 4 or 0, S / 4, S / 4)."""
        flow = stages[-1]
        for rise, side in zip(self.rises, stages[::-1][1:], strict=True):
            flow = functional.interpolate(flow, size=side.shape[2:], mode="nearest")
            flow = rise(torch.cat([flow, side], 1))
        heat = self.heat(flow).squeeze(1)
        if self.boxes is None:
            return heat, flow[:, :0]
        # Softplus: an edge never lies on the wrong side of its cell's centre.
        return heat, functional.softplus(self.boxes(flow)) * BOX_UNIT
