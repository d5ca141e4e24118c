"""The UIDs of an object composed of one image, from all that shapes its bytes."""

from __future__ import annotations

import json
from dataclasses import dataclass

from pydicom.dataset import Dataset
from pydicom.uid import UID

from dicom_node.identifiers import Shape, derive_uid
from dicom_node.records import ResultKind, StudyImage
from dicom_node.results.composition import CompositionContext, DestinationProfile
from dicom_node.results.result_instance import ResultIdentity
from dicom_node.results.source_context import encoding_shape, header_digest, study_digest
from pipeline.findings import dump_findings


@dataclass(frozen=True)
class ImagePlace:
    """Of which revision an object is, and which number it has in its series."""

    revision: int
    instance_number: int


def image_identity(
    kind: ResultKind,
    sop_class_uid: UID,
    image: StudyImage,
    header: Dataset,
    place: ImagePlace,
    profile: DestinationProfile,
    context: CompositionContext,
    *,
    further: Shape = None,
) -> ResultIdentity:
    """One series per kind, study, model and profile; `header` is normalised, `further` shapes this image's object only.

    The ledger fixes `composed_at` for a reading.
    """
    series: Shape = {
        "kind": kind,
        "class": sop_class_uid,
        "study": study_digest(header),
        "models": [image.findings.model.digest],
        "profile": profile.digest(kind),
    }
    reading: Shape = json.loads(dump_findings(image.findings))
    shape: Shape = {
        "series": series,
        "image": [image.sop_instance_uid, image.pixel_digest, header_digest(header), reading],
        "encoding": encoding_shape(header),
        "place": {"revision": place.revision, "instance": place.instance_number},
        "further": further,
        "software": context.software_version,
        "composed_at": context.composed_at.isoformat(),
        "timezone": context.node_timezone,
    }
    return ResultIdentity(
        sop_class_uid=sop_class_uid,
        sop_instance_uid=derive_uid(context.installation_id, shape),
        series_instance_uid=derive_uid(context.installation_id, series),
        instance_number=place.instance_number,
    )
