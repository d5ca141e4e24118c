"""What a header says, as words for a page: from strangers, so cut, without control characters, and never trusted."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pydicom
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pydicom.errors import InvalidDicomError
from pydicom.multival import MultiValue
from pydicom.uid import UID, DeflatedExplicitVRLittleEndian

from pipeline.errors import PipelineError
from pipeline.film_file import read_dataset
from pipeline.header_values import UNREADABLE

LONGEST = 160
_DEFERRED_BYTES = 64 << 10
_DATE = re.compile("[0-9]{8}")
_BULK = frozenset({"OB", "OW", "OF", "OD", "OL", "OV", "UN"})
_PARSING_FAILS = (*UNREADABLE, InvalidDicomError, EOFError, RecursionError, PipelineError, OSError)
# A document's tree has a place of its own on the page.
_TOLD_ELSEWHERE = frozenset({"ContentSequence"})
# What a reader wants to know first, by the words on the page.
STUDY_FACTS = {
    "Patient": "PatientName",
    "Patient ID": "PatientID",
    "Born": "PatientBirthDate",
    "Age": "PatientAge",
    "Sex": "PatientSex",
    "Study": "StudyDescription",
    "Accession": "AccessionNumber",
    "Study date": "StudyDate",
    "Institution": "InstitutionName",
}
FILM_FACTS = {
    "Modality": "Modality",
    "Series": "SeriesDescription",
    "Body part": "BodyPartExamined",
    "View": "ViewPosition",
    "Side": "ImageLaterality",
    "Rows": "Rows",
    "Columns": "Columns",
    "Device": "ManufacturerModelName",
}


@dataclass(frozen=True)
class HeaderLine:
    """One element; `depth` counts the sequences around it."""

    depth: int
    tag: str
    name: str
    vr: str
    value: str


def read_header(path: Path, transfer_syntax_uid: str = "") -> Dataset | None:
    """A file's header without its pixels; None where it is gone or cannot be parsed."""
    try:
        if transfer_syntax_uid == DeflatedExplicitVRLittleEndian:
            # Inflated within bounds.
            return read_dataset(path)
        # A stranger may have put anything before the pixels: what is long stays in the file.
        return pydicom.dcmread(path, stop_before_pixels=True, force=True, defer_size=_DEFERRED_BYTES)
    except _PARSING_FAILS:
        return None


def facts(header: Dataset | None, wanted: dict[str, str]) -> dict[str, str]:
    """The values that are there, by the page's words."""
    if header is None:
        return {}
    found = {words: _readable(header, keyword) for words, keyword in wanted.items()}
    return {words: value for words, value in found.items() if value}


def _readable(header: Dataset, keyword: str) -> str:
    """A value as people write it: a name without carets, a date with dashes."""
    value = value_words(header, keyword)
    if keyword == "PatientName":
        return " ".join(value.replace("^", " ").split())
    is_date = keyword.endswith("Date") and _DATE.fullmatch(value)
    return f"{value[:4]}-{value[4:6]}-{value[6:]}" if is_date else value


def value_words(header: Dataset, keyword: str) -> str:
    """An element's value, "" where it is absent or unreadable."""
    try:
        value = header.get(keyword)
        return _words(value) if value is not None else ""
    except UNREADABLE:
        return ""


def header_lines(header: Dataset, depth: int = 0) -> Iterator[HeaderLine]:
    """Every element in its order, those of sequences below them; bulk values by their length."""
    for tag in sorted(header.keys()):
        try:
            element = header[tag]
        except UNREADABLE:
            yield HeaderLine(depth, str(tag), "", "", "(cannot be read)")
            continue
        place = (depth, str(tag), str(element.name), str(element.VR))
        if element.VR == "SQ":
            items = list(element.value or [])
            yield HeaderLine(*place, f"{len(items)} item{'' if len(items) == 1 else 's'}")
            for item in () if element.keyword in _TOLD_ELSEWHERE else items:
                yield from header_lines(item, depth + 1)
        else:
            yield HeaderLine(*place, _element_words(element))


def _element_words(element: DataElement) -> str:
    value = element.value
    if element.VR in _BULK or isinstance(value, bytes):
        return f"({len(value)} bytes)" if value else ""
    if isinstance(value, UID) and value.name != value:
        return f"{value} ({value.name})"
    return _words(value)


def _words(value: Any) -> str:
    many = list(value[:64]) if isinstance(value, MultiValue | list | tuple) else [value]
    text = "\\".join("" if one is None else str(one) for one in many)
    shown = "".join(letter if letter.isprintable() else " " for letter in text).strip()
    return shown if len(shown) <= LONGEST else shown[: LONGEST - 1] + "…"
