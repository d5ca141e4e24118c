"""Logits of the whole film into what is said of it: a probability and a body part."""

from __future__ import annotations

from collections.abc import Sequence

from pipeline.engines.engine import FloatArray
from pipeline.findings import BodyPart, FurtherLabel
from pipeline.model_description import BodyPartLabel, Calibration, FractureLabel, TypeLabel

# The parts' logits are used as they come: they are shown beside the film and decide nothing.
_AS_IT_COMES = Calibration()


def fracture_probability(logit: float, label: FractureLabel) -> float:
    """The calibrated probability that the film shows a fracture."""
    return label.calibration.probability(logit)


def body_part(logits: FloatArray, labels: Sequence[BodyPartLabel]) -> BodyPart:
    """The likeliest body part of (parts,) logits; a film may show several, so each is judged alone."""
    index = int(logits.argmax())
    return BodyPart(labels[index].name, _AS_IT_COMES.probability(float(logits[index])))


def further_labels(logits: FloatArray, labels: Sequence[TypeLabel]) -> tuple[FurtherLabel, ...]:
    """Every further label of (T,) logits, each judged alone, in the package's order."""
    return tuple(
        FurtherLabel(label.name, _AS_IT_COMES.probability(float(logit)))
        for label, logit in zip(labels, logits, strict=True)
    )
