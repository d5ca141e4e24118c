"""The Grad-CAM of a film as a picture and as a DICOM object."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from pydicom.dataset import Dataset
from pydicom.uid import ExplicitVRLittleEndian, SecondaryCaptureImageStorage

from dicom_node.errors import CompositionError
from dicom_node.records import ResultKind, ResultObject
from dicom_node.results.capture_style import OWN_STYLE
from dicom_node.results.composition import DestinationProfile
from dicom_node.results.explanation_capture import compose_explanation
from dicom_node.results.explanation_capture_drawing import (
    FAINT,
    HALF,
    draw_explanation_capture,
    explanation_layout,
    heat_over,
)
from pipeline.activation_map import MOST_LEVEL, Arrow, Explanation
from pipeline.findings import RESEARCH_NOTICE, ImageFindings
from pipeline.radiograph import Radiograph
from tests.phantoms import encode, header_case, phantom
from tests.results.hand_made import (
    CONTEXT,
    DOUBTFUL,
    FAILED,
    NEGATIVE,
    POSITIVE,
    PROFILE,
    overlay,
    radiograph_of,
    read_back,
    study_image,
)
from tests.validators import dciodvfy_errors


def explained(rows: int, columns: int, *, arrow: bool = True) -> Explanation:
    """One hot place at a third of the width and two thirds of the height, with an arrow from below."""
    x, y, reach = columns // 3, rows * 2 // 3, max(rows, columns) / 16
    down, across = np.mgrid[:rows, :columns]
    hot = np.exp(-((across - x) ** 2 + (down - y) ** 2) / (2 * reach**2)).astype(np.float32)
    pointing = Arrow((x + 0.5 + 3 * reach, y + 0.5 + 3 * reach), (x + 0.5, y + 0.5))
    return Explanation(hot, pointing if arrow else None)


def nothing(rows: int, columns: int) -> Explanation:
    """A map in which nothing speaks for a fracture."""
    return Explanation(np.zeros((rows, columns), np.float32), None)


def gradcam(
    source: Dataset,
    findings: ImageFindings = POSITIVE,
    *,
    explanation: Explanation | None = None,
    profile: DestinationProfile = PROFILE,
    revision: int = 1,
    instance_number: int = 1,
) -> ResultObject:
    """The Grad-CAM of a source with its reading."""
    findings = replace(findings, rows=source.Rows, columns=source.Columns)
    return compose_explanation(
        study_image(source, findings),
        source,
        radiograph_of(source),
        explanation or explained(source.Rows, source.Columns),
        profile,
        CONTEXT,
        revision=revision,
        instance_number=instance_number,
    )


def test_it_says_what_it_shows_and_that_this_is_no_fracture() -> None:
    """Coded as gradient-weighted class activation, for research, and never as a finding."""
    source = phantom(modality="DX")
    result = gradcam(source)
    ds = read_back(result)
    assert (result.kind, ds.SOPClassUID) == (ResultKind.EXPLANATION, SecondaryCaptureImageStorage)
    assert list(ds.ImageType) == ["DERIVED", "SECONDARY"]
    assert (ds.Modality, ds.SeriesNumber) == ("OT", 9007)
    assert ds.SeriesDescription == "AI Grad-CAM (research only)"
    assert (ds.BurnedInAnnotation, ds.ContentQualification) == ("YES", "RESEARCH")
    code = ds.DerivationCodeSequence[0]
    assert (code.CodeValue, code.CodingSchemeDesignator) == ("130403", "DCM")
    for words in ("where the network looked", "Not where the fracture is", RESEARCH_NOTICE):
        assert words in ds.ImageComments
        assert words in ds.DerivationDescription
    (item,) = ds.SourceImageSequence
    assert item.ReferencedSOPInstanceUID == source.SOPInstanceUID
    assert item.SpatialLocationsPreserved == "NO"
    assert ds.ImageLaterality == "R"


def test_spacing_is_scaled_with_the_matrix_and_orientation_is_the_films() -> None:
    """A measurement on the picture is that on the film."""
    source = phantom(modality="DX", rows=800, columns=600)
    findings = replace(POSITIVE, rows=800, columns=600)
    ds = read_back(gradcam(source))
    layout = explanation_layout(
        radiograph_of(source), findings, explained(800, 600), longest_side=PROFILE.overlay_longest_side
    )
    across = layout.film[2] - layout.film[0]
    assert float(ds.ImagerPixelSpacing[1]) * across == pytest.approx(
        float(source.ImagerPixelSpacing[1]) * 600, rel=1e-4
    )
    assert list(ds.PatientOrientation) == list(source.PatientOrientation)


def test_the_same_job_gives_the_same_bytes_and_what_shapes_them_another_uid() -> None:
    """Map, arrow, reading, patient, size, language, revision, place."""
    source, renamed = phantom(), phantom()
    renamed.PatientName = "SOMEBODY^ELSE"
    assert gradcam(source).data == gradcam(source).data
    fainter = explained(source.Rows, source.Columns)
    fainter.activation[:10] = 0.3
    made = [
        gradcam(source),
        gradcam(source, explanation=fainter),
        gradcam(source, explanation=explained(source.Rows, source.Columns, arrow=False)),
        gradcam(source, DOUBTFUL),
        gradcam(renamed),
        gradcam(source, profile=replace(PROFILE, overlay_longest_side=600)),
        gradcam(source, profile=replace(PROFILE, language="it")),
        gradcam(source, profile=replace(PROFILE, overlay_bits=8)),
        gradcam(source, revision=2),
        gradcam(source, instance_number=2),
        overlay(source, POSITIVE),
    ]
    assert len({one.sop_instance_uid for one in made}) == len(made)


def test_maps_that_no_picture_can_tell_apart_are_one_object() -> None:
    """The UID is that of what is drawn: an engine's last digit makes no second object."""
    source = phantom()
    exact = explained(source.Rows, source.Columns)
    rounded = Explanation((exact.levels / MOST_LEVEL).astype(np.float32), exact.arrow)
    coarse = Explanation((exact.levels // 256 * 256 / MOST_LEVEL).astype(np.float32), exact.arrow)
    assert not np.array_equal(exact.activation, rounded.activation)
    made = [gradcam(source, explanation=one) for one in (exact, rounded, coarse)]
    assert made[0].data == made[1].data
    assert made[0].sop_instance_uid != made[2].sop_instance_uid


def test_grad_cams_of_a_study_share_a_series_of_their_own() -> None:
    """Not the overlays' series."""
    first, second = gradcam(phantom()), gradcam(phantom(seed=2), NEGATIVE, instance_number=2)
    assert first.series_instance_uid == second.series_instance_uid
    assert first.series_instance_uid != overlay(phantom(), POSITIVE).series_instance_uid


def test_both_polarities_of_a_film_look_the_same() -> None:
    """MONOCHROME1 is inverted once."""
    pictures = [
        read_back(gradcam(phantom(monochrome1=inverse))).pixel_array.astype(int)
        for inverse in (False, True)
    ]
    assert np.abs(pictures[0] - pictures[1]).max() <= 1


def test_a_map_of_another_film_or_of_one_that_was_not_read_is_refused() -> None:
    """It would point somewhere."""
    source = phantom()
    with pytest.raises(CompositionError, match="explain this very film"):
        gradcam(source, explanation=explained(100, 100))
    with pytest.raises(CompositionError, match="nothing to explain"):
        gradcam(source, FAILED)


# --- the picture ----------------------------------------------------------------------------------


def film(rows: int, columns: int, aspect: float = 1.0) -> Radiograph:
    """A film of one grey."""
    return Radiograph(np.full((rows, columns), 0.6, np.float32), None, None, aspect, "digest")


@pytest.mark.parametrize(("rows", "columns"), [(512, 400), (400, 512), (4000, 3200)])
@pytest.mark.parametrize("aspect", [1.0, 1.5])
def test_what_is_not_hot_stays_the_films_own_grey(rows: int, columns: int, aspect: float) -> None:
    """And the strongest place is where the film has it: small films and large, square pixels and others."""
    radiograph, explanation = film(rows, columns, aspect), explained(rows, columns, arrow=False)
    findings = replace(POSITIVE, rows=rows, columns=columns)
    pixels = draw_explanation_capture(radiograph, findings, explanation, longest_side=1024)
    layout = explanation_layout(radiograph, findings, explanation, longest_side=1024)
    assert max(pixels.shape) <= 1024
    left, top, right, bottom = layout.film
    shown = pixels[top:bottom, left:right].astype(int)
    x = round(columns // 3 * layout.scale_x)
    y = round(rows * 2 // 3 * layout.scale_y)
    cold = np.ptp(shown, axis=-1) == 0
    assert not cold[y, x]
    reach = max(rows, columns) / 16
    radius = reach * np.sqrt(-2 * np.log(FAINT))
    down, across = np.mgrid[: bottom - top, : right - left]
    distance = np.hypot(
        (across + 0.5) / layout.scale_x - columns // 3, (down + 0.5) / layout.scale_y - rows * 2 // 3
    )
    far = distance > radius * 1.05 + 2 / min(layout.scale_x, layout.scale_y)
    assert np.all(shown[far] == 153)
    assert far.mean() > 0.5


def test_the_heat_gets_lighter_with_the_value_in_grey_too() -> None:
    """A perceptually even map over black, and a veil that only brightens where there is no colour."""
    levels = np.linspace(FAINT * MOST_LEVEL, MOST_LEVEL, 60).astype(np.uint16)[None]
    weights = np.array([0.299, 0.587, 0.114])
    dark = heat_over(np.zeros((1, 60, 3), np.uint8), levels) @ weights
    assert np.all(np.diff(dark[0]) > -0.5)
    assert dark[0, -1] > 100
    for grey in (0, 120, 220):
        veiled = heat_over(np.full((1, 60, 3), grey, np.uint8), levels, grey=True)
        assert np.ptp(veiled, axis=-1).max() == 0
        assert np.all(np.diff(veiled[0, :, 0].astype(int)) >= 0)


def test_a_line_runs_where_half_of_the_strongest_is_reached() -> None:
    """It needs no colour to be seen."""
    findings = replace(POSITIVE, rows=512, columns=512)
    explanation = explained(512, 512, arrow=False)
    given = (film(512, 512), findings, explanation)
    layout = explanation_layout(*given, longest_side=1024)
    pixels = draw_explanation_capture(*given, longest_side=1024)
    left, top, right, _ = layout.film
    row = pixels[top + round((512 * 2 // 3 + 0.5) * layout.scale_y), left:right]
    reach = 512 / 16 * np.sqrt(-2 * np.log(HALF)) * layout.scale_x
    centre = (512 // 3 + 0.5) * layout.scale_x
    edges = np.flatnonzero(row.min(-1) > 180)
    assert abs(edges.min() - (centre - reach)) < 4
    assert abs(edges.max() - (centre + reach)) < 4


@pytest.mark.parametrize(("findings", "drawn"), [(POSITIVE, True), (DOUBTFUL, True), (NEGATIVE, False)])
def test_only_a_suspected_fracture_or_a_doubt_gets_an_arrow(
    findings: ImageFindings, drawn: bool
) -> None:
    """Below both operating points it would point at a fracture that nobody suspects; the words say so as well."""
    findings = replace(findings, rows=400, columns=320)
    pictures = [
        draw_explanation_capture(
            film(400, 320), findings, explained(400, 320, arrow=arrow), longest_side=1024
        )
        for arrow in (True, False)
    ]
    same = pictures[0].shape == pictures[1].shape and np.array_equal(pictures[0], pictures[1])
    assert same is not drawn
    layout = explanation_layout(film(400, 320), findings, explained(400, 320), longest_side=1024)
    assert any("Arrow" in line.text for line in layout.footer) is drawn


def test_an_empty_map_says_so_and_shows_the_plain_film() -> None:
    """No scale for what is not there; and it excludes nothing."""
    findings, empty = replace(NEGATIVE, rows=400, columns=320), nothing(400, 320)
    pixels = draw_explanation_capture(film(400, 320), findings, empty, longest_side=1024)
    layout = explanation_layout(film(400, 320), findings, empty, longest_side=1024)
    left, top, right, bottom = layout.film
    assert np.all(pixels[top:bottom, left:right] == 153)
    said = " ".join(line.text for line in layout.header)
    assert "The map is empty" in said
    assert "does not exclude a fracture" in said
    assert "Colour" not in " ".join(line.text for line in layout.footer)


@pytest.mark.parametrize("longest_side", [512, 1024, 2048])
@pytest.mark.parametrize("grey", [False, True])
def test_the_words_stand_beside_the_film_and_never_on_it(longest_side: int, grey: bool) -> None:
    """Strips above and below; letters of ten pixels and more."""
    given = (film(600, 500), replace(POSITIVE, rows=600, columns=500), nothing(600, 500))
    style = replace(OWN_STYLE, grey=grey)
    layout = explanation_layout(*given, longest_side=longest_side, style=style)
    pixels = draw_explanation_capture(*given, longest_side=longest_side, style=style)
    left, top, right, bottom = layout.film
    assert np.all(pixels[top:bottom, left:right] == 153)
    assert pixels[:top].max() > 200
    assert pixels[bottom:].max() > 150
    assert min(layout.size_of(rank) for rank in ("title", "plain", "small")) >= 10


@pytest.mark.real_part
@pytest.mark.parametrize("case", ["plain", "compound orientation", "PixelSpacing", "IR 87 name"])
def test_dciodvfy_finds_no_error_that_the_source_does_not_have(case: str, tmp_path: Path) -> None:
    """In colour and in grey."""
    source = header_case(case, modality="DX")
    (tmp_path / "source").write_bytes(encode(source, ExplicitVRLittleEndian))
    inherited = dciodvfy_errors(tmp_path / "source")
    for number, profile in enumerate((PROFILE, replace(PROFILE, overlay_bits=8, language="fr"))):
        path = tmp_path / f"{number}.dcm"
        path.write_bytes(gradcam(source, profile=profile).data)
        assert dciodvfy_errors(path) <= inherited
