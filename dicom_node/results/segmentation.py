"""Where a film's fracture was seen, as a binary Segmentation (PS3.3 A.51): one frame over the film's own matrix."""

from __future__ import annotations

import numpy as np
from highdicom import AlgorithmIdentificationSequence
from highdicom.color import CIELabColor
from highdicom.seg import SegmentDescription
from pydicom.dataset import Dataset, FileDataset
from pydicom.sequence import Sequence
from pydicom.tag import Tag
from pydicom.uid import SegmentationStorage
from pydicom.valuerep import format_number_as_ds

from dicom_node.identifiers import MANUFACTURER, derive_uid
from dicom_node.records import ResultKind, ResultObject, StudyImage
from dicom_node.results import coded_concepts as codes
from dicom_node.results.capture_attributes import copy_orientation
from dicom_node.results.composition import CompositionContext, DestinationProfile
from dicom_node.results.evidence import image_reference
from dicom_node.results.film_drawing import COLOURS
from dicom_node.results.messages import Message
from dicom_node.results.region_mask import Mask, region_mask
from dicom_node.results.result_identity import ImagePlace, image_identity
from dicom_node.results.result_instance import code_item, encode_instance, start_instance
from dicom_node.results.source_context import ENCODING_LEVEL, read_source_header
from dicom_node.results.wording import Wording, notice_words, outcome_words
from pipeline.findings import ImageFindings, Outcome
from pipeline.radiograph import Radiograph, Spacing

CONTENT_LABEL = "AI FRACTURE"
# A projection has no slice. highdicom reads no Pixel Measures without Slice Thickness, and dciodvfy refuses 0.
NO_THICKNESS = "0.001"


def compose_segmentation(
    image: StudyImage,
    source: Dataset,
    radiograph: Radiograph,
    profile: DestinationProfile,
    context: CompositionContext,
    *,
    revision: int,
    instance_number: int,
) -> ResultObject | None:
    """The regions of one image as a mask, None where it has none to draw; the same arguments give the same bytes.

    `source`: its header, as received or normalised. By hand around highdicom's segment: its Segmentation wants the whole
    image and a Patient Orientation that it understands, and reads the clock.

    Raises:
        CompositionError: the source cannot be referenced, or the destination's catalogue cannot be used.
    """
    findings = image.findings
    if not findings.visible_regions:
        return None
    header = read_source_header(source)
    kind = ResultKind.SEGMENTATION
    place = ImagePlace(revision, instance_number)
    identity = image_identity(
        kind, SegmentationStorage, image, header, place, profile, context,
        further=[radiograph.rows, radiograph.columns, repr(radiograph.spacing)],
    )  # fmt: skip
    ds = start_instance(identity, kind, header, [findings], profile, context)
    _describe(ds, header, context)
    ds.SegmentSequence = Sequence([_segment(findings, profile.wording)])
    dimension = derive_uid(context.installation_id, ["dimension", identity.sop_instance_uid])
    _put_groups(ds, header, dimension, radiograph.spacing)
    mask = region_mask(findings.visible_regions, radiograph.rows, radiograph.columns)
    _put_pixels(ds, mask)
    return encode_instance(ds, header, kind, profile)


def _describe(ds: FileDataset, header: Dataset, context: CompositionContext) -> None:
    """General Image, Enhanced General Equipment and Segmentation Image Modules (C.7.6.1, C.7.5.2, C.8.20.2)."""
    ds.DeviceSerialNumber = str(context.installation_id)
    ds.ImageType = ["DERIVED", "PRIMARY"]
    # Without a frame of reference this alone says which way the film lies (type 2C).
    ds.PatientOrientation = None
    copy_orientation(ds, header)
    ds.ContentLabel, ds.ContentDescription = CONTENT_LABEL, ds.SeriesDescription
    ds.ContentCreatorName = None
    ds.SegmentationType, ds.SegmentsOverlap = "BINARY", "NO"
    # What was lost before is lost in what was derived (C.7.6.1.1.5).
    ds.LossyImageCompression = "00"
    for keyword in ENCODING_LEVEL:
        if header.get(keyword):
            ds.add(header[keyword])


def _segment(findings: ImageFindings, wording: Wording) -> Dataset:
    """The one segment (C.8.20.4); a doubt is labelled as one, its code says what is in doubt."""
    model = findings.model
    sure = any(region.outcome is Outcome.FRACTURE for region in findings.visible_regions)
    outcome = Outcome.FRACTURE if sure else Outcome.DOUBT
    segment: Dataset = SegmentDescription(
        segment_number=1,
        segment_label=wording.text(Message.FRACTURE if sure else Message.DOUBT),
        segmented_property_category=codes.ABNORMAL_STRUCTURE,
        segmented_property_type=codes.FRACTURE,
        algorithm_type="AUTOMATIC",
        algorithm_identification=AlgorithmIdentificationSequence(
            name=model.name,
            family=codes.ARTIFICIAL_INTELLIGENCE,
            version=model.version,
            source=MANUFACTURER,
            parameters={"package digest": model.digest, "engine": model.engine},
        ),
        display_color=CIELabColor.from_rgb(*COLOURS[outcome]),
    )
    segment.SegmentDescription = f"{outcome_words(findings, wording)}. {notice_words(wording)}"
    return segment


def _put_groups(ds: FileDataset, header: Dataset, dimension_uid: str, spacing: Spacing | None) -> None:
    """Multi-frame Functional Groups, Multi-frame Dimension and Common Instance Reference (C.7.6.16, C.7.6.17, C.12.2)."""
    number, groups = Tag("ReferencedSegmentNumber"), Tag("SegmentIdentificationSequence")
    organization = _item(DimensionOrganizationUID=dimension_uid)
    index = _item(
        DimensionOrganizationUID=dimension_uid,
        DimensionIndexPointer=number,
        FunctionalGroupPointer=groups,
        DimensionDescriptionLabel="Segment",
    )
    ds.DimensionOrganizationSequence = Sequence([organization])
    ds.DimensionIndexSequence = Sequence([index])
    segment = _item(ReferencedSegmentNumber=1)
    shared = _item(SegmentIdentificationSequence=Sequence([segment]))
    if spacing is not None:
        shared.PixelMeasuresSequence = Sequence([_pixel_measures(spacing)])
    ds.SharedFunctionalGroupsSequence = Sequence([shared])
    frame = _item(
        FrameContentSequence=Sequence([_item(DimensionIndexValues=[1])]),
        DerivationImageSequence=Sequence([_derivation(header)]),
    )
    ds.PerFrameFunctionalGroupsSequence = Sequence([frame])
    series = _item(
        SeriesInstanceUID=header.SeriesInstanceUID,
        ReferencedInstanceSequence=Sequence([image_reference(header)]),
    )
    ds.ReferencedSeriesSequence = Sequence([series])


def _pixel_measures(spacing: Spacing) -> Dataset:
    """Pixel Measures (C.7.6.16.2.1) as the film has them: at the detector where nobody calibrated them (10.7.1.3).

    May be left out beside a Derivation Image (A.51.5), but OHIF 3.13 falls over a segmentation without.
    """
    return _item(
        SliceThickness=NO_THICKNESS,
        PixelSpacing=[format_number_as_ds(one) for one in (spacing.row_mm, spacing.column_mm)],
    )


def _derivation(header: Dataset) -> Dataset:
    """Derivation Image (C.7.6.16.2.6), which stands for position and orientation: the mask's pixels are the film's.

    No Plane Orientation (Patient): OHIF would draw the mask with 1\\0\\0\\0\\1\\0, which is false of every radiograph.
    """
    film = image_reference(header)
    film.SpatialLocationsPreserved = "YES"
    film.PurposeOfReferenceCodeSequence = Sequence([code_item(codes.SOURCE_IMAGE_FOR_PROCESSING)])
    return _item(
        DerivationCodeSequence=Sequence([code_item(codes.SEGMENTATION)]),
        SourceImageSequence=Sequence([film]),
    )


def _item(**values: object) -> Dataset:
    item = Dataset()
    for keyword, value in values.items():
        setattr(item, keyword, value)
    return item


def _put_pixels(ds: FileDataset, mask: Mask) -> None:
    """Image Pixel Module (C.7.6.3) with one bit a pixel, the first pixel in the lowest bit (PS3.5 8.1.1)."""
    ds.NumberOfFrames = 1
    ds.SamplesPerPixel, ds.PhotometricInterpretation = 1, "MONOCHROME2"
    ds.Rows, ds.Columns = mask.shape
    ds.BitsAllocated, ds.BitsStored, ds.HighBit, ds.PixelRepresentation = 1, 1, 0, 0
    data = np.packbits(mask.ravel(), bitorder="little").tobytes()
    ds.add_new("PixelData", "OB", data + b"\0" * (len(data) % 2))
