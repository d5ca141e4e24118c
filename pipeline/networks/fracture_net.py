"""Residual classifier and U-Net on one set of features; the heat's evidence joins the film's logit."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn

from pipeline.networks.residual_classifier import ResidualClassifier
from pipeline.networks.unet import UNetDecoder

EVIDENCE_PIXELS = 16


@dataclass(frozen=True)
class FractureNetSettings:
    """The shape of a network: widths and number of blocks per stage, number of body parts."""

    widths: tuple[int, ...] = (24, 48, 96, 160)
    blocks: tuple[int, ...] = (2, 2, 3, 2)
    parts: int = 4


class Reading(NamedTuple):
    """Logits: `fracture` (N,), `parts` (N, parts), `heat` (N, S / 4, S / 4)."""

    fracture: Tensor
    parts: Tensor
    heat: Tensor


class FractureNet(nn.Module):
    """Body part, fracture or not, and where, in one pass."""

    def __init__(self, settings: FractureNetSettings) -> None:
        super().__init__()
        self.classifier = ResidualClassifier(settings.widths, settings.blocks, settings.parts)
        self.decoder = UNetDecoder(settings.widths)
        # Strongest pixel and mean of the strongest few (Lotter 2017): a needle must not be averaged away.
        self.evidence = nn.Linear(2, 1)
        nn.init.constant_(self.evidence.weight, 0.25)
        nn.init.constant_(self.evidence.bias, 0.5)

    def forward(self, images: Tensor) -> Reading:
        """(N, 1, S, S), S a multiple of 32 -> logits."""
        stages = self.classifier.features(images)
        fracture, parts = self.classifier.heads(stages[-1])
        heat = self.decoder(stages)
        strongest = heat.flatten(1).topk(EVIDENCE_PIXELS, dim=1).values
        evidence = torch.stack([strongest[:, 0], strongest.mean(1)], 1)
        return Reading(fracture + self.evidence(evidence).squeeze(1), parts, heat)


# An architecture is chosen from here by name: code never comes from a model package.
ARCHITECTURES = {"fracture-net": (FractureNet, FractureNetSettings)}
