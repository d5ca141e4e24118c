"""Alive, and ready: what is asked of a node by what starts it again, or sends to it."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from dicom_node.process_lock import hold_lock, is_held
from dicom_node.supervisor import NAMES
from dicom_node.web.health import PROCESSES, Readiness

from .conftest import PASSWORD, Site, make_site


@contextlib.contextmanager
def working(site: Site, without: str = "") -> Iterator[None]:
    """What a node holds that works: its processes' locks, and a port that listens."""
    with contextlib.ExitStack() as held:
        for name in NAMES:
            if name != without:
                lock = hold_lock(site.settings.node.data / "locks" / f"{name}.lock")
                held.callback(lock.close)
        if without != "port":
            server = socket.create_server(("127.0.0.1", site.settings.node.port))
            held.callback(server.close)
        yield


def asked(site: Site) -> tuple[int, dict[str, Any]]:
    """The answer of a page that was not asked before."""
    site.app.state.readiness = Readiness(site.context)
    answer = site.program().get("/health/ready")
    return answer.status_code, answer.json()


def test_a_node_that_works_is_ready(site: Site) -> None:
    """Every process, the ledger, the disk and the port are looked at, and are good."""
    with working(site):
        status, body = asked(site)
    assert (status, body["status"]) == (200, "ready")
    assert set(body["checks"]) == {"ledger", *NAMES, "disk", "port"}
    assert all(one["good"] for one in body["checks"].values())


@pytest.mark.parametrize("missing", [*NAMES, "port"])
def test_what_is_missing_is_named(site: Site, missing: str) -> None:
    """One part gone is 503, and the checks say which."""
    with working(site, without=missing):
        status, body = asked(site)
    assert (status, body["status"]) == (503, "not ready")
    assert [name for name, one in body["checks"].items() if not one["good"]] == [missing]


def test_a_full_disk_is_not_ready(tmp_path: Path) -> None:
    """Below the minimum images are refused: that is no node to send to."""
    for site in make_site(tmp_path, retention={"minimum_free_gb": 1e9}):
        with working(site):
            status, body = asked(site)
        assert status == 503
        assert [name for name, one in body["checks"].items() if not one["good"]] == ["disk"]


def test_a_ledger_that_cannot_be_read_is_not_ready(site: Site) -> None:
    """Said without a word of where it lies."""
    with working(site):
        with site.ledger.transaction() as connection:
            connection.exec_driver_sql("DROP TABLE installation")
        status, body = asked(site)
    assert status == 503
    assert not body["checks"]["ledger"]["good"]
    assert str(site.folder) not in str(body)


def test_asking_often_asks_the_node_seldom(site: Site) -> None:
    """An answer stands for a moment: the port is not called at every request."""
    now = [0.0]
    with working(site):
        readiness = Readiness(site.context, lambda: now[0])
        first = readiness.checks()
    # The node is gone; the answer still stands, then does not.
    assert readiness.checks() is first
    now[0] += 10
    assert not all(one.good for one in readiness.checks())


def test_nobody_needs_to_log_in_but_must_call_it_by_its_name(site: Site) -> None:
    """Health is for machines; a name that is not ours is still refused."""
    site.accounts.add("chief", "administrator", PASSWORD, site.now)
    assert site.program().get("/health/live").json() == {"status": "alive"}
    assert site.program().get("/health/ready").status_code == 503
    for place in ("/health/live", "/health/ready"):
        assert site.program().get(place, headers={"host": "elsewhere.example"}).status_code == 421


def test_the_processes_are_those_that_the_supervisor_starts() -> None:
    """The page has its own list, to hold less code; it is the same."""
    assert PROCESSES == NAMES


def test_looking_keeps_no_process_from_starting(tmp_path: Path) -> None:
    """A lock that is looked at all the time can still be taken, and is seen when it is."""
    path, done = tmp_path / "locks" / "receiver.lock", threading.Event()

    def look() -> None:
        while not done.is_set():
            is_held(path)

    onlookers = [threading.Thread(target=look) for _ in range(2)]
    assert not is_held(path)
    for one in onlookers:
        one.start()
    try:
        for _ in range(20):
            with hold_lock(path):
                assert is_held(path)
    finally:
        done.set()
        for one in onlookers:
            one.join()
    assert not is_held(path)
