"""A data set while it comes in: on its way to the disk and through the hash, never whole in memory."""

from __future__ import annotations

import hashlib
from io import BytesIO
from pathlib import Path
from typing import Any, BinaryIO

from dicom_node.durable_file import UnfinishedFile
from dicom_node.errors import SpoolError

# The disk is set to work each time so much has come; the last fsync then waits for little.
_DISK_CHUNK_BYTES = 1024 * 1024


class IncomingDataSet(BytesIO):
    """What a DIMSE message is put together in: a BytesIO, for pynetdicom expects one, that holds nothing.

    `meta` goes before the data set in the file. A disk that fails does not end the transfer: `read` and
    `finish` say it. Closing deletes the file unless it was finished.
    """

    def __init__(self, folder: Path, meta: bytes) -> None:
        super().__init__()
        self.byte_count = 0
        self._offset = len(meta)
        self._hash = hashlib.sha256()
        self._file: UnfinishedFile | None = None
        self._failure: SpoolError | None = None
        try:
            self._file = UnfinishedFile(folder)
            self._file.write(meta)
        except SpoolError as error:
            self._failure = error

    def write(self, part: Any, /) -> int:
        """Appends `part` (bytes-like)."""
        if self._file is not None and self._failure is None:
            try:
                self._file.write(part)
                self._file.start_syncing(at_least=_DISK_CHUNK_BYTES)
            except SpoolError as error:
                self._failure = error
        self._hash.update(part)
        self.byte_count += len(part)
        return len(part)

    @property
    def digest(self) -> str:
        """The sha256 of all that came."""
        return self._hash.hexdigest()

    def reader(self) -> BinaryIO:
        """What came, to be read from its beginning.

        Raises:
            SpoolError: the disk did not take it.
        """
        return self._usable_file().reader(self._offset)

    def finish(self, path: Path) -> None:
        """Waits for the disk, then gives the file its name.

        Raises:
            SpoolError: the disk did not take it.
        """
        file = self._usable_file()
        file.sync()
        file.rename(path)

    def close(self) -> None:
        """Deletes the file unless it was finished."""
        if self._file is not None:
            self._file.close()
        super().close()

    def _usable_file(self) -> UnfinishedFile:
        if self._failure is not None or self._file is None:
            raise self._failure or SpoolError("there is no file")
        return self._file


class IgnoredDataSet(BytesIO):
    """A data set that nobody is going to look at."""

    def write(self, part: Any, /) -> int:
        """Drops `part` (bytes-like)."""
        return len(part)
