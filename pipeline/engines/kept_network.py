"""The package's network as an ONNX file in a folder: made once, and known again by its own digest."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

SUFFIX = ".onnx"


def kept_network(
    folder: Path, key: str, make: Callable[[], bytes], said: Callable[[str], None]
) -> bytes:
    """The network of that key, e.g. a package's digest and a version; made and kept if it is not there whole.

    The file's name holds the digest of its contents, so a damaged one is made anew. Networks of other
    keys are deleted. A folder that cannot be written costs the making at each start, and is said.
    """
    stem = hashlib.sha256(key.encode()).hexdigest()[:16]
    try:
        for path in folder.glob(f"{stem}-*{SUFFIX}"):
            contents = path.read_bytes()
            if path.name == _name(stem, contents):
                return contents
            said(f"{path}: damaged; made anew")
    except OSError as error:
        said(f"{folder}: cannot be read: {error.strerror}; the network is made anew")
    contents = make()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        unfinished = folder / f"{stem}.part"
        unfinished.write_bytes(contents)
        for old in folder.glob(f"*{SUFFIX}"):
            old.unlink(missing_ok=True)
        unfinished.replace(folder / _name(stem, contents))
    except OSError as error:
        said(f"{folder}: cannot be written: {error.strerror}; the network is made at each start")
    return contents


def _name(stem: str, contents: bytes) -> str:
    return f"{stem}-{hashlib.sha256(contents).hexdigest()[:32]}{SUFFIX}"
