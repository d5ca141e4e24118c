"""The marks on a film as a presentation state, read back, checked, and drawn by viewers that others wrote."""

from __future__ import annotations

import subprocess
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pydicom.dataset import Dataset, FileDataset
from pydicom.sequence import Sequence
from pydicom.uid import ExplicitVRLittleEndian, GrayscaleSoftcopyPresentationStateStorage

from dicom_node.errors import CompositionError
from dicom_node.records import ResultObject
from dicom_node.results.composition import CompositionContext, DestinationProfile
from dicom_node.results.presentation_state import compose_presentation_state
from dicom_node.results.source_context import read_source_header
from pipeline.findings import ImageFindings, Outcome, Region
from pipeline.pixel_conversion import read_radiograph
from pipeline.radiograph import Radiograph
from tests.phantoms import (
    COLUMNS,
    GREY_CASES,
    HEADER_CASES,
    ROWS,
    encode,
    header_case,
    phantom,
    put_values,
)
from tests.real_parts import program
from tests.results.dicomscope import draw_presentation_states
from tests.results.hand_made import (
    CONTEXT,
    DOUBTFUL,
    NEGATIVE,
    NOT_ATTEMPTED,
    POSITIVE,
    PROFILE,
    overlay,
    read_back,
    study_image,
)
from tests.validators import dciodvfy_errors, dcmpschk_errors

READ = [POSITIVE, DOUBTFUL, NEGATIVE, NOT_ATTEMPTED]
# A renderer without VOI LUT Function shows SIGMOID as a straight line.
DRAWN_CASES = [*sorted(set(GREY_CASES) - {"SIGMOID"}), "padding", "shutter", "pixels not square"]


def marks(
    source: Dataset,
    findings: ImageFindings,
    *,
    header: Dataset | None = None,
    radiograph: Radiograph | None = None,
    profile: DestinationProfile = PROFILE,
    context: CompositionContext = CONTEXT,
    instance_number: int = 1,
) -> ResultObject:
    """The presentation state of a source with its reading; `header` in place of the source's own."""
    return compose_presentation_state(
        study_image(source, findings),
        source if header is None else header,
        radiograph or read_radiograph(source),
        profile,
        context,
        revision=1,
        instance_number=instance_number,
    )


def written(source: Dataset, result: ResultObject, folder: Path, name: str) -> tuple[Path, Path]:
    """Presentation state and image as files."""
    state, image = folder / f"{name}.state.dcm", folder / f"{name}.image.dcm"
    state.write_bytes(result.data)
    image.write_bytes(encode(source, ExplicitVRLittleEndian))
    return state, image


def rendered(state: Path, image: Path, folder: Path) -> np.ndarray:  # type: ignore[type-arg]
    """What DCMTK makes of an image under a presentation state, 0 to 255; it draws neither graphics nor shutters."""
    picture = folder / "film.pgm"
    subprocess.run(
        [program("dcmp2pgm"), "-p", str(state), str(image), str(picture)],
        capture_output=True, check=True, timeout=60,
    )  # fmt: skip
    return np.asarray(Image.open(picture)).astype(float)


def texts(ds: FileDataset, layer: str) -> list[str]:
    """The words of a graphic layer."""
    return [
        str(text.UnformattedTextValue)
        for annotation in ds.GraphicAnnotationSequence
        if annotation.GraphicLayer == layer
        for text in annotation.TextObjectSequence
    ]


def lines(ds: FileDataset, layer: str) -> list[list[float]]:
    """The polylines of a graphic layer."""
    return [
        list(graphic.GraphicData)
        for annotation in ds.GraphicAnnotationSequence
        if annotation.GraphicLayer == layer
        for graphic in annotation.GraphicObjectSequence
    ]


def test_a_fracture_is_a_closed_line_on_its_box_and_a_doubt_is_dashes_along_it() -> None:
    """In the film's own pixels from the outer corner of the first; the region below the threshold is not drawn."""
    ds = read_back(marks(phantom(), POSITIVE))
    assert ds.SOPClassUID == GrayscaleSoftcopyPresentationStateStorage
    assert lines(ds, "FRACTURE") == [[50.0, 60.0, 90.5, 60.0, 90.5, 100.0, 50.0, 100.0, 50.0, 60.0]]
    dashes = lines(ds, "DOUBT")
    assert {len(dash) for dash in dashes} == {4}
    ends = {(dash[index], dash[index + 1]) for dash in dashes for index in (0, 2)}
    assert {(120.0, 20.0), (160.0, 20.0), (160.0, 60.0), (120.0, 60.0)} <= ends
    assert all(x in (120.0, 160.0) or y in (20.0, 60.0) for x, y in ends)
    drawn = sum(abs(dash[2] - dash[0]) + abs(dash[3] - dash[1]) for dash in dashes)
    assert 0.4 < drawn / (4 * 40.0) < 0.7
    units = {
        graphic.GraphicAnnotationUnits
        for annotation in ds.GraphicAnnotationSequence
        for graphic in annotation.get("GraphicObjectSequence", ())
    }
    assert units == {"PIXEL"}
    assert list(ds.DisplayedAreaSelectionSequence[0].DisplayedAreaTopLeftHandCorner) == [1, 1]
    assert list(ds.DisplayedAreaSelectionSequence[0].DisplayedAreaBottomRightHandCorner) == [
        COLUMNS,
        ROWS,
    ]


def test_each_box_has_its_probability_beside_it_with_a_leader_to_its_edge() -> None:
    """The words cover no box, and lie on the film."""
    ds = read_back(marks(phantom(), POSITIVE))
    assert texts(ds, "FRACTURE") == ["81 %"]
    assert texts(ds, "DOUBT") == ["41 %"]
    for layer, region in zip(("FRACTURE", "DOUBT"), POSITIVE.visible_regions, strict=True):
        annotation = next(a for a in ds.GraphicAnnotationSequence if a.GraphicLayer == layer)
        text = annotation.TextObjectSequence[0]
        (left, top), (right, bottom) = (
            text.BoundingBoxTopLeftHandCorner,
            text.BoundingBoxBottomRightHandCorner,
        )
        x0, y0, x1, y1 = region.box
        assert left >= x1 or right <= x0 or top >= y1 or bottom <= y0
        assert 0 <= left < right <= COLUMNS
        assert 0 <= top < bottom <= ROWS
        x, y = text.AnchorPoint
        assert (x in (x0, x1) and y0 <= y <= y1) or (y in (y0, y1) and x0 <= x <= x1)
        assert text.AnchorPointVisibility == "Y"


def test_a_box_as_large_as_the_film_keeps_its_probability_clear_of_the_notice() -> None:
    """There is no room beside it; the words stand inside, and point at nothing."""
    whole = Region((0.0, 0.0, float(COLUMNS), float(ROWS)), 0.7, Outcome.FRACTURE)
    ds = read_back(marks(phantom(), replace(POSITIVE, regions=(whole,))))
    annotation = ds.GraphicAnnotationSequence[0]
    text = annotation.TextObjectSequence[0]
    assert text.AnchorPointVisibility == "N"
    notice = ds.GraphicAnnotationSequence[1].TextObjectSequence
    for line in notice:
        above = line.BoundingBoxBottomRightHandCorner[1] * ROWS
        below = line.BoundingBoxTopLeftHandCorner[1] * ROWS
        assert (
            text.BoundingBoxTopLeftHandCorner[1] >= above
            or text.BoundingBoxBottomRightHandCorner[1] <= below
        )


@pytest.mark.parametrize("findings", READ, ids=lambda one: str(one.outcome))
def test_outcome_and_notice_stand_in_a_layer_of_their_own(findings: ImageFindings) -> None:
    """A result below the threshold says that it excludes nothing, and a film that was not read that it was not."""
    ds = read_back(marks(phantom(), findings))
    words = " ".join(texts(ds, "NOTICE"))
    assert "For research only. Not a medical device." in words
    assert ("This does not exclude a fracture." in words) == (not findings.visible_regions)
    assert ("The film was not read." in words) == (findings.outcome is Outcome.NOT_PROCESSED)
    layers = {layer.GraphicLayer for layer in ds.GraphicLayerSequence}
    assert layers == {annotation.GraphicLayer for annotation in ds.GraphicAnnotationSequence}
    assert ds.ContentQualification == "RESEARCH"
    assert (ds.Modality, ds.SeriesNumber) == ("PR", 9003)


def test_it_names_the_film_and_needs_of_its_header_only_what_results_copy() -> None:
    """The normalised header gives the same object as the header as received."""
    source = header_case("compound orientation", modality="DX")
    result = marks(source, POSITIVE)
    item = read_back(result).ReferencedSeriesSequence[0]
    assert item.SeriesInstanceUID == source.SeriesInstanceUID
    assert item.ReferencedImageSequence[0].ReferencedSOPInstanceUID == source.SOPInstanceUID
    assert marks(source, POSITIVE, header=read_source_header(source)).data == result.data


def test_a_film_shown_by_window_and_table_is_shown_by_one_and_by_the_first_of_several() -> None:
    """No more than one per image is allowed (PS3.3 C.11.8): the one by which the film was read."""
    both = read_back(marks(header_case("window and VOI LUT"), POSITIVE)).SoftcopyVOILUTSequence[0]
    assert "VOILUTSequence" not in both
    several = read_back(marks(header_case("several windows"), POSITIVE)).SoftcopyVOILUTSequence[0]
    assert (float(several.WindowCenter), float(several.WindowWidth)) == (1500.0, 2000.0)
    table = read_back(marks(header_case("VOI LUT only"), POSITIVE)).SoftcopyVOILUTSequence[0]
    assert list(table.VOILUTSequence[0].LUTDescriptor) == [3601, 200, 16]
    assert "WindowCenter" not in table
    curve = read_back(marks(header_case("SIGMOID"), POSITIVE)).SoftcopyVOILUTSequence[0]
    assert curve.VOILUTFunction == "SIGMOID"


def test_pixels_keep_their_shape() -> None:
    """Spacing as the film was read by, else the aspect ratio."""
    spaced = read_back(marks(header_case("PixelSpacing"), POSITIVE)).DisplayedAreaSelectionSequence[0]
    assert [float(value) for value in spaced.PresentationPixelSpacing] == [0.5, 0.5]
    oblong = read_back(marks(header_case("pixels not square"), POSITIVE))
    area = oblong.DisplayedAreaSelectionSequence[0]
    assert list(area.PresentationPixelAspectRatio) == [2, 1]
    assert "PresentationPixelSpacing" not in area


def test_a_film_that_does_not_say_how_it_was_read_is_refused() -> None:
    """Another grey scale than the film's own would be invented."""
    source = phantom()
    film = replace(read_radiograph(source), greyscale=None)
    with pytest.raises(CompositionError, match="greyscale"):
        marks(source, POSITIVE, radiograph=film)


def test_the_same_job_gives_the_same_bytes_and_what_shapes_them_another_uid() -> None:
    """Patient, reading, greyscale, place, language, software; and no overlay has the UID of a presentation state."""
    source, renamed = phantom(), phantom()
    renamed.PatientName = "SOMEBODY^ELSE"
    assert marks(source, POSITIVE).data == marks(phantom(), POSITIVE).data
    film = read_radiograph(source)
    assert film.greyscale is not None
    inverse = replace(film, greyscale=replace(film.greyscale, inverted=True))
    made = [
        marks(source, POSITIVE),
        marks(renamed, POSITIVE),
        marks(source, DOUBTFUL),
        marks(source, POSITIVE, radiograph=inverse),
        marks(source, POSITIVE, instance_number=2),
        marks(source, POSITIVE, profile=replace(PROFILE, language="de")),
        marks(source, POSITIVE, context=replace(CONTEXT, software_version="0.2.0")),
        overlay(source, POSITIVE),
    ]
    assert len({one.sop_instance_uid for one in made}) == len(made)


@pytest.mark.real_part
@pytest.mark.parametrize("number", range(len(HEADER_CASES)), ids=list(HEADER_CASES))
def test_validators_find_no_error_that_the_source_does_not_have(number: int, tmp_path: Path) -> None:
    """dciodvfy and dcmpschk, on every header case, crossed in turn with modality, polarity and reading."""
    name = list(HEADER_CASES)[number]
    source = header_case(name, modality=("CR", "DX")[number % 2], monochrome1=number % 3 == 0)
    result = marks(source, READ[number % len(READ)])
    state, image = written(source, result, tmp_path, "film")
    assert str(read_back(result).PatientName) == str(source.PatientName)
    assert dciodvfy_errors(state) <= dciodvfy_errors(image)
    assert not dcmpschk_errors(state, image)


@pytest.mark.real_part
@pytest.mark.parametrize("monochrome1", [False, True], ids=["MONOCHROME2", "MONOCHROME1"])
@pytest.mark.parametrize("name", DRAWN_CASES)
def test_dcmtk_shows_the_film_as_it_was_read(name: str, monochrome1: bool, tmp_path: Path) -> None:
    """Within one grey level wherever the film is exposed, in both polarities: nobody sees it inverted."""
    source = header_case(name, monochrome1=monochrome1)
    film = read_radiograph(source)
    state, image = written(source, marks(source, POSITIVE), tmp_path, "film")
    shown = rendered(state, image, tmp_path)
    exposed = np.ones(shown.shape, np.bool_) if film.mask is None else film.mask
    assert np.abs(shown - np.rint(film.pixels * 255.0))[exposed].max() <= 1.0
    assert np.ptp(shown[exposed]) > 100


@pytest.mark.real_part
def test_a_table_that_begins_below_zero_is_one_for_dcmtk_too(tmp_path: Path) -> None:
    """The descriptor is then of signed numbers (PS3.3 C.11.2.1.1)."""
    source = header_case("signed")
    del source.WindowCenter, source.WindowWidth
    item = Dataset()
    item.add_new("LUTDescriptor", "SS", [3000, -1500, 12])
    item.add_new("LUTData", "OW", np.linspace(0, 4095, 3000).astype("<u2").tobytes())
    source.VOILUTSequence = Sequence([item])
    film = read_radiograph(source)
    state, image = written(source, marks(source, POSITIVE), tmp_path, "film")
    assert dciodvfy_errors(state) <= dciodvfy_errors(image)
    assert np.abs(rendered(state, image, tmp_path) - film.pixels * 255.0).max() <= 1.5


@pytest.mark.real_part
def test_a_viewer_draws_solid_and_dashed_boxes_and_words_on_a_film_of_either_polarity(
    tmp_path: Path,
) -> None:
    """DICOMscope, four screen pixels to a pixel of the film; it draws all graphics two film pixels up and left."""
    findings = replace(
        POSITIVE,
        regions=(
            Region((50.0, 60.0, 90.0, 100.0), 0.81, Outcome.FRACTURE),
            Region((120.0, 60.0, 180.0, 120.0), 0.41, Outcome.DOUBT),
        ),
    )
    sources = [phantom(monochrome1=False), phantom(monochrome1=True)]
    for source in sources:
        # Grey fields where the boxes are, on a darker film: 1600 and 800 of 0 to 3199, either way round.
        values = np.full((ROWS, COLUMNS), 800, np.uint16)
        values[60:100, 50:90] = values[60:120, 120:180] = 1600
        dark = source.PhotometricInterpretation == "MONOCHROME1"
        put_values(source, 3199 - values if dark else values, 12)
        source.WindowCenter, source.WindowWidth = 1600, 3200
    pairs = [
        written(source, marks(source, findings), tmp_path, str(number))
        for number, source in enumerate(sources)
    ]
    for drawn in draw_presentation_states(pairs, tmp_path, side=4 * ROWS):
        # The middles of field and film, in which no line runs.
        assert abs(drawn[4 * 80, 4 * 70] - 127) <= 2
        assert abs(drawn[4 * 180, 4 * 70] - 64) <= 2
        solid, dashed = (_drawn_along(drawn, region.box) for region in findings.regions)
        assert solid > 0.99
        assert 0.4 < dashed < 0.75
        # Words: above the box, at the upper edge, at the lower edge.
        white = drawn > 200
        assert white[4 * 45 : 4 * 55, 4 * 45 : 4 * 70].sum() > 50
        assert white[: 4 * 10, : 4 * 60].sum() > 200
        assert white[4 * 235 :, : 4 * 100].sum() > 700


def _drawn_along(drawn: np.ndarray, box: tuple[float, ...]) -> float:  # type: ignore[type-arg]
    """Which share of a box's upper edge is white, within two and a half film pixels across the line."""
    x0, y0, x1, _ = (int(4 * value) for value in box)
    band = drawn[y0 - 10 : y0 + 4, x0 : x1 - 12]
    return float((band.max(axis=0) > 200).mean())
