"""Phantoms as files, ready to be sent: small, and each study by a name of its own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydicom import FileDataset
from pydicom.uid import (
    JPEG2000,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGLosslessSV1,
    JPEGLSLossless,
    JPEGLSNearLossless,
    RLELossless,
)

from tests.phantoms import encode, phantom, uid_of

ROWS, COLUMNS = 512, 416
# DCMTK's options to propose a transfer syntax; it knows no others.
STORESCU_OPTIONS = {
    ImplicitVRLittleEndian: "-xi",
    ExplicitVRLittleEndian: "-xe",
    ExplicitVRBigEndian: "-xb",
    DeflatedExplicitVRLittleEndian: "-xd",
    RLELossless: "-xr",
    JPEGBaseline8Bit: "-xy",
    JPEGLosslessSV1: "-xs",
    JPEGLSLossless: "-xt",
    JPEGLSNearLossless: "-xu",
    JPEG2000Lossless: "-xv",
    JPEG2000: "-xw",
}


def film(study: str, **more: Any) -> FileDataset:
    """A phantom of a study, large enough to be read as a film is."""
    return phantom(study=study, **{"rows": ROWS, "columns": COLUMNS, **more})


def study_uid(study: str) -> str:
    """The Study Instance UID of that study's phantoms."""
    return uid_of(f"study {study}")


def write(folder: Path, name: str, ds: FileDataset, syntax: str = ExplicitVRLittleEndian) -> Path:
    """A DICOM file of it in a transfer syntax."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.dcm"
    path.write_bytes(encode(ds, syntax))
    return path


def renamed(ds: FileDataset, key: str) -> FileDataset:
    """The same film as another instance."""
    ds.SOPInstanceUID = uid_of(f"{ds.SOPInstanceUID} {key}")
    ds.file_meta.MediaStorageSOPInstanceUID = ds.SOPInstanceUID
    return ds
