"""Any file that may hold a film: DICOM, with or without preamble and file meta information, PNG or JPEG."""

from __future__ import annotations

import zlib
from pathlib import Path

import pydicom
from pydicom.dataset import Dataset
from pydicom.errors import InvalidDicomError
from pydicom.filereader import read_file_meta_info
from pydicom.uid import DeflatedExplicitVRLittleEndian

from pipeline.errors import ScopeError, UnreadableError
from pipeline.file_kind import START, FileKind, kind_of
from pipeline.findings import NotProcessed
from pipeline.header_values import UNREADABLE, text_of
from pipeline.image_file import read_image_file
from pipeline.pixel_conversion import read_radiograph
from pipeline.pixel_data import MAX_PIXELS
from pipeline.radiograph import Radiograph
from pipeline.scope import refuse_out_of_scope

# Two bytes for each pixel that is read, and room for the header.
MAX_INFLATED = 2 * MAX_PIXELS + (64 << 20)
_CHUNK = 1 << 20
# What pydicom raises on bytes that are no data set.
_PARSING_FAILS = (*UNREADABLE, InvalidDicomError, EOFError, RecursionError, zlib.error)


def read_film_file(
    path: Path, *, minimum_age_years: float | None = None
) -> tuple[Radiograph, Dataset | None]:
    """The film of a file and, of a DICOM file, its data set. What the file holds decides, not its name.

    `minimum_age_years`: see `scope.refuse_out_of_scope`; of an image file nobody knows the age.

    Raises:
        OSError: there is no such file.
        UnreadableError: neither DICOM, PNG nor JPEG, or its pixels cannot be had.
        ScopeError: not for this model, by its header or its pixels.
    """
    if _kind(path) in (FileKind.PNG, FileKind.JPEG):
        return read_image_file(path), None
    ds = read_dataset(path)
    refuse_out_of_scope(ds, minimum_age_years=minimum_age_years)
    return read_radiograph(ds), ds


def read_dataset(path: Path) -> Dataset:
    """The data set of a DICOM file, with or without preamble and file meta information.

    Raises:
        OSError: there is no such file.
        UnreadableError: not DICOM, or damaged.
        ScopeError: deflated, and more than the largest film when inflated.
    """
    kind = _kind(path)
    if kind is None or not kind.is_dicom:
        raise UnreadableError(NotProcessed.NOT_AN_IMAGE)
    has_prefix = kind is FileKind.DICOM
    try:
        if has_prefix:
            _refuse_inflation(path)
        ds = pydicom.dcmread(path, force=not has_prefix)
    except _PARSING_FAILS as error:
        reason = NotProcessed.UNDECODABLE if has_prefix else NotProcessed.NOT_AN_IMAGE
        raise UnreadableError(reason, type(error).__name__) from error
    if not has_prefix and not text_of(ds, "SOPClassUID"):
        raise UnreadableError(NotProcessed.NOT_AN_IMAGE)
    return ds


def _kind(path: Path) -> FileKind | None:
    with path.open("rb") as file:
        return kind_of(file.read(START))


def _refuse_inflation(path: Path) -> None:
    """Inflates a deflated data set (PS3.5 A.5) piece by piece and keeps none, before pydicom does it at once.

    Raises:
        ScopeError: it is larger than any film that is read.
    """
    meta = read_file_meta_info(path)
    if text_of(meta, "TransferSyntaxUID") != DeflatedExplicitVRLittleEndian:
        return
    inflater, total = zlib.decompressobj(-zlib.MAX_WBITS), 0
    with path.open("rb") as file:
        # The group length counts from behind its own element: 12 bytes after the prefix (PS3.10 7.1).
        file.seek(START + 12 + int(meta.get("FileMetaInformationGroupLength", 0)))
        pending = file.read(_CHUNK)
        while pending and not inflater.eof:
            total += len(inflater.decompress(pending, _CHUNK))
            if total > MAX_INFLATED:
                raise ScopeError(
                    NotProcessed.TOO_LARGE, f"more than {MAX_INFLATED} bytes when inflated"
                )
            pending = inflater.unconsumed_tail or file.read(_CHUNK)
