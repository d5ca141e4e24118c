"""From a data set to stored values: what the header declares, checked before anything is allocated, then decoded."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from pydicom.dataset import Dataset
from pydicom.encaps import get_frame
from pydicom.pixels.decoders.base import get_decoder
from pydicom.uid import (
    HTJ2K,
    JPEG2000,
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    HTJ2KLossless,
    HTJ2KLosslessRPCL,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGLossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    JPEGLSNearLossless,
    RLELossless,
)

from pipeline.codestream import (
    has_end,
    has_rle_segments,
    read_jpeg2000_header,
    read_jpeg_header,
)
from pipeline.errors import ScopeError, UnreadableError
from pipeline.findings import NotProcessed
from pipeline.header_values import integer_of, text_of, value_of

StoredValues = (
    npt.NDArray[np.uint8] | npt.NDArray[np.uint16] | npt.NDArray[np.int8] | npt.NDArray[np.int16]
)
MAX_PIXELS = 100_000_000

_NATIVE = (
    ImplicitVRLittleEndian,
    ExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    DeflatedExplicitVRLittleEndian,
)
_JPEG = (JPEGBaseline8Bit, JPEGLossless, JPEGLosslessSV1, JPEGLSLossless, JPEGLSNearLossless)
_JPEG_2000 = (JPEG2000Lossless, JPEG2000, HTJ2KLossless, HTJ2KLosslessRPCL, HTJ2K)
# One of pydicom's plug-ins for each, the fastest by measurement but for RLE: pylibjpeg's panics on damaged
# segments, past every `except Exception`. None stands in where another fails: GDCM's JPEG can end the process.
_PLUGINS: dict[UID, str] = {
    RLELossless: "pydicom",
    JPEGBaseline8Bit: "pillow",
    JPEGLossless: "gdcm",
    JPEGLosslessSV1: "gdcm",
    JPEGLSLossless: "pyjpegls",
    JPEGLSNearLossless: "pyjpegls",
    JPEG2000Lossless: "gdcm",
    JPEG2000: "gdcm",
    HTJ2KLossless: "pylibjpeg",
    HTJ2KLosslessRPCL: "pylibjpeg",
    HTJ2K: "pylibjpeg",
}
# What pydicom and its plug-ins raise on data that is not what it claims to be.
_DECODING_FAILS = (
    ValueError, TypeError, KeyError, IndexError, AttributeError, RuntimeError, OSError, EOFError, struct.error,
)  # fmt: skip


@dataclass(frozen=True)
class PixelDescription:
    """The Image Pixel Module's description of one monochrome frame (PS3.3 C.7.6.3)."""

    rows: int
    columns: int
    bits_allocated: int
    bits_stored: int
    high_bit: int
    signed: bool
    photometric: str

    @property
    def byte_count(self) -> int:
        """Bytes of the frame in native encoding."""
        return self.rows * self.columns * self.bits_allocated // 8


def describe_pixels(ds: Dataset) -> PixelDescription:
    """What the header declares.

    Raises:
        ScopeError: colour, more than one frame, or too large.
        UnreadableError: rows, columns or bits that describe no image.
    """
    photometric = text_of(ds, "PhotometricInterpretation")
    if photometric not in ("MONOCHROME1", "MONOCHROME2") or integer_of(ds, "SamplesPerPixel") not in (
        1,
        None,
    ):
        raise ScopeError(NotProcessed.PHOTOMETRIC)
    if (integer_of(ds, "NumberOfFrames") or 1) > 1:
        raise ScopeError(NotProcessed.MULTI_FRAME)
    rows, columns = integer_of(ds, "Rows") or 0, integer_of(ds, "Columns") or 0
    allocated, stored = integer_of(ds, "BitsAllocated") or 0, integer_of(ds, "BitsStored") or 0
    if rows <= 0 or columns <= 0:
        raise UnreadableError(NotProcessed.BAD_GEOMETRY, f"{rows} rows, {columns} columns")
    if allocated not in (8, 16) or not 1 <= stored <= allocated:
        raise UnreadableError(NotProcessed.BAD_GEOMETRY, f"{stored} bits stored in {allocated}")
    if rows * columns > MAX_PIXELS:
        raise ScopeError(NotProcessed.TOO_LARGE, f"{rows} x {columns}")
    high_bit = integer_of(ds, "HighBit")
    if high_bit is None or not stored - 1 <= high_bit < allocated:
        high_bit = stored - 1
    signed = integer_of(ds, "PixelRepresentation") == 1
    return PixelDescription(rows, columns, allocated, stored, high_bit, signed, photometric)


def transfer_syntax_of(ds: Dataset) -> UID:
    """The transfer syntax from the file meta information, else the encoding in which the data set was read."""
    named = text_of(getattr(ds, "file_meta", None) or Dataset(), "TransferSyntaxUID")
    if named:
        return UID(named)
    implicit, little = getattr(ds, "original_encoding", (None, None))
    if little is False:
        return ExplicitVRBigEndian
    return ExplicitVRLittleEndian if implicit is False else ImplicitVRLittleEndian


def read_stored_values(ds: Dataset, description: PixelDescription) -> StoredValues:
    """The stored values (rows, columns), only Bits Stored of each, no colour or grey transformation.

    Raises:
        UnreadableError: no pixel data, too little of it, or nothing that can decode it.
    """
    data = value_of(ds, "PixelData")
    if not isinstance(data, bytes | bytearray) or not data:
        raise UnreadableError(NotProcessed.NO_PIXELS)
    syntax = transfer_syntax_of(ds)
    if syntax in _NATIVE:
        if len(data) < description.byte_count:
            detail = f"{len(data)} bytes of {description.byte_count}"
            raise UnreadableError(NotProcessed.TRUNCATED, detail)
        values = _decode(data, syntax, description, plugin="", pixel_vr=ds["PixelData"].VR)
    elif syntax in _PLUGINS:
        if _PLUGINS[syntax] not in get_decoder(syntax).available_plugins:
            raise UnreadableError(
                NotProcessed.NO_DECODER, f"{syntax.name}: {_PLUGINS[syntax]} is missing"
            )
        _check_frame(bytes(data), syntax, description)
        values = _decode(data, syntax, description, plugin=_PLUGINS[syntax])
    else:
        raise UnreadableError(NotProcessed.NO_DECODER, syntax.name[:64])
    shift = 0 if syntax in _JPEG + _JPEG_2000 else description.high_bit + 1 - description.bits_stored
    return keep_stored_bits(values, description.bits_stored, shift)


def keep_stored_bits(values: StoredValues, bits_stored: int, shift: int = 0) -> StoredValues:
    """Only the bits that belong to the value, `shift` bits up in the cell, with its sign (PS3.5 8.1.1).

    The others may hold anything, a retired overlay for one.
    """
    cell = values.dtype.itemsize * 8
    if bits_stored == cell:
        return values
    left = cell - bits_stored - shift
    kept: StoredValues = (values << left) >> (cell - bits_stored)
    return kept


def _check_frame(data: bytes, syntax: UID, description: PixelDescription) -> None:
    """Compares the frame's own header with the data set's, and looks for its end.

    Raises:
        UnreadableError: no such frame, another matrix, or an end that is missing.
    """
    try:
        frame = get_frame(data, 0, number_of_frames=1)
    except _DECODING_FAILS as error:
        raise UnreadableError(NotProcessed.UNDECODABLE, "no frame in the pixel data") from error
    if not frame:
        raise UnreadableError(NotProcessed.NO_PIXELS, "empty frame")
    if syntax == RLELossless:
        if not has_rle_segments(frame, description.bits_allocated // 8):
            raise UnreadableError(NotProcessed.UNDECODABLE, "no RLE header")
        return
    header = read_jpeg2000_header(frame) if syntax in _JPEG_2000 else read_jpeg_header(frame)
    if header is None:
        raise UnreadableError(NotProcessed.UNDECODABLE, "no header in the codestream")
    declared = (description.rows, description.columns, 1)
    said = (header.rows, header.columns, header.components)
    if said != declared or not 1 <= header.precision <= description.bits_allocated:
        detail = f"{declared} declared, {said} of {header.precision} bits in the codestream"
        raise UnreadableError(NotProcessed.BAD_GEOMETRY, detail)
    if not has_end(frame):
        raise UnreadableError(NotProcessed.TRUNCATED, "codestream without end")


def _decode(
    data: bytes | bytearray, syntax: UID, description: PixelDescription, *, plugin: str, **more: Any
) -> StoredValues:
    """One frame through pydicom, cells as they are.

    Raises:
        UnreadableError: the decoder refused, or gave another number of pixels.
    """
    options: dict[str, Any] = {
        "correct_unused_bits": False,
        "view_only": True,
        "rows": description.rows,
        "columns": description.columns,
        "bits_allocated": description.bits_allocated,
        "bits_stored": description.bits_stored,
        "pixel_representation": int(description.signed),
        "photometric_interpretation": description.photometric,
        "number_of_frames": 1,
        "samples_per_pixel": 1,
        "pixel_keyword": "PixelData",
        **more,
    }
    try:
        decoder = get_decoder(syntax)
        values, _ = decoder.as_array(bytes(data), index=0, raw=True, decoding_plugin=plugin, **options)
    except _DECODING_FAILS as error:
        # An RLE frame whose header is right can only be wrong by having too few bytes.
        reason = NotProcessed.TRUNCATED if syntax == RLELossless else NotProcessed.UNDECODABLE
        raise UnreadableError(reason, type(error).__name__) from error
    if values.shape != (description.rows, description.columns):
        raise UnreadableError(NotProcessed.BAD_GEOMETRY, f"decoded to {values.shape}")
    return np.asarray(values, dtype=values.dtype.newbyteorder("="))
