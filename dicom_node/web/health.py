"""Is the node alive, and is it ready: for those who start it again, or send nothing to it meanwhile."""

from __future__ import annotations

import shutil
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass
from threading import Lock

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import JSONResponse

from dicom_node.errors import NodeError
from dicom_node.process_lock import is_held
from dicom_node.settings import Settings
from dicom_node.web.context import Context, WebContext
from dicom_node.work.ledger import Ledger

# As the supervisor names them; its own module would bring the whole engine into this process.
PROCESSES = ("receiver", "analysis", "delivery")
router = APIRouter(include_in_schema=False)
# Anybody may ask: an answer is good for so long, so that asking costs the receiver nothing.
_FRESH_SECONDS = 2.0
_CONNECT_SECONDS = 2.0


@dataclass(frozen=True)
class Check:
    """One thing that must be right; `said` holds no path, no address and no name of a patient."""

    name: str
    good: bool
    said: str


class Readiness:
    """The last answer, as long as it is fresh; one look at a time."""

    def __init__(self, context: WebContext, clock: Callable[[], float] = time.monotonic) -> None:
        self._context, self._clock = context, clock
        self._lock = Lock()
        self._checks: tuple[Check, ...] = ()
        self._at = 0.0

    def checks(self) -> tuple[Check, ...]:
        """Ledger, processes, disk, port."""
        with self._lock:
            if not self._checks or self._clock() - self._at > _FRESH_SECONDS:
                settings = self._context.settings
                self._checks = (
                    _ledger(self._context.ledger),
                    *(_process(settings, name) for name in PROCESSES),
                    _disk(settings),
                    _port(settings),
                )
                self._at = self._clock()
            return self._checks


@router.get("/health/live")
def live() -> JSONResponse:
    """The page's process answers."""
    return JSONResponse({"status": "alive"})


@router.get("/health/ready")
def ready(request: Request, context: Context) -> JSONResponse:
    """Whether images are taken, read and delivered now; 503 if not, and what is amiss."""
    checks = _readiness(request, context).checks()
    good = all(one.good for one in checks)
    body = {
        "status": "ready" if good else "not ready",
        "checks": {one.name: {"good": one.good, "said": one.said} for one in checks},
    }
    return JSONResponse(body, 200 if good else 503)


def is_running(settings: Settings, process: str) -> bool:
    """Whether a process of this node works: it holds its lock from when it begins to until it ends."""
    return is_held(settings.node.data / "locks" / f"{process}.lock")


def _readiness(request: Request, context: WebContext) -> Readiness:
    state = request.app.state
    if not hasattr(state, "readiness"):
        state.readiness = Readiness(context)
    found: Readiness = state.readiness
    return found


def _ledger(ledger: Ledger) -> Check:
    try:
        ledger.installation_id()
    except NodeError:
        return Check("ledger", False, "cannot be read; the log says why")
    return Check("ledger", True, "can be read")


def _process(settings: Settings, name: str) -> Check:
    running = is_running(settings, name)
    return Check(name, running, "works" if running else "does not run, or is still starting")


def _disk(settings: Settings) -> Check:
    least = settings.retention.minimum_free_gb
    try:
        free = shutil.disk_usage(settings.node.data).free / 1e9
    except OSError as error:
        return Check("disk", False, f"cannot be asked: {error.strerror}")
    return Check("disk", free >= least, f"{free:.1f} GB free, {least:g} are needed")


def _port(settings: Settings) -> Check:
    """A connection is taken; it says nothing, and ends."""
    node = settings.node
    # What listens on every interface is asked on this machine.
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(node.address, node.address)  # noqa: S104
    try:
        socket.create_connection((host, node.port), timeout=_CONNECT_SECONDS).close()
    except OSError as error:
        return Check("port", False, f"{node.port}: {(error.strerror or str(error)).lower()}")
    return Check("port", True, f"{node.port} takes connections")
