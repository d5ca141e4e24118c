"""Errors of the page and the API: problem details (RFC 9457) for programs, a page for people."""

from __future__ import annotations

import logging
from typing import Any

from starlette.responses import JSONResponse

from dicom_node.errors import LedgerError

log = logging.getLogger("dicom_node.web")
MEDIA_TYPE = "application/problem+json"


_WORDS = {
    400: "A form, or a header, that is not taken",
    401: "Nobody known asks",
    403: "Not allowed",
    404: "Not known, or gone with its retention time",
    408: "What was sent stopped coming",
    409: "Not possible with this image",
    413: "Larger than is taken",
    415: "Neither DICOM, PNG nor JPEG",
    422: "Not as asked for, or no film can be had from the file",
    429: "Too many at once",
    503: "The node cannot do it now",
    507: "Less disk is free than the settings ask for",
}
_SCHEMA = {
    "type": "object",
    "required": ["type", "title", "status"],
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
    },
}


def problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """What a route may answer beside what it should, for its description; 401 and 403 in any case."""
    return {
        status: {"description": _WORDS[status], "content": {MEDIA_TYPE: {"schema": _SCHEMA}}}
        for status in (401, 403, *statuses)
    }


class ProblemError(Exception):
    """Ends a request: `detail` says what is wrong and what to do, and holds nothing of a patient."""

    def __init__(
        self, status: int, title: str, detail: str = "", headers: dict[str, str] | None = None
    ) -> None:
        super().__init__(f"{status} {title}: {detail}")
        self.status, self.title, self.detail, self.headers = status, title, detail, headers or {}

    def response(self) -> JSONResponse:
        """As a program reads it."""
        body: dict[str, Any] = {"type": "about:blank", "title": self.title, "status": self.status}
        if self.detail:
            body["detail"] = self.detail
        return JSONResponse(body, self.status, self.headers, media_type=MEDIA_TYPE)


def unreadable_register(error: LedgerError) -> ProblemError:
    """Who asks cannot be looked up: nobody is answered, and the log says why."""
    log.warning("who asks is not known: %s", error)
    return ProblemError(
        503, "The node cannot do it now", "The node's log says why.", {"Retry-After": "5"}
    )
