"""The page on a socket, served by a thread of the tests."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace

import uvicorn

from dicom_node.web.context import WebContext
from dicom_node.web.server import uvicorn_config
from tests.receiving.running_scp import free_port


@dataclass(frozen=True)
class LiveSite:
    """Where it is."""

    context: WebContext
    port: int

    @property
    def url(self) -> str:
        """As a program calls it."""
        return f"http://127.0.0.1:{self.port}"


@contextlib.contextmanager
def live_site(context: WebContext) -> Iterator[LiveSite]:
    """Served as `serve_web` does, on a free port."""
    port = free_port()
    web = context.settings.web.model_copy(update={"port": port})
    settings = context.settings.model_copy(update={"web": web})
    served = replace(context, settings=settings)
    server = uvicorn.Server(uvicorn_config(served))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    until = time.monotonic() + 60
    while not server.started:
        assert thread.is_alive(), "the server ended"
        assert time.monotonic() < until, "the server did not start"
        time.sleep(0.02)
    try:
        yield LiveSite(served, port)
    finally:
        server.should_exit = True
        thread.join(20)
