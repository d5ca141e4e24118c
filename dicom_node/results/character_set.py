"""Which Specific Character Set a result is written in (PS3.3 C.12.1.1.2).

The source's, while all that is written fits it: archives refuse studies that mix sets. Else ISO_IR 192.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from pydicom.charset import (
    convert_encodings,
    custom_encoders,
    decode_bytes,
    encode_string,
    python_encoding,
)
from pydicom.dataset import Dataset
from pydicom.multival import MultiValue
from pydicom.valuerep import PN_DELIMS, TEXT_VR_DELIMS

UNICODE = "ISO_IR 192"
# VRs that Specific Character Set governs (PS3.5 6.1.2.3).
TEXT_VRS = frozenset({"LO", "LT", "PN", "SH", "ST", "UC", "UT"})


def values_of(value: object) -> list[str]:
    """The values of an element as text; none for an empty one."""
    if value is None:
        return []
    if isinstance(value, MultiValue | list | tuple):
        return [str(one) for one in value]
    return [str(value)]


def fitting_character_set(ds: Dataset, wanted: Sequence[str]) -> list[str]:
    """`wanted` if every text of `ds` can be written in it and read back, else ISO_IR 192.

    An empty answer is the default repertoire (ISO_IR 6): no Specific Character Set is written.
    """
    known = all(name in python_encoding for name in wanted)
    if known and all(_fits(text, is_name, wanted) for text, is_name in _texts(ds)):
        return list(wanted)
    return [UNICODE]


def writable(text: str, character_set: str | None) -> bool:
    """Whether a text can be written in a Specific Character Set; None leaves the choice to each result."""
    return character_set is None or _fits(text, False, [character_set])


def _texts(ds: Dataset) -> Iterator[tuple[str, bool]]:
    for element in ds:
        if element.VR == "SQ":
            for item in element.value:
                yield from _texts(item)
        elif element.VR in TEXT_VRS:
            for text in values_of(element.value):
                yield text, element.VR == "PN"


def _fits(text: str, is_name: bool, character_set: Sequence[str]) -> bool:
    if text.isascii():
        return True
    if not any(character_set):
        return False
    encodings = convert_encodings(list(character_set))
    if not all(any(_encodes(letter, encoding) for encoding in encodings) for letter in text):
        return False
    # Code extensions have rules of their own: only what reads back has been written.
    delimiters = PN_DELIMS if is_name else TEXT_VR_DELIMS
    return decode_bytes(encode_string(text, encodings), encodings, delimiters) == text


def _encodes(letter: str, encoding: str) -> bool:
    try:
        encoder = custom_encoders.get(encoding)
        encoder(letter, "strict") if encoder else letter.encode(encoding)
    except UnicodeError:
        return False
    return True
