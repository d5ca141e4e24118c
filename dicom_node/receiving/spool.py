"""The spool: received instances as DICOM files, their data sets byte for byte as sent."""

from __future__ import annotations

import hashlib
import re
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from pydicom.dataset import FileMetaDataset
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_file_meta_info
from pydicom.uid import UID

from dicom_node.durable_file import remove_unfinished
from dicom_node.errors import NoRoomError, SpoolError
from dicom_node.identifiers import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME
from dicom_node.receiving.incoming_data_set import IncomingDataSet

FOLDER = "spool"
_PATH = re.compile(rf"{FOLDER}/[0-9a-f]{{2}}/[0-9a-f]{{62}}\.dcm")


@dataclass(frozen=True)
class SpooledFile:
    """An instance safe on disk: `path` is relative to the data folder and made of `id` only.

    `bytes_digest` is the sha256 of the data set as sent; `id` that of SOP Instance UID and
    `bytes_digest`; `byte_count` the length of the data set.
    """

    id: str
    bytes_digest: str
    path: str
    byte_count: int


class Spool:
    """The folder `spool` of the data folder; safe to use from many threads."""

    def __init__(self, data: Path, minimum_free_bytes: int) -> None:
        self._data, self._minimum_free_bytes = data, minimum_free_bytes

    def prepare(self) -> int:
        """Makes the folder and removes what a crash left half-written; how many files that was.

        Call it once at start, before anything is received: what is under way looks the same.
        """
        folder = self._data / FOLDER
        folder.mkdir(parents=True, exist_ok=True)
        return remove_unfinished(folder)

    def check_room(self) -> None:
        """Raises NoRoomError when less disk is free than the settings demand."""
        try:
            free = shutil.disk_usage(self._data).free
        except OSError as error:
            raise SpoolError(f"cannot measure the disk: {error.strerror}") from error
        if free < self._minimum_free_bytes:
            raise NoRoomError(
                f"{free / 1e9:.1f} GB free, minimum_free_gb = {self._minimum_free_bytes / 1e9:g}"
            )

    def begin(
        self, sop_class_uid: str, sop_instance_uid: str, transfer_syntax_uid: str
    ) -> IncomingDataSet:
        """A data set to be written to as it comes in; where there is no room, `keep` will say so."""
        meta = file_meta_information(sop_class_uid, sop_instance_uid, transfer_syntax_uid)
        return IncomingDataSet(self._data / FOLDER, meta)

    def keep(self, sop_instance_uid: str, data_set: IncomingDataSet) -> SpooledFile:
        """Makes a data set that came in whole a DICOM file (PS3.10 7.1), safe on disk when this returns.

        Raises:
            NoRoomError: less disk is free than the settings demand, or the disk is full.
            SpoolError: the disk did not take it.
        """
        self.check_room()
        name = hashlib.sha256(f"{sop_instance_uid}\n{data_set.digest}".encode()).hexdigest()
        path = f"{FOLDER}/{name[:2]}/{name[2:]}.dcm"
        data_set.finish(self._data / path)
        return SpooledFile(name, data_set.digest, path, data_set.byte_count)

    def open(self, path: str) -> BinaryIO:
        """The file of a spooled instance, to be read.

        Raises:
            SpoolError: it is not there, or `path` is none of ours.
        """
        try:
            return self._file(path).open("rb")
        except OSError as error:
            raise SpoolError(f"cannot read {path}: {error.strerror}") from error

    def read(self, path: str) -> bytes:
        """The whole DICOM file of a spooled instance.

        Raises:
            SpoolError: it is not there, or `path` is none of ours.
        """
        with self.open(path) as file:
            return file.read()

    def remove(self, path: str) -> None:
        """Deletes a spooled instance; one that is not there any more is fine."""
        self._file(path).unlink(missing_ok=True)

    def _file(self, path: str) -> Path:
        if not _PATH.fullmatch(path):
            raise SpoolError(f"not a path of the spool: {path!r}")
        return self._data / path


def file_meta_information(sop_class_uid: str, sop_instance_uid: str, transfer_syntax_uid: str) -> bytes:
    """Preamble, prefix and File Meta Information (PS3.10 7.1), the same bytes for the same instance."""
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = UID(sop_class_uid)
    meta.MediaStorageSOPInstanceUID = UID(sop_instance_uid)
    meta.TransferSyntaxUID = UID(transfer_syntax_uid)
    meta.ImplementationClassUID = UID(IMPLEMENTATION_CLASS_UID)
    meta.ImplementationVersionName = IMPLEMENTATION_VERSION_NAME
    buffer = DicomBytesIO()
    buffer.write(bytes(128) + b"DICM")
    write_file_meta_info(buffer, meta, enforce_standard=True)
    return buffer.getvalue()
