"""How a process of the node hears that it is to end: SIGTERM, SIGINT, or its supervisor is gone."""

from __future__ import annotations

import os
import signal
import threading
from types import FrameType


def stop_event(watch_parent: bool) -> threading.Event:
    """An event that is set when this process is to end.

    With `watch_parent`, standard input is a pipe from the supervisor: its end means that the
    supervisor was killed, and a process without one must not go on holding port and locks.
    """
    stop = threading.Event()

    def ask(_number: int, _frame: FrameType | None) -> None:
        stop.set()

    signal.signal(signal.SIGTERM, ask)
    signal.signal(signal.SIGINT, ask)
    if watch_parent:
        threading.Thread(target=_wait_for_end, args=(stop,), daemon=True).start()
    return stop


def _wait_for_end(stop: threading.Event) -> None:
    while os.read(0, 1024):
        pass
    stop.set()
