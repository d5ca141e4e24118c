"""What was enqueued runs, also after a kill."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from sqlalchemy import select

from dicom_node.errors import LedgerError, NodeError
from dicom_node.work.engine import Queue, Work
from dicom_node.work.intake import ANALYSE
from dicom_node.work.tables import instance

from .conftest import Workplace

# A worker as the analysis process is one: it notes each beginning, waits, and notes the end.
WORKER = """
import sys, time
from pathlib import Path
from dicom_node.work.engine import Queue, WorkEngine
from dicom_node.work.ledger import Ledger
data, seconds = Path(sys.argv[1]), float(sys.argv[2])
def note(word, key):
    with open(data / "notes", "a") as notes: notes.write(f"{word} {key}\\n")
def work(key):
    note("begin", key); time.sleep(seconds); note("end", key)
engine = WorkEngine(Ledger.open(data))
engine.serve(Queue.ANALYSIS, {"analyse": work}, data / "locks")
note("serving", "-")
while True: time.sleep(0.2); engine.revive()
"""


def start_worker(folder: Path, seconds: float) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-c", WORKER, str(folder), str(seconds)])


def wait_for(folder: Path, line: str, seconds: float = 30) -> list[str]:
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        notes = (folder / "notes").read_text().splitlines() if (folder / "notes").exists() else []
        if line in notes:
            return notes
        time.sleep(0.02)
    raise AssertionError(f"{line!r} did not come; {notes}")


def test_work_of_a_killed_process_is_done_by_the_next(workplace: Workplace) -> None:
    """kill -9 in the middle of a handler: the next process of that queue begins it again."""
    received = workplace.receive("a")
    first = start_worker(workplace.folder, 60)
    wait_for(workplace.folder, f"begin {received.id}")
    os.kill(first.pid, signal.SIGKILL)
    first.wait()
    second = start_worker(workplace.folder, 0)
    try:
        notes = wait_for(workplace.folder, f"end {received.id}")
    finally:
        second.kill()
        second.wait()
    assert notes.count(f"begin {received.id}") == 2


def test_running_work_is_not_taken_back(workplace: Workplace) -> None:
    """It keeps its place until it ends: the next would run beside it, and send what it sends."""
    running = [workplace.receive(name) for name in ("a", "b")]
    worker = start_worker(workplace.folder, 60)
    try:
        for one in running:
            wait_for(workplace.folder, f"begin {one.id}")
        waiting = workplace.receive("c")
        work = [f"{ANALYSE}:{one.id}:1" for one in (*running, waiting)]
        workplace.engine.cancel(work)
        assert workplace.engine.live(ANALYSE) == set(work[:2])
    finally:
        worker.kill()
        worker.wait()


def test_emergencies_overtake(workplace: Workplace) -> None:
    """What is urgent goes before what came earlier; two are read at a time, so it is one of the first two."""
    from dicom_node.records import Priority

    routine = [workplace.receive(f"r{number}") for number in range(6)]
    emergency = workplace.receive("e", priority=Priority.EMERGENCY)
    worker = start_worker(workplace.folder, 0.1)
    try:
        notes = wait_for(workplace.folder, f"end {routine[-1].id}")
    finally:
        worker.kill()
        worker.wait()
    begun = [line.split()[1] for line in notes if line.startswith("begin")]
    assert emergency.id in begun[:2]


def test_two_processes_never_work_one_queue(workplace: Workplace, tmp_path: Path) -> None:
    """The second is told which lock is held."""
    worker = start_worker(workplace.folder, 0)
    try:
        wait_for(workplace.folder, "serving -")
        with pytest.raises(NodeError, match=r"analysis\.lock: another process"):
            workplace.engine.serve(Queue.ANALYSIS, {}, workplace.folder / "locks")
    finally:
        worker.kill()
        worker.wait()


def test_row_and_work_are_one_transaction(workplace: Workplace) -> None:
    """A transaction that fails leaves neither a row nor work behind."""

    def fail_after_enqueueing() -> None:
        with workplace.ledger.transaction() as connection:
            workplace.engine.enqueue(connection, Work(ANALYSE, "lost", Queue.ANALYSIS))
            connection.exec_driver_sql("INSERT INTO nowhere VALUES (1)")

    with pytest.raises(LedgerError):
        fail_after_enqueueing()
    assert workplace.engine.live(ANALYSE) == set()
    workplace.receive("kept")
    with workplace.ledger.read() as connection:
        assert len(connection.execute(select(instance.c.id)).all()) == 1
    assert len(workplace.engine.live(ANALYSE)) == 1


def test_the_same_work_twice_is_once(workplace: Workplace) -> None:
    """The workflow id is the business key."""
    work = Work(ANALYSE, "same", Queue.ANALYSIS)
    for _ in range(2):
        with workplace.ledger.transaction() as connection:
            workplace.engine.enqueue(connection, work)
    assert workplace.engine.live(ANALYSE) == {work.workflow_id}


def test_every_commit_is_on_disk(workplace: Workplace) -> None:
    """WAL and synchronous FULL hold on every connection of the pool."""
    for _ in range(3):
        with workplace.ledger.read() as connection:
            assert connection.exec_driver_sql("PRAGMA synchronous").scalar() == 2
            assert connection.exec_driver_sql("PRAGMA journal_mode").scalar() == "wal"


def test_work_is_found_when_it_comes_and_not_when_the_engine_next_looks(workplace: Workplace) -> None:
    """With an hour between two polls, work is still done: the change of the database wakes the queue."""
    worker = start_worker(workplace.folder, 0)
    try:
        first = workplace.receive("a")
        wait_for(workplace.folder, f"end {first.id}")
        with workplace.ledger.transaction() as connection:
            connection.exec_driver_sql("UPDATE queues SET polling_interval_sec = 3600")
        for name in ("b", "c"):
            wait_for(workplace.folder, f"end {workplace.receive(name).id}")
    finally:
        worker.kill()
        worker.wait()


def test_work_whose_end_could_not_be_written_is_done_again(workplace: Workplace) -> None:
    """It counts as running and nobody runs it: without more, its place would be taken until the next start."""
    worker = start_worker(workplace.folder, 0)
    try:
        stranded = workplace.receive("a")
        wait_for(workplace.folder, f"end {stranded.id}")
        until = time.monotonic() + 30
        while workplace.engine.live(ANALYSE):
            assert time.monotonic() < until, "its end was not written"
            time.sleep(0.02)
        (workplace.folder / "notes").unlink()
        with workplace.ledger.transaction() as connection:
            connection.exec_driver_sql("UPDATE workflow_status SET status = 'PENDING'")
        wait_for(workplace.folder, f"end {stranded.id}")
    finally:
        worker.kill()
        worker.wait()
