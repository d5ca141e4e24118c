"""Writing down who saw and did what."""

from __future__ import annotations

from starlette.requests import Request

from dicom_node.register.audit_trail import AuditEntry
from dicom_node.web.access import Person
from dicom_node.web.context import web_context


def audit(request: Request, person: Person, act: str, about: str, detail: str = "") -> None:
    """Notes a sight ("saw study") or an act ("retried image") before it is answered.

    Raises:
        LedgerError: it was not written; the answer must not be given then.
    """
    context = web_context(request)
    address = request.client.host if request.client else ""
    context.audit.note(
        AuditEntry(context.clock(), person.name, person.role, address, act, about, detail)
    )
