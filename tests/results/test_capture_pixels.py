"""A capture's pixels as a destination wants them: colour or grey, native or compressed, never with loss."""

from __future__ import annotations

import subprocess
from pathlib import Path

import cv2
import numpy as np
import pydicom
import pytest
from pydicom.dataset import FileDataset
from pydicom.pixels import get_decoder
from pydicom.uid import ExplicitVRLittleEndian, JPEG2000Lossless, JPEGLSLossless, RLELossless

from dicom_node.errors import CompositionError
from dicom_node.records import ResultObject
from dicom_node.results.capture_style import style_of
from dicom_node.results.composition import DestinationProfile
from dicom_node.results.overlay_drawing import draw_overlay, overlay_layout
from pipeline.findings import Outcome
from tests.phantoms import encode, phantom
from tests.real_parts import program
from tests.results.hand_made import (
    DOUBTFUL,
    FAILED,
    NEGATIVE,
    NOT_ATTEMPTED,
    POSITIVE,
    overlay,
    radiograph_of,
    read_back,
)
from tests.validators import dciodvfy_errors

SYNTAXES = (ExplicitVRLittleEndian, JPEGLSLossless, JPEG2000Lossless, RLELossless)
# What PS3.5 8.2 and PS3.3 C.7.6.3.1.2 ask for.
PHOTOMETRIC = {JPEG2000Lossless: "YBR_RCT"}
# Longest sides that make an odd and an even number of bytes.
SIDES = (511, 512)


def profile_of(syntax: str, bits: int, side: int = 512) -> DestinationProfile:
    """A destination's choices of pixels."""
    return DestinationProfile("pacs", side, overlay_bits=bits, transfer_syntax_uid=syntax)


def drawn(profile: DestinationProfile) -> np.ndarray:  # type: ignore[type-arg]
    """What is drawn for a destination, in colour or as its luminance, before it is encoded."""
    film = radiograph_of(phantom())
    side = profile.overlay_longest_side
    pixels = draw_overlay(film, POSITIVE, longest_side=side, style=style_of(profile))
    return pixels if profile.overlay_bits == 24 else cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY)


def made(profile: DestinationProfile) -> ResultObject:
    """The overlay of a phantom."""
    return overlay(phantom(), POSITIVE, profile=profile)


def decoded(ds: FileDataset, plugin: str = "") -> np.ndarray:  # type: ignore[type-arg]
    """The pixels as RGB or grey, by a decoder of another make than our encoder where one is named."""
    syntax = ds.file_meta.TransferSyntaxUID
    if syntax == ExplicitVRLittleEndian:
        return np.asarray(ds.pixel_array)
    array, _ = get_decoder(syntax).as_array(ds, decoding_plugin=plugin)
    return np.asarray(array)


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("bits", [8, 24])
@pytest.mark.parametrize("syntax", SYNTAXES)
def test_every_encoding_gives_back_what_was_drawn(syntax: str, bits: int, side: int) -> None:
    """To the grey level, and the attributes say how it is stored."""
    profile = profile_of(syntax, bits, side)
    result = made(profile)
    ds = read_back(result)
    assert result.transfer_syntax_uid == ds.file_meta.TransferSyntaxUID == syntax
    colour = bits == 24
    assert ds.PhotometricInterpretation == (PHOTOMETRIC.get(syntax, "RGB") if colour else "MONOCHROME2")
    assert (ds.SamplesPerPixel, "PlanarConfiguration" in ds) == ((3, True) if colour else (1, False))
    assert (ds.BitsAllocated, ds.BitsStored, ds.HighBit, ds.PixelRepresentation) == (8, 8, 7, 0)
    assert ds.LossyImageCompression == "00"
    assert np.array_equal(decoded(ds), drawn(profile))
    assert max(ds.Rows, ds.Columns) <= side


@pytest.mark.parametrize("bits", [8, 24])
@pytest.mark.parametrize(
    ("syntax", "decoder"),
    [(JPEGLSLossless, "gdcm"), (JPEG2000Lossless, "gdcm"), (RLELossless, "pylibjpeg")],
)
def test_a_decoder_of_another_make_reads_the_same(syntax: str, decoder: str, bits: int) -> None:
    """GDCM, which many viewers use, and a second one for RLE; our encoders are others."""
    profile = profile_of(syntax, bits)
    assert np.array_equal(decoded(read_back(made(profile)), decoder), drawn(profile))


@pytest.mark.real_part
@pytest.mark.parametrize("bits", [8, 24])
@pytest.mark.parametrize(
    ("syntax", "decoder"), [(JPEGLSLossless, "dcmdjpls"), (RLELossless, "dcmdrle")]
)
def test_dcmtk_reads_the_same(syntax: str, decoder: str, bits: int, tmp_path: Path) -> None:
    """An archive of another make decodes to the same pixels."""
    profile = profile_of(syntax, bits)
    (tmp_path / "made.dcm").write_bytes(made(profile).data)
    subprocess.run(
        [program(decoder), str(tmp_path / "made.dcm"), str(tmp_path / "native.dcm")],
        check=True,
        timeout=60,
    )
    native = pydicom.dcmread(tmp_path / "native.dcm")
    assert np.array_equal(native.pixel_array, drawn(profile))


@pytest.mark.real_part
@pytest.mark.parametrize("bits", [8, 24])
@pytest.mark.parametrize("syntax", SYNTAXES)
def test_dciodvfy_finds_no_error_in_any_encoding(syntax: str, bits: int, tmp_path: Path) -> None:
    """That the film does not have."""
    source = phantom()
    (tmp_path / "source.dcm").write_bytes(encode(source, ExplicitVRLittleEndian))
    (tmp_path / "made.dcm").write_bytes(made(profile_of(syntax, bits)).data)
    assert dciodvfy_errors(tmp_path / "made.dcm") <= dciodvfy_errors(tmp_path / "source.dcm")


@pytest.mark.parametrize("syntax", SYNTAXES)
def test_the_same_capture_is_encoded_to_the_same_bytes(syntax: str) -> None:
    """A UID names bytes; no encoder writes a date or a new UID into them."""
    first, second = made(profile_of(syntax, 24)), made(profile_of(syntax, 24))
    assert first.data == second.data
    others = {made(profile_of(other, 24)).sop_instance_uid for other in SYNTAXES if other != syntax}
    assert first.sop_instance_uid not in others


def test_compression_pays() -> None:
    """JPEG-LS and JPEG 2000 more than halve a capture; RLE makes it smaller."""
    sizes = {syntax: len(made(profile_of(syntax, 24)).data) for syntax in SYNTAXES}
    native = sizes[ExplicitVRLittleEndian]
    assert max(sizes[JPEGLSLossless], sizes[JPEG2000Lossless]) < native / 2
    assert sizes[RLELossless] < native


def test_grey_is_drawn_grey_and_no_level_is_lost() -> None:
    """The film's levels stay as they are, for the luminance of a grey is the grey; marks have no hue to lose."""
    film, style = radiograph_of(phantom()), style_of(profile_of(ExplicitVRLittleEndian, 8))
    pixels = draw_overlay(film, POSITIVE, longest_side=512, style=style)
    left, top, right, bottom = overlay_layout(film, POSITIVE, longest_side=512, style=style).film
    assert np.all(np.ptp(pixels[top:bottom, left:right].astype(int), axis=2) <= 5)
    levels = np.repeat(np.arange(256, dtype=np.uint8)[None, :, None], 3, axis=2)
    assert np.array_equal(cv2.cvtColor(levels, cv2.COLOR_RGB2GRAY)[0], np.arange(256))


def test_outcomes_are_told_apart_without_colour() -> None:
    """By the bar beside the title: its grey, and whether it is whole or broken as the boxes are."""
    film = radiograph_of(phantom())
    bars = {}
    for findings in (POSITIVE, DOUBTFUL, NEGATIVE, NOT_ATTEMPTED):
        profile = profile_of(ExplicitVRLittleEndian, 8, 1024)
        pixels = draw_overlay(film, findings, longest_side=1024, style=style_of(profile))[:, :, 0]
        unit = round(1024 * 0.0165)
        bar = pixels[: 5 * unit, round(unit * 0.8) + 1]
        lit = bar > 60
        bars[findings.outcome] = (int(bar.max()), int(np.sum(np.diff(lit.astype(int)) == 1)))
    assert len(set(bars.values())) == len(bars)
    assert bars[Outcome.FRACTURE] == (255, 1)
    assert bars[Outcome.DOUBT][1] == 3


def test_a_card_takes_the_same_choices() -> None:
    """No film, and yet grey and compressed."""
    profile = profile_of(RLELossless, 8)
    ds = read_back(overlay(phantom(), FAILED, profile=profile, card=True))
    assert ds.PhotometricInterpretation == "MONOCHROME2"
    assert decoded(ds).shape == (ds.Rows, ds.Columns)


def test_a_syntax_that_loses_and_other_bits_are_refused() -> None:
    """The settings cannot say it; a caller that does is told."""
    with pytest.raises(CompositionError, match=r"1\.2\.840\.10008\.1\.2\.4\.50"):
        DestinationProfile("pacs", transfer_syntax_uid="1.2.840.10008.1.2.4.50")
    with pytest.raises(CompositionError, match="overlay_bits = 16"):
        DestinationProfile("pacs", overlay_bits=16)
