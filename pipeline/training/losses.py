"""What the fitting minimises: film, body part and heat together."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from pipeline.networks.fracture_net import Reading

SMOOTHING = 0.04


def heat_loss(logits: Tensor, target: Tensor) -> Tensor:
    """Focal cross-entropy over all cells plus Dice on films with a mask.

    No weight for positives: it would swell the regions.
    """
    flat = functional.binary_cross_entropy_with_logits(logits, target, reduction="none")
    chance = torch.sigmoid(logits)
    focal = (flat * (chance - target).abs().pow(1.5)).sum((1, 2)) / (target.sum((1, 2)) + 20)
    marked = target.amax((1, 2)) > 0.2
    if not marked.any():
        return focal.mean()
    chance, target = chance[marked], target[marked]
    shared = (chance * target).sum((1, 2))
    dice = 1 - (2 * shared + 1) / (chance.sum((1, 2)) + target.sum((1, 2)) + 1)
    return focal.mean() + dice.sum() / len(marked)


def reading_loss(
    reading: Reading, fractured: Tensor, parts: Tensor, heat: Tensor, heat_weight: float
) -> Tensor:
    """Cross-entropy of the film's label (smoothed), of the body parts, and the heat's loss."""
    smooth = fractured * (1 - 2 * SMOOTHING) + SMOOTHING
    film = functional.binary_cross_entropy_with_logits(reading.fracture, smooth)
    part = functional.binary_cross_entropy_with_logits(reading.parts, parts)
    return film + 0.3 * part + heat_weight * heat_loss(reading.heat, heat)
