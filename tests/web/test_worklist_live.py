"""Open pages are told what changed: by one follower, each of them everything, also what it missed."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from dicom_node.web.app import create_app
from dicom_node.web.live import LiveStudies
from dicom_node.web.server import serve_web
from dicom_node.work.intake import LedgerIntake
from tests.phantoms import uid_of
from tests.receiving.running_scp import free_port

from .conftest import make_site
from .live_site import LiveSite, live_site
from .studies import Walk
from .worklist_films import film_of, rows

PATIENCE = 60.0


@pytest.fixture
def walk(tmp_path: Path) -> Iterator[Walk]:
    """An empty node."""
    for site in make_site(tmp_path):
        yield Walk(site)


class Stream:
    """One page's stream of events."""

    def __init__(self, lines: Iterator[str]) -> None:
        self._lines = lines
        self.number = ""

    def next(self) -> dict[str, Any]:
        """The next thing it is told of studies."""
        for text in self._lines:
            if text.startswith("id: "):
                self.number = text[4:]
            if text.startswith("data: ") and "changed" in text:
                told: dict[str, Any] = json.loads(text[6:])
                return told
        raise AssertionError("the stream ended")

    def until(self, uid: str) -> None:
        """Until it is told of a study."""
        while uid not in self.next()["changed"]:
            pass

    def is_over(self) -> bool:
        """Whether it ends, after whatever it still says."""
        return all(text is not None for text in self._lines)


@contextmanager
def stream(url: str, query: str = "", **headers: str) -> Iterator[Stream]:
    """What an open page hears."""
    with httpx.stream("GET", f"{url}/events{query}", headers=headers, timeout=PATIENCE) as answer:
        assert answer.status_code == 200
        assert answer.headers["content-type"].startswith("text/event-stream")
        lines = answer.iter_lines()
        for text in lines:
            if text == "event: open":
                break
        yield Stream(lines)


@pytest.fixture
def served(walk: Walk) -> Iterator[LiveSite]:
    """The page on a socket, its follower running."""
    with live_site(walk.site.context) as served:
        yield served


def test_every_open_page_is_told_and_the_row_is_there(walk: Walk, served: LiveSite) -> None:
    """When a page hears of a study, asking for its row gives the new one."""
    with stream(served.url) as one, stream(served.url) as other:
        walk.receive(film_of("a", PatientName="Meier"))
        one.until(uid_of("a"))
        other.until(uid_of("a"))
        row = httpx.get(f"{served.url}/worklist/rows", params={"uid": uid_of("a")}).text
        assert 'data-passes="1"' in row
        assert "being read" in row
        row = httpx.get(f"{served.url}/worklist/rows?outcome=fracture&uid={uid_of('a')}").text
        assert 'data-passes="0"' in row
        walk.site.later(seconds=1)
        LedgerIntake(walk.site.ledger, walk.engine, walk.deliveries).note_instance(
            calling_ae_title="CT", address="", at=walk.site.now, status=1, text="no"
        )
        assert one.next()["refused"]


def test_a_page_that_comes_back_hears_what_it_missed(walk: Walk, served: LiveSite) -> None:
    """By the number of the last event, or the number that the page was made with."""
    with stream(served.url) as first:
        walk.receive(film_of("a"))
        first.until(uid_of("a"))
    walk.receive(film_of("b"))
    with stream(served.url, **{"Last-Event-ID": first.number}) as again:
        assert again.next()["changed"] == [uid_of("b")]
    with stream(served.url, f"?since={first.number}", **{"Last-Event-ID": "no number"}) as again:
        assert again.next()["changed"] == [uid_of("b")]


def test_only_so_many_pages_are_live(walk: Walk) -> None:
    """One too many is refused in words, and keeps what it shows; a page that is closed makes room."""
    walk.site.app = app = create_app(walk.site.context)
    app.state.live_studies = LiveStudies(most=0)
    answer = walk.site.program().get("/events")
    assert answer.status_code == 503
    assert answer.headers["retry-after"] == "30"


def test_streams_end_with_the_process(walk: Walk) -> None:
    """The web process ends by itself although pages are open, and refuses others from then on."""
    port, stop = free_port(), threading.Event()
    web = walk.site.settings.web.model_copy(update={"port": port})
    settings = walk.site.settings.model_copy(update={"web": web})
    process = threading.Thread(
        target=serve_web, args=(settings, walk.site.context.clock, stop), daemon=True
    )
    process.start()
    url = f"http://127.0.0.1:{port}"
    with httpx.Client(transport=httpx.HTTPTransport(retries=8)) as client:
        assert client.get(f"{url}/health/live", timeout=PATIENCE).status_code == 200
    walk.receive(film_of("a"))
    with stream(url) as page:
        page.until(uid_of("a"))
        stop.set()
        assert page.is_over()
    process.join(PATIENCE)
    assert not process.is_alive()
    assert len(rows(walk.site)) == 1


def test_who_may_not_look_hears_nothing(walk: Walk) -> None:
    """Once somebody is registered, a stream needs a log-in."""
    walk.site.logged_in("administrator")
    assert walk.site.program().get("/events").status_code == 401
