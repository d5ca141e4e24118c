"""The residual CNN (He et al., 2016): features at four strides."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class ResidualBlock(nn.Module):
    """Two 3 x 3 convolutions around a shortcut."""

    def __init__(self, channels_in: int, channels_out: int, stride: int = 1) -> None:
        super().__init__()
        self.first = nn.Conv2d(channels_in, channels_out, 3, stride, 1, bias=False)
        self.first_norm = nn.BatchNorm2d(channels_out)
        self.second = nn.Conv2d(channels_out, channels_out, 3, 1, 1, bias=False)
        self.second_norm = nn.BatchNorm2d(channels_out)
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or channels_in != channels_out:
            self.shortcut = nn.Sequential(
                nn.Conv2d(channels_in, channels_out, 1, stride, bias=False),
                nn.BatchNorm2d(channels_out),
            )

    def forward(self, features: Tensor) -> Tensor:
        """(N, in, H, W) -> (N, out, H / stride, W / stride)."""
        inner = torch.relu(self.first_norm(self.first(features)))
        inner = self.second_norm(self.second(inner))
        return torch.relu(inner + self.shortcut(features))


class ResidualEncoder(nn.Module):
    """A stem to stride 4, then one stage of residual blocks per width, each halving the next."""

    def __init__(self, widths: tuple[int, ...], blocks: tuple[int, ...]) -> None:
        super().__init__()
        self.widths = tuple(widths)
        self.stem = nn.Sequential(
            nn.Conv2d(1, widths[0], 5, 2, 2, bias=False),
            nn.BatchNorm2d(widths[0]),
            nn.ReLU(inplace=True),
            nn.MaxPool2d(3, 2, 1),
        )
        stages, before = [], widths[0]
        for index, (width, count) in enumerate(zip(widths, blocks, strict=True)):
            stride = 1 if index == 0 else 2
            chain = [ResidualBlock(before, width, stride)]
            chain += [ResidualBlock(width, width) for _ in range(count - 1)]
            stages.append(nn.Sequential(*chain))
            before = width
        self.stages = nn.ModuleList(stages)

    def forward(self, images: Tensor) -> list[Tensor]:
        """(N, 1, S, S) -> the stages' outputs, at strides 4, 8, 16, 32."""
        found, flow = [], self.stem(images)
        for stage in self.stages:
            flow = stage(flow)
            found.append(flow)
        return found
