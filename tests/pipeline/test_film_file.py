"""Files of every kind: what they hold decides, not their names."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
)

from pipeline.errors import ScopeError, UnreadableError
from pipeline.film_file import MAX_INFLATED, read_film_file
from pipeline.findings import NotProcessed
from pipeline.image_file import read_image_file
from pipeline.pixel_conversion import read_radiograph
from tests.phantoms import encode, phantom, stored_values
from tests.real_parts import films_folder

GREY = (stored_values(phantom()) >> 4).astype(np.uint8)


def saved(folder: Path, name: str, image: Image.Image, **options: object) -> Path:
    """An image file."""
    path = folder / name
    image.save(path, **options)  # type: ignore[arg-type]
    return path


def refusal(path: Path) -> NotProcessed:
    """Why a file is not read."""
    with pytest.raises((ScopeError, UnreadableError)) as caught:
        read_film_file(path)
    return caught.value.reason


def png_header(width: int, height: int) -> bytes:
    """A PNG that declares a size and holds almost nothing."""
    body = b"IHDR" + struct.pack(">2I5B", width, height, 8, 0, 0, 0, 0)
    chunks = [body, b"IDAT" + zlib.compress(b"\0" * 10), b"IEND"]
    packed = [struct.pack(">I", len(c) - 4) + c + struct.pack(">I", zlib.crc32(c)) for c in chunks]
    return b"\x89PNG\r\n\x1a\n" + b"".join(packed)


def test_grey_images_of_8_bits_keep_their_values(tmp_path: Path) -> None:
    """PNG and JPEG, as grey or as grey stored in RGB, with or without alpha or palette: one film."""
    grey = Image.fromarray(GREY)
    for name, image in {
        "grey.png": grey,
        "rgb.png": grey.convert("RGB"),
        "alpha.png": grey.convert("LA"),
        "palette.png": grey.convert("P"),
        "no-extension": grey,
    }.items():
        film = read_image_file(saved(tmp_path, name, image, format="PNG"))
        assert np.array_equal(np.rint(film.pixels * 255), GREY), name
        assert film.spacing is None
    jpeg = read_image_file(saved(tmp_path, "grey.jpg", grey.convert("RGB"), quality=95))
    assert np.abs(jpeg.pixels * 255 - GREY).mean() < 2


def test_grey_images_of_16_bits_are_spread(tmp_path: Path) -> None:
    """A PNG of 16 bits is shown from its smallest to its largest value, nothing lost on the way."""
    deep = stored_values(phantom())
    film = read_image_file(saved(tmp_path, "deep.png", Image.fromarray(deep)))
    share = (deep - deep.min()) / float(np.ptp(deep))
    assert np.abs(film.pixels - share).max() < 1e-6


def test_exif_turns_the_film(tmp_path: Path) -> None:
    """A film photographed on its side comes out upright."""
    exif = Image.Exif()
    exif[0x0112] = 6
    film = read_image_file(saved(tmp_path, "side.png", Image.fromarray(GREY), exif=exif))
    assert np.array_equal(np.rint(film.pixels * 255), np.rot90(GREY, -1))


def test_files_that_are_no_film_are_refused(tmp_path: Path) -> None:
    """Colour, bombs, broken, blank, text, GIF: each with its own reason."""
    colour = np.stack([GREY, GREY // 2, GREY], axis=2)
    assert refusal(saved(tmp_path, "colour.png", Image.fromarray(colour))) is NotProcessed.PHOTOMETRIC
    whole = saved(tmp_path, "whole.png", Image.fromarray(GREY)).read_bytes()
    for name, data, reason in (
        ("large.png", png_header(12000, 12000), NotProcessed.TOO_LARGE),
        ("bomb.png", png_header(60000, 60000), NotProcessed.TOO_LARGE),
        ("cut.png", whole[: len(whole) // 2], NotProcessed.UNDECODABLE),
        ("text.dcm", b"Dear colleague, the film is attached.\n" * 20, NotProcessed.NOT_AN_IMAGE),
        ("empty.dcm", b"", NotProcessed.NOT_AN_IMAGE),
        ("short.dcm", b"\x08\x00", NotProcessed.NOT_AN_IMAGE),
        ("film.png", b"GIF89a" + bytes(200), NotProcessed.NOT_AN_IMAGE),
    ):
        (tmp_path / name).write_bytes(data)
        assert refusal(tmp_path / name) is reason, name
    flat = saved(tmp_path, "flat.png", Image.fromarray(np.full_like(GREY, 9)))
    assert refusal(flat) is NotProcessed.BLANK


def test_a_cut_jpeg_is_undecodable(tmp_path: Path) -> None:
    """The lower half of a JPEG is missing: not read as a grey area."""
    data = saved(tmp_path, "whole.jpg", Image.fromarray(GREY)).read_bytes()
    (tmp_path / "cut.jpg").write_bytes(data[: len(data) // 2])
    assert refusal(tmp_path / "cut.jpg") is NotProcessed.UNDECODABLE


@pytest.mark.parametrize(
    "syntax",
    [
        ImplicitVRLittleEndian,
        ExplicitVRLittleEndian,
        ExplicitVRBigEndian,
        DeflatedExplicitVRLittleEndian,
    ],
    ids=lambda syntax: syntax.name,
)
def test_dicom_is_known_by_its_content(syntax: str, tmp_path: Path) -> None:
    """A DICOM file named .png is DICOM."""
    path = tmp_path / "film.png"
    path.write_bytes(encode(phantom(), syntax))
    film, ds = read_film_file(path)
    assert ds is not None
    assert ds.PatientName == "PHANTOM^SYNTHETIC"
    assert film.pixel_digest == read_radiograph(phantom()).pixel_digest


@pytest.mark.parametrize(
    "syntax",
    [ImplicitVRLittleEndian, ExplicitVRLittleEndian, ExplicitVRBigEndian],
    ids=lambda s: s.name,
)
def test_dicom_without_preamble_and_meta_is_read(syntax: str, tmp_path: Path) -> None:
    """A bare data set, as old archives export it, in each native encoding."""
    data = encode(phantom(), syntax)
    length = struct.unpack_from("<I", data, 140)[0]
    path = tmp_path / "bare"
    path.write_bytes(data[144 + length :])
    film, ds = read_film_file(path)
    assert ds is not None
    assert film.pixel_digest == read_radiograph(phantom()).pixel_digest


def test_damaged_and_inflating_dicom_is_refused(tmp_path: Path) -> None:
    """A deflated data set cut in half is undecodable; one that inflates without end is not inflated."""
    whole = encode(phantom(), DeflatedExplicitVRLittleEndian)
    (tmp_path / "cut.dcm").write_bytes(whole[: len(whole) // 2])
    assert refusal(tmp_path / "cut.dcm") is NotProcessed.UNDECODABLE
    length = struct.unpack_from("<I", whole, 140)[0]
    packer = zlib.compressobj(1, zlib.DEFLATED, -zlib.MAX_WBITS)
    zeros = bytes(1 << 24)
    packed = [packer.compress(zeros) for _ in range(MAX_INFLATED // len(zeros) + 1)]
    (tmp_path / "bomb.dcm").write_bytes(whole[: 144 + length] + b"".join(packed) + packer.flush())
    assert refusal(tmp_path / "bomb.dcm") is NotProcessed.TOO_LARGE


def test_the_headers_gate_stands_before_the_pixels(tmp_path: Path) -> None:
    """A chest is refused as a chest, though its pixels are empty."""
    ds = phantom()
    ds.BodyPartExamined = "CHEST"
    ds.PixelData = b""
    path = tmp_path / "chest.dcm"
    path.write_bytes(encode(ds, ExplicitVRLittleEndian))
    assert refusal(path) is NotProcessed.BODY_PART


def test_a_missing_file_is_the_callers_matter(tmp_path: Path) -> None:
    """No such file is no film that was not processed."""
    with pytest.raises(FileNotFoundError):
        read_film_file(tmp_path / "none.dcm")


REAL = {
    "RG1_chest_mono1_j2k_lossy.dcm": NotProcessed.BODY_PART,
    "DX_dog_thorax_mono1_explicit_le.dcm": NotProcessed.BODY_PART,
    "MG_mono2_overlay_out_of_bounds_jpeg_lossless.dcm": NotProcessed.SOP_CLASS,
    "RG2_hip_mono2_jpeg_extended.dcm": NotProcessed.NO_DECODER,
}


@pytest.mark.parametrize("name", REAL)
def test_real_films_out_of_scope_are_refused(name: str) -> None:
    """A chest, a dog, a breast, and a hip without decoder."""
    assert refusal(films_folder() / "dicom" / name) is REAL[name]
