"""The UIDs of results, from all that shapes their bytes: a UID names bytes, and the same bytes have the same UID."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from pydicom.dataset import Dataset
from pydicom.uid import UID

from dicom_node.identifiers import Shape, derive_uid
from dicom_node.records import ResultKind, StudyImage
from dicom_node.results.composition import CompositionContext, DestinationProfile
from dicom_node.results.result_instance import ResultIdentity
from dicom_node.results.source_context import encoding_shape, normalised_digest, study_digest
from pipeline.findings import ImageFindings, dump_findings


@dataclass(frozen=True)
class ImagePlace:
    """Of which revision an object is, and which number it has in its series."""

    revision: int
    instance_number: int


def result_identity(
    kind: ResultKind,
    sop_class_uid: str,
    header: Dataset,
    findings: Iterable[ImageFindings],
    content: Mapping[str, Shape],
    profile: DestinationProfile,
    context: CompositionContext,
    *,
    instance_number: int,
    page: int | None = None,
) -> ResultIdentity:
    """One series per kind, study, models and profile; `header` is normalised, `content` is all else that shapes the bytes.

    `page`: of an object of several. The ledger fixes `composed_at` for a reading, and for a revision.
    """
    series: Shape = {
        "kind": kind,
        "class": sop_class_uid,
        "study": study_digest(header),
        "models": sorted({one.model.digest for one in findings}),
        "profile": profile.digest(kind),
    }
    shape: Shape = {
        **content,
        "series": series,
        "software": context.software_version,
        "composed_at": context.composed_at.isoformat(),
        "timezone": context.node_timezone,
    }
    named: Shape = shape if page is None else [shape, "page", page]
    return ResultIdentity(
        sop_class_uid=UID(sop_class_uid),
        sop_instance_uid=derive_uid(context.installation_id, named),
        series_instance_uid=derive_uid(context.installation_id, series),
        instance_number=instance_number,
    )


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
    """Of an object composed of one image; `further` shapes this image's object only."""
    content: dict[str, Shape] = {
        "image": image_shape(image, header),
        "encoding": encoding_shape(header),
        "place": {"revision": place.revision, "instance": place.instance_number},
        "further": further,
    }
    number = place.instance_number
    return result_identity(
        kind, sop_class_uid, header, [image.findings], content, profile, context, instance_number=number
    )


def image_shape(image: StudyImage, header: Dataset) -> Shape:
    """What an image gives to an identity: pixels, every value of its normalised header, and the reading."""
    reading: Shape = json.loads(dump_findings(image.findings))
    return [image.sop_instance_uid, image.pixel_digest, normalised_digest(header), reading]
