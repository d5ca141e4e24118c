"""A film's overlay as Secondary Capture (PS3.3 A.8.1): the one result that every viewer shows."""

from __future__ import annotations

import json

from pydicom.dataset import Dataset, FileDataset
from pydicom.sequence import Sequence
from pydicom.uid import SecondaryCaptureImageStorage

from dicom_node.identifiers import Shape, derive_uid
from dicom_node.records import ResultKind, ResultObject, StudyImage
from dicom_node.results.coded_concepts import SOURCE_IMAGE_FOR_PROCESSING
from dicom_node.results.composition import CompositionContext, DestinationProfile
from dicom_node.results.overlay_drawing import (
    RgbImage,
    card_layout,
    draw_card,
    draw_overlay,
    overlay_layout,
)
from dicom_node.results.overlay_layout import OverlayLayout
from dicom_node.results.result_instance import (
    ResultIdentity,
    ResultSeries,
    code_item,
    encode_instance,
    start_instance,
)
from dicom_node.results.source_context import (
    encoding_shape,
    header_digest,
    read_source_header,
    study_digest,
)
from dicom_node.results.wording import caution_words, model_words, outcome_words
from pipeline.findings import RESEARCH_NOTICE, Outcome, dump_findings
from pipeline.radiograph import Radiograph

SERIES = ResultSeries("OT", 9002, "AI fracture overlay (research only)")


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
        CompositionError: the source cannot be referenced.
    """
    header = read_source_header(source)
    place: Shape = {"revision": revision, "instance": instance_number, "card": radiograph is None}
    identity = _identity(image, header, place, profile, context, instance_number)
    ds = start_instance(identity, SERIES, header, [image.findings], context)
    ds.ConversionType = "WSD"
    ds.DateOfSecondaryCapture, ds.TimeOfSecondaryCapture = ds.ContentDate, ds.ContentTime
    _describe(ds, image, header)
    ds.SourceImageSequence = Sequence([_source_image(header)])
    side = profile.overlay_longest_side
    ds.PatientOrientation = None
    if radiograph is None:
        layout = card_layout(image.findings, longest_side=side)
        pixels = draw_card(image.findings, longest_side=side)
    else:
        layout = overlay_layout(radiograph, image.findings, longest_side=side)
        pixels = draw_overlay(radiograph, image.findings, longest_side=side)
        _copy_geometry(ds, header, layout)
    _put_pixels(ds, pixels)
    return encode_instance(ds, header, ResultKind.OVERLAY)


def _identity(
    image: StudyImage,
    header: Dataset,
    place: Shape,
    profile: DestinationProfile,
    context: CompositionContext,
    instance_number: int,
) -> ResultIdentity:
    """UIDs from all that shapes the bytes; the ledger fixes `composed_at` for a reading."""
    series: Shape = {
        "kind": ResultKind.OVERLAY,
        "class": SecondaryCaptureImageStorage,
        "study": study_digest(header),
        "models": [image.findings.model.digest],
        "profile": profile.digest(ResultKind.OVERLAY),
    }
    reading: Shape = json.loads(dump_findings(image.findings))
    shape: Shape = {
        "series": series,
        "image": [image.sop_instance_uid, image.pixel_digest, header_digest(header), reading],
        "encoding": encoding_shape(header),
        "place": place,
        "software": context.software_version,
        "composed_at": context.composed_at.isoformat(),
        "timezone": context.node_timezone,
    }
    return ResultIdentity(
        sop_class_uid=SecondaryCaptureImageStorage,
        sop_instance_uid=derive_uid(context.installation_id, shape),
        series_instance_uid=derive_uid(context.installation_id, series),
        instance_number=instance_number,
    )


def _describe(ds: FileDataset, image: StudyImage, header: Dataset) -> None:
    """What kind of image this is (PS3.3 C.7.6.1), for people and for archives."""
    findings = image.findings
    words = " ".join(
        part
        for part in (f"{outcome_words(findings)}.", caution_words(findings), RESEARCH_NOTICE)
        if part
    )
    ds.ImageType = ["DERIVED", "SECONDARY"]
    ds.ImageComments = words
    side = str(header.get("ImageLaterality") or header.get("Laterality") or "")
    if side in ("L", "R", "U", "B"):
        ds.ImageLaterality = side
    else:
        # Type 2C without the image's own; empty, since the series holds images of several sides.
        ds.Laterality = None
    drawn = (
        "Notice that the film was not read"
        if findings.outcome is Outcome.NOT_PROCESSED
        else "AI result"
    )
    ds.DerivationDescription = (
        f"{drawn} drawn on a copy of the film by {model_words(findings.model)}. {words}"
    )
    ds.BurnedInAnnotation = "YES"
    ds.RecognizableVisualFeatures = "YES" if header.get("RecognizableVisualFeatures") == "YES" else "NO"
    for keyword in (
        "LossyImageCompression",
        "LossyImageCompressionRatio",
        "LossyImageCompressionMethod",
    ):
        if keyword in header:
            ds.add(header[keyword])


def _source_image(header: Dataset) -> Dataset:
    """The film that was drawn upon (PS3.3 C.7.6.1.1.4); strips of text move its pixels."""
    item = Dataset()
    item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = (
        header.SOPClassUID,
        header.SOPInstanceUID,
    )
    item.PurposeOfReferenceCodeSequence = Sequence([code_item(SOURCE_IMAGE_FOR_PROCESSING)])
    item.SpatialLocationsPreserved = "NO"
    return item


def _copy_geometry(ds: FileDataset, header: Dataset, layout: OverlayLayout) -> None:
    """Orientation as it is and spacing scaled with the matrix, each under the name that the source gave it.

    A Pixel Spacing without its calibration type does not say whether it is one: it is left out (PS3.3 10.7).
    """
    directions = header.get("PatientOrientation")
    if _is_pair(directions) and all(directions):
        ds.PatientOrientation = list(directions)
    _scale_spacing(ds, header, "ImagerPixelSpacing", layout)
    if header.get("PixelSpacingCalibrationType"):
        _scale_spacing(ds, header, "PixelSpacing", layout)
        for keyword in ("PixelSpacingCalibrationType", "PixelSpacingCalibrationDescription"):
            if keyword in header and "PixelSpacing" in ds:
                ds.add(header[keyword])


def _scale_spacing(ds: FileDataset, header: Dataset, keyword: str, layout: OverlayLayout) -> None:
    given = header.get(keyword)
    if not _is_pair(given):
        return
    try:
        down, across = float(given[0]) / layout.scale_y, float(given[1]) / layout.scale_x
    except (TypeError, ValueError):
        return
    # A spacing of 0 is written by some; it measures nothing.
    if down > 0 and across > 0:
        setattr(ds, keyword, [f"{down:.8g}", f"{across:.8g}"])


def _is_pair(value: object) -> bool:
    return not isinstance(value, str | bytes) and hasattr(value, "__len__") and len(value) == 2


def _put_pixels(ds: FileDataset, pixels: RgbImage) -> None:
    """Image Pixel Module (PS3.3 C.7.6.3), native RGB by pixel."""
    ds.SamplesPerPixel, ds.PhotometricInterpretation, ds.PlanarConfiguration = 3, "RGB", 0
    ds.Rows, ds.Columns = pixels.shape[:2]
    ds.BitsAllocated, ds.BitsStored, ds.HighBit, ds.PixelRepresentation = 8, 8, 7, 0
    data = pixels.tobytes()
    ds.add_new("PixelData", "OB", data + b"\0" * (len(data) % 2))
