"""The images of a study that matter, as a Key Object Selection (PS3.3 A.35.4): a viewer opens them first."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from pydicom.dataset import Dataset
from pydicom.uid import KeyObjectSelectionDocumentStorage

from dicom_node.identifiers import Shape
from dicom_node.records import ResultKind, ResultObject, StudyFindings
from dicom_node.results.coded_concepts import OF_INTEREST
from dicom_node.results.composition import CompositionContext, DestinationProfile
from dicom_node.results.evidence import reference_to
from dicom_node.results.key_object_document import fill_key_object_document
from dicom_node.results.messages import Message
from dicom_node.results.result_identity import image_shape, result_identity
from dicom_node.results.result_instance import encode_instance, start_instance
from dicom_node.results.source_context import newest_header
from dicom_node.results.study_images import (
    ReportedImage,
    image_words,
    reported_images,
)
from dicom_node.results.wording import Wording, model_words, notice_words
from pipeline.findings import Outcome

_MATTER = (Outcome.FRACTURE, Outcome.DOUBT)


def compose_key_objects(
    study: StudyFindings,
    sources: Mapping[str, Dataset],
    profile: DestinationProfile,
    context: CompositionContext,
) -> ResultObject | None:
    """A selection titled "Of Interest" of the images with a fracture or a doubt; None if there is none.

    `sources`: a header by SOP Instance UID for every image of the study, as received or normalised. The same
    arguments give the same bytes.

    Raises:
        CompositionError: no images, or a source is missing or cannot be referenced.
    """
    images = reported_images(study, sources)
    chosen = [one for one in images if one.image.findings.outcome in _MATTER]
    if not chosen:
        return None
    header = newest_header(one.header for one in images)
    readings = [one.image.findings for one in chosen]
    content: dict[str, Shape] = {
        "images": [[one.number, image_shape(one.image, one.header)] for one in chosen],
        "revision": study.revision,
    }
    identity = result_identity(
        ResultKind.KEY_OBJECTS, KeyObjectSelectionDocumentStorage, header, readings, content, profile,
        context, instance_number=study.revision,
    )  # fmt: skip
    ds = start_instance(identity, ResultKind.KEY_OBJECTS, header, readings, profile, context)
    fill_key_object_document(
        ds,
        OF_INTEREST,
        _description(chosen, profile.wording),
        [reference_to(one.header) for one in chosen],
        context,
    )
    return encode_instance(ds, header, ResultKind.KEY_OBJECTS, profile)


def _description(chosen: Sequence[ReportedImage], wording: Wording) -> str:
    """Which model chose them, what it said of each, and that it is for research."""
    models = sorted({model_words(one.image.findings.model, wording) for one in chosen})
    sentences = [wording.text(Message.KEY_IMAGES, model="; ".join(models))]
    sentences += [image_words(one, wording) for one in chosen]
    return " ".join([*sentences, notice_words(wording)])
