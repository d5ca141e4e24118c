"""What a compressed frame says of itself, read before any decoder allocates for it."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass

# ISO/IEC 10918-1 table B.1 and ISO/IEC 14495-1 annex C: frame headers, and markers without a segment.
_JPEG_SOI, _JPEG_END = b"\xff\xd8", b"\xff\xd9"
_FRAME_HEADERS = frozenset({*range(0xC0, 0xD0), 0xF7}) - {0xC4, 0xC8, 0xCC}
_LOSSLESS, _HUFFMAN_TABLES, _SCAN = 0xC3, 0xC4, 0xDA
_WITHOUT_SEGMENT = frozenset({0x01, *range(0xD0, 0xD9)})
# ISO/IEC 15444-1 annex A: SOC and SIZ open a codestream, which may lie in the boxes of a JP2 file.
_J2K_START = b"\xff\x4f\xff\x51"
_BOXES = 4096
# Padding that senders leave behind the last marker.
_TAIL = 1024
# PS3.5 G.5: an RLE frame begins with the number of its segments and where each starts.
_RLE_HEADER = struct.Struct("<16L")


@dataclass(frozen=True)
class FrameHeader:
    """The matrix that a codestream declares; `precision` is in bits."""

    rows: int
    columns: int
    components: int
    precision: int


def read_jpeg_header(frame: bytes) -> FrameHeader | None:
    """The frame header of JPEG or JPEG-LS; None where there is none or its segments are not sound.

    All segments up to the first scan are walked: GDCM, the only decoder of JPEG lossless here, ends the process
    on some that are not as ISO/IEC 10918-1 annex B has them.
    """
    header, tables = None, set[int]()
    for marker, body in _segments(frame):
        if marker in _FRAME_HEADERS:
            if header is not None or len(body) < 9:
                return None
            precision, rows, columns, components = struct.unpack_from(">BHHB", body)
            header = FrameHeader(rows, columns, components, precision)
            lossless = marker == _LOSSLESS
        elif marker == _HUFFMAN_TABLES:
            defined = _huffman_tables(body)
            if defined is None:
                return None
            tables |= defined
        elif marker == _SCAN:
            if header is None or len(body) < 6 or (lossless and not _is_lossless_scan(body, tables)):
                return None
            return header
    return None


def _segments(frame: bytes) -> Iterator[tuple[int, bytes]]:
    """Markers and what their segments hold, ended by the first thing that is neither."""
    at = frame.find(_JPEG_SOI, 0, 16) + 2
    while 2 <= at <= len(frame) - 4 and frame[at] == 0xFF:
        marker = frame[at + 1]
        if marker == 0xFF:
            at += 1
        elif marker in _WITHOUT_SEGMENT:
            at += 2
        else:
            length = int.from_bytes(frame[at + 2 : at + 4], "big")
            if length < 2:
                return
            yield marker, frame[at + 4 : at + 2 + length]
            at += 2 + length


def _huffman_tables(body: bytes) -> set[int] | None:
    """Identifiers (class and destination) of the tables in a DHT segment; None if it is not sound (B.2.4.2)."""
    found, at = set[int](), 0
    while at < len(body):
        count = sum(body[at + 1 : at + 17])
        codes = sum(number << (15 - i) for i, number in enumerate(body[at + 1 : at + 17]))
        if at + 17 + count > len(body) or not 1 <= count <= 256 or codes > 1 << 16:
            return None
        found.add(body[at])
        at += 17 + count
    return found


def _is_lossless_scan(body: bytes, tables: set[int]) -> bool:
    """One component, a table that exists, a predictor from 1 to 7 and no point transform beyond 15 (B.2.3, H)."""
    count, _, selector, predictor, end, transform = body[:6]
    return (
        count == 1 and selector >> 4 in tables and 1 <= predictor <= 7 and end == 0 and transform < 16
    )


def read_jpeg2000_header(frame: bytes) -> FrameHeader | None:
    """The SIZ segment of JPEG 2000 or HTJ2K; None where there is none."""
    at = frame.find(_J2K_START, 0, _BOXES)
    if at < 0 or at + 43 > len(frame):
        return None
    right, bottom, left, top = struct.unpack_from(">4L", frame, at + 8)
    components, depth = struct.unpack_from(">HB", frame, at + 40)
    # The first bit of Ssiz is the sign, the others the precision less one.
    return FrameHeader(bottom - top, right - left, components, (depth & 0x7F) + 1)


def has_end(frame: bytes) -> bool:
    """True if the marker that ends JPEG, JPEG-LS and JPEG 2000 stands at the end.

    It cannot occur inside coded data, so a frame that was cut does not have it.
    """
    return _JPEG_END in frame[-_TAIL:]


def has_rle_segments(frame: bytes, segments: int) -> bool:
    """True if an RLE frame's header lists so many segments, in order."""
    if len(frame) < _RLE_HEADER.size:
        return False
    count, *offsets = _RLE_HEADER.unpack_from(frame)
    starts = offsets[:segments]
    return bool(count == segments and starts[0] == _RLE_HEADER.size and starts == sorted(starts))
