"""A film's Grad-CAM as Secondary Capture (PS3.3 A.8.1): where the network looked, which is no finding."""

from __future__ import annotations

import hashlib

from pydicom.dataset import Dataset, FileDataset
from pydicom.sequence import Sequence
from pydicom.uid import SecondaryCaptureImageStorage

from dicom_node.errors import CompositionError
from dicom_node.records import ResultKind, ResultObject, StudyImage
from dicom_node.results.capture_attributes import copy_geometry, copy_side, describe_capture
from dicom_node.results.capture_pixels import put_pixels
from dicom_node.results.capture_style import style_of
from dicom_node.results.coded_concepts import GRADIENT_CLASS_ACTIVATION
from dicom_node.results.composition import CompositionContext, DestinationProfile
from dicom_node.results.explanation_capture_drawing import (
    draw_explanation_capture,
    explanation_layout,
)
from dicom_node.results.messages import Message
from dicom_node.results.result_identity import ImagePlace, image_identity
from dicom_node.results.result_instance import code_item, encode_instance, start_instance
from dicom_node.results.source_context import read_source_header
from dicom_node.results.wording import (
    Wording,
    caution_words,
    model_words,
    notice_words,
    outcome_words,
)
from pipeline.activation_map import Explanation
from pipeline.findings import ImageFindings, Outcome
from pipeline.radiograph import Radiograph


def compose_explanation(
    image: StudyImage,
    source: Dataset,
    radiograph: Radiograph,
    explanation: Explanation,
    profile: DestinationProfile,
    context: CompositionContext,
    *,
    revision: int,
    instance_number: int,
) -> ResultObject:
    """The Grad-CAM of one image laid over its film; the same arguments give the same bytes.

    `source`: the image's header, as received or normalised. `explanation` lies on the matrix of `radiograph`.

    Raises:
        CompositionError: the source cannot be referenced, the image was not read, or the map is another film's.
    """
    _check(image, radiograph, explanation)
    header = read_source_header(source)
    identity = image_identity(
        ResultKind.EXPLANATION,
        SecondaryCaptureImageStorage,
        image,
        header,
        ImagePlace(revision, instance_number),
        profile,
        context,
        further=_digest(explanation),
    )
    ds = start_instance(identity, ResultKind.EXPLANATION, header, [image.findings], profile, context)
    _describe(ds, image.findings, header, profile.wording)
    side, style = profile.overlay_longest_side, style_of(profile)
    layout = explanation_layout(radiograph, image.findings, explanation, longest_side=side, style=style)
    copy_geometry(ds, header, layout.scale_x, layout.scale_y)
    pixels = draw_explanation_capture(
        radiograph, image.findings, explanation, longest_side=side, style=style
    )
    put_pixels(ds, pixels, profile)
    return encode_instance(ds, header, ResultKind.EXPLANATION, profile)


def _check(image: StudyImage, radiograph: Radiograph, explanation: Explanation) -> None:
    if image.findings.outcome is Outcome.NOT_PROCESSED:
        raise CompositionError(
            f"image {image.sop_instance_uid} was not read: there is nothing to explain"
        )
    if explanation.activation.shape != radiograph.pixels.shape:
        raise CompositionError(
            f"image {image.sop_instance_uid}: the map has {explanation.activation.shape} rows and columns, "
            f"the film {radiograph.pixels.shape}; explain this very film"
        )


def _digest(explanation: Explanation) -> str:
    """sha256 of the map's levels and the arrow, from which all is drawn."""
    digest = hashlib.sha256(explanation.levels.tobytes())
    arrow = explanation.arrow
    digest.update(repr((arrow.tail, arrow.head) if arrow else None).encode())
    return digest.hexdigest()


def _describe(ds: FileDataset, findings: ImageFindings, header: Dataset, wording: Wording) -> None:
    """A derived picture of the network's looking, coded as such (PS3.3 C.7.6.1.1.3)."""
    said = (
        wording.text(Message.EXPLANATION_TITLE) + ".",
        wording.text(Message.EXPLANATION_CAUTION),
        f"{outcome_words(findings, wording)}.",
        caution_words(findings, wording),
        notice_words(wording),
    )
    words = " ".join(part for part in said if part)
    by = wording.text(Message.EXPLANATION_DRAWN, model=model_words(findings.model, wording))
    describe_capture(ds, [header], comments=words, derivation=f"{by} {words}")
    copy_side(ds, header)
    ds.DerivationCodeSequence = Sequence([code_item(GRADIENT_CLASS_ACTIVATION)])
