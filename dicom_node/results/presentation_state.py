"""A film's marks as Grayscale Softcopy Presentation State (PS3.3 A.33.1): boxes and words that a viewer lays over the film."""

from __future__ import annotations

from fractions import Fraction

from pydicom.dataset import Dataset, FileDataset
from pydicom.sequence import Sequence
from pydicom.uid import GrayscaleSoftcopyPresentationStateStorage
from pydicom.valuerep import format_number_as_ds

from dicom_node.errors import CompositionError
from dicom_node.records import ResultKind, ResultObject, StudyImage
from dicom_node.results.composition import CompositionContext, DestinationProfile
from dicom_node.results.evidence import image_reference
from dicom_node.results.graphic_annotations import put_annotations
from dicom_node.results.presentation_greyscale import greyscale_shape, put_greyscale
from dicom_node.results.result_identity import ImagePlace, image_identity
from dicom_node.results.result_instance import encode_instance, start_instance
from dicom_node.results.source_context import read_source_header
from pipeline.radiograph import Radiograph

CONTENT_LABEL = "AI FRACTURE"


def compose_presentation_state(
    image: StudyImage,
    source: Dataset,
    radiograph: Radiograph,
    profile: DestinationProfile,
    context: CompositionContext,
    *,
    revision: int,
    instance_number: int,
) -> ResultObject:
    """The marks on one image; the same arguments give the same bytes.

    `source`: its header, as received or normalised. The film is shown as `radiograph` was read: grey levels, polarity and
    shutter come from there. By hand and not with highdicom's class, which takes them from the header as it stands, reads
    the clock and shows MONOCHROME1 inverted.

    Raises:
        CompositionError: the source cannot be referenced, the radiograph does not say how it was read, or the
            destination's catalogue cannot be used.
    """
    header = read_source_header(source)
    if radiograph.greyscale is None:
        raise CompositionError(
            f"image {image.sop_instance_uid}: its radiograph was not read from DICOM and has no greyscale; "
            "read it with read_radiograph"
        )
    identity = image_identity(
        ResultKind.PRESENTATION,
        GrayscaleSoftcopyPresentationStateStorage,
        image,
        header,
        ImagePlace(revision, instance_number),
        profile,
        context,
        further=[
            greyscale_shape(radiograph.greyscale),
            radiograph.pixel_aspect,
            repr(radiograph.spacing),
        ],
    )
    ds = start_instance(identity, ResultKind.PRESENTATION, header, [image.findings], profile, context)
    # Type 2C (C.7.3.1); empty, since the series holds images of several sides.
    ds.Laterality = None
    film = image_reference(header)
    _identify(ds)
    _relate(ds, header, film)
    put_greyscale(ds, radiograph.greyscale, film)
    ds.DisplayedAreaSelectionSequence = Sequence([_displayed_area(radiograph, film)])
    put_annotations(ds, image.findings, film, profile.wording)
    return encode_instance(ds, header, ResultKind.PRESENTATION, profile)


def _identify(ds: FileDataset) -> None:
    """Presentation State Identification Module (C.11.10); these times are its own, and no others belong here."""
    ds.PresentationCreationDate, ds.PresentationCreationTime = ds.ContentDate, ds.ContentTime
    del ds.ContentDate, ds.ContentTime
    ds.ContentLabel, ds.ContentDescription = CONTENT_LABEL, ds.SeriesDescription
    ds.ContentCreatorName = None


def _relate(ds: FileDataset, header: Dataset, film: Dataset) -> None:
    """Presentation State Relationship Module (C.11.11)."""
    series = Dataset()
    series.SeriesInstanceUID = header.SeriesInstanceUID
    series.ReferencedImageSequence = Sequence([film])
    ds.ReferencedSeriesSequence = Sequence([series])


def _displayed_area(radiograph: Radiograph, film: Dataset) -> Dataset:
    """The whole film (C.10.4): here the first pixel is 1\\1, other than in graphics."""
    item = Dataset()
    item.ReferencedImageSequence = Sequence([film])
    item.DisplayedAreaTopLeftHandCorner = [1, 1]
    item.DisplayedAreaBottomRightHandCorner = [radiograph.columns, radiograph.rows]
    item.PresentationSizeMode = "SCALE TO FIT"
    if radiograph.spacing is not None:
        spacing = (radiograph.spacing.row_mm, radiograph.spacing.column_mm)
        item.PresentationPixelSpacing = [format_number_as_ds(millimetres) for millimetres in spacing]
    else:
        ratio = Fraction(radiograph.pixel_aspect).limit_denominator(1000)
        item.PresentationPixelAspectRatio = [ratio.numerator, ratio.denominator]
    return item
