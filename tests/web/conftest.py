"""The page over a real ledger and a real register, asked without a socket."""

from __future__ import annotations

import atexit
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

import httpx
import pytest
import tomlkit
from fastapi import FastAPI
from starlette.testclient import TestClient

from dicom_node.register.accounts import Accounts
from dicom_node.register.register import Register
from dicom_node.settings import Settings, read_settings
from dicom_node.supervisor import prepare_data
from dicom_node.web.app import create_app
from dicom_node.web.context import WebContext
from dicom_node.web.reading_room import ReadingRoom
from dicom_node.work.ledger import Ledger
from tests.made_model import make_package
from tests.node.running_node import destination, settings_text
from tests.web.live_site import LiveSite, live_site

PASSWORD = "quiet river under stones"  # noqa: S105 - the tests' own


@dataclass
class Site:
    """One node's page, with a clock that tests set."""

    folder: Path
    settings: Settings
    ledger: Ledger
    register: Register
    now: datetime = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    app: FastAPI = field(init=False)
    reading_room: ReadingRoom = field(init=False)

    def __post_init__(self) -> None:
        self.reading_room = ReadingRoom(self.settings)
        self.app = create_app(self.context)

    @property
    def context(self) -> WebContext:
        """What the routes work on."""
        return WebContext(
            self.settings, self.ledger, self.register, lambda: self.now, self.reading_room
        )

    @property
    def accounts(self) -> Accounts:
        """Who is registered."""
        return Accounts(self.register)

    def later(self, **time: float) -> None:
        """Moves the clock."""
        self.now += timedelta(**time)

    def browser(self, address: str = "127.0.0.1", **more: Any) -> TestClient:
        """A browser on this machine, or at another address, that nobody has logged in with."""
        return TestClient(
            self.app, base_url="http://127.0.0.1:8080", client=(address, 50000),
            follow_redirects=False, headers={"accept": "text/html"}, **more,
        )  # fmt: skip

    def program(self, token: str | None = None) -> TestClient:
        """A program, with a token or without."""
        headers = {"accept": "application/json"}
        if token is not None:
            headers["authorization"] = f"Bearer {token}"
        return TestClient(
            self.app, base_url="http://127.0.0.1:8080", client=("127.0.0.1", 50000), headers=headers
        )

    def logged_in(self, role: str = "administrator", name: str | None = None) -> TestClient:
        """A browser of somebody of that role; the first who is registered is an administrator in any case."""
        if not self.accounts.exist():
            self.accounts.add("chief", "administrator", PASSWORD, self.now)
        name = name or f"some-{role}"
        if all(one.name != name for one in self.accounts.all()):
            self.accounts.add(name, role, PASSWORD, self.now)
        browser = self.browser()
        answer = browser.post("/login", data={"name": name, "password": PASSWORD})
        assert answer.status_code == 303, answer.text
        return browser


def csrf_token(answer: httpx.Response) -> str:
    """What a page's forms send back."""
    return answer.text.partition('<meta name="csrf-token" content="')[2].partition('"')[0]


@cache
def _prepared() -> Path:
    """An empty data folder, made once: a copy costs a tenth."""
    folder = Path(tempfile.mkdtemp(prefix="prepared-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    path = folder / "node.toml"
    path.write_text(settings_text([destination("archive", 11113)]))
    settings = read_settings(path)
    prepare_data(settings)
    return settings.node.data


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    """A node's page with an empty ledger; nobody is registered."""
    yield from make_site(tmp_path)


@pytest.fixture(scope="session")
def tiny_package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A verified package of a tiny network, for pages that read."""
    # Of this seed something speaks for a fracture, so there is a Grad-CAM to be seen.
    return make_package(tmp_path_factory.mktemp("tiny"), seed=4)


@pytest.fixture(scope="session")
def shared_room(tmp_path_factory: pytest.TempPathFactory, tiny_package: Path) -> Iterator[ReadingRoom]:
    """One process that reads, for all tests that do not end it."""
    folder = tmp_path_factory.mktemp("room")
    text = settings_text([destination("archive", 11113)], model={"path": str(tiny_package)})
    (folder / "node.toml").write_text(text)
    room = ReadingRoom(read_settings(folder / "node.toml"))
    yield room
    room.end()


@pytest.fixture
def reading_site(tmp_path: Path, tiny_package: Path, shared_room: ReadingRoom) -> Iterator[Site]:
    """A page that reads films of up to 2 MB with the tiny network."""
    more = {"model": {"path": str(tiny_package)}, "web": {"upload_limit_mb": 2}}
    for site in make_site(tmp_path, **more):
        site.reading_room = shared_room
        site.app = create_app(site.context)
        yield site
        # The others' too.
        site.reading_room = ReadingRoom(site.settings)


@pytest.fixture
def live(reading_site: Site) -> Iterator[LiveSite]:
    """The same on a socket."""
    with live_site(reading_site.context) as served:
        yield served


def make_site(folder: Path, place: dict[str, Any] | None = None, **tables: Any) -> Iterator[Site]:
    """A page with these tables of settings and one destination."""
    path = folder / "node.toml"
    text = tomlkit.parse(settings_text([place or destination("archive", 11113)], **tables))
    path.write_text(tomlkit.dumps(text))
    settings = read_settings(path)
    shutil.copytree(_prepared(), settings.node.data)
    site = Site(folder, settings, Ledger.open(settings.node.data), Register.open(settings.node.data))
    yield site
    site.reading_room.end()
    site.register.close()
    site.ledger.close()
