"""A file of the site's own that shapes results: its bytes, and the digest that names them."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

from dicom_node.errors import CompositionError


@dataclass(frozen=True)
class SiteFile:
    """The bytes of a catalogue or a font; equal if the bytes are."""

    name: str = field(compare=False)
    digest: str
    data: bytes = field(repr=False, compare=False)


def read_site_file(path: Path) -> SiteFile:
    """The file as it is now.

    Raises:
        CompositionError: it cannot be read.
    """
    try:
        stat = path.stat()
        return _read(path, stat.st_mtime_ns, stat.st_size)
    except OSError as error:
        raise CompositionError(
            f"{path}: {error.strerror or error}; make it readable, or take the key out of the destination"
        ) from error


# By time and size, so that a file of many megabytes is read once, and a changed one again.
@lru_cache(maxsize=16)
def _read(path: Path, modified_ns: int, size: int) -> SiteFile:
    data = path.read_bytes()
    return SiteFile(str(path), hashlib.sha256(data).hexdigest(), data)
