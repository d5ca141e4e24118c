"""What the receiver reads of a data set: five values of its header, no pixels, nothing decoded."""

from __future__ import annotations

import io
import re
import zlib
from dataclasses import dataclass
from typing import BinaryIO

from pydicom.dataset import Dataset
from pydicom.filereader import read_dataset
from pydicom.tag import BaseTag
from pydicom.uid import UID

from dicom_node.dimse_status import StoreStatus

# PS3.5 9.1 allows no leading zeros in a component, but films with them exist and are kept.
_UID = re.compile(r"[0-9]+(\.[0-9]+)*")
_UID_LENGTH = 64
_CODE_STRING = re.compile(r"[A-Z0-9_ ]{1,16}")

_SOP_CLASS_UID = 0x00080016
_SOP_INSTANCE_UID = 0x00080018
_MODALITY = 0x00080060
_STUDY_INSTANCE_UID = 0x0020000D
_SERIES_INSTANCE_UID = 0x0020000E
_WANTED: list[BaseTag | int] = [
    _SOP_CLASS_UID,
    _SOP_INSTANCE_UID,
    _MODALITY,
    _STUDY_INSTANCE_UID,
    _SERIES_INSTANCE_UID,
]
# A deflated header is inflated so far and no further: a small data set can inflate to gigabytes.
_INFLATED_BYTES = 4 * 1024 * 1024


@dataclass(frozen=True)
class InstanceHeader:
    """The UIDs of an instance, checked in form, and its modality ("" where it has no usable one)."""

    sop_class_uid: str
    sop_instance_uid: str
    study_instance_uid: str
    series_instance_uid: str
    modality: str


class HeaderRefusedError(Exception):
    """The data set is not taken: `status` is the C-STORE response; the message holds nothing of the header."""

    def __init__(self, status: StoreStatus, message: str) -> None:
        super().__init__(message)
        self.status = status


def is_uid(text: str) -> bool:
    """Whether a text has the form of a UID (PS3.5 9.1), leading zeros tolerated."""
    return len(text) <= _UID_LENGTH and _UID.fullmatch(text) is not None


def check_command(sop_class_uid: str, sop_instance_uid: str) -> None:
    """Refuses a C-STORE-RQ whose own UIDs are malformed.

    Raises:
        HeaderRefusedError: C000.
    """
    if not (is_uid(sop_class_uid) and is_uid(sop_instance_uid)):
        raise HeaderRefusedError(StoreStatus.CANNOT_UNDERSTAND, "malformed UID in the command")


def read_header(
    data_set: BinaryIO, transfer_syntax_uid: str, sop_class_uid: str, sop_instance_uid: str
) -> InstanceHeader:
    """The header of a data set that a C-STORE-RQ announced under these two UIDs.

    `data_set` stands at its beginning; reading stops behind Series Instance UID.

    Raises:
        HeaderRefusedError: C000 for what cannot be parsed and for UIDs missing or malformed, A900 where
            the data set's SOP Class or Instance UID is not the command's (PS3.4 B.2.3).
    """
    values = _parsed(data_set, UID(transfer_syntax_uid))
    header = InstanceHeader(
        sop_class_uid=_uid(values, _SOP_CLASS_UID, "SOP Class UID"),
        sop_instance_uid=_uid(values, _SOP_INSTANCE_UID, "SOP Instance UID"),
        study_instance_uid=_uid(values, _STUDY_INSTANCE_UID, "Study Instance UID"),
        series_instance_uid=_uid(values, _SERIES_INSTANCE_UID, "Series Instance UID"),
        modality=_modality(values),
    )
    if (header.sop_class_uid, header.sop_instance_uid) != (sop_class_uid, sop_instance_uid):
        raise HeaderRefusedError(
            StoreStatus.DATA_SET_DOES_NOT_MATCH_SOP_CLASS, "UIDs of data set and command differ"
        )
    return header


def _parsed(data_set: BinaryIO, transfer_syntax: UID) -> Dataset:
    try:
        source = _inflated(data_set) if transfer_syntax.is_deflated else data_set
        return read_dataset(
            source,
            transfer_syntax.is_implicit_VR,
            transfer_syntax.is_little_endian,
            stop_when=lambda tag, _vr, _length: int(tag) > _SERIES_INSTANCE_UID,
            specific_tags=_WANTED,
        )
    # The bytes are a stranger's, and a parser fails on those in any way it likes.
    except Exception as error:
        raise HeaderRefusedError(StoreStatus.CANNOT_UNDERSTAND, "data set cannot be parsed") from error


def _inflated(data_set: BinaryIO) -> BinaryIO:
    # PS3.5 A.5: raw deflate, no zlib header.
    return io.BytesIO(
        zlib.decompressobj(-zlib.MAX_WBITS).decompress(data_set.read(_INFLATED_BYTES), _INFLATED_BYTES)
    )


def _text(values: Dataset, tag: int) -> str:
    if tag not in values:
        return ""
    raw = values.get_item(tag).value
    # Elements of this group are read raw: bytes, padded to even length by NUL or a space (PS3.5 6.2).
    text = raw.decode("ascii", "replace") if isinstance(raw, bytes) else str(raw or "")
    return text.rstrip("\0 ")


def _uid(values: Dataset, tag: int, name: str) -> str:
    uid = _text(values, tag)
    if not is_uid(uid):
        raise HeaderRefusedError(
            StoreStatus.CANNOT_UNDERSTAND, f"{name} is {'malformed' if uid else 'missing'}"
        )
    return uid


def _modality(values: Dataset) -> str:
    modality = _text(values, _MODALITY).strip()
    return modality if _CODE_STRING.fullmatch(modality) else ""
