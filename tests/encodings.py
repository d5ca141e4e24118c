"""A native phantom in every transfer syntax that the node accepts."""

from __future__ import annotations

import copy
import io
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gdcm
import imagecodecs
import numpy as np
from PIL import Image
from pydicom import dcmread
from pydicom.dataset import FileDataset
from pydicom.encaps import encapsulate, get_frame
from pydicom.filewriter import dcmwrite
from pydicom.uid import (
    JPEG2000,
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    HTJ2KLossless,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGLossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    JPEGLSNearLossless,
    RLELossless,
)

from tests.phantom_values import put_values, scale_window, stored_values

LOSSLESS_SYNTAXES: tuple[UID, ...] = (
    ImplicitVRLittleEndian,
    ExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    DeflatedExplicitVRLittleEndian,
    RLELossless,
    JPEGLossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    JPEG2000Lossless,
    HTJ2KLossless,
)
LOSSY_SYNTAXES: tuple[UID, ...] = (JPEGBaseline8Bit, JPEGLSNearLossless, JPEG2000)
TRANSFER_SYNTAXES = LOSSLESS_SYNTAXES + LOSSY_SYNTAXES
_IMAGE_PIXEL = (
    "SOPClassUID",
    "SOPInstanceUID",
    "SamplesPerPixel",
    "PhotometricInterpretation",
    "Rows",
    "Columns",
    "BitsAllocated",
    "BitsStored",
    "HighBit",
    "PixelRepresentation",
    "PixelData",
)


def encode(ds: FileDataset, transfer_syntax_uid: str) -> bytes:
    """A native phantom as the bytes of a DICOM file (PS3.10) in this transfer syntax.

    JPEG baseline holds 8 bits: a deeper phantom is brought to 8 bits first. Lossy ones carry their flags.
    """
    syntax = UID(transfer_syntax_uid)
    copied = copy.deepcopy(ds)
    if syntax == JPEGBaseline8Bit and copied.BitsAllocated == 16:
        _to_eight_bits(copied)
    if syntax in LOSSY_SYNTAXES:
        copied.LossyImageCompression, copied.LossyImageCompressionRatio = "01", 8
    _ENCODERS[syntax](copied)
    copied.file_meta.TransferSyntaxUID = syntax
    written = io.BytesIO()
    implicit, little = syntax == ImplicitVRLittleEndian, syntax != ExplicitVRBigEndian
    dcmwrite(written, copied, implicit_vr=implicit, little_endian=little, enforce_file_format=True)
    return written.getvalue()


def _to_eight_bits(ds: FileDataset) -> None:
    slope, zero = 2.0 ** (8 - ds.BitsStored), 128 * ds.PixelRepresentation
    eight = (stored_values(ds) >> (ds.BitsStored - 8)).astype(np.int16) + zero
    put_values(ds, eight.astype(np.uint8), 8)
    if "WindowCenter" in ds:
        scale_window(ds, slope, zero)


def _native(ds: FileDataset) -> None:
    """Nothing to do."""


def _big_endian(ds: FileDataset) -> None:
    """pydicom writes OW as it lies: the words are turned here, in the pixels and in every LUT."""
    for element in ds.iterall():
        if element.VR == "OW" and element.value:
            element.value = np.frombuffer(element.value, "<u2").byteswap().tobytes()


def _with_pydicom(syntax: UID, **options: Any) -> Callable[[FileDataset], None]:
    return lambda ds: ds.compress(syntax, generate_instance_uid=False, **options)


def _replace_pixels(ds: FileDataset, frame: bytes) -> None:
    ds.PixelData = encapsulate([frame])
    ds["PixelData"].VR = "OB"
    ds["PixelData"].is_undefined_length = True


def _jpeg_baseline(ds: FileDataset) -> None:
    written = io.BytesIO()
    Image.fromarray(stored_values(ds)).save(written, "JPEG", quality=95)
    _replace_pixels(ds, written.getvalue())
    ds.LossyImageCompressionMethod = "ISO_10918_1"


def _htj2k(ds: FileDataset) -> None:
    _replace_pixels(ds, bytes(imagecodecs.htj2k_encode(stored_values(ds), reversible=True)))


def _jpeg_lossless(syntax: int) -> Callable[[FileDataset], None]:
    """Through GDCM with the Image Pixel Module only, so that the rest of the header stays as it is."""

    def apply(ds: FileDataset) -> None:
        with tempfile.TemporaryDirectory() as folder:
            source, target = str(Path(folder) / "source"), str(Path(folder) / "target")
            _image_pixels_only(ds).save_as(source, enforce_file_format=True)
            reader = gdcm.ImageReader()
            reader.SetFileName(source)
            change = gdcm.ImageChangeTransferSyntax()
            change.SetTransferSyntax(gdcm.TransferSyntax(syntax))
            if not reader.Read():
                raise RuntimeError("GDCM could not read the phantom")
            change.SetInput(reader.GetImage())
            if not change.Change():
                raise RuntimeError("GDCM could not encode the phantom")
            writer = gdcm.ImageWriter()
            writer.SetFileName(target)
            writer.SetFile(reader.GetFile())
            writer.SetImage(change.GetOutput())
            if not writer.Write():
                raise RuntimeError("GDCM could not write the phantom")
            _replace_pixels(ds, _only_frame(target))

    return apply


def _image_pixels_only(ds: FileDataset) -> FileDataset:
    bare = FileDataset("", {}, file_meta=ds.file_meta, preamble=b"\0" * 128)
    for keyword in _IMAGE_PIXEL:
        bare.add(copy.deepcopy(ds[keyword]))
    return bare


def _only_frame(path: str) -> bytes:
    return get_frame(dcmread(path).PixelData, 0, number_of_frames=1)


_ENCODERS: dict[UID, Callable[[FileDataset], None]] = {
    ImplicitVRLittleEndian: _native,
    ExplicitVRLittleEndian: _native,
    ExplicitVRBigEndian: _big_endian,
    DeflatedExplicitVRLittleEndian: _native,
    RLELossless: _with_pydicom(RLELossless),
    JPEGBaseline8Bit: _jpeg_baseline,
    JPEGLossless: _jpeg_lossless(gdcm.TransferSyntax.JPEGLosslessProcess14),
    JPEGLosslessSV1: _jpeg_lossless(gdcm.TransferSyntax.JPEGLosslessProcess14_1),
    JPEGLSLossless: _with_pydicom(JPEGLSLossless),
    JPEGLSNearLossless: _with_pydicom(JPEGLSNearLossless, jls_error=2),
    JPEG2000Lossless: _with_pydicom(JPEG2000Lossless),
    JPEG2000: _with_pydicom(JPEG2000, j2k_cr=[8]),
    HTJ2KLossless: _htj2k,
}
