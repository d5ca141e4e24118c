"""The content tree of a report: TID 1500, with a Measurement Group per image and per marked region (TID 1410).

Every group has a region, for an image's own result the whole image: viewers stumble over groups without.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from highdicom import sr
from highdicom.sr.value_types import RelationshipTypeValues
from pydicom.dataset import Dataset

from dicom_node.errors import CompositionError
from dicom_node.identifiers import (
    MANUFACTURER,
    MANUFACTURER_MODEL_NAME,
    Shape,
    derive_uid,
)
from dicom_node.records import StudyImage
from dicom_node.results import coded_concepts as codes
from dicom_node.results.composition import CompositionContext
from dicom_node.results.image_library import image_library
from dicom_node.results.source_context import header_site
from dicom_node.results.wording import (
    body_part_words,
    caution_words,
    outcome_words,
    percent,
    threshold_words,
)
from pipeline.findings import RESEARCH_NOTICE, ImageFindings, ModelIdentity, Outcome, Region
from pipeline.geometry import Box

_JUDGED = {
    Outcome.FRACTURE: codes.PRESENT,
    Outcome.DOUBT: codes.UNDETERMINED,
    Outcome.NO_FRACTURE: codes.ABSENT,
}
_CONTAINS = RelationshipTypeValues.CONTAINS


@dataclass(frozen=True)
class ReportedImage:
    """An image with its header and its number within the report, from 1."""

    number: int
    image: StudyImage
    header: Dataset


def report_content(images: Sequence[ReportedImage], context: CompositionContext) -> Dataset:
    """The root content item (PS3.16 TID 1500) of a report on these images."""
    groups = [group for reported in images for group in _groups(reported, context)]
    report = sr.MeasurementReport(
        observation_context=_observer(context),
        procedure_reported=codes.IMAGING_PROCEDURE,
        imaging_measurements=groups,
        title=codes.IMAGING_MEASUREMENT_REPORT,
    )
    root: Dataset = report[0]
    # highdicom writes the measurements last; row 6 comes before them and row 12 after (TID 1500).
    library = image_library([(one.header, one.image.findings) for one in images])
    root.ContentSequence.insert(len(root.ContentSequence) - 1, library)
    root.ContentSequence.append(_evaluations(images))
    return root


def _observer(context: CompositionContext) -> sr.ObservationContext:
    attributes = sr.DeviceObserverIdentifyingAttributes(
        uid=context.device_uid,
        name=MANUFACTURER_MODEL_NAME,
        manufacturer_name=MANUFACTURER,
        model_name=MANUFACTURER_MODEL_NAME,
    )
    return sr.ObservationContext(
        observer_device_context=sr.ObserverContext(
            observer_type=codes.DEVICE, observer_identifying_attributes=attributes
        )
    )


def _groups(reported: ReportedImage, context: CompositionContext) -> list[Sequence[Dataset]]:
    findings = reported.image.findings
    whole = _group(reported, context, "whole image", _whole_image(findings), **_image_result(findings))
    return [whole] + [
        _group(reported, context, f"region {number}", region.box, **_region_result(region))
        for number, region in enumerate(findings.visible_regions, start=1)
    ]


def _group(
    reported: ReportedImage, context: CompositionContext, what: str, box: Box, **result: object
) -> Sequence[Dataset]:
    """One Measurement Group; English tracking identifiers, which viewers show as labels."""
    image = reported.image
    shape: Shape = [
        "tracking",
        image.sop_instance_uid,
        image.pixel_digest,
        image.findings.model.digest,
        what,
        box,
    ]
    x0, y0, x1, y1 = box
    outline = np.array([[x0, y0], [x1, y0], [x1, y1], [x0, y1], [x0, y0]], np.float32)
    source = sr.SourceImageForRegion(image.sop_class_uid, image.sop_instance_uid)
    group: Sequence[Dataset] = sr.PlanarROIMeasurementsAndQualitativeEvaluations(
        tracking_identifier=sr.TrackingIdentifier(
            uid=derive_uid(context.installation_id, shape),
            identifier=f"Image {reported.number}, {what}",
        ),
        referenced_region=sr.ImageRegion(sr.GraphicTypeValues.POLYLINE, outline, source),
        algorithm_id=_algorithm(image.findings),
        finding_sites=_sites(reported) or None,
        **result,
    )
    return group


def _whole_image(findings: ImageFindings) -> Box:
    # An unreadable file may declare no matrix: the region then is its first pixel.
    return (0.0, 0.0, float(max(findings.columns, 1)), float(max(findings.rows, 1)))


def _image_result(findings: ImageFindings) -> dict[str, object]:
    """Present, absent or undetermined with its probability; never the two for a film that was not read.

    No Finding (121071) here: what indexes it would read a negative as a fracture.
    """
    if findings.outcome is Outcome.NOT_PROCESSED:
        if findings.reason is None:
            raise CompositionError("an image that was not processed needs a reason")
        return {
            "qualitative_evaluations": [
                sr.QualitativeEvaluation(
                    codes.SUMMARY_OF_ANALYSES, codes.attempt_code(findings.reason)
                ),
                sr.QualitativeEvaluation(
                    codes.REASON_NOT_PROCESSED, codes.reason_code(findings.reason)
                ),
            ]
        }
    if findings.fracture_probability is None:
        raise CompositionError(f"an image with outcome {findings.outcome} needs a probability")
    return {
        "measurements": [_probability(findings.fracture_probability)],
        "qualitative_evaluations": [
            sr.QualitativeEvaluation(codes.FRACTURE, _JUDGED[findings.outcome])
        ],
    }


def _region_result(region: Region) -> dict[str, object]:
    result: dict[str, object] = {
        "measurements": [_probability(region.probability)],
        "qualitative_evaluations": [sr.QualitativeEvaluation(codes.FRACTURE, _JUDGED[region.outcome])],
        "geometric_purpose": codes.BOUNDED_BY,
    }
    if region.outcome is Outcome.FRACTURE:
        result["finding_type"] = codes.FRACTURE
    return result


def _probability(probability: float) -> sr.Measurement:
    return sr.Measurement(codes.PROBABILITY, round(probability * 100, 2), unit=codes.PERCENT)


def _algorithm(findings: ImageFindings) -> sr.AlgorithmIdentification:
    """TID 4019: which package at which operating points."""
    model: ModelIdentity = findings.model
    return sr.AlgorithmIdentification(
        name=model.name,
        version=model.version,
        manufacturer=MANUFACTURER,
        family=codes.ARTIFICIAL_INTELLIGENCE,
        parameters=[
            f"package digest {model.digest}",
            f"engine {model.engine}",
            f"fracture threshold {findings.thresholds.fracture:.4f}",
            f"doubt threshold {findings.thresholds.doubt:.4f}",
            *([f"site profile {model.profile}"] if model.profile else []),
        ],
    )


def _sites(reported: ReportedImage) -> list[sr.FindingSite]:
    """The model's coarse part, and the header's finer one marked as such; the side is always the header's."""
    given = header_site(reported.header)
    part = reported.image.findings.body_part
    coarse = codes.COARSE_PARTS.get(part.name) if part else None
    sites = []
    if coarse is not None:
        sites.append(sr.FindingSite(coarse.code, laterality=given.laterality))
    if given.part is not None:
        site = sr.FindingSite(given.part, laterality=given.laterality)
        site.ContentSequence = sr.ContentSequence(
            [
                *site.get("ContentSequence", ()),
                _text("Body part from the image header", "HAS CONCEPT MOD"),
            ]
        )
        sites.append(site)
    return sites


def _evaluations(images: Sequence[ReportedImage]) -> Dataset:
    """Row 12 of TID 1500: the notice, then each image's result in words."""
    container: Dataset = sr.ContainerContentItem(
        codes.QUALITATIVE_EVALUATIONS, relationship_type=_CONTAINS
    )
    texts = [RESEARCH_NOTICE, *(_image_words(reported) for reported in images)]
    container.ContentSequence = sr.ContentSequence([_text(text, _CONTAINS) for text in texts])
    return container


def _image_words(reported: ReportedImage) -> str:
    findings, header = reported.image.findings, reported.header
    place = [
        f"{word} {value}"
        for word, value in (
            ("series", header.get("SeriesNumber")),
            ("image", header.get("InstanceNumber")),
        )
        if value is not None
    ]
    where = f" ({', '.join(place)})" if place else ""
    sentences = [f"Image {reported.number}{where}: {outcome_words(findings)}."]
    for number, region in enumerate(findings.visible_regions, start=1):
        word = "fracture suspected" if region.outcome is Outcome.FRACTURE else "doubt"
        sentences.append(f"Region {number}: {word} {percent(region.probability)}.")
    sentences.append(caution_words(findings))
    if findings.body_part is not None:
        sentences.append(f"Body part by the model: {body_part_words(findings)}.")
    sentences.append(_header_words(header))
    sentences.append(f"{threshold_words(findings).capitalize()}.")
    return " ".join(sentence for sentence in sentences if sentence)


def _header_words(header: Dataset) -> str:
    given = header_site(header)
    words = [code.meaning for code in (given.part, given.laterality) if code is not None]
    return f"From the image header: {', '.join(words)}." if words else ""


def _text(text: str, relationship: str | RelationshipTypeValues) -> Dataset:
    item: Dataset = sr.TextContentItem(codes.COMMENT, text, relationship_type=relationship)
    return item
