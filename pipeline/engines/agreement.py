"""How far two engines lie apart on the same films, and how far they may."""

from __future__ import annotations

import math

import numpy as np

from pipeline.engines.engine import RawReading

# In logits: another library sums in another order, nothing else may differ.
FP32_TOLERANCE = 0.02
# In logits, about 0.025 of a probability: less than the network's own uncertainty.
BF16_TOLERANCE = 0.1


def tolerance_of(engine_name: str) -> float:
    """How far an engine of that name may lie from torch in fp32: its precision is the name's last word."""
    return BF16_TOLERANCE if engine_name.endswith("bf16") else FP32_TOLERANCE


def difference(exact: RawReading, other: RawReading) -> float:
    """The largest difference of what decides; infinite if shapes differ or a value is no number.

    Logits of film, parts and types one by one; of the heat its peak and its mean. Box edges (cells) and
    features are means of many values, so it is their mean difference that counts.
    """
    pairs = [(getattr(exact, name), getattr(other, name)) for name in exact.__dataclass_fields__]
    if any(one.shape != two.shape for one, two in pairs):
        return math.inf
    if not all(np.isfinite(value).all() for pair in pairs for value in pair):
        return math.inf
    apart = [
        np.abs(one - two).max()
        for one, two in (
            (exact.fracture, other.fracture),
            (exact.parts, other.parts),
            (exact.types, other.types),
            (exact.heat.max((1, 2)), other.heat.max((1, 2))),
            (exact.heat.mean((1, 2)), other.heat.mean((1, 2))),
        )
        if one.size
    ]
    apart += [
        np.abs(one - two).mean()
        for one, two in ((exact.boxes, other.boxes), (exact.features, other.features))
        if one.size
    ]
    return float(max(apart))
