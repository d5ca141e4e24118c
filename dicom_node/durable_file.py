"""Files that are whole or absent: written aside, fsynced, renamed, and the folder fsynced."""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self

from dicom_node.errors import NoRoomError, SpoolError

UNFINISHED = ".unfinished"
_FULL = (errno.ENOSPC, errno.EDQUOT)
# Linux: begin to write a range of a file to disk, without waiting (sync_file_range(2)).
_START_WRITING = getattr(ctypes.CDLL(None), "sync_file_range", None)
_SYNC_FILE_RANGE_WRITE = 2


def write_durably(path: Path, *parts: bytes | memoryview) -> None:
    """Writes `parts`, one after the other, as one file that survives a power cut once this returns.

    Folders are made as needed; a file already there is replaced by this whole one.

    Raises:
        SpoolError: the disk did not take it, and nothing of it stays. NoRoomError: the disk is full.
    """
    with UnfinishedFile(path.parent) as file:
        for part in parts:
            file.write(part)
        file.sync()
        file.rename(path)


class UnfinishedFile:
    """A file without its name yet: write, sync, rename; it is deleted unless it was renamed.

    Every method raises SpoolError where the disk fails, NoRoomError where it is full.
    """

    def __init__(self, folder: Path) -> None:
        with _translated_errors():
            _make_folder(folder)
            self._descriptor, self._name = tempfile.mkstemp(suffix=UNFINISHED, dir=folder)
        self._written = self._started = 0

    def __enter__(self) -> Self:
        return self

    def write(self, part: bytes | memoryview) -> None:
        """Appends all of `part`."""
        rest = memoryview(part)
        with _translated_errors():
            while rest:
                count = os.write(self._descriptor, rest)
                self._written += count
                rest = rest[count:]

    def start_syncing(self, at_least: int) -> None:
        """Has the disk begin with what was written, once that is `at_least` bytes; `sync` is shorter then."""
        if _START_WRITING is not None and self._written - self._started >= at_least:
            _START_WRITING(
                self._descriptor,
                ctypes.c_int64(self._started),
                ctypes.c_int64(self._written - self._started),
                _SYNC_FILE_RANGE_WRITE,
            )
            self._started = self._written

    def sync(self) -> None:
        """Waits until what was written is on disk."""
        with _translated_errors():
            os.fsync(self._descriptor)

    def reader(self, offset: int) -> BinaryIO:
        """What was written, from there on; write no more while it is read."""
        with _translated_errors():
            file = os.fdopen(os.dup(self._descriptor), "rb")
            file.seek(offset)
            return file

    def rename(self, path: Path) -> None:
        """Gives the file its name on the same file system and makes the name safe too."""
        with _translated_errors():
            _make_folder(path.parent)
            Path(self._name).rename(path)
            _sync_folder(path.parent)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Ends it: deletes the file if it was not renamed. Closing again does nothing."""
        if self._descriptor < 0:
            return
        os.close(self._descriptor)
        self._descriptor = -1
        with contextlib.suppress(OSError):
            Path(self._name).unlink(missing_ok=True)


def remove_unfinished(folder: Path) -> int:
    """Deletes what a crash left half-written anywhere below `folder`; how many files that was."""
    leftovers = list(folder.rglob(f"*{UNFINISHED}")) if folder.is_dir() else []
    for leftover in leftovers:
        leftover.unlink(missing_ok=True)
    return len(leftovers)


def _make_folder(folder: Path) -> None:
    if folder.is_dir():
        return
    _make_folder(folder.parent)
    folder.mkdir(exist_ok=True)
    # A new folder's own name needs its fsync as much as the file's.
    _sync_folder(folder.parent)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def _translated_errors() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        kind = NoRoomError if error.errno in _FULL else SpoolError
        raise kind(f"cannot write: {error.strerror or type(error).__name__}") from error
