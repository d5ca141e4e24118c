"""The web process: an application on a socket, until it is told to end."""

from __future__ import annotations

import contextlib
import logging
import threading
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from threading import Event

import uvicorn
from fastapi import FastAPI

from dicom_node.errors import LedgerError, SettingsError
from dicom_node.operating.page_check import open_door, unusable_certificate
from dicom_node.register.accounts import Accounts
from dicom_node.register.analyses import Analyses
from dicom_node.register.register import Register
from dicom_node.settings import Settings
from dicom_node.web.app import create_app
from dicom_node.web.context import WebContext
from dicom_node.web.live import live_studies
from dicom_node.web.reading_room import ReadingRoom
from dicom_node.web.uploads import empty_uploads
from dicom_node.work.ledger import Ledger

_DRAIN_SECONDS = 3
_FORGET_SECONDS = 3600.0
log = logging.getLogger("dicom_node.web.server")


def serve_web(settings: Settings, clock: Callable[[], datetime], stop: Event) -> None:
    """Serves until `stop`.

    Raises:
        SettingsError: others than this machine could call, and nobody is registered.
    """
    ledger, register = Ledger.open(settings.node.data), Register.open(settings.node.data)
    refuse_open_door(settings, register)
    if complaint := unusable_certificate(settings.web):
        raise SettingsError(complaint)
    (settings.node.data / "verdicts").mkdir(exist_ok=True)
    empty_uploads(settings.node.data)
    context = WebContext(settings, ledger, register, clock, ReadingRoom(settings))
    server = _Server(uvicorn_config(context))
    for task in (_end_with, _forget_old):
        threading.Thread(target=task, args=(stop, server, context), daemon=True).start()
    try:
        server.run()
    finally:
        context.reading_room.end()
        register.close()
        ledger.close()


def refuse_open_door(settings: Settings, register: Register) -> None:
    """Without users only this machine may call.

    Raises:
        SettingsError: saying how to add the first user.
    """
    if complaint := open_door(settings.web, anybody=Accounts(register).exist()):
        raise SettingsError(complaint)


def uvicorn_config(context: WebContext) -> uvicorn.Config:
    """How the application is served: no header of a proxy is believed, no banner is sent."""
    web = context.settings.web
    return uvicorn.Config(
        create_app(context),
        host=web.address,
        port=web.port,
        ssl_certfile=web.certificate,
        ssl_keyfile=web.private_key,
        proxy_headers=False,
        server_header=False,
        access_log=False,
        log_config=None,
        timeout_keep_alive=15,
        timeout_graceful_shutdown=_DRAIN_SECONDS,
    )


class _Server(uvicorn.Server):
    """Leaves the signals to whoever gave `stop`: it must be set at once, not when all requests are answered."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Captures none."""
        yield


def _end_with(stop: Event, server: uvicorn.Server, context: WebContext) -> None:
    stop.wait()
    server.should_exit = True
    # Whoever waits for a film is answered now, not when it is read; and streams never end by themselves.
    app = server.config.app
    assert isinstance(app, FastAPI)  # noqa: S101 - what `uvicorn_config` serves
    live_studies(app).end()
    context.reading_room.end()


def _forget_old(stop: Event, _server: uvicorn.Server, context: WebContext) -> None:
    history = Analyses(context.register, context.settings.node.data)
    kept = timedelta(days=context.settings.web.keep_analyses_days)
    audit_kept = timedelta(days=context.settings.web.keep_audit_days)
    while not stop.is_set():
        try:
            history.forget_before(context.clock() - kept)
            history.remove_orphans(context.clock() - kept)
            context.audit.forget_before(context.clock() - audit_kept)
        except LedgerError as error:
            log.warning("what is old is not forgotten: %s", error)
        stop.wait(_FORGET_SECONDS)
