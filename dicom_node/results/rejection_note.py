"""The note that retires our own replaced objects (IHE RAD TF-1 47, Imaging Object Change Management).

Titles are those of PS3.16 CID 7010. Ours are never 113038 (wrong worklist entry) or 113039 (retention expired): neither
would be true of a result that a newer one replaced.
"""

from __future__ import annotations

from collections.abc import Sequence

from pydicom.dataset import Dataset
from pydicom.sr.coding import Code
from pydicom.uid import KeyObjectSelectionDocumentStorage

from dicom_node.errors import CompositionError
from dicom_node.identifiers import Shape
from dicom_node.records import ResultKind, ResultObject, SopReference
from dicom_node.results.coded_concepts import REJECTION_TITLES
from dicom_node.results.composition import CompositionContext, DestinationProfile
from dicom_node.results.key_object_document import fill_key_object_document
from dicom_node.results.messages import Message
from dicom_node.results.result_identity import result_identity
from dicom_node.results.result_instance import encode_instance, start_instance
from dicom_node.results.source_context import read_source_header
from dicom_node.results.wording import notice_words, reader_words
from pipeline.findings import ImageFindings


def compose_rejection(
    rejected: Sequence[SopReference],
    header: Dataset,
    findings: Sequence[ImageFindings],
    profile: DestinationProfile,
    context: CompositionContext,
    *,
    revision: int,
) -> ResultObject:
    """One note for all objects of a study that the destination shall retire, in any order and named once or twice.

    `header`: of an image of that study, as received or normalised. `findings`: the readings that replace the rejected
    ones. `revision`: the one that replaces them. The same arguments give the same bytes.

    Raises:
        CompositionError: nothing is rejected, objects of another study are, or the destination's title is no
            rejection.
    """
    header = read_source_header(header)
    title = _title(profile)
    retired = _retired(rejected, str(header.StudyInstanceUID))
    content: dict[str, Shape] = {
        "title": profile.rejection_title,
        "rejected": [
            [one.series_instance_uid, one.sop_class_uid, one.sop_instance_uid] for one in retired
        ],
        # Of the readings only who read is written.
        "readers": sorted({reader_words(one) for one in findings}),
        "revision": revision,
    }
    identity = result_identity(
        ResultKind.REJECTION, KeyObjectSelectionDocumentStorage, header, findings, content, profile,
        context, instance_number=revision,
    )  # fmt: skip
    ds = start_instance(identity, ResultKind.REJECTION, header, findings, profile, context)
    wording = profile.wording
    description = f"{wording.text(Message.REPLACED)} {notice_words(wording)}"
    fill_key_object_document(ds, title, description, retired, context)
    return encode_instance(ds, header, ResultKind.REJECTION, profile)


def _title(profile: DestinationProfile) -> Code:
    if profile.rejection_title not in REJECTION_TITLES:
        raise CompositionError(
            f"destination {profile.name}: rejection_title = {profile.rejection_title!r} is no title for a "
            f"replaced result; give one of {', '.join(REJECTION_TITLES)}"
        )
    return REJECTION_TITLES[profile.rejection_title]


def _retired(rejected: Sequence[SopReference], study_instance_uid: str) -> list[SopReference]:
    """Each once, by series, in an order of its own: the ledger's may change."""
    if not rejected:
        raise CompositionError("a rejection note needs at least one object")
    for reference in rejected:
        if reference.study_instance_uid != study_instance_uid:
            raise CompositionError(
                f"{reference.sop_instance_uid} lies in study {reference.study_instance_uid}, "
                f"not in {study_instance_uid}: give each study a note of its own"
            )
    return sorted(set(rejected), key=lambda one: (one.series_instance_uid, one.sop_instance_uid))
