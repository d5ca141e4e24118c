"""The outbox: the bytes of every result object, kept as composed, so that a re-send is the same bytes."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from dicom_node.durable_file import write_durably
from dicom_node.records import ResultObject


@dataclass(frozen=True)
class StoredObject:
    """Where an object's bytes lie: `path` is relative to the data folder and made of digests only."""

    path: str
    digest: str
    byte_count: int


class Outbox:
    """The folder `outbox` of the data folder."""

    def __init__(self, data: Path) -> None:
        self._data = data

    def store(self, result: ResultObject) -> StoredObject:
        """The object, safe on disk.

        Raises:
            SpoolError: the disk did not take it.
        """
        digest = hashlib.sha256(result.data).hexdigest()
        path = Path("outbox") / digest[:2] / f"{digest[2:]}.dcm"
        write_durably(self._data / path, result.data)
        return StoredObject(str(path), digest, len(result.data))

    def path(self, relative: str) -> Path:
        """The file of a stored object."""
        return self._data / relative
