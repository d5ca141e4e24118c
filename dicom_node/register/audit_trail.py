"""The audit trail: every sight of a study and every act, with who, when and from where."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

from sqlalchemy import delete, insert, select

from dicom_node.register.register import Register
from dicom_node.register.tables import audit_entry


@dataclass(frozen=True)
class AuditEntry:
    """One line. `about` is a UID, an id or a name of what was seen or done to; never a patient's name."""

    at: datetime
    person: str
    role: str
    address: str
    act: str
    about: str
    detail: str = ""


class AuditTrail:
    """Adds and reads; nothing is changed, and only age removes."""

    def __init__(self, register: Register) -> None:
        self._register = register

    def note(self, entry: AuditEntry) -> None:
        """Writes one line down, on disk when it returns.

        Raises:
            LedgerError: it was not written; what was asked for must not happen then.
        """
        with self._register.transaction() as connection:
            connection.execute(
                insert(audit_entry).values(
                    at=entry.at.timestamp(),
                    person=entry.person,
                    role=entry.role,
                    address=entry.address,
                    act=entry.act,
                    about=entry.about,
                    detail=entry.detail,
                )
            )

    def forget_before(self, moment: datetime) -> int:
        """Removes lines that are older; how many they were."""
        old = delete(audit_entry).where(audit_entry.c.at < moment.timestamp())
        with self._register.transaction() as connection:
            return connection.execute(old).rowcount

    def latest(
        self, limit: int, *, before: int | None = None, person: str = "", about: str = ""
    ) -> list[tuple[int, AuditEntry]]:
        """The latest lines first with their numbers, below the number `before`; of one person, about one thing."""
        chosen = select(audit_entry).order_by(audit_entry.c.id.desc()).limit(limit)
        if before is not None:
            chosen = chosen.where(audit_entry.c.id < before)
        if person:
            chosen = chosen.where(audit_entry.c.person == person)
        if about:
            chosen = chosen.where(audit_entry.c.about == about)
        with self._register.read() as connection:
            return [
                (
                    row.id,
                    AuditEntry(
                        datetime.fromtimestamp(row.at, UTC), row.person, row.role, row.address,
                        row.act, row.about, row.detail,
                    ),
                )
                for row in connection.execute(chosen)
            ]  # fmt: skip
