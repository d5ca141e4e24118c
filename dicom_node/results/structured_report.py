"""The report of a study: TID 1500 as Comprehensive 3D SR, or as the class that the archive accepts (PS3.3 A.35)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from pydicom.dataset import Dataset
from pydicom.sequence import Sequence as Items

from dicom_node.identifiers import Shape
from dicom_node.records import ResultKind, ResultObject, StudyFindings
from dicom_node.results.composition import REPORT_SOP_CLASSES, CompositionContext, DestinationProfile
from dicom_node.results.evidence import hierarchy, reference_to
from dicom_node.results.report_content import report_content
from dicom_node.results.result_identity import image_shape, result_identity
from dicom_node.results.result_instance import (
    encode_instance,
    own_coding_scheme,
    start_instance,
)
from dicom_node.results.source_context import newest_header
from dicom_node.results.study_images import ReportedImage, reported_images

__all__ = ["REPORT_SOP_CLASSES", "compose_report"]


def compose_report(
    study: StudyFindings,
    sources: Mapping[str, Dataset],
    profile: DestinationProfile,
    context: CompositionContext,
) -> ResultObject:
    """One report on all images of a study; the same arguments give the same bytes.

    `sources`: a header by SOP Instance UID for every image of the study, as received or normalised. Patient and
    study come from the image acquired last. The report replaces `study.predecessors`.

    Raises:
        CompositionError: no images, a source is missing or cannot be referenced, or a reading is incomplete.
    """
    images = reported_images(study, sources)
    header = newest_header(reported.header for reported in images)
    readings = [reported.image.findings for reported in images]
    identity = result_identity(
        ResultKind.REPORT, profile.report_class, header, readings, _content(study, images), profile,
        context, instance_number=study.revision,
    )  # fmt: skip
    ds = start_instance(identity, ResultKind.REPORT, header, readings, profile, context)
    ds.CompletionFlag, ds.VerificationFlag, ds.PreliminaryFlag = "COMPLETE", "UNVERIFIED", "PRELIMINARY"
    ds.CodingSchemeIdentificationSequence = Items([own_coding_scheme()])
    ds.ReferencedPerformedProcedureStepSequence = Items()
    ds.PerformedProcedureCodeSequence = Items()
    ds.update(report_content(images, profile.wording, context))
    evidence = [reference_to(reported.header) for reported in images]
    ds.CurrentRequestedProcedureEvidenceSequence = hierarchy(evidence)
    if study.predecessors:
        ds.PredecessorDocumentsSequence = hierarchy(study.predecessors)
    return encode_instance(ds, header, ResultKind.REPORT, profile)


def _content(study: StudyFindings, images: Sequence[ReportedImage]) -> dict[str, Shape]:
    """What shapes the bytes beside study, models and destination."""
    return {
        "images": [image_shape(one.image, one.header) for one in images],
        "revision": study.revision,
        "predecessors": [
            [
                item.study_instance_uid,
                item.series_instance_uid,
                item.sop_class_uid,
                item.sop_instance_uid,
            ]
            for item in study.predecessors
        ],
    }
