"""Whose study a film belongs to, from its header alone: pixels are not read, and a broken header is no error."""

from __future__ import annotations

import io
import zlib
from pathlib import Path
from typing import BinaryIO

from pydicom.charset import convert_encodings, decode_bytes
from pydicom.dataset import Dataset
from pydicom.filereader import read_dataset, read_file_meta_info
from pydicom.tag import BaseTag
from pydicom.uid import UID
from pydicom.valuerep import PN_DELIMS, TEXT_VR_DELIMS

from dicom_node.register.worklist_study import StudyHeader

_CHARACTER_SET, _STUDY_DATE, _ACCESSION_NUMBER = 0x00080005, 0x00080020, 0x00080050
_STUDY_DESCRIPTION, _PATIENT_NAME, _PATIENT_ID = 0x00081030, 0x00100010, 0x00100020
_WANTED: list[BaseTag | int] = [
    _CHARACTER_SET,
    _STUDY_DATE,
    _ACCESSION_NUMBER,
    _STUDY_DESCRIPTION,
    _PATIENT_NAME,
    _PATIENT_ID,
]
# The longest of these values has 64 characters in each of three groups (PS3.5 6.2); more is shown by nobody.
_MOST_BYTES, _MOST_CHARACTERS = 4096, 200
_INFLATED_BYTES = 4 * 1024 * 1024
_PREAMBLE_AND_PREFIX = 132


def read_study_header(path: Path) -> StudyHeader | None:
    """What the header of a spooled film says; empty where it is broken, None where the film is gone."""
    try:
        with path.open("rb") as file:
            return _header(_parsed(path, file))
    except OSError:
        return None
    # The bytes are a stranger's, and a parser fails on those in any way it likes.
    except Exception:  # noqa: BLE001
        return StudyHeader()


def _parsed(path: Path, file: BinaryIO) -> Dataset:
    meta = read_file_meta_info(path)
    syntax = UID(str(meta.TransferSyntaxUID))
    # The group length counts from behind its own element of 12 bytes (PS3.10 7.1).
    file.seek(_PREAMBLE_AND_PREFIX + 12 + int(meta.FileMetaInformationGroupLength))
    source: BinaryIO = file
    if syntax.is_deflated:
        inflater = zlib.decompressobj(-zlib.MAX_WBITS)
        source = io.BytesIO(inflater.decompress(file.read(_INFLATED_BYTES), _INFLATED_BYTES))
    return read_dataset(
        source,
        syntax.is_implicit_VR,
        syntax.is_little_endian,
        stop_when=_is_enough,
        specific_tags=_WANTED,
    )


def _is_enough(tag: BaseTag, _vr: str | None, length: int) -> bool:
    return int(tag) > _PATIENT_ID or (int(tag) in _WANTED and length > _MOST_BYTES)


def _header(values: Dataset) -> StudyHeader:
    encodings = _encodings(values)
    return StudyHeader(
        patient_name=_text(values, _PATIENT_NAME, encodings),
        patient_id=_text(values, _PATIENT_ID, encodings),
        accession_number=_text(values, _ACCESSION_NUMBER, encodings),
        study_description=_text(values, _STUDY_DESCRIPTION, encodings),
        study_date=_text(values, _STUDY_DATE, encodings),
    )


def _encodings(values: Dataset) -> list[str]:
    names = _bytes(values, _CHARACTER_SET).decode("ascii", "replace").rstrip("\0 ").split("\\")
    try:
        return list(convert_encodings([name.strip() for name in names]))
    except LookupError:
        return ["iso8859"]


def _bytes(values: Dataset, tag: int) -> bytes:
    if tag not in values:
        return b""
    raw = values.get_item(tag).value
    return raw if isinstance(raw, bytes) else str(raw or "").encode("latin-1", "replace")


def _text(values: Dataset, tag: int, encodings: list[str]) -> str:
    delimiters = PN_DELIMS if tag == _PATIENT_NAME else TEXT_VR_DELIMS
    text = decode_bytes(_bytes(values, tag), encodings, delimiters)
    # Control and direction characters could show a name as another one.
    return "".join(letter for letter in text if letter.isprintable()).strip()[:_MOST_CHARACTERS]
