"""A lock that a process holds for its life, and that its death gives back whatever the cause."""

from __future__ import annotations

import fcntl
import time
from pathlib import Path
from typing import IO

from dicom_node.errors import NodeError

# A look whether it is held takes the lock for a moment.
_TRIES, _PAUSE_SECONDS = 5, 0.05


def hold_lock(path: Path) -> IO[str]:
    """Takes the lock of that file; closing the answer, or the end of the process, gives it back.

    Raises:
        NodeError: another process holds it.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    held = path.open("w")
    for _ in range(_TRIES):
        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            time.sleep(_PAUSE_SECONDS)
        else:
            return held
    held.close()
    raise NodeError(f"{path}: another process of this node holds it; stop that one first")


def is_held(path: Path) -> bool:
    """Whether some process holds the lock of that file now."""
    try:
        with path.open() as looked_at:
            fcntl.flock(looked_at, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False
