"""kill -9 of any process at any step: nothing that was answered Success is lost, and nothing is doubled."""

from __future__ import annotations

import hashlib
import socket
import subprocess
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pynetdicom import AE, evt
from sqlalchemy import func, select

from dicom_node.dimse_status import StoreStatus
from dicom_node.work.tables import delivery, instance, study, study_revision
from tests.node.running_node import RunningNode, destination, kill, running_node, settings_text
from tests.phantoms import phantom
from tests.real_parts import program

FILMS = 4
SECONDARY_CAPTURE = "1.2.840.10008.5.1.4.1.1.7"
REPORT = "1.2.840.10008.5.1.4.1.1.88.34"


class SlowArchive:
    """An archive that keeps every C-STORE's UID and digest, and takes its time to answer."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self.arrived: dict[str, set[str]] = defaultdict(set)
        self.classes: dict[str, str] = {}
        self.busy = threading.Event()
        ae = AE(ae_title="ARCHIVE")
        for uid in ("1.2.840.10008.1.1", SECONDARY_CAPTURE, REPORT):
            ae.add_supported_context(uid)
        handlers: Any = [(evt.EVT_C_STORE, self._store)]
        self._server: Any = ae.start_server(("127.0.0.1", 0), block=False, evt_handlers=handlers)
        self.port = int(self._server.socket.getsockname()[1])

    def _store(self, event: Any) -> int:
        uid = str(event.request.AffectedSOPInstanceUID)
        self.arrived[uid].add(hashlib.sha256(event.request.DataSet.getvalue()).hexdigest())
        self.classes[uid] = str(event.request.AffectedSOPClassUID)
        self.busy.set()
        time.sleep(self._seconds)
        return int(StoreStatus.SUCCESS)

    def stop(self) -> None:
        self._server.shutdown()


@contextmanager
def node_and_archive(
    folder: Path, answer_seconds: float = 0.0
) -> Iterator[tuple[RunningNode, SlowArchive]]:
    archive = SlowArchive(answer_seconds)
    try:
        text = settings_text([destination("archive", archive.port)])
        with running_node(folder / "node", text) as node:
            yield node, archive
    finally:
        archive.stop()


def films(folder: Path) -> list[Path]:
    """One study of films large enough to be caught in the middle of their reading."""
    paths = []
    for number in range(FILMS):
        path = folder / f"film{number}.dcm"
        phantom(rows=1536, columns=1248, seed=number + 1, instance_number=number + 1).save_as(path)
        paths.append(path)
    return paths


def when(node: RunningNode, question: Callable[[], bool], seconds: float = 90) -> None:
    """Watches closely: the moment that is waited for is short."""
    until = time.monotonic() + seconds
    while not question():
        assert time.monotonic() < until, f"it never came to that\n{node.log}"
        time.sleep(0.001)


def listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def count(node: RunningNode, table: Any, *where: Any) -> int:
    with node.ledger.read() as connection:
        chosen = select(func.count()).select_from(table).where(*where)
        return int(connection.execute(chosen).scalar_one())


def assert_nothing_lost_nothing_doubled(node: RunningNode, archive: SlowArchive) -> None:
    """Each film has one outcome and one overlay, the study one report, each UID one content."""
    node.wait_until_done(FILMS)
    images = node.jobs.images(100)
    assert len(images) == FILMS
    assert all(image.findings is not None and image.findings.reason is None for image in images)
    (closed,) = node.jobs.studies(10)
    assert (closed.state, closed.images, closed.revision) == ("composed", FILMS, 1)
    kinds = list(archive.classes.values())
    assert kinds.count(SECONDARY_CAPTURE) == FILMS
    assert kinds.count(REPORT) == 1
    assert all(len(digests) == 1 for digests in archive.arrived.values()), "other bytes under a UID"
    assert count(node, delivery, delivery.c.state != "delivered") == 0


def test_a_receiver_killed_while_it_takes_films_in(tmp_path: Path) -> None:
    """The sender sees a broken association, sends again, and each film is there once."""
    with node_and_archive(tmp_path) as (node, archive):
        paths = films(tmp_path)
        command = [
            program("storescu"),
            "-aec",
            "FRACTURE",
            "127.0.0.1",
            str(node.port),
            *map(str, paths),
        ]
        sender = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        when(node, lambda: count(node, instance) >= 1)
        kill(node, "receiver")
        sender.wait(60)
        taken = count(node, instance)
        node.wait_for(lambda: listens(node.port))
        assert node.storescu(*paths).returncode == 0
        assert taken >= 1
        assert_nothing_lost_nothing_doubled(node, archive)


def test_an_analysis_killed_in_the_middle_of_a_film(tmp_path: Path) -> None:
    """The film that was being read is read again by the next process."""
    with node_and_archive(tmp_path) as (node, archive):
        assert node.storescu(*films(tmp_path)).returncode == 0
        reading = (instance.c.state == "received") & (instance.c.attempts > 0)
        when(node, lambda: count(node, instance, reading) > 0)
        kill(node, "analysis")
        assert_nothing_lost_nothing_doubled(node, archive)
        assert count(node, instance, instance.c.attempts > 1) >= 1, "it was killed too late"


def test_a_delivery_process_killed_before_it_closes_a_study(tmp_path: Path) -> None:
    """Gathering goes on where it stood: the study closes once."""
    with node_and_archive(tmp_path) as (node, archive):
        assert node.storescu(*films(tmp_path)).returncode == 0
        unread = instance.c.state == "received"
        when(node, lambda: count(node, instance, unread) == 0)
        assert count(node, study, study.c.opened_at.is_not(None)) == 1
        kill(node, "delivery")
        assert_nothing_lost_nothing_doubled(node, archive)


def test_a_delivery_process_killed_while_it_composes_a_report(tmp_path: Path) -> None:
    """The report is composed again, with the same UID, and sent once."""
    with node_and_archive(tmp_path) as (node, archive):
        assert node.storescu(*films(tmp_path)).returncode == 0
        composing = (study_revision.c.state == "composing") & (study_revision.c.attempts > 0)
        when(node, lambda: count(node, study_revision, composing) > 0)
        kill(node, "delivery")
        assert_nothing_lost_nothing_doubled(node, archive)
        assert count(node, study_revision, study_revision.c.attempts > 1) == 1, "it was killed too late"


def test_a_delivery_process_killed_while_the_archive_stores(tmp_path: Path) -> None:
    """Nobody knows whether the archive has it: the same bytes go again under the same UID."""
    with node_and_archive(tmp_path, answer_seconds=0.5) as (node, archive):
        assert node.storescu(*films(tmp_path)).returncode == 0
        assert archive.busy.wait(90)
        kill(node, "delivery")
        assert_nothing_lost_nothing_doubled(node, archive)
