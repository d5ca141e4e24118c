"""What cannot be read is refused with its reason, and never read as something else."""

from __future__ import annotations

import struct
from collections.abc import Callable

import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate, get_frame
from pydicom.uid import (
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
    JPEGLosslessSV1,
    JPEGLSLossless,
    RLELossless,
)

from pipeline.errors import ScopeError, UnreadableError
from pipeline.findings import NotProcessed
from pipeline.pixel_conversion import read_radiograph
from tests.phantoms import LOSSLESS_SYNTAXES, LOSSY_SYNTAXES, encode, phantom, put_values, stored_values
from tests.real_parts import films_folder

ENCAPSULATED = [syntax for syntax in LOSSLESS_SYNTAXES + LOSSY_SYNTAXES if syntax.is_encapsulated]


def in_syntax(syntax: str) -> Dataset:
    """A phantom in a transfer syntax, as read from its file."""
    return pydicom.dcmread(pydicom.filebase.DicomBytesIO(encode(phantom(), syntax)))


def refusal(ds: Dataset) -> NotProcessed:
    """Why a data set is not read."""
    with pytest.raises((ScopeError, UnreadableError)) as caught:
        read_radiograph(ds)
    assert isinstance(caught.value, UnreadableError) == caught.value.reason.attempted
    return caught.value.reason


def change(**values: object) -> Callable[[Dataset], None]:
    """Sets attributes; None removes one."""

    def apply(ds: Dataset) -> None:
        for keyword, value in values.items():
            if value is None:
                delattr(ds, keyword)
            else:
                setattr(ds, keyword, value)

    return apply


CASES: dict[str, tuple[Callable[[Dataset], None], NotProcessed]] = {
    "no rows": (change(Rows=0), NotProcessed.BAD_GEOMETRY),
    "Rows absent": (change(Rows=None), NotProcessed.BAD_GEOMETRY),
    "12 bits allocated": (change(BitsAllocated=12), NotProcessed.BAD_GEOMETRY),
    "more bits stored than allocated": (change(BitsStored=17), NotProcessed.BAD_GEOMETRY),
    "65535 x 65535": (
        change(Rows=65535, Columns=65535, PixelData=b"0123456789"),
        NotProcessed.TOO_LARGE,
    ),
    "ten bytes": (change(Rows=5000, Columns=5000, PixelData=b"0123456789"), NotProcessed.TRUNCATED),
    "one byte missing": (
        lambda ds: setattr(ds, "PixelData", ds.PixelData[:-2]),
        NotProcessed.TRUNCATED,
    ),
    "no pixel data": (change(PixelData=None), NotProcessed.NO_PIXELS),
    "empty pixel data": (change(PixelData=b""), NotProcessed.NO_PIXELS),
    "colour": (change(SamplesPerPixel=3, PhotometricInterpretation="RGB"), NotProcessed.PHOTOMETRIC),
    "palette": (change(PhotometricInterpretation="PALETTE COLOR"), NotProcessed.PHOTOMETRIC),
    "multi-frame": (change(NumberOfFrames=2), NotProcessed.MULTI_FRAME),
    "blank": (lambda ds: put_values(ds, np.full_like(stored_values(ds), 700), 12), NotProcessed.BLANK),
}


@pytest.mark.parametrize("case", CASES)
def test_a_native_film_is_refused_with_its_reason(case: str) -> None:
    """Headers and pixels that are no film end in their own reason."""
    apply, reason = CASES[case]
    ds = phantom()
    apply(ds)
    assert refusal(ds) is reason


@pytest.mark.parametrize("share", [0.1, 0.5, 0.97])
@pytest.mark.parametrize("syntax", ENCAPSULATED, ids=lambda syntax: syntax.name)
def test_a_truncated_frame_is_never_read(syntax: str, share: float) -> None:
    """A codestream that was cut is refused as truncated, whatever its decoder would have made of it."""
    ds = in_syntax(syntax)
    frame = get_frame(ds.PixelData, 0, number_of_frames=1)
    ds.PixelData = encapsulate([frame[: int(len(frame) * share)]])
    assert refusal(ds) is NotProcessed.TRUNCATED


@pytest.mark.parametrize("syntax", ENCAPSULATED, ids=lambda syntax: syntax.name)
def test_noise_for_a_frame_is_undecodable(syntax: str) -> None:
    """Bytes that are no codestream at all."""
    ds = in_syntax(syntax)
    ds.PixelData = encapsulate([np.random.default_rng(1).bytes(5000)])
    assert refusal(ds) is NotProcessed.UNDECODABLE


@pytest.mark.parametrize(
    "syntax",
    [JPEGBaseline8Bit, JPEGLosslessSV1, JPEGLSLossless, JPEG2000Lossless],
    ids=lambda s: s.name,
)
def test_a_codestream_of_another_size_is_refused(syntax: str) -> None:
    """The frame's own header is compared before anything is decoded."""
    ds = in_syntax(syntax)
    ds.Columns = ds.Columns // 2
    assert refusal(ds) is NotProcessed.BAD_GEOMETRY


def test_a_codestream_that_claims_to_be_huge_is_not_decoded() -> None:
    """A JPEG of 65,535 x 65,535 behind a small header is refused by its header."""
    ds = in_syntax(JPEGLosslessSV1)
    frame = bytearray(get_frame(ds.PixelData, 0, number_of_frames=1))
    at = frame.index(b"\xff\xc3")
    frame[at + 5 : at + 9] = struct.pack(">HH", 65535, 65535)
    ds.PixelData = encapsulate([bytes(frame)])
    assert refusal(ds) is NotProcessed.BAD_GEOMETRY


def test_damage_inside_a_codestream_is_refused() -> None:
    """A frame whose tables were overwritten, header and end in place."""
    ds = in_syntax(JPEGLosslessSV1)
    frame = bytearray(get_frame(ds.PixelData, 0, number_of_frames=1))
    at = frame.index(b"\xff\xc4") + 5
    frame[at : at + 16] = b"\xff" * 16
    ds.PixelData = encapsulate([bytes(frame)])
    assert refusal(ds) is NotProcessed.UNDECODABLE


@pytest.mark.parametrize(
    ("sound", "damaged"),
    [
        (b"\xff\xc4", b"\x56\xc4"),
        (b"\xff\xda\x00\x08\x01\x01\x00\x01", b"\xff\xda\x00\x08\x01\x01\x00\xe3"),
        (b"\xff\xda\x00\x08\x01\x01\x00\x01", b"\xff\xda\x00\x08\x01\x01\x70\x01"),
    ],
    ids=["no marker", "predictor 227", "table that is not there"],
)
def test_segments_that_would_end_the_process_never_reach_the_decoder(
    sound: bytes, damaged: bytes
) -> None:
    """GDCM throws past Python on some of these: they are refused by walking the segments first."""
    ds = in_syntax(JPEGLosslessSV1)
    frame = get_frame(ds.PixelData, 0, number_of_frames=1)
    assert sound in frame
    ds.PixelData = encapsulate([frame.replace(sound, damaged, 1)])
    assert refusal(ds) is NotProcessed.UNDECODABLE


def test_random_damage_is_read_or_refused_and_nothing_else() -> None:
    """RLE frames with random bytes in them: a film or a reason, never a panic."""
    ds = in_syntax(RLELossless)
    frame = get_frame(ds.PixelData, 0, number_of_frames=1)
    chance = np.random.default_rng(5)
    refused = 0
    for _ in range(60):
        damaged = bytearray(frame)
        for at in chance.integers(64, len(frame), 4):
            damaged[at] = chance.integers(256)
        ds.PixelData = encapsulate([bytes(damaged)])
        try:
            read_radiograph(ds)
        except UnreadableError as error:
            refused += error.reason is NotProcessed.TRUNCATED
    assert refused > 5


def test_rle_without_segments_is_undecodable() -> None:
    """An RLE header that lists no segments."""
    ds = in_syntax(RLELossless)
    ds.PixelData = encapsulate([bytes(64)])
    assert refusal(ds) is NotProcessed.UNDECODABLE


@pytest.mark.parametrize("syntax", [JPEGExtended12Bit, "1.2.840.10008.1.2.4.100", "1.2.3.4"])
def test_a_syntax_without_decoder_is_named_as_such(syntax: str) -> None:
    """JPEG extended, a video syntax and an unknown one: not an error of the film."""
    ds = in_syntax(JPEGLosslessSV1)
    ds.file_meta.TransferSyntaxUID = syntax
    assert refusal(ds) is NotProcessed.NO_DECODER


def test_a_real_jpeg_extended_film_has_no_decoder() -> None:
    """The real 12-bit JPEG extended hip."""
    ds = pydicom.dcmread(films_folder() / "dicom" / "RG2_hip_mono2_jpeg_extended.dcm")
    assert refusal(ds) is NotProcessed.NO_DECODER
