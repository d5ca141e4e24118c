"""What every route of the page works on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, cast

from fastapi import Depends
from starlette.requests import Request

from dicom_node.register.audit_trail import AuditTrail
from dicom_node.register.register import Register
from dicom_node.settings import Settings
from dicom_node.web.reading_room import ReadingRoom
from dicom_node.work.ledger import Ledger


@dataclass(frozen=True)
class WebContext:
    """Settings, the two databases, the clock, and who reads films; one for the life of the process."""

    settings: Settings
    ledger: Ledger
    register: Register
    clock: Callable[[], datetime]
    reading_room: ReadingRoom

    @property
    def audit(self) -> AuditTrail:
        """Where sights and acts are written down."""
        return AuditTrail(self.register)


def web_context(request: Request) -> WebContext:
    """A route's dependency."""
    return cast(WebContext, request.app.state.context)


Context = Annotated[WebContext, Depends(web_context)]
