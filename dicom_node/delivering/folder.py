"""A folder as a destination: every object one file, written durably, named by digests only."""

from __future__ import annotations

import hashlib
import os
from io import BytesIO
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from pydicom import dcmread

from dicom_node.delivering.dicom_file import read_dicom_file
from dicom_node.delivering.storage_scu import CLASSES_OF
from dicom_node.dimse_status import StoreStatus
from dicom_node.durable_file import write_durably
from dicom_node.errors import DestinationDownError, ObjectRefusedError, SpoolError
from dicom_node.settings import FolderDestination

# Our own words for what we make: captures share a class, and so a word.
_WORDS: Final = {uid: name for name, classes in reversed(CLASSES_OF.items()) for uid in classes}
_NAME_LENGTH = 32


class FolderSender:
    """Writes each object to `study/kind-object.dcm`.

    `study` is the beginning of the sha256 of the Study Instance UID, `object` that of the file's bytes.
    """

    def __init__(self, destination: FolderDestination) -> None:
        self._path = destination.path

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        pass

    @property
    def accepted(self) -> None:
        """Everything."""
        return

    def send(self, source: Path) -> int:
        """Writes one DICOM file; the same bytes that are there already are Success too.

        Raises:
            ObjectRefusedError: it is no DICOM file.
            DestinationDownError: the folder or its disk does not take it now.
            OSError: `source` cannot be read.
        """
        file = read_dicom_file(source)
        path = self._path / _name(file.data, _WORDS.get(file.sop_class_uid, "other"))
        try:
            if not _holds(path, file.data):
                write_durably(path, file.data)
        except (SpoolError, OSError) as error:
            words = error.strerror if isinstance(error, OSError) else str(error)
            raise DestinationDownError(f"{self._path}: {words or error}") from error
        return int(StoreStatus.SUCCESS)


def why_not_writable(folder: Path) -> str:
    """What keeps files from being written to a folder; "" if nothing does. A missing one will be made."""
    nearest = next(one for one in (folder, *folder.parents) if one.exists())
    if not nearest.is_dir():
        return f"{nearest} is no folder"
    if not os.access(nearest, os.W_OK | os.X_OK):
        return f"{nearest} cannot be written to by this user"
    return ""


def _name(data: bytes, word: str) -> Path:
    uid = dcmread(BytesIO(data), stop_before_pixels=True, specific_tags=["StudyInstanceUID"])
    study = uid.get("StudyInstanceUID")
    if not study:
        raise ObjectRefusedError("the object has no Study Instance UID", None)
    return Path(_digest(str(study).encode())) / f"{word}-{_digest(data)}.dcm"


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()[:_NAME_LENGTH]


def _holds(path: Path, data: bytes) -> bool:
    return path.is_file() and path.stat().st_size == len(data) and path.read_bytes() == data
