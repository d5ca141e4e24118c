"""Seeing at once that the database changed, at the price of reading one number."""

from __future__ import annotations

import sqlite3
import threading
import time
from pathlib import Path

# A look costs some hundredths of a millisecond, a poll of the engine several milliseconds.
_LOOK_SECONDS = 0.02


class DatabaseWatch:
    """Tells whether another connection committed since the last look. For one thread."""

    def __init__(self, database: Path) -> None:
        self._connection = sqlite3.connect(f"file:{database}?mode=ro", uri=True)
        self._seen = self._version()

    def changed(self) -> bool:
        """True once after each change (SQLite, PRAGMA data_version)."""
        version = self._version()
        changed, self._seen = version != self._seen, version
        return changed

    def _version(self) -> int:
        return int(self._connection.execute("PRAGMA data_version").fetchone()[0])


class WakingStopEvent(threading.Event):
    """A stop event whose timed waits end early, unset, when the database changes.

    A polling loop that sleeps by `stop.wait(interval)` polls at once when there may be something to find,
    and otherwise once an interval. Only threads whose name begins with `waking` are woken.
    """

    _database: Path
    _waking: str

    @classmethod
    def take_over(cls, event: threading.Event, database: Path, waking: str) -> None:
        """Makes a waking one of somebody's stop event, from its next wait on."""
        event.__class__ = cls
        vars(event).update(_database=database, _waking=waking)

    def wait(self, timeout: float | None = None) -> bool:
        """As `threading.Event.wait`, but may return False before the time is over."""
        if timeout is None or not threading.current_thread().name.startswith(self._waking):
            return super().wait(timeout)
        watch = self._watch()
        deadline = time.monotonic() + timeout
        while not watch.changed():
            left = deadline - time.monotonic()
            if left <= 0 or super().wait(min(_LOOK_SECONDS, left)):
                break
        return self.is_set()

    def _watch(self) -> DatabaseWatch:
        watches: threading.local = self.__dict__.setdefault("_watches", threading.local())
        if not hasattr(watches, "own"):
            watches.own = DatabaseWatch(self._database)
        own: DatabaseWatch = watches.own
        return own
