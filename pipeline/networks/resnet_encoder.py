"""Torchvision's ResNets as the encoder, for transfer learning from weights in a file."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

# Names and widths of their stages.
RESNETS: dict[str, tuple[int, ...]] = {
    "resnet18": (64, 128, 256, 512),
    "resnet34": (64, 128, 256, 512),
    "resnet50": (256, 512, 1024, 2048),
}


class ResNetEncoder(nn.Module):
    """A ResNet without its head; a grey film is shown to all three colours."""

    def __init__(self, name: str) -> None:
        super().__init__()
        # Torchvision takes seconds to import; a package of our own encoder serves without it.
        from torchvision.models import get_model

        self.widths = RESNETS[name]
        network = get_model(name, weights=None)
        self.stem = nn.Sequential(network.conv1, network.bn1, network.relu, network.maxpool)
        self.stages = nn.ModuleList([network.layer1, network.layer2, network.layer3, network.layer4])
        self.frozen = False

    def take(self, weights: Mapping[str, Tensor], *, frozen: bool) -> None:
        """Takes torchvision's `state_dict` (its `fc` is left out); `frozen`: fitting leaves it as it is.

        Raises:
            RuntimeError: the tensors are not those of this ResNet.
        """
        names = {"conv1": "stem.0", "bn1": "stem.1"} | {
            f"layer{n}": f"stages.{n - 1}" for n in range(1, 5)
        }
        own = {}
        for name, tensor in weights.items():
            room, _, rest = name.partition(".")
            if room in names:
                own[f"{names[room]}.{rest}"] = tensor
        self.load_state_dict(own)
        self.frozen = frozen
        self.requires_grad_(not frozen)

    def train(self, mode: bool = True) -> ResNetEncoder:
        """As every module; a frozen one keeps its batch norms' statistics too."""
        return super().train(mode and not self.frozen)

    def forward(self, images: Tensor) -> list[Tensor]:
        """(N, 1, S, S) -> the stages' outputs, at strides 4, 8, 16, 32."""
        with torch.set_grad_enabled(torch.is_grad_enabled() and not self.frozen):
            found, flow = [], self.stem(images.expand(-1, 3, -1, -1))
            for stage in self.stages:
                flow = stage(flow)
                found.append(flow)
        return found
