"""Residual features, body part, fracture, and where: one pass, and the heat's evidence joins the film's logit."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn

from pipeline.networks.film_heads import FilmHeads
from pipeline.networks.residual_encoder import ResidualEncoder
from pipeline.networks.resnet_encoder import RESNETS, ResNetEncoder
from pipeline.networks.unet import UNetDecoder

EVIDENCE_PIXELS = 16


@dataclass(frozen=True)
class FractureNetSettings:
    """The shape of a network.

    `widths`, `blocks`: channels and residual blocks per stage. `parts`, `types`: how many body parts and
    further labels (fracture types). `specialists`: indices of the body parts with a fracture head of their own.
    `box_head`: boxes are said by the network; without, they are drawn around the heat. `backbone`: "residual",
    ours, or "resnet18", "resnet34", "resnet50", which have widths and blocks of their own.
    """

    widths: tuple[int, ...] = (24, 48, 96, 160)
    blocks: tuple[int, ...] = (2, 2, 3, 2)
    parts: int = 4
    types: int = 0
    specialists: tuple[int, ...] = ()
    box_head: bool = False
    backbone: str = "residual"


class Reading(NamedTuple):
    """What is said of N films of side S, in logits.

    `fracture` (N,), `parts` (N, parts), `heat` (N, S / 4, S / 4), `types` (N, types).
    `boxes` (N, 4, S / 4, S / 4): from a cell's centre to the left, top, right and bottom edge of the lesion's
    box, in cells (FCOS, Tian et al., 2019); (N, 0, ...) without a box head. `features` (N, F): pooled last stage.
    """

    fracture: Tensor
    parts: Tensor
    heat: Tensor
    boxes: Tensor
    types: Tensor
    features: Tensor


class FractureNet(nn.Module):
    """Body part, fracture or not, and where, in one pass."""

    def __init__(self, settings: FractureNetSettings) -> None:
        super().__init__()
        self.encoder: ResidualEncoder | ResNetEncoder = (
            ResidualEncoder(settings.widths, settings.blocks)
            if settings.backbone not in RESNETS
            else ResNetEncoder(settings.backbone)
        )
        widths = self.encoder.widths
        self.heads = FilmHeads(widths[-1], settings.parts, settings.types, settings.specialists)
        self.decoder = UNetDecoder(widths, box_head=settings.box_head)
        # Strongest pixel and mean of the strongest few (Lotter 2017): a needle must not be averaged away.
        self.evidence = nn.Linear(2, 1)
        nn.init.constant_(self.evidence.weight, 0.25)
        nn.init.constant_(self.evidence.bias, 0.5)

    def forward(self, images: Tensor) -> Reading:
        """(N, 1, S, S), S a multiple of 32 -> logits."""
        stages = self.encoder(images)
        said = self.heads(stages[-1])
        heat, boxes = self.decoder(stages)
        strongest = heat.flatten(1).topk(EVIDENCE_PIXELS, dim=1).values
        evidence = torch.stack([strongest[:, 0], strongest.mean(1)], 1)
        fracture = said.fracture + self.evidence(evidence).squeeze(1)
        return Reading(fracture, said.parts, heat, boxes, said.types, said.features)


class Members(nn.Module):
    """Several networks read each film; what is said is their mean, and their features stand side by side."""

    def __init__(self, networks: list[FractureNet]) -> None:
        super().__init__()
        self.networks = nn.ModuleList(networks)

    def forward(self, images: Tensor) -> Reading:
        """As one network does."""
        said: list[Reading] = [network(images) for network in self.networks]
        mean = Reading(*(torch.stack(column).mean(0) for column in zip(*said, strict=True)))
        return mean._replace(features=torch.cat([one.features for one in said], 1))


# An architecture is chosen from here by name: code never comes from a model package.
ARCHITECTURES = {"fracture-net": (FractureNet, FractureNetSettings)}
