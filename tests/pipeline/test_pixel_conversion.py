"""Grey values as the standard says, held against DCMTK's own renderer."""

from __future__ import annotations

import io
import subprocess
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import pydicom
import pytest
from pydicom.dataset import Dataset
from pydicom.uid import JPEG2000, ExplicitVRLittleEndian, JPEGBaseline8Bit, JPEGLSNearLossless

from pipeline.pixel_conversion import read_radiograph
from pipeline.radiograph import Radiograph
from tests.phantoms import (
    GREY_CASES,
    HEADER_CASES,
    LOSSLESS_SYNTAXES,
    LOSSY_SYNTAXES,
    encode,
    header_case,
    phantom,
    put_values,
    stored_values,
)
from tests.real_parts import films_folder, program


def shown_by_dcmtk(path: Path, options: tuple[str, ...]) -> npt.NDArray[np.float64]:
    """What `dcmj2pnm` makes of a file, as grey levels 0 to 255."""
    target = path.with_suffix(".pgm")
    subprocess.run([program("dcmj2pnm"), *options, str(path), str(target)], check=True, timeout=60)
    return np.asarray(cv2.imread(str(target), cv2.IMREAD_UNCHANGED), np.float64)


def read_back(ds: Dataset, syntax: str = ExplicitVRLittleEndian) -> Radiograph:
    """The film after a round through bytes."""
    return read_radiograph(pydicom.dcmread(io.BytesIO(encode(ds, syntax))))


def grey_levels(film: Radiograph) -> npt.NDArray[np.float64]:
    """A film's pixels as the grey levels 0 to 255 of a display of 8 bits."""
    return np.rint(film.pixels.astype(np.float64) * 255)


@pytest.mark.real_part
@pytest.mark.parametrize("monochrome1", [False, True], ids=["MONOCHROME2", "MONOCHROME1"])
@pytest.mark.parametrize("case", GREY_CASES)
def test_grey_values_are_those_of_dcmtk(case: str, monochrome1: bool, tmp_path: Path) -> None:
    """Every polarity with every Modality LUT and VOI case comes out as in DCMTK, within one grey level."""
    ds = header_case(case, modality="DX", monochrome1=monochrome1)
    path = tmp_path / "film.dcm"
    path.write_bytes(encode(ds, ExplicitVRLittleEndian))
    film = read_radiograph(pydicom.dcmread(path))
    assert np.ptp(film.pixels) > 0.5
    assert np.abs(grey_levels(film) - shown_by_dcmtk(path, GREY_CASES[case])).max() <= 1.0


@pytest.mark.parametrize("monochrome1", [False, True])
@pytest.mark.parametrize("modality", ["CR", "DX"])
def test_both_polarities_show_the_same_film(modality: str, monochrome1: bool) -> None:
    """The same limb stored as MONOCHROME1 and as MONOCHROME2 gives the same brightness: inverted once."""
    film = read_radiograph(phantom(modality=modality, monochrome1=monochrome1))
    plain = read_radiograph(phantom(modality="CR"))
    assert np.abs(film.pixels - plain.pixels).max() < 1e-3


def test_presentation_lut_shape_inverse_alone_inverts() -> None:
    """A DX that says INVERSE but MONOCHROME2 is shown inverted, as DCMTK shows it."""
    ds = phantom(modality="DX")
    plain = read_radiograph(ds).pixels
    ds.PresentationLUTShape = "INVERSE"
    assert np.allclose(read_radiograph(ds).pixels, 1.0 - plain, atol=1e-6)


@pytest.mark.parametrize("case", ["plain", "signed", "8 bit", "16 bit", "Modality LUT", "VOI LUT only"])
def test_digest_is_the_same_in_every_lossless_syntax(case: str) -> None:
    """An archive that re-compresses without loss makes no new film."""
    ds = header_case(case)
    films = [read_back(ds, syntax) for syntax in LOSSLESS_SYNTAXES]
    assert len({film.pixel_digest for film in films}) == 1
    assert all(np.array_equal(film.pixels, films[0].pixels) for film in films)


@pytest.mark.parametrize("syntax", LOSSY_SYNTAXES, ids=lambda syntax: syntax.name)
def test_lossy_syntaxes_are_read_and_are_other_films(syntax: str) -> None:
    """A lossy film looks the same within a few grey levels and has a digest of its own."""
    ds = phantom()
    lossy, lossless = read_back(ds, syntax), read_radiograph(ds)
    assert np.abs(grey_levels(lossy) - grey_levels(lossless)).mean() < 2.0
    assert lossy.pixel_digest != lossless.pixel_digest
    assert {JPEGBaseline8Bit, JPEGLSNearLossless, JPEG2000} == set(LOSSY_SYNTAXES)


def test_digest_follows_pixels_and_presentation_only() -> None:
    """One changed pixel, another window or the other polarity is another film; another patient is not."""
    ds = phantom()
    plain = read_radiograph(ds).pixel_digest
    ds.PatientID, ds.AccessionNumber = "CORRECTED", "A-2"
    ds.WindowWidth = "3600.0"
    assert read_radiograph(ds).pixel_digest == plain
    ds.WindowWidth = 3000
    other_window = read_radiograph(ds).pixel_digest
    ds.PhotometricInterpretation = "MONOCHROME1"
    other_polarity = read_radiograph(ds).pixel_digest
    values = stored_values(ds).copy()
    values[0, 0] ^= 1
    put_values(ds, values, 12)
    assert len({plain, other_window, other_polarity, read_radiograph(ds).pixel_digest}) == 4


@pytest.mark.parametrize("case", HEADER_CASES)
def test_every_header_case_is_read(case: str) -> None:
    """No header of the table keeps a film from being read, and none leaves a value outside 0 to 1."""
    film = read_back(header_case(case))
    assert film.pixels.dtype == np.float32
    assert film.pixels.min() >= 0.0
    assert film.pixels.max() <= 1.0
    assert np.isfinite(film.pixels).all()


@pytest.mark.parametrize(
    ("center", "width"),
    [(1800, 0), (1800, -5), (90000, 100), (1800, 1e30), (1800, None), (None, 3600)],
)
def test_a_window_that_shows_nothing_is_replaced(center: float | None, width: float | None) -> None:
    """A width of nothing, a window beside all values or half a window: smallest to largest instead."""
    ds = phantom()
    ds.WindowCenter, ds.WindowWidth = center, width
    assert np.array_equal(read_radiograph(ds).pixels, read_radiograph(header_case("no VOI")).pixels)


def test_an_unreadable_window_is_replaced() -> None:
    """Letters where a number belongs are no reason to lose the film."""
    data = encode(phantom(), ExplicitVRLittleEndian)
    broken = data.replace(b"DS\x06\x001847.5", b"DS\x06\x00banana")
    assert broken != data
    film = read_radiograph(pydicom.dcmread(io.BytesIO(broken)))
    assert np.array_equal(film.pixels, read_radiograph(header_case("no VOI")).pixels)


@pytest.mark.parametrize("descriptor", [[0, 0, 10], [9999, 200, 10], [1, 2], None])
def test_a_malformed_voi_lut_is_replaced(descriptor: list[int] | None) -> None:
    """A LUT whose descriptor contradicts its data is left out: smallest to largest instead."""
    ds = header_case("VOI LUT only")
    if descriptor is None:
        del ds.VOILUTSequence[0].LUTDescriptor
    else:
        ds.VOILUTSequence[0].LUTDescriptor = descriptor
    assert np.array_equal(read_radiograph(ds).pixels, read_radiograph(header_case("no VOI")).pixels)


def test_a_window_in_units_of_an_unreadable_modality_lut_is_not_applied() -> None:
    """Without the Modality LUT the window's numbers mean nothing: smallest to largest instead."""
    ds = header_case("Modality LUT")
    ds.ModalityLUTSequence[0].LUTData = b"\0\1"
    assert np.array_equal(read_radiograph(ds).pixels, read_radiograph(header_case("no VOI")).pixels)


def test_padding_does_not_count() -> None:
    """The brightest pixel of the film is the limb's, not the padding's, and padding is black and masked."""
    film = read_radiograph(header_case("padding"))
    assert film.mask is not None
    assert not film.mask[0, 0]
    assert film.mask[128, 104]
    assert film.pixels[film.mask].max() == 1.0
    assert film.pixels[~film.mask].max() == 0.0


def test_what_a_shutter_hides_does_not_count() -> None:
    """The bright frame under the shutter is masked and black, row and column counted from 1."""
    film = read_radiograph(header_case("shutter"))
    assert film.mask is not None
    assert film.mask[12:, 10:].all()
    assert not film.mask[:12].any()
    assert not film.mask[:, :10].any()
    assert film.pixels[~film.mask].max() == 0.0


def test_a_collimator_that_would_hide_the_picture_is_not_believed() -> None:
    """Blades over dark border are masked; blades that the header puts over the limb are not."""
    believed = read_radiograph(header_case("collimator")).mask
    assert believed is not None
    assert 0.7 < believed.mean() < 0.85
    assert read_radiograph(header_case("collimator elsewhere")).mask is None


@pytest.mark.parametrize(
    ("shape", "keyword", "numbers", "inside", "outside"),
    [
        ("CIRCULAR", "RadiusOfCircularShutter", 60, (127, 103), (10, 103)),
        ("POLYGONAL", "VerticesOfThePolygonalShutter", [1, 1, 256, 1, 256, 208], (250, 20), (20, 200)),
    ],
)
def test_round_and_polygonal_shutters(
    shape: str, keyword: str, numbers: object, inside: tuple[int, int], outside: tuple[int, int]
) -> None:
    """The other two shapes of PS3.3 C.7.6.11 open where they say."""
    ds = phantom()
    ds.ShutterShape, ds.CenterOfCircularShutter = shape, [128, 104]
    setattr(ds, keyword, numbers)
    mask = read_radiograph(ds).mask
    assert mask is not None
    assert mask[inside]
    assert not mask[outside]


def test_spacing_names_its_source() -> None:
    """Calibrated Pixel Spacing goes before the detector's; pixels that are not square keep their aspect."""
    spacing = read_radiograph(header_case("PixelSpacing")).spacing
    assert spacing is not None
    assert (spacing.row_mm, spacing.source) == (0.5, "PixelSpacing")
    detector = read_radiograph(header_case("only ImagerPixelSpacing")).spacing
    assert detector is not None
    assert (detector.column_mm, detector.source) == (0.2, "ImagerPixelSpacing")
    assert read_radiograph(header_case("no spacing")).spacing is None
    assert read_radiograph(header_case("pixels not square")).pixel_aspect == 2.0


HIPS = ("rle", "jpeg_lossless_sv1", "j2k_lossless", "jpegls_lossless")


@pytest.mark.real_part
def test_a_real_hip_is_one_film_in_four_encodings(tmp_path: Path) -> None:
    """A real CR from four vendors' encoders has one digest, and looks as DCMTK shows it."""
    folder = films_folder() / "dicom"
    films = [read_radiograph(pydicom.dcmread(folder / f"RG2_hip_mono2_{name}.dcm")) for name in HIPS]
    assert len({film.pixel_digest for film in films}) == 1
    copied = tmp_path / "hip.dcm"
    copied.write_bytes((folder / "RG2_hip_mono2_jpeg_lossless_sv1.dcm").read_bytes())
    shown = shown_by_dcmtk(copied, ("+Wi", "1"))
    assert np.abs(grey_levels(films[0]) - shown).max() <= 1.0


@pytest.mark.real_part
@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("CR_panoramic_mono1_modality_lut_jpeg_lossless.dcm", ("+Wm",)),
        ("DX_dog_thorax_mono1_explicit_le.dcm", ("+Wi", "1")),
        ("MG_mono2_overlay_out_of_bounds_jpeg_lossless.dcm", ("+Wi", "1", "-O")),
    ],
)
def test_real_films_look_as_dcmtk_shows_them(
    name: str, options: tuple[str, ...], tmp_path: Path
) -> None:
    """A Modality LUT without VOI, MONOCHROME1 with a window, an overlay beyond the matrix: real ones."""
    copied = tmp_path / "film.dcm"
    copied.write_bytes((films_folder() / "dicom" / name).read_bytes())
    film = read_radiograph(pydicom.dcmread(copied))
    assert np.abs(grey_levels(film) - shown_by_dcmtk(copied, options)).max() <= 1.0


def test_a_real_chest_with_a_collimator_in_millimetres_is_seen_whole() -> None:
    """Its header would leave two per cent of the film open; nothing is hidden."""
    ds = pydicom.dcmread(films_folder() / "dicom" / "RG1_chest_mono1_j2k_lossy.dcm")
    film = read_radiograph(ds)
    assert film.mask is None
    assert film.spacing is None
