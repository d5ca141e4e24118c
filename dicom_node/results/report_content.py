"""The content tree of a report: TID 1500, with a Measurement Group per image and per marked region (TID 1410).

Every group has a region, for an image's own result the whole image: viewers stumble over groups without. OHIF writes
the names of a group's numbers beside it, and a Finding Site by its code: that one stands in a number (TID 1419).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from babel import Locale
from highdicom import sr
from highdicom.sr.value_types import RelationshipTypeValues
from pydicom.dataset import Dataset
from pydicom.sr.coding import Code

from dicom_node.errors import CompositionError
from dicom_node.identifiers import (
    MANUFACTURER,
    MANUFACTURER_MODEL_NAME,
    Shape,
    derive_uid,
)
from dicom_node.results import coded_concepts as codes
from dicom_node.results.composition import CompositionContext
from dicom_node.results.image_library import image_library
from dicom_node.results.messages import Message
from dicom_node.results.source_context import header_site
from dicom_node.results.study_images import ReportedImage, place_words
from dicom_node.results.wording import (
    Wording,
    body_part_words,
    caution_words,
    code_words,
    graded_words,
    notice_words,
    outcome_words,
    threshold_words,
)
from pipeline.findings import ImageFindings, ModelIdentity, Outcome, Region
from pipeline.geometry import Box

_JUDGED = {
    Outcome.FRACTURE: codes.PRESENT,
    Outcome.DOUBT: codes.UNDETERMINED,
    Outcome.NO_FRACTURE: codes.ABSENT,
}
_CONTAINS = RelationshipTypeValues.CONTAINS
_MODIFIED = RelationshipTypeValues.HAS_CONCEPT_MOD


def report_content(
    images: Sequence[ReportedImage], wording: Wording, context: CompositionContext
) -> Dataset:
    """The root content item (PS3.16 TID 1500) of a report on these images; codes and identifiers are English."""
    groups = [group for reported in images for group in _groups(reported, wording, context)]
    report = sr.MeasurementReport(
        observation_context=device_observer(context),
        procedure_reported=codes.IMAGING_PROCEDURE,
        imaging_measurements=groups,
        title=codes.IMAGING_MEASUREMENT_REPORT,
    )
    root: Dataset = report[0]
    # highdicom writes the measurements last; row 6 comes before them and row 12 after (TID 1500).
    library = image_library([(one.header, one.image.findings) for one in images])
    root.ContentSequence.insert(len(root.ContentSequence) - 1, library)
    root.ContentSequence.append(_evaluations(images, wording))
    return root


def device_observer(context: CompositionContext) -> sr.ObservationContext:
    """This installation as what observed (PS3.16 TID 1002, 1004)."""
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


def _groups(
    reported: ReportedImage, wording: Wording, context: CompositionContext
) -> list[Sequence[Dataset]]:
    findings = reported.image.findings
    sites = _sites(reported, wording)
    whole = _image_result(findings, sites)
    label = _label(findings.outcome, findings.fracture_probability, wording)
    groups = [_group(reported, context, "whole image", _whole_image(findings), label, whole)]
    for number, region in enumerate(findings.visible_regions, start=1):
        result = _region_result(region, sites)
        label = _label(region.outcome, region.probability, wording)
        groups.append(_group(reported, context, f"region {number}", region.box, label, result))
    return groups


def _group(
    reported: ReportedImage,
    context: CompositionContext,
    what: str,
    box: Box,
    label: Dataset,
    result: Mapping[str, object],
) -> Sequence[Dataset]:
    """One Measurement Group; English tracking identifiers, which viewers show as labels, and the label that dwv shows."""
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
        **result,
    )
    # No row of TID 1410, which may be extended.
    group[0].ContentSequence.insert(2, label)
    return group


def _label(outcome: Outcome, probability: float | None, wording: Wording) -> Dataset:
    """The result in words, for viewers that show them beside a region."""
    label = _text(graded_words(outcome, probability, wording), _MODIFIED, codes.SHORT_LABEL)
    if not wording.is_english:
        label.ContentSequence = sr.ContentSequence([_language(wording)])
    return label


def _whole_image(findings: ImageFindings) -> Box:
    # An unreadable file may declare no matrix: the region then is its first pixel.
    return (0.0, 0.0, float(max(findings.columns, 1)), float(max(findings.rows, 1)))


def _image_result(findings: ImageFindings, sites: Sequence[sr.FindingSite]) -> dict[str, object]:
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
        "measurements": _measurements(findings.fracture_probability, findings.outcome, sites),
        "qualitative_evaluations": [
            sr.QualitativeEvaluation(codes.FRACTURE, _JUDGED[findings.outcome])
        ],
    }


def _region_result(region: Region, sites: Sequence[sr.FindingSite]) -> dict[str, object]:
    result: dict[str, object] = {
        "measurements": _measurements(region.probability, region.outcome, sites),
        "qualitative_evaluations": [sr.QualitativeEvaluation(codes.FRACTURE, _JUDGED[region.outcome])],
        "geometric_purpose": codes.BOUNDED_BY,
    }
    if region.outcome is Outcome.FRACTURE:
        result["finding_type"] = codes.FRACTURE
    return result


def _measurements(
    probability: float, outcome: Outcome, sites: Sequence[sr.FindingSite]
) -> list[sr.Measurement]:
    """The probability with its site (TID 1419), and again under its grade's name: all that tells a doubt in OHIF."""
    number = round(probability * 100, 2)
    return [
        sr.Measurement(
            codes.PROBABILITY, number, unit=codes.PERCENT, finding_sites=list(sites) or None
        ),
        sr.Measurement(codes.GRADES[outcome], number, unit=codes.PERCENT),
    ]


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


def _sites(reported: ReportedImage, wording: Wording) -> list[sr.FindingSite]:
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
                _text(wording.text(Message.FROM_HEADER), "HAS CONCEPT MOD"),
            ]
        )
        sites.append(site)
    return sites


def _evaluations(images: Sequence[ReportedImage], wording: Wording) -> Dataset:
    """Row 12 of TID 1500: the notice, then each image's result in words."""
    container: Dataset = sr.ContainerContentItem(
        codes.QUALITATIVE_EVALUATIONS, relationship_type=_CONTAINS
    )
    texts = [notice_words(wording), *(_image_words(reported, wording) for reported in images)]
    items = [_text(text, _CONTAINS) for text in texts]
    if not wording.is_english:
        # On each: PixelMed takes a code in the container itself for a qualitative evaluation.
        for item in items:
            item.ContentSequence = sr.ContentSequence([_language(wording)])
    container.ContentSequence = sr.ContentSequence(items)
    return container


def _language(wording: Wording) -> Dataset:
    """The language of the words (PS3.16 TID 1204); the document's own, that of all code meanings, is English."""
    name = Locale.parse(wording.language, sep="-").get_display_name("en")
    tag = Code(wording.language, "RFC5646", name or wording.language)
    item: Dataset = sr.CodeContentItem(codes.LANGUAGE, tag, relationship_type=_MODIFIED)
    return item


def _image_words(reported: ReportedImage, wording: Wording) -> str:
    findings, place = reported.image.findings, place_words(reported.header, wording)
    sentences = [
        wording.text(
            Message.IMAGE_AT if place else Message.IMAGE,
            number=reported.number,
            place=place,
            result=outcome_words(findings, wording),
        )
    ]
    for number, region in enumerate(findings.visible_regions, start=1):
        result = graded_words(region.outcome, region.probability, wording)
        sentences.append(wording.text(Message.REGION, number=number, result=result))
    sentences.append(caution_words(findings, wording))
    if findings.body_part is not None:
        part = body_part_words(findings, wording)
        sentences.append(wording.text(Message.MODEL_PART, part=part))
    sentences.append(_header_words(reported.header, wording))
    sentences.append(threshold_words(findings, wording))
    return " ".join(sentence for sentence in sentences if sentence)


def _header_words(header: Dataset, wording: Wording) -> str:
    given = header_site(header)
    words = [code_words(code, wording) for code in (given.part, given.laterality) if code is not None]
    return wording.text(Message.HEADER_PART, words=", ".join(words)) if words else ""


def _text(text: str, relationship: str | RelationshipTypeValues, name: Code = codes.COMMENT) -> Dataset:
    item: Dataset = sr.TextContentItem(name, text, relationship_type=relationship)
    return item
