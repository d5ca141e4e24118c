"""What people read, the same in reports and on overlays. A result below the threshold is called just that."""

from __future__ import annotations

from dicom_node.results.coded_concepts import COARSE_PARTS
from pipeline.findings import ImageFindings, ModelIdentity, Outcome

_WORDS = {
    Outcome.FRACTURE: "Fracture suspected",
    Outcome.DOUBT: "Doubt",
    Outcome.NO_FRACTURE: "Below threshold",
    Outcome.NOT_PROCESSED: "Not processed",
}
# Said beside every result below the threshold, and beside every film that was not read.
NOT_EXCLUDED = "This does not exclude a fracture."
NOT_READ = "The film was not read."


def percent(probability: float) -> str:
    """A probability for people, who should read neither certainty nor impossibility into rounding."""
    if probability < 0.01:
        return "under 1 %"
    return "over 99 %" if probability > 0.99 else f"{probability * 100:.0f} %"


def outcome_words(findings: ImageFindings) -> str:
    """An image's result in words: "Fracture suspected 87 %", "Not processed: No pixel data"."""
    words = _WORDS[findings.outcome]
    if findings.outcome is Outcome.NOT_PROCESSED:
        return f"{words}: {findings.reason.meaning}" if findings.reason else words
    if findings.fracture_probability is None:
        return words
    share = percent(findings.fracture_probability)
    return f"{words}, {share}" if share[0].isalpha() else f"{words} {share}"


def caution_words(findings: ImageFindings) -> str:
    """What must not be read into the result; empty where something was found."""
    if findings.outcome is Outcome.NO_FRACTURE:
        return NOT_EXCLUDED
    return f"{NOT_READ} {NOT_EXCLUDED}" if findings.outcome is Outcome.NOT_PROCESSED else ""


def body_part_words(findings: ImageFindings) -> str:
    """The model's coarse body part; empty where there is none."""
    if findings.body_part is None:
        return ""
    known = COARSE_PARTS.get(findings.body_part.name)
    return known.words if known else findings.body_part.name.capitalize()


def threshold_words(findings: ImageFindings) -> str:
    """Both operating points."""
    points = findings.thresholds
    return f"thresholds: fracture {points.fracture * 100:.1f} %, doubt {points.doubt * 100:.1f} %"


def model_words(model: ModelIdentity) -> str:
    """Which model read the film, with enough of its digest to tell packages apart."""
    return f"{model.name} {model.version}, package {model.digest.removeprefix('sha256:')[:12]}"
