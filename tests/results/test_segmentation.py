"""The regions of a film as a segmentation: the mask is what the heat's outline says, pixel by pixel."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path

import highdicom
import numpy as np
import pydicom
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom.dataset import Dataset
from pydicom.uid import JPEG2000, ExplicitVRLittleEndian, SegmentationStorage

from dicom_node.identifiers import MANUFACTURER
from dicom_node.records import ResultObject
from dicom_node.results.composition import CompositionContext, DestinationProfile
from dicom_node.results.region_mask import fill_polygon, region_mask
from dicom_node.results.segmentation import compose_segmentation
from pipeline.findings import ImageFindings, Outcome, Region
from pipeline.geometry import Point
from pipeline.radiograph import Radiograph
from tests.phantoms import COLUMNS, HEADER_CASES, ROWS, encode, header_case, phantom
from tests.results.hand_made import (
    CONTEXT,
    DOUBTFUL,
    MODEL,
    NEGATIVE,
    NOT_ATTEMPTED,
    POSITIVE,
    PROFILE,
    overlay,
    radiograph_of,
    read_back,
    study_image,
)
from tests.validators import dciodvfy_errors

OUTLINE = ((50.0, 70.2), (63.7, 60.0), (90.5, 81.0), (71.0, 79.5), (66.0, 100.0))
OUTLINED = replace(
    POSITIVE,
    regions=(replace(POSITIVE.regions[0], contour=OUTLINE), *POSITIVE.regions[1:]),
)


def segmented(
    source: Dataset,
    findings: ImageFindings = OUTLINED,
    *,
    profile: DestinationProfile = PROFILE,
    context: CompositionContext = CONTEXT,
    radiograph: Radiograph | None = None,
    instance_number: int = 1,
) -> ResultObject:
    """The segmentation of a source with its reading."""
    result = compose_segmentation(
        study_image(source, findings),
        source,
        radiograph or radiograph_of(source),
        profile,
        context,
        revision=1,
        instance_number=instance_number,
    )
    assert result is not None
    return result


def inside(points: tuple[Point, ...], x: float, y: float) -> bool:
    """Whether a point lies in a polygon: a ray to the right crosses it an odd number of times."""
    crossings = 0
    for (x0, y0), (x1, y1) in zip(points, (*points[1:], points[0]), strict=True):
        if (y0 > y) != (y1 > y) and x < x0 + (y - y0) * (x1 - x0) / (y1 - y0):
            crossings += 1
    return crossings % 2 == 1


def test_the_mask_is_the_outline_of_the_heat_and_the_box_where_there_is_none() -> None:
    """Every pixel whose centre lies in the outline, and no other; a region below the threshold has none."""
    mask = read_back(segmented(phantom())).pixel_array
    expected = np.zeros((ROWS, COLUMNS), np.uint8)
    for y in range(ROWS):
        for x in range(COLUMNS):
            expected[y, x] = inside(OUTLINE, x + 0.5, y + 0.5)
    expected[20:60, 120:160] = 1
    assert np.array_equal(mask, expected)
    assert 0 < expected[60:100, 50:91].mean() < 0.7


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.tuples(st.integers(-40, 360), st.integers(-40, 280)), min_size=3, max_size=8).map(
        lambda points: tuple((x / 10 + 0.03, y / 10 + 0.03) for x, y in points)
    )
)
def test_any_polygon_is_filled_by_the_even_odd_rule(points: tuple[Point, ...]) -> None:
    """Concave, crossing itself, or reaching beyond the film."""
    filled = fill_polygon(points, 24, 32)
    expected = [[inside(points, x + 0.5, y + 0.5) for x in range(32)] for y in range(24)]
    assert np.array_equal(filled, np.asarray(expected))


def test_a_box_as_an_outline_is_that_box_and_the_smallest_region_has_a_pixel() -> None:
    """Half-open, so that neighbours do not overlap; an outline between pixel centres falls back to its box."""
    corners = ((3.0, 2.0), (7.0, 2.0), (7.0, 5.0), (3.0, 5.0))
    filled = fill_polygon(corners, 10, 12)
    assert filled.sum() == 12
    assert filled[2:5, 3:7].all()
    thin = Region((4.1, 4.1, 4.2, 4.2), 0.8, Outcome.FRACTURE, ((4.1, 4.1), (4.2, 4.1), (4.2, 4.2)))
    corner = Region((12.0, 10.0, 12.0, 10.0), 0.8, Outcome.FRACTURE)
    mask = region_mask([thin, corner], 10, 12)
    assert np.argwhere(mask).tolist() == [[4, 4], [9, 11]]


def test_highdicom_reads_it_with_its_segment_its_film_and_its_algorithm() -> None:
    """One binary segment over the film's own matrix, found by its source image."""
    source = phantom(modality="DX")
    result = segmented(source)
    segmentation = highdicom.seg.segread(io.BytesIO(result.data))
    assert segmentation.SOPClassUID == SegmentationStorage
    assert segmentation.segmentation_type == highdicom.seg.SegmentationTypeValues.BINARY
    assert (segmentation.Rows, segmentation.Columns) == (source.Rows, source.Columns)
    assert list(segmentation.PatientOrientation) == list(source.PatientOrientation)
    described = segmentation.get_segment_description(1)
    assert described.segmented_property_category.value == "49755003"
    assert described.segmented_property_type.value == "72704001"
    assert described.algorithm_type == highdicom.seg.SegmentAlgorithmTypeValues.AUTOMATIC
    algorithm = described.algorithm_identification
    assert (algorithm.name, algorithm.version, algorithm.source) == (
        MODEL.name,
        MODEL.version,
        MANUFACTURER,
    )
    assert MODEL.digest in algorithm[0].AlgorithmParameters
    pixels = segmentation.get_pixels_by_source_instance([source.SOPInstanceUID])
    assert np.array_equal(pixels[0, :, :, 0], read_back(result).pixel_array)


@pytest.mark.parametrize(
    ("case", "spacing"),
    [("PixelSpacing", [0.5, 0.5]), ("only ImagerPixelSpacing", [0.2, 0.2]), ("no spacing", None)],
)
def test_it_has_the_films_spacing_and_claims_no_place_in_the_patient(
    case: str, spacing: list[float] | None
) -> None:
    """A radiograph has no plane in the patient: a mask that named one would have its sides wrong."""
    ds = read_back(segmented(header_case(case)))
    (shared,) = ds.SharedFunctionalGroupsSequence
    given = shared.get("PixelMeasuresSequence")
    assert (list(given[0].PixelSpacing) if given else None) == spacing
    named = {element.keyword for element in ds.iterall()}
    assert not named & {
        "FrameOfReferenceUID", "PlaneOrientationSequence", "PlanePositionSequence",
    }  # fmt: skip


def test_it_says_that_it_is_for_research_only_and_calls_a_doubt_a_doubt() -> None:
    """In the series, in the segment, and coded."""
    sure, doubtful = read_back(segmented(phantom())), read_back(segmented(phantom(), DOUBTFUL))
    assert sure.SegmentSequence[0].SegmentLabel == "Fracture suspected"
    assert doubtful.SegmentSequence[0].SegmentLabel == "Doubt"
    for ds in (sure, doubtful):
        assert "For research only." in ds.SegmentSequence[0].SegmentDescription
        assert "research only" in ds.SeriesDescription
        assert ds.ContentQualification == "RESEARCH"
        assert (ds.Modality, ds.SeriesNumber) == ("SEG", 9004)


@pytest.mark.parametrize("findings", [NEGATIVE, NOT_ATTEMPTED], ids=lambda one: str(one.outcome))
def test_an_image_without_a_region_to_draw_has_none(findings: ImageFindings) -> None:
    """An empty mask would look like a search that found the film free of fractures."""
    source = phantom()
    image = study_image(source, findings)
    result = compose_segmentation(
        image, source, radiograph_of(source), PROFILE, CONTEXT, revision=1, instance_number=1
    )
    assert result is None


def test_what_was_lost_in_the_film_is_said_of_its_mask() -> None:
    """Lossy Image Compression holds for all that is derived (PS3.3 C.7.6.1.1.5)."""
    lossy = pydicom.dcmread(io.BytesIO(encode(phantom(), JPEG2000)))
    ds = read_back(segmented(lossy, radiograph=radiograph_of(phantom())))
    assert ds.LossyImageCompression == "01"
    assert float(ds.LossyImageCompressionRatio) == 8
    assert read_back(segmented(phantom())).LossyImageCompression == "00"


def test_the_same_job_gives_the_same_bytes_and_what_shapes_them_another_uid() -> None:
    """Patient, outline, place, language, software; and no overlay has the UID of a segmentation."""
    source, renamed = phantom(), phantom()
    renamed.PatientName = "SOMEBODY^ELSE"
    assert segmented(source).data == segmented(phantom()).data
    made = [
        segmented(source),
        segmented(renamed),
        segmented(source, POSITIVE),
        segmented(source, instance_number=2),
        segmented(source, profile=replace(PROFILE, language="de")),
        segmented(source, context=replace(CONTEXT, software_version="0.2.0")),
        overlay(source, OUTLINED),
    ]
    assert len({one.sop_instance_uid for one in made}) == len(made)


@pytest.mark.real_part
@pytest.mark.parametrize("number", range(len(HEADER_CASES)), ids=list(HEADER_CASES))
def test_dciodvfy_finds_no_error_that_the_source_does_not_have(number: int, tmp_path: Path) -> None:
    """Every header case, crossed in turn with modality, polarity and reading; highdicom reads each."""
    name = list(HEADER_CASES)[number]
    source = header_case(name, modality=("CR", "DX")[number % 2], monochrome1=number % 3 == 0)
    result = segmented(source, (OUTLINED, DOUBTFUL)[number % 2])
    image, mask = tmp_path / "film.dcm", tmp_path / "mask.dcm"
    image.write_bytes(encode(source, ExplicitVRLittleEndian))
    mask.write_bytes(result.data)
    assert dciodvfy_errors(mask) <= dciodvfy_errors(image)
    segmentation = highdicom.seg.segread(mask)
    assert str(segmentation.PatientName) == str(source.PatientName)
    given = source.get("PatientOrientation")
    assert (list(segmentation.PatientOrientation or ()) or None) == (list(given) if given else None)
