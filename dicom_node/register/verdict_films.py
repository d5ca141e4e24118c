"""Films that were judged, as pixels without a name: they outlive the films themselves, which go with retention."""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Callable
from pathlib import Path
from threading import Lock

from dicom_node.durable_file import write_durably
from dicom_node.errors import SpoolError

FOLDER = "verdicts"
_SECRET_NAME = "secret.key"  # noqa: S105 - the file's name
_SECRET_BYTES = 32
_DIGEST = re.compile("[0-9a-f]{64}")
_MAKING = Lock()


class VerdictFilms:
    """The folder `verdicts` of the data folder: pictures named by their pixels' digest, and one secret.

    The secret makes digests that nobody outside can make from a patient's ID; it never leaves this folder.
    """

    def __init__(self, data: Path, random_bytes: Callable[[int], bytes]) -> None:
        self._data, self._random_bytes = data, random_bytes

    def keep(self, pixel_digest: str, png: bytes) -> str:
        """A film's pixels, safe on disk; returns where, relative to the data folder.

        Raises:
            SpoolError: the disk did not take it, or `pixel_digest` is no sha256.
        """
        if not _DIGEST.fullmatch(pixel_digest):
            raise SpoolError("a film without a digest of its pixels cannot be kept")
        path = f"{FOLDER}/{pixel_digest}.png"
        if not (self._data / path).is_file():
            write_durably(self._data / path, png)
        return path

    def read(self, path: str, count: int = -1) -> bytes | None:
        """A film that was kept, or its first `count` bytes; None where it is gone."""
        try:
            with (self._data / path).open("rb") as file:
                return file.read(count)
        except OSError:
            return None

    def keyed_digest(self, *words: str) -> str:
        """HMAC-SHA256 of words under this installation's secret, 64 hexadecimal digits.

        Raises:
            SpoolError: the secret cannot be kept.
        """
        text = "\0".join(words).encode("utf-8", "surrogatepass")
        return hmac.new(self._secret(), text, hashlib.sha256).hexdigest()

    def _secret(self) -> bytes:
        path = self._data / FOLDER / _SECRET_NAME
        with _MAKING:
            if not path.is_file():
                # Made aside by mkstemp, so for this user alone.
                write_durably(path, self._random_bytes(_SECRET_BYTES))
            return path.read_bytes()
