"""A film's overlay as Secondary Capture (PS3.3 A.8.1): the one result that every viewer shows."""

from __future__ import annotations

from pydicom.dataset import Dataset, FileDataset
from pydicom.uid import SecondaryCaptureImageStorage

from dicom_node.records import ResultKind, ResultObject, StudyImage
from dicom_node.results.capture_attributes import copy_geometry, copy_side, describe_capture
from dicom_node.results.capture_pixels import put_pixels
from dicom_node.results.capture_style import style_of
from dicom_node.results.composition import CompositionContext, DestinationProfile
from dicom_node.results.messages import Message
from dicom_node.results.overlay_drawing import draw_card, draw_overlay, overlay_layout
from dicom_node.results.result_identity import ImagePlace, image_identity
from dicom_node.results.result_instance import encode_instance, start_instance
from dicom_node.results.source_context import read_source_header
from dicom_node.results.wording import (
    Wording,
    caution_words,
    model_words,
    notice_words,
    outcome_words,
)
from pipeline.findings import ImageFindings, Outcome
from pipeline.radiograph import Radiograph


def compose_overlay(
    image: StudyImage,
    source: Dataset,
    radiograph: Radiograph | None,
    profile: DestinationProfile,
    context: CompositionContext,
    *,
    revision: int,
    instance_number: int,
) -> ResultObject:
    """The overlay of one image; the same arguments give the same bytes.

    `source`: its header, as received or normalised. `radiograph` is None where the pixels could not be had: a card
    says so in the film's place.

    Raises:
        CompositionError: the source cannot be referenced, or the destination's catalogue or font cannot be used.
    """
    header = read_source_header(source)
    identity = image_identity(
        ResultKind.OVERLAY,
        SecondaryCaptureImageStorage,
        image,
        header,
        ImagePlace(revision, instance_number),
        profile,
        context,
        further={"card": radiograph is None},
    )
    ds = start_instance(identity, ResultKind.OVERLAY, header, [image.findings], profile, context)
    _describe(ds, image.findings, header, profile.wording)
    side, style = profile.overlay_longest_side, style_of(profile)
    if radiograph is None:
        pixels = draw_card(image.findings, longest_side=side, style=style)
    else:
        layout = overlay_layout(radiograph, image.findings, longest_side=side, style=style)
        pixels = draw_overlay(radiograph, image.findings, longest_side=side, style=style)
        copy_geometry(ds, header, layout.scale_x, layout.scale_y)
    put_pixels(ds, pixels, profile)
    return encode_instance(ds, header, ResultKind.OVERLAY, profile)


def _describe(ds: FileDataset, findings: ImageFindings, header: Dataset, wording: Wording) -> None:
    """What kind of image this is (PS3.3 C.7.6.1), for people and for archives."""
    result, caution = outcome_words(findings, wording), caution_words(findings, wording)
    words = " ".join(part for part in (f"{result}.", caution, notice_words(wording)) if part)
    drawn = Message.NOT_READ_DRAWN if findings.outcome is Outcome.NOT_PROCESSED else Message.DRAWN
    derivation = f"{wording.text(drawn, model=model_words(findings.model, wording))} {words}"
    describe_capture(ds, [header], comments=words, derivation=derivation)
    copy_side(ds, header)
