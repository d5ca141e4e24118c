"""The golden input and its answer: replayed before a model serves, so that a wrong engine never does."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from pipeline.engines.engine import Engine, RawReading
from pipeline.model_input import FloatImage, InputSettings, make_model_input


class GoldenAnswer(BaseModel):
    """What the network said of the golden input, in logits; `tolerance` is how far a replay may be off."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    fracture: float
    parts: tuple[float, ...]
    strongest_heat: float
    mean_heat: float
    tolerance: float = Field(gt=0, le=1)

    def difference(self, other: GoldenAnswer) -> float:
        """The largest difference of two answers in logits; infinite if they are not comparable."""
        mine, theirs = self._logits(), other._logits()
        if mine.shape != theirs.shape:
            return math.inf
        largest = float(np.abs(mine - theirs).max())
        return largest if math.isfinite(largest) else math.inf

    def _logits(self) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
        return np.array([self.fracture, self.strongest_heat, self.mean_heat, *self.parts])


@dataclass(frozen=True, eq=False)
class Golden:
    """`pixels`: float32 (rows, columns), 0 to 1; `answer`: what the package's author got."""

    pixels: FloatImage
    answer: GoldenAnswer


def summarise(reading: RawReading, tolerance: float) -> GoldenAnswer:
    """The reading of one film as an answer.

    Raises:
        ValidationError: a logit is not finite.
    """
    return GoldenAnswer(
        fracture=float(reading.fracture[0]),
        parts=tuple(float(part) for part in reading.parts[0]),
        strongest_heat=float(reading.heat[0].max()),
        mean_heat=float(reading.heat[0].mean()),
        tolerance=tolerance,
    )


def golden_batch(pixels: FloatImage, settings: InputSettings) -> FloatImage:
    """The golden input as the engine takes it: float32 (1, S, S)."""
    return make_model_input(pixels, settings).pixels[None]


def replay(golden: Golden, settings: InputSettings, engine: Engine) -> float:
    """How far the engine's answer lies from the package's: the largest difference in logits."""
    said = engine.read(golden_batch(golden.pixels, settings))
    try:
        return golden.answer.difference(summarise(said, golden.answer.tolerance))
    except ValueError:
        return math.inf
