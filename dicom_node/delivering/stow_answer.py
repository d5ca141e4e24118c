"""What a STOW-RS answer says of the one object that was sent (PS3.18 annex I.2), in JSON or in XML."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, Final
from xml.etree.ElementTree import Element, ParseError

from defusedxml import ElementTree
from defusedxml.common import DefusedXmlException

# An answer speaks of one object: a few hundred bytes. What is longer is not read to its end.
MOST_BYTES: Final = 1 << 20
_FAILED_SOP_SEQUENCE, _FAILURE_REASON = "00081198", "00081197"
_OTHER_FAILURES_SEQUENCE = "0008119A"
_REFERENCED_SOP_SEQUENCE, _WARNING_REASON = "00081199", "00081196"

# The items of a data set's sequences: numbers by tag, both as eight hexadecimal digits.
_Sequences = dict[str, list[dict[str, int]]]


@dataclass(frozen=True)
class StoreAnswer:
    """`is_failed` or `is_stored`, with its reason if it has one; neither where nothing is said of the object."""

    is_failed: bool = False
    failure_reason: int | None = None
    is_stored: bool = False
    warning_reason: int | None = None


def read_store_answer(body: bytes) -> StoreAnswer:
    """The answer in a body; what is no data set says nothing."""
    text = body.removeprefix(b"\xef\xbb\xbf").lstrip()
    sequences = _of_xml(text) if text.startswith(b"<") else _of_json(text)
    failed = sequences.get(_FAILED_SOP_SEQUENCE) or sequences.get(_OTHER_FAILURES_SEQUENCE) or []
    stored = sequences.get(_REFERENCED_SOP_SEQUENCE) or []
    return StoreAnswer(
        is_failed=bool(failed),
        failure_reason=failed[0].get(_FAILURE_REASON) if failed else None,
        is_stored=bool(stored),
        warning_reason=stored[0].get(_WARNING_REASON) if stored else None,
    )


def _of_json(text: bytes) -> _Sequences:
    """The DICOM JSON Model (PS3.18 annex F)."""
    try:
        body = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return {
        tag: [_numbers({of: _values(one) for of, one in item.items()}) for item in items]
        for tag, attribute in (body.items() if isinstance(body, dict) else ())
        if (items := [item for item in _values(attribute) if isinstance(item, dict)])
    }


def _values(attribute: Any) -> list[Any]:
    values = attribute.get("Value") if isinstance(attribute, dict) else None
    return values if isinstance(values, list) else []


def _of_xml(text: bytes) -> _Sequences:
    """The Native DICOM Model (PS3.19 A.1); a document that declares types or entities is not read."""
    try:
        root = ElementTree.fromstring(text, forbid_dtd=True)
    except (ParseError, DefusedXmlException, ValueError, LookupError):
        return {}
    if _name(root) != "NativeDicomModel":
        return {}
    return {
        attribute.get("tag", "").upper(): [
            _numbers({one.get("tag", "").upper(): _texts(one) for one in item}) for item in items
        ]
        for attribute in root
        if (items := [item for item in attribute if _name(item) == "Item"])
    }


def _texts(attribute: Element) -> list[Any]:
    return [value.text for value in attribute if _name(value) == "Value"]


def _name(element: Element) -> str:
    """Without its namespace, which not every server gives."""
    return element.tag.rpartition("}")[2]


def _numbers(attributes: dict[str, list[Any]]) -> dict[str, int]:
    """First values that fit an unsigned short (US), as reasons are."""
    shown = {tag: str(values[0]).strip() for tag, values in attributes.items() if values}
    found = {tag: int(text) for tag, text in shown.items() if text.isdecimal() and len(text) <= 5}
    return {tag: number for tag, number in found.items() if number <= 0xFFFF}
