"""Files that people give for reading: films, and what is none."""

from __future__ import annotations

import io
import struct
import zlib
from functools import cache

import numpy as np
from PIL import Image
from pydicom.uid import DeflatedExplicitVRLittleEndian, ExplicitVRLittleEndian

from tests.phantoms import encode, phantom


@cache
def dicom_film() -> bytes:
    """A drawn hand, in a DICOM file."""
    return encode(phantom(), ExplicitVRLittleEndian)


@cache
def png_film(rows: int = 256, columns: int = 208) -> bytes:
    """The same drawn hand as a PNG."""
    grey = phantom(rows=rows, columns=columns).pixel_array
    shown = (grey.astype(np.float32) * (255.0 / grey.max())).astype(np.uint8)
    return encoded(shown, "PNG")


def film_without_pixels() -> bytes:
    """The same hand's header alone."""
    ds, written = phantom(), io.BytesIO()
    del ds.PixelData
    ds.save_as(written, enforce_file_format=True)
    return written.getvalue()


def encoded(pixels: np.ndarray, name: str) -> bytes:
    """An image file."""
    written = io.BytesIO()
    Image.fromarray(pixels).save(written, name)
    return written.getvalue()


def huge_png(columns: int, rows: int) -> bytes:
    """A PNG of a few kilobytes that says it has so many pixels, and inflates to more than a gigabyte."""
    header = struct.pack(">IIBBBBB", columns, rows, 8, 0, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + _chunk(b"IHDR", header) + _chunk(b"IDAT", _bomb()) + _chunk(b"IEND", b"")
    )


def deflated_bomb() -> bytes:
    """A deflated DICOM file of 300 kB whose data set has 300 MB."""
    whole = encode(phantom(), DeflatedExplicitVRLittleEndian)
    # The group length counts from behind its own element: 12 bytes after the prefix (PS3.10 7.1).
    start = 144 + struct.unpack_from("<I", whole, 140)[0]
    packer = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    zeros = bytes(1 << 20)
    return whole[:start] + b"".join(packer.compress(zeros) for _ in range(300)) + packer.flush()


@cache
def _bomb() -> bytes:
    """One and a half gigabytes of nothing, packed: a megabyte, and again the same."""
    packer = zlib.compressobj(9)
    first, again = (packer.compress(bytes(1 << 20)) + packer.flush(zlib.Z_FULL_FLUSH) for _ in range(2))
    return first + again * 1499


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
