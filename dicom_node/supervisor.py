"""Starts the node's processes, starts them again when they end, and drains them when it is told to end."""

from __future__ import annotations

import logging
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event

from dicom_node.errors import NodeError
from dicom_node.process_lock import hold_lock
from dicom_node.settings import Settings
from dicom_node.work.engine import WorkEngine
from dicom_node.work.ledger import Ledger

NAMES = ("receiver", "analysis", "delivery")
_DRAIN_SECONDS = 10.0
_FIRST_PAUSE, _LONGEST_PAUSE = 0.5, 30.0
_HEALTHY_AFTER = 60.0
log = logging.getLogger("dicom_node.supervisor")


@dataclass
class _Child:
    name: str
    process: subprocess.Popen[bytes] | None = None
    started_at: float = 0.0
    pause: float = _FIRST_PAUSE
    due_at: float = field(default=0.0)


def prepare_data(settings: Settings) -> None:
    """Makes data folder, ledger and queues; done again, it changes nothing.

    Raises:
        NodeError: the folder cannot be written, or its disk does not keep what is committed.
    """
    data = settings.node.data
    try:
        data.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise NodeError(f"node.data = {data}: cannot be made: {error}") from error
    ledger = Ledger.open(data)
    try:
        ledger.create(time.time())
        WorkEngine.prepare(ledger, len(settings.destinations))
    finally:
        ledger.close()


def process_names(settings: Settings) -> tuple[str, ...]:
    """What a node of these settings runs; the page is last, for nothing waits for it."""
    return (*NAMES, "web") if settings.web.enabled else NAMES


class Supervisor:
    """The parent of the node's processes."""

    def __init__(self, settings_file: Path, settings: Settings) -> None:
        self._settings_file, self._locks = settings_file, settings.node.data / "locks"
        self._children = [_Child(name) for name in process_names(settings)]

    def run(self, stop: Event) -> None:
        """Keeps the processes running until `stop`, then drains them.

        Raises:
            NodeError: another node runs on this data folder.
        """
        lock = hold_lock(self._locks / "supervisor.lock")
        try:
            while not stop.wait(0.1):
                for child in self._children:
                    self._look_after(child)
        finally:
            self._drain()
            lock.close()

    def _look_after(self, child: _Child) -> None:
        now = time.monotonic()
        if child.process is not None:
            status = child.process.poll()
            if status is None:
                return
            if now - child.started_at > _HEALTHY_AFTER:
                child.pause = _FIRST_PAUSE
            log.error("%s ended with %d; started again in %.1f s", child.name, status, child.pause)
            child.process, child.due_at = None, now + child.pause
            child.pause = min(_LONGEST_PAUSE, child.pause * 2)
        if now >= child.due_at:
            self._start(child)

    def _start(self, child: _Child) -> None:
        command = [sys.executable, "-m", "dicom_node.processes", child.name, str(self._settings_file)]
        # The pipe is never written to: its end tells the process that this supervisor is gone.
        child.process = subprocess.Popen(command, stdin=subprocess.PIPE)
        child.started_at = time.monotonic()
        log.info("started %s, pid %d", child.name, child.process.pid)

    def _drain(self) -> None:
        running = [child.process for child in self._children if child.process is not None]
        for process in running:
            process.terminate()
        deadline = time.monotonic() + _DRAIN_SECONDS
        for process in running:
            try:
                process.wait(max(0.1, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                log.warning(
                    "pid %d did not end in time and is killed; its work goes on at the next start",
                    process.pid,
                )
                process.kill()
                process.wait()
