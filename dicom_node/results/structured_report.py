"""The report of a study: TID 1500 as Comprehensive 3D SR, or as the class that the archive accepts (PS3.3 A.35)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from pydicom.dataset import Dataset
from pydicom.sequence import Sequence as Items
from pydicom.uid import UID

from dicom_node.identifiers import Shape, derive_uid
from dicom_node.records import ResultKind, ResultObject, StudyFindings
from dicom_node.results.composition import REPORT_SOP_CLASSES, CompositionContext, DestinationProfile
from dicom_node.results.evidence import hierarchy, reference_to
from dicom_node.results.report_content import report_content
from dicom_node.results.result_instance import (
    ResultIdentity,
    encode_instance,
    own_coding_scheme,
    start_instance,
)
from dicom_node.results.source_context import newest_header, study_digest
from dicom_node.results.study_images import ReportedImage, image_shape, reported_images

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
    identity = _identity(study, images, header, profile, context)
    readings = [reported.image.findings for reported in images]
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


def _identity(
    study: StudyFindings,
    images: Sequence[ReportedImage],
    header: Dataset,
    profile: DestinationProfile,
    context: CompositionContext,
) -> ResultIdentity:
    """UIDs from all that shapes the bytes; the ledger fixes `composed_at` for a revision."""
    series: Shape = {
        "kind": ResultKind.REPORT,
        "class": profile.report_class,
        "study": study_digest(header),
        "models": sorted({reported.image.findings.model.digest for reported in images}),
        "profile": profile.digest(ResultKind.REPORT),
    }
    shape: Shape = {
        "series": series,
        "images": [image_shape(reported) for reported in images],
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
        "software": context.software_version,
        "composed_at": context.composed_at.isoformat(),
        "timezone": context.node_timezone,
    }
    return ResultIdentity(
        sop_class_uid=UID(profile.report_class),
        sop_instance_uid=derive_uid(context.installation_id, shape),
        series_instance_uid=derive_uid(context.installation_id, series),
        instance_number=study.revision,
    )
