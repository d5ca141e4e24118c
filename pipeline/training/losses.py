"""What the fitting minimises: film, body part and heat together."""

from __future__ import annotations

from dataclasses import dataclass, fields

import torch
from torch import Tensor
from torch.nn import functional

from pipeline.networks.fracture_net import Reading

SMOOTHING = 0.04
BOX_WEIGHT = 0.5
TYPE_WEIGHT = 0.3


@dataclass(frozen=True)
class Target:
    """What should have been said of N films.

    `fractured` (N,), `parts` (N, P), `types` (N, T): 0 or 1. `heat` (N, S / 4, S / 4): share of fracture per cell.
    `boxes` (N, 4, S / 4, S / 4): edges in cells, meant where `in_box` (N, S / 4, S / 4) is 1. `known` (N,): 0 where
    the heat is no label, as nobody drew the fracture.
    """

    fractured: Tensor
    parts: Tensor
    types: Tensor
    heat: Tensor
    boxes: Tensor
    in_box: Tensor
    known: Tensor

    def to(self, device: torch.device) -> Target:
        """The same on another device."""
        return Target(*(getattr(self, field.name).to(device) for field in fields(self)))


def heat_loss(logits: Tensor, target: Tensor, known: Tensor) -> Tensor:
    """Focal cross-entropy over all cells of `known` films (N,) plus Dice on films with a mask.

    No weight for positives: it would swell the regions. Where a fracture was not drawn, the film's label alone
    teaches the heat, through its evidence.
    """
    flat = functional.binary_cross_entropy_with_logits(logits, target, reduction="none")
    chance = torch.sigmoid(logits)
    focal = (flat * (chance - target).abs().pow(1.5)).sum((1, 2)) / (target.sum((1, 2)) + 20)
    # No film known is no loss, and a mean over none would be no number.
    focal = (focal * known).sum() / known.sum().clamp(min=1)
    marked = target.amax((1, 2)) > 0.2
    if not marked.any():
        return focal
    chance, target = chance[marked], target[marked]
    shared = (chance * target).sum((1, 2))
    dice = 1 - (2 * shared + 1) / (chance.sum((1, 2)) + target.sum((1, 2)) + 1)
    return focal + dice.sum() / len(marked)


def box_loss(said: Tensor, boxes: Tensor, in_box: Tensor) -> Tensor:
    """1 - generalised intersection over union (Rezatofighi et al., 2019), mean over the cells in boxes."""
    cells = in_box > 0
    if not cells.any():
        return said.sum() * 0
    a, b = said.permute(0, 2, 3, 1)[cells], boxes.permute(0, 2, 3, 1)[cells]
    # Both are distances from the same centre, so edges compare directly.
    inner, outer = torch.minimum(a, b), torch.maximum(a, b)
    shared = (inner[:, 0] + inner[:, 2]) * (inner[:, 1] + inner[:, 3])
    areas = [(box[:, 0] + box[:, 2]) * (box[:, 1] + box[:, 3]) for box in (a, b)]
    union = areas[0] + areas[1] - shared
    hull = (outer[:, 0] + outer[:, 2]) * (outer[:, 1] + outer[:, 3])
    overlap = shared / union.clamp(min=1e-6) - (hull - union) / hull.clamp(min=1e-6)
    return (1 - overlap).mean()


def reading_loss(reading: Reading, target: Target, heat_weight: float) -> Tensor:
    """Cross-entropy of the film's label (smoothed), of body parts and types, and the losses of heat and boxes."""
    entropy = functional.binary_cross_entropy_with_logits
    smooth = target.fractured * (1 - 2 * SMOOTHING) + SMOOTHING
    total = entropy(reading.fracture, smooth) + 0.3 * entropy(reading.parts, target.parts)
    total = total + heat_weight * heat_loss(reading.heat, target.heat, target.known)
    if reading.boxes.shape[1]:
        total = total + BOX_WEIGHT * heat_weight * box_loss(reading.boxes, target.boxes, target.in_box)
    if reading.types.shape[1]:
        total = total + TYPE_WEIGHT * entropy(reading.types, target.types)
    return total
