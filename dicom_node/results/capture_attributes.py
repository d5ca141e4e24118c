"""What all captures say of themselves and of the films that they were drawn on (PS3.3 C.7.6.1, C.8.6.1)."""

from __future__ import annotations

from collections.abc import Iterable

from pydicom.dataset import Dataset, FileDataset
from pydicom.sequence import Sequence

from dicom_node.results.coded_concepts import SOURCE_IMAGE_FOR_PROCESSING
from dicom_node.results.evidence import image_reference
from dicom_node.results.result_instance import code_item

# LT and ST (PS3.5 6.2).
_MOST_COMMENTS, _MOST_DERIVATION = 10240, 1024
_LOSSY = ("LossyImageCompression", "LossyImageCompressionRatio", "LossyImageCompressionMethod")


def describe_capture(
    ds: FileDataset, headers: Iterable[Dataset], *, comments: str, derivation: str
) -> None:
    """Derived, burned in, and from which films; `headers` are theirs, normalised, in the order in which they are shown.

    Orientation and side are left empty: a picture of several films has neither.
    """
    films = list(headers)
    ds.ConversionType = "WSD"
    ds.DateOfSecondaryCapture, ds.TimeOfSecondaryCapture = ds.ContentDate, ds.ContentTime
    ds.ImageType = ["DERIVED", "SECONDARY"]
    ds.ImageComments, ds.DerivationDescription = (
        comments[:_MOST_COMMENTS],
        derivation[:_MOST_DERIVATION],
    )
    ds.BurnedInAnnotation = "YES"
    recognizable = any(film.get("RecognizableVisualFeatures") == "YES" for film in films)
    ds.RecognizableVisualFeatures = "YES" if recognizable else "NO"
    ds.PatientOrientation = ds.Laterality = None
    ds.SourceImageSequence = Sequence([_source_image(film) for film in films])
    # What was lost once stays lost (PS3.3 C.7.6.1.1.5).
    lossy = [film for film in films if film.get("LossyImageCompression") == "01"]
    for keyword in _LOSSY:
        if films and keyword in (lossy or films)[0]:
            ds.add((lossy or films)[0][keyword])


def copy_side(ds: FileDataset, header: Dataset) -> None:
    """The side of a picture of one film (Laterality is type 2C without the image's own)."""
    side = str(header.get("ImageLaterality") or header.get("Laterality") or "")
    if side in ("L", "R", "U", "B"):
        ds.ImageLaterality = side
        del ds.Laterality


def copy_geometry(ds: FileDataset, header: Dataset, scale_x: float, scale_y: float) -> None:
    """Orientation as it is, and spacing scaled with the matrix, each under the name that the source gave it.

    `scale_x`, `scale_y`: the picture's pixels per pixel of the film. A Pixel Spacing without its calibration type does
    not say whether it is one: it is left out (PS3.3 10.7).
    """
    copy_orientation(ds, header)
    _scale_spacing(ds, header, "ImagerPixelSpacing", scale_x, scale_y)
    if header.get("PixelSpacingCalibrationType"):
        _scale_spacing(ds, header, "PixelSpacing", scale_x, scale_y)
        for keyword in ("PixelSpacingCalibrationType", "PixelSpacingCalibrationDescription"):
            if keyword in header and "PixelSpacing" in ds:
                ds.add(header[keyword])


def copy_orientation(ds: FileDataset, header: Dataset) -> None:
    """Patient Orientation as it is, where it names both directions."""
    directions = header.get("PatientOrientation")
    if _is_pair(directions) and all(directions):
        ds.PatientOrientation = list(directions)


def _source_image(header: Dataset) -> Dataset:
    """The film that was drawn upon (PS3.3 C.7.6.1.1.4); strips of text move its pixels."""
    item = image_reference(header)
    item.PurposeOfReferenceCodeSequence = Sequence([code_item(SOURCE_IMAGE_FOR_PROCESSING)])
    item.SpatialLocationsPreserved = "NO"
    return item


def _scale_spacing(
    ds: FileDataset, header: Dataset, keyword: str, scale_x: float, scale_y: float
) -> None:
    given = header.get(keyword)
    if not _is_pair(given):
        return
    try:
        down, across = float(given[0]) / scale_y, float(given[1]) / scale_x
    except (TypeError, ValueError):
        return
    # A spacing of 0 is written by some; it measures nothing.
    if down > 0 and across > 0:
        setattr(ds, keyword, [f"{down:.8g}", f"{across:.8g}"])


def _is_pair(value: object) -> bool:
    return not isinstance(value, str | bytes) and hasattr(value, "__len__") and len(value) == 2
