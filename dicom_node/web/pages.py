"""Templates to pages: escaped by default, the research notice on each."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.requests import Request
from starlette.responses import HTMLResponse

from dicom_node import __version__
from dicom_node.web.access import Permission, Person
from pipeline.findings import RESEARCH_NOTICE

FOLDER = Path(__file__).parent
_ENVIRONMENT = Environment(
    loader=FileSystemLoader(FOLDER / "templates"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)


def page(
    request: Request, name: str, person: Person | None, /, *, status: int = 200, **values: Any
) -> HTMLResponse:
    """The template `name` with `values`, for whoever asks."""
    text = _ENVIRONMENT.get_template(name).render(
        person=person,
        path=request.url.path,
        may=lambda permission: person is not None and person.may(Permission(permission)),
        notice=RESEARCH_NOTICE,
        version=__version__,
        **values,
    )
    return HTMLResponse(text, status)


def _percent(probability: float | None) -> str:
    return "" if probability is None else f"{probability:.0%}".replace("%", " %")


def _moment(at: datetime | None) -> str:
    """A machine's form; the page's script shows it in the reader's own time zone."""
    return "" if at is None else at.isoformat(timespec="seconds")


def _bytes(count: float) -> str:
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000 or unit == "GB":
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1000
    raise AssertionError


_ENVIRONMENT.filters |= {"percent": _percent, "moment": _moment, "bytes": _bytes}
