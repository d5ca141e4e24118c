"""Every text that people read in a result, in English; a language's catalogue gives the others by these.

Braces are places for values. What a computer matches on (code meanings, tracking identifiers, algorithm
parameters) is not here and stays English.
"""

from __future__ import annotations

from enum import StrEnum

from dicom_node.results.coded_concepts import COARSE_PARTS, HEADER_PARTS, LATERALITIES
from pipeline.findings import RESEARCH_NOTICE, NotProcessed


class Message(StrEnum):
    """One text each; the name is for the code, the value for the catalogues."""

    NOTICE = RESEARCH_NOTICE

    # An outcome, and how likely.
    FRACTURE = "Fracture suspected"
    DOUBT = "Doubt"
    BELOW_THRESHOLD = "Below threshold"
    NOT_PROCESSED = "Not processed"
    NOT_EXCLUDED = "This does not exclude a fracture."
    NOT_READ = "The film was not read."
    # Only the mark between the digits is taken from it.
    DECIMAL_MARK = "0.5"
    PERCENT = "{number} %"
    UNDER_ONE = "under 1 %"
    OVER_NINETY_NINE = "over 99 %"
    OUTCOME_SHARE = "{outcome} {share}"
    OUTCOME_BOUND = "{outcome}, {bound}"
    OUTCOME_REASON = "{outcome}: {reason}"
    THRESHOLDS = "Thresholds: fracture {fracture}, doubt {doubt}."

    # Captures.
    KEY_TO_BOXES = "Solid box: fracture suspected. Dashed box: doubt."
    NO_FILM = "No film shown"
    PACKAGE = "{model}, package {digest}"
    DRAWN = "AI result drawn on a copy of the film by {model}."
    NOT_READ_DRAWN = "Notice that the film was not read, drawn on a copy of the film by {model}."

    # The summary of a study.
    SUMMARY_TITLE = "AI fracture summary"
    PAGE = "page {number} of {pages}"
    COUNT = "{outcome}: {number}"
    SUMMARY_DRAWN = "AI results drawn on reduced copies of the films by {model}."

    # Grad-CAM.
    EXPLANATION_TITLE = "Grad-CAM: where the network looked"
    EXPLANATION_CAUTION = (
        "Not where the fracture is: heat proves no fracture, and its absence excludes none."
    )
    EXPLANATION_SCALE = "Colour: share of the strongest place; thin line: half of it."
    EXPLANATION_ARROW = "Arrow: the strongest place."
    EXPLANATION_EMPTY = "The map is empty: no place spoke for a fracture."
    EXPLANATION_DRAWN = "Grad-CAM drawn on a copy of the film by {model}."

    # Key Object Selection documents.
    KEY_IMAGES = "Images with a suspected fracture or a doubt, chosen by {model}."
    REPLACED = "These AI results were replaced by newer ones. Do not use them."

    # Reports.
    IMAGE = "Image {number}: {result}."
    IMAGE_AT = "Image {number} ({place}): {result}."
    SERIES_NUMBER = "series {number}"
    IMAGE_NUMBER = "image {number}"
    REGION = "Region {number}: {result}."
    MODEL_PART = "Body part by the model: {part}."
    HEADER_PART = "From the image header: {words}."
    FROM_HEADER = "Body part from the image header"

    # Who read it.
    READ_BY = "Read by {model}, package {digest}, engine {engine}."
    SITE_PROFILE = "Site profile {profile}."

    # Series Descriptions: at most 64 letters, and each says that it is research only.
    REPORT_SERIES = "AI fracture report (research only)"
    OVERLAY_SERIES = "AI fracture overlay (research only)"
    PRESENTATION_SERIES = "AI fracture marks (research only)"
    SEGMENTATION_SERIES = "AI fracture regions (research only)"
    KEY_OBJECTS_SERIES = "AI key images (research only)"
    SUMMARY_SERIES = "AI fracture summary (research only)"
    EXPLANATION_SERIES = "AI Grad-CAM (research only)"
    REJECTION_SERIES = "AI results replaced (research only)"


def every_message() -> tuple[str, ...]:
    """All that a catalogue must hold: our texts, the reasons, and the words for body parts and sides."""
    reasons = [reason.meaning for reason in NotProcessed]
    coarse = [part.words for part in COARSE_PARTS.values()]
    anatomy = [code.meaning for code in (*HEADER_PARTS.values(), *LATERALITIES.values())]
    return tuple(dict.fromkeys([*(str(message) for message in Message), *reasons, *coarse, *anatomy]))
