"""The report of a study: TID 1500 as Comprehensive 3D SR, or as the class that the archive accepts (PS3.3 A.35)."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence

from pydicom.dataset import Dataset
from pydicom.sequence import Sequence as Items
from pydicom.uid import UID

from dicom_node.errors import CompositionError
from dicom_node.identifiers import Shape, derive_uid
from dicom_node.records import ResultKind, ResultObject, SopReference, StudyFindings
from dicom_node.results.composition import REPORT_SOP_CLASSES, CompositionContext, DestinationProfile
from dicom_node.results.report_content import ReportedImage, report_content
from dicom_node.results.result_instance import (
    ResultIdentity,
    ResultSeries,
    encode_instance,
    own_coding_scheme,
    start_instance,
)
from dicom_node.results.source_context import (
    header_digest,
    newest_header,
    read_source_header,
    study_digest,
)
from pipeline.findings import dump_findings

__all__ = ["REPORT_SOP_CLASSES", "compose_report"]

SERIES = ResultSeries("SR", 9001, "AI fracture report (research only)")


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
    images = _reported(study, sources)
    header = newest_header(reported.header for reported in images)
    identity = _identity(study, images, header, profile, context)
    readings = [reported.image.findings for reported in images]
    ds = start_instance(identity, SERIES, header, readings, context)
    ds.CompletionFlag, ds.VerificationFlag, ds.PreliminaryFlag = "COMPLETE", "UNVERIFIED", "PRELIMINARY"
    ds.CodingSchemeIdentificationSequence = Items([own_coding_scheme()])
    ds.ReferencedPerformedProcedureStepSequence = Items()
    ds.PerformedProcedureCodeSequence = Items()
    ds.update(report_content(images, context))
    evidence = [_reference(reported.header) for reported in images]
    ds.CurrentRequestedProcedureEvidenceSequence = hierarchy(evidence)
    if study.predecessors:
        ds.PredecessorDocumentsSequence = hierarchy(study.predecessors)
    return encode_instance(ds, header, ResultKind.REPORT)


def hierarchy(references: Sequence[SopReference]) -> Items:
    """References by study and series, in their order (PS3.3 C.17.2.1, Hierarchical SOP Instance Reference)."""
    studies: dict[str, dict[str, list[Dataset]]] = defaultdict(lambda: defaultdict(list))
    for reference in references:
        item = Dataset()
        item.ReferencedSOPClassUID = reference.sop_class_uid
        item.ReferencedSOPInstanceUID = reference.sop_instance_uid
        studies[reference.study_instance_uid][reference.series_instance_uid].append(item)
    items = Items()
    for study_uid, series in studies.items():
        study = Dataset()
        study.StudyInstanceUID = study_uid
        study.ReferencedSeriesSequence = Items([_series(uid, held) for uid, held in series.items()])
        items.append(study)
    return items


def _series(uid: str, instances: list[Dataset]) -> Dataset:
    series = Dataset()
    series.SeriesInstanceUID = uid
    series.ReferencedSOPSequence = Items(instances)
    return series


def _reported(study: StudyFindings, sources: Mapping[str, Dataset]) -> list[ReportedImage]:
    """The images as people number them: by series and image number, whatever order they came in."""
    if not study.images:
        raise CompositionError("a report needs at least one image")
    headers = {}
    for image in study.images:
        if image.sop_instance_uid not in sources:
            raise CompositionError(f"no header for image {image.sop_instance_uid}")
        headers[image.sop_instance_uid] = read_source_header(sources[image.sop_instance_uid])

    def place(uid: str) -> tuple[float, float, str]:
        header = headers[uid]
        return (_number(header.get("SeriesNumber")), _number(header.get("InstanceNumber")), uid)

    ordered = sorted(study.images, key=lambda image: place(image.sop_instance_uid))
    return [
        ReportedImage(number, image, headers[image.sop_instance_uid])
        for number, image in enumerate(ordered, start=1)
    ]


def _number(value: object) -> float:
    try:
        return float(str(value))
    except ValueError:
        return float("inf")


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
        "images": [_image_shape(reported) for reported in images],
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


def _image_shape(reported: ReportedImage) -> Shape:
    image = reported.image
    reading: Shape = json.loads(dump_findings(image.findings))
    return [image.sop_instance_uid, image.pixel_digest, header_digest(reported.header), reading]


def _reference(header: Dataset) -> SopReference:
    return SopReference(
        str(header.StudyInstanceUID),
        str(header.SeriesInstanceUID),
        str(header.SOPClassUID),
        str(header.SOPInstanceUID),
    )
