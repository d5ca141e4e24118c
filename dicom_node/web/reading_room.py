"""Reading for the page and the API: one child process that holds the model, started when it is needed.

The page's process never decodes what a stranger gave: a film that ends, stalls or bloats its reader costs one child,
and the next request gets a new one.
"""

from __future__ import annotations

import contextlib
import logging
import multiprocessing
import os
import signal
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError
from concurrent.futures.process import BrokenProcessPool
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import BoundedSemaphore, Lock, Timer
from typing import Any, TypeVar

from pebble import ProcessExpired, ProcessFuture, ProcessPool

from dicom_node.settings import Settings
from dicom_node.web.problem import ProblemError
from dicom_node.web.reading_process import (
    Layers,
    OpenedRoom,
    Picture,
    Refused,
    RoomSettings,
    TrialReading,
    explain,
    limit_process,
    open_room,
    read,
)
from pipeline.errors import EngineError, PipelineError
from pipeline.findings import NotProcessed

__all__ = ["Layers", "Picture", "ReadingRoom", "RoomLimits", "TrialReading"]

# From outside: by the kernel for want of memory, or by somebody.
_ENDED_FROM_OUTSIDE = (-signal.SIGKILL, -signal.SIGTERM, -signal.SIGINT)
T = TypeVar("T")
log = logging.getLogger("dicom_node.web.reading_room")


@dataclass(frozen=True)
class RoomLimits:
    """How long a film may take and the model to open, how many may wait, when the process is given back, its memory.

    `uploads`: so many films that strangers give may be on their way or waiting: their disk is bounded by it.
    """

    film_seconds: float = 60
    opening_seconds: float = 180
    waiting: int = 8
    uploads: int = 4
    idle_seconds: float = 600
    spare_bytes: int = 2 << 30


class ReadingRoom:
    """Reads one film at a time in the child process. Threads may share one room."""

    def __init__(self, settings: Settings, limits: RoomLimits = RoomLimits()) -> None:
        self._settings = RoomSettings(
            settings.model, settings.engines_folder, settings.log, limits.spare_bytes
        )
        self._limits = limits
        self._places = BoundedSemaphore(1 + limits.waiting)
        self._uploads = BoundedSemaphore(limits.uploads)
        self._turn, self._guard = Lock(), Lock()
        self._pool: ProcessPool | None = None
        self._pid: int | None = None
        self._opened: OpenedRoom | None = None
        self._future: ProcessFuture[Any] | None = None
        self._idle: Timer | None = None
        self._ended = False

    @property
    def opened(self) -> OpenedRoom | None:
        """The child process, while there is one with an open model."""
        return self._opened

    @property
    def is_busy(self) -> bool:
        """Whether a film is being read, or the model being opened."""
        return self._future is not None

    def read(self, path: Path, wanted: frozenset[Picture] = frozenset()) -> TrialReading:
        """The reading of a file with the pictures that are wanted.

        Raises:
            ProblemError: 422 its reading failed, 429 too many wait, 503 nothing can be read now.
        """
        return self._run(read, path, wanted)

    def explain(self, path: Path) -> Layers:
        """Heat and Grad-CAM of a film; raises as `read` does, 422 also for a file that is not read."""
        said = self._run(explain, path)
        if isinstance(said, Refused):
            raise unread_problem(422, said.reason, said.detail)
        return said

    def end(self) -> None:
        """Ends the child process and refuses from here on; a film that is being read is given up."""
        self._ended = True
        self._close()

    def admitted(self) -> AbstractContextManager[None]:
        """Somebody comes with a film of their own: 429 while too many others do."""
        return _place(self._uploads)

    def _run(self, task: Callable[..., T], *args: object) -> T:
        with _place(self._places), self._turn:
            self._stop_waiting()
            try:
                self._open()
                return self._do(task, self._limits.film_seconds, self._settings, *args)
            except BaseException:
                # Whatever it was: the next film gets a process that has seen none.
                self._close()
                raise
            finally:
                self._wait_for_next()

    def _open(self) -> None:
        """A process with an open model, the one that is there or a new one."""
        if self._ended:
            raise _closed()
        if self._pool is not None and self._pool.active:
            return
        self._close()
        self._pool = ProcessPool(
            max_workers=1,
            initializer=limit_process,
            initargs=(self._settings.log,),
            context=multiprocessing.get_context("spawn"),
        )
        try:
            # Known before the long part, so that it can be ended in it.
            self._pid = self._do(os.getpid, self._limits.opening_seconds)
            self._opened = self._do(open_room, self._limits.opening_seconds, self._settings)
        except ProblemError as error:
            raise ProblemError(
                503, "The model cannot be opened", error.detail, {"Retry-After": "60"}
            ) from error
        log.info("opened: %s, %d MB", self._opened.engine, self._opened.byte_count // 1_000_000)

    def _do(self, task: Callable[..., T], seconds: float, *args: object) -> T:
        """One task in the child.

        Raises:
            ProblemError: in whatever way it ended.
        """
        pool = self._pool
        if pool is None:
            raise _closed()
        try:
            self._future = future = pool.schedule(task, args=args, timeout=seconds)
        except RuntimeError as error:
            raise _closed() from error
        try:
            if self._ended:
                # Nobody would answer any more.
                raise _closed()
            return future.result()
        except ProblemError:
            raise
        except Exception as error:
            raise self._problem(error, seconds) from error
        finally:
            self._future = None

    def _problem(self, error: Exception, seconds: float) -> ProblemError:
        """The words for how a task ended."""
        if isinstance(error, BrokenProcessPool | CancelledError) or self._ended:
            return _closed()
        if isinstance(error, ProcessExpired):
            log.warning("the reading process ended with %s", error.exitcode)
            if error.exitcode in _ENDED_FROM_OUTSIDE:
                return _closed()
            return _failed("it ended the process that read it")
        if isinstance(error, TimeoutError):
            return _failed(f"it took longer than {seconds:g} s")
        if isinstance(error, MemoryError):
            return _failed("it needs more memory than a film given for trial may have")
        if isinstance(error, EngineError):
            return _failed(str(error))
        if isinstance(error, PipelineError):
            return ProblemError(503, "Nothing can be read", str(error))
        log.error("reading failed", exc_info=error)
        return _failed(type(error).__name__)

    def _stop_waiting(self) -> None:
        if self._idle is not None:
            self._idle.cancel()

    def _wait_for_next(self) -> None:
        if self._pool is None:
            return
        self._idle = Timer(self._limits.idle_seconds, self._give_back)
        self._idle.daemon = True
        self._idle.start()

    def _give_back(self) -> None:
        """Nobody wanted anything for so long: the memory is worth more than the start."""
        if self._turn.acquire(blocking=False):
            try:
                log.info("given back after %g idle seconds", self._limits.idle_seconds)
                self._close()
            finally:
                self._turn.release()

    def _close(self) -> None:
        with self._guard:
            pool, pid, future = self._pool, self._pid, self._future
            self._pool = self._pid = self._opened = None
        if pool is None:
            return
        if future is not None:
            future.cancel()  # type: ignore[no-untyped-call]
        if pid is not None:
            # It has nothing to save, and a decoder would not hear a polite word.
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        pool.stop()  # type: ignore[no-untyped-call]
        pool.join()


@contextmanager
def _place(places: BoundedSemaphore) -> Iterator[None]:
    if not places.acquire(blocking=False):
        raise ProblemError(
            429, "Too many films at once", "Send it again in a few seconds.", {"Retry-After": "5"}
        )
    try:
        yield
    finally:
        places.release()


def unread_problem(status: int, reason: NotProcessed, detail: str = "") -> ProblemError:
    """The words for a file that is not read."""
    return ProblemError(status, reason.meaning, f"{reason.value}{f': {detail}' if detail else ''}.")


def _failed(why: str) -> ProblemError:
    return unread_problem(422, NotProcessed.READING_FAILED, why)


def _closed() -> ProblemError:
    return ProblemError(
        503, "Not read", "The process that reads was ended; send it again.", {"Retry-After": "5"}
    )
