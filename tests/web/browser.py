"""A whole node with its page, fed by DCMTK, and Chromium in front of it."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import httpx
from playwright.sync_api import BrowserContext, Page, sync_playwright

from tests.node.archive import Archive
from tests.node.running_node import RunningNode, running_node
from tests.real_parts import program
from tests.viewer.browser import FLAGS

PATIENCE_MS = 120_000
Theme = Literal["light", "dark"]
WIDE, NARROW = {"width": 1280, "height": 900}, {"width": 390, "height": 844}


@dataclass
class Window:
    """A page, and what went wrong in it without anybody seeing."""

    page: Page
    address: str
    errors: list[str] = field(default_factory=list)

    def open(self, path: str) -> None:
        """A page of the node's own."""
        self.page.goto(f"{self.address}{path}", timeout=PATIENCE_MS)

    def overflows(self) -> bool:
        """Whether the page is wider than the window."""
        return bool(
            self.page.evaluate(
                "() => document.documentElement.scrollWidth > document.documentElement.clientWidth"
            )
        )


@dataclass
class Chromium:
    """Makes windows."""

    address: str
    contexts: Any

    @contextlib.contextmanager
    def window(self, theme: Theme = "light", size: dict[str, int] | None = None) -> Iterator[Window]:
        """A window of its own: no cookie of another's. What its console complained of fails the test."""
        context: BrowserContext = self.contexts.new_context(
            viewport=size or WIDE, color_scheme=theme, device_scale_factor=1
        )
        context.set_default_timeout(PATIENCE_MS)
        window = Window(context.new_page(), self.address)
        window.page.on("pageerror", lambda error: window.errors.append(str(error)))
        window.page.on(
            "console",
            lambda said: window.errors.append(said.text) if said.type == "error" else None,
        )
        yield window
        context.close()
        assert not window.errors, window.errors


@contextlib.contextmanager
def chromium(address: str) -> Iterator[Chromium]:
    """The installed Chromium, without a screen."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=program("chromium"), args=list(FLAGS), timeout=PATIENCE_MS
        )
        yield Chromium(address, browser)
        browser.close()


@dataclass(frozen=True)
class ServedNode:
    """A node with its page, and the archive that gets its results."""

    node: RunningNode
    archive: Archive

    @property
    def address(self) -> str:
        """Of the page."""
        return f"http://127.0.0.1:{self.node.settings.web.port}"


@contextlib.contextmanager
def served_node(folder: Path, text: str, archive: Archive) -> Iterator[ServedNode]:
    """Until its page answers, and then for as long as it is needed."""
    with running_node(folder / "node", text) as node:
        served = ServedNode(node, archive)
        until = time.monotonic() + 120
        while True:
            with contextlib.suppress(httpx.HTTPError):
                if httpx.get(f"{served.address}/health/live").status_code == 200:
                    break
            assert time.monotonic() < until, node.log
            time.sleep(0.1)
        yield served
