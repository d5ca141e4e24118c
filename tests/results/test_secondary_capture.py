"""The overlay as a DICOM object."""

from __future__ import annotations

import io
from dataclasses import replace

import numpy as np
import pydicom
import pytest
from pydicom.uid import JPEG2000, ExplicitVRLittleEndian, SecondaryCaptureImageStorage

from dicom_node.results.composition import DestinationProfile
from pipeline.findings import RESEARCH_NOTICE
from tests.phantoms import HEADER_CASES, encode, header_case, phantom
from tests.results.hand_made import (
    CONTEXT,
    FAILED,
    MODEL,
    NEGATIVE,
    NOT_ATTEMPTED,
    POSITIVE,
    overlay,
    radiograph_of,
    read_back,
    report,
)


def test_it_says_what_it_is_and_what_it_is_not() -> None:
    """Derived, burned in, for research, with the model's name, version and digest beside the notice."""
    ds = read_back(overlay(phantom(), POSITIVE))
    assert ds.SOPClassUID == SecondaryCaptureImageStorage
    assert ds.file_meta.TransferSyntaxUID == ExplicitVRLittleEndian
    assert list(ds.ImageType) == ["DERIVED", "SECONDARY"]
    assert (ds.Modality, ds.ConversionType, ds.SeriesNumber) == ("OT", "WSD", 9002)
    assert ds.BurnedInAnnotation == "YES"
    assert ds.ContentQualification == "RESEARCH"
    assert "research" in ds.SeriesDescription
    assert "Fracture suspected 87 %" in ds.ImageComments
    assert RESEARCH_NOTICE in ds.ImageComments
    contribution = ds.ContributingEquipmentSequence[0].ContributionDescription
    for part in (MODEL.name, MODEL.version, MODEL.digest, MODEL.engine, RESEARCH_NOTICE):
        assert part in contribution
    assert "normal" not in str(ds).lower()


def test_it_names_the_film_that_it_was_drawn_on() -> None:
    """With strips beside the film the pixels have moved, and the object says so."""
    source = phantom()
    item = read_back(overlay(source, POSITIVE)).SourceImageSequence[0]
    assert item.ReferencedSOPInstanceUID == source.SOPInstanceUID
    assert item.ReferencedSOPClassUID == source.SOPClassUID
    assert item.SpatialLocationsPreserved == "NO"
    assert item.PurposeOfReferenceCodeSequence[0].CodeValue == "121322"


@pytest.mark.parametrize("longest_side", [256, 512, 2048])
def test_the_pixels_read_back_and_no_side_exceeds_the_destinations_cap(longest_side: int) -> None:
    """8-bit RGB, native."""
    profile = DestinationProfile("pacs", overlay_longest_side=longest_side)
    ds = read_back(overlay(phantom(rows=800, columns=600), POSITIVE, profile=profile))
    assert ds.pixel_array.shape == (ds.Rows, ds.Columns, 3)
    assert max(ds.Rows, ds.Columns) <= longest_side
    assert ds.pixel_array.dtype == np.uint8


def test_both_polarities_of_a_film_look_the_same() -> None:
    """MONOCHROME1 is inverted once."""
    first = overlay(phantom(monochrome1=False), POSITIVE)
    second = overlay(phantom(monochrome1=True), POSITIVE)
    difference = read_back(first).pixel_array.astype(int) - read_back(second).pixel_array
    assert np.abs(difference).max() <= 1


def test_spacing_is_scaled_with_the_matrix_and_keeps_its_name() -> None:
    """Imager Pixel Spacing stays Imager Pixel Spacing: a measurement on the overlay is that on the film."""
    source = phantom(rows=800, columns=600)
    ds = read_back(overlay(source, replace(POSITIVE, rows=800, columns=600)))
    assert "PixelSpacing" not in ds
    film_columns = _film_columns(ds.pixel_array)
    expected = float(source.ImagerPixelSpacing[1]) * 600 / film_columns
    assert float(ds.ImagerPixelSpacing[1]) == pytest.approx(expected, rel=0.01)


def _film_columns(pixels: np.ndarray) -> int:  # type: ignore[type-arg]
    """How wide the film is drawn: its middle row without the strip's colour at the sides."""
    row = pixels[pixels.shape[0] // 2]
    return int(np.flatnonzero(np.any(row != row[0], axis=-1) | (row[:, 0] != 15)).size)


def test_a_calibrated_spacing_comes_with_its_type_and_one_without_type_is_left_out() -> None:
    """A Pixel Spacing that does not say how it was calibrated may be none."""
    source = header_case("PixelSpacing")
    assert "PixelSpacing" not in read_back(overlay(source, POSITIVE))
    source.PixelSpacingCalibrationType = "GEOMETRY"
    source.PixelSpacingCalibrationDescription = "magnification corrected"
    ds = read_back(overlay(source, POSITIVE))
    assert ds.PixelSpacingCalibrationType == "GEOMETRY"
    assert float(ds.PixelSpacing[0]) / float(ds.ImagerPixelSpacing[0]) == pytest.approx(
        0.5 / 0.55, rel=1e-4
    )


def test_orientation_and_side_are_the_sources() -> None:
    """Compound directions too, which highdicom's own class refuses."""
    ds = read_back(overlay(header_case("compound orientation", modality="DX"), POSITIVE))
    assert list(ds.PatientOrientation) == ["FL", "PR"]
    assert ds.ImageLaterality == "R"


def test_the_lossy_flags_of_the_source_are_copied() -> None:
    """What was lost once stays lost (PS3.3 C.7.6.1.1.5)."""
    lossy = pydicom.dcmread(io.BytesIO(encode(phantom(), JPEG2000)))
    ds = read_back(overlay(lossy, POSITIVE, radiograph=radiograph_of(phantom())))
    assert ds.LossyImageCompression == "01"
    assert float(ds.LossyImageCompressionRatio) == 8
    assert read_back(overlay(phantom(), POSITIVE)).LossyImageCompression == "00"


@pytest.mark.parametrize("reading", [NOT_ATTEMPTED, FAILED])
def test_a_film_without_pixels_gets_a_card_that_says_it_was_not_read(reading: object) -> None:
    """No spacing, no orientation: there is no picture that they could describe."""
    ds = read_back(overlay(phantom(), reading, card=True))  # type: ignore[arg-type]
    assert "Not processed" in ds.ImageComments
    assert "not read" in ds.ImageComments
    assert "ImagerPixelSpacing" not in ds
    assert not ds.PatientOrientation
    assert ds.pixel_array.shape == (ds.Rows, ds.Columns, 3)


def test_the_same_job_gives_the_same_bytes() -> None:
    """Nothing is read from a clock or drawn by chance."""
    assert overlay(phantom(), POSITIVE).data == overlay(phantom(), POSITIVE).data


def test_whatever_shapes_an_overlay_changes_its_uid() -> None:
    """Patient name, pixel, reading, size, place in the series, software; and the report's UID is another."""
    source, renamed, brighter = phantom(), phantom(), phantom()
    renamed.PatientName = "SOMEBODY^ELSE"
    brighter.PixelData = bytes(len(brighter.PixelData))
    made = [
        overlay(source, POSITIVE),
        overlay(renamed, POSITIVE),
        overlay(brighter, POSITIVE, radiograph=radiograph_of(source)),
        overlay(source, NEGATIVE),
        overlay(source, POSITIVE, profile=DestinationProfile("pacs", overlay_longest_side=600)),
        overlay(source, POSITIVE, instance_number=2),
        overlay(source, POSITIVE, card=True),
        overlay(source, POSITIVE, context=replace(CONTEXT, software_version="0.2.0")),
        report([(source, POSITIVE)]),
    ]
    assert len({one.sop_instance_uid for one in made}) == len(made)


def test_overlays_of_a_study_share_a_series_and_a_corrected_patient_gets_another() -> None:
    """One series per study, destination profile, model and patient header."""
    renamed = phantom()
    renamed.PatientName = "SOMEBODY^ELSE"
    first, second = overlay(phantom(), POSITIVE), overlay(phantom(seed=2), NEGATIVE, instance_number=2)
    assert first.series_instance_uid == second.series_instance_uid
    assert overlay(renamed, POSITIVE).series_instance_uid != first.series_instance_uid
    assert report([(phantom(), POSITIVE)]).series_instance_uid != first.series_instance_uid


@pytest.mark.parametrize("case", HEADER_CASES)
def test_the_patient_comes_through_from_every_header(case: str) -> None:
    """In the source's character set or in Unicode."""
    source = header_case(case)
    ds = read_back(overlay(source, POSITIVE))
    assert str(ds.PatientName) == str(source.PatientName)
    assert ds.StudyInstanceUID == source.StudyInstanceUID
