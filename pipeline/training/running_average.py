"""The weights that are kept: a mean over the last steps, calmer than any single one."""

from __future__ import annotations

from copy import deepcopy

import torch

from pipeline.networks.fracture_net import FractureNet


class RunningAverage:
    """An exponential mean of the weights, short at first so that early epochs can be judged."""

    def __init__(self, net: FractureNet, decay: float = 0.998) -> None:
        self.net = deepcopy(net).eval()
        self.decay = decay
        self.steps = 0

    def update(self, net: FractureNet) -> None:
        """Moves the mean towards `net`."""
        self.steps += 1
        decay = min(self.decay, (1 + self.steps) / (10 + self.steps))
        with torch.no_grad():
            for mean, now in zip(
                self.net.state_dict().values(), net.state_dict().values(), strict=True
            ):
                if mean.dtype.is_floating_point:
                    mean.lerp_(now, 1 - decay)
                else:
                    mean.copy_(now)
