"""A lock that a process holds for its life, and that its death gives back whatever the cause."""

from __future__ import annotations

import fcntl
from pathlib import Path
from typing import IO

from dicom_node.errors import NodeError


def hold_lock(path: Path) -> IO[str]:
    """Takes the lock of that file; closing the answer, or the end of the process, gives it back.

    Raises:
        NodeError: another process holds it.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    held = path.open("w")
    try:
        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        held.close()
        raise NodeError(f"{path}: another process of this node holds it; stop that one first") from None
    return held
