"""What is shown in place of a password: the cookie of a log-in, the token of a program. Kept as digests only."""

from __future__ import annotations

import hashlib
import json
import secrets
from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from sqlalchemy import RowMapping, delete, insert, select, update

from dicom_node.errors import AccountError
from dicom_node.register.register import Register
from dicom_node.register.tables import person, session, token

TOKEN_PREFIX = "fn_"  # noqa: S105 - what a secret scanner finds them by
_IDLE = timedelta(hours=1)
# A request within so long after the last one is not written down.
_SEEN_SECONDS = 60.0


@dataclass(frozen=True)
class Credential:
    """Who showed it. `permissions`: those of a token; None of a session, which may all that its person may."""

    person: str
    role: str
    csrf_token: str = ""
    permissions: tuple[str, ...] | None = None


@dataclass(frozen=True)
class TokenLine:
    """A token as it is listed, without its value."""

    id: str
    label: str
    person: str
    permissions: tuple[str, ...]
    created_at: datetime
    expires_at: datetime | None
    used_at: datetime | None
    revoked: bool


class Credentials:
    """Makes, knows again and takes back."""

    def __init__(self, register: Register) -> None:
        self._register = register

    def open_session(self, name: str, address: str, at: datetime, hours: float) -> str:
        """A log-in; returns the cookie's value, which is kept nowhere."""
        value = secrets.token_urlsafe(32)
        now = at.timestamp()
        with self._register.transaction() as connection:
            connection.execute(delete(session).where(session.c.expires_at < now))
            connection.execute(
                insert(session).values(
                    digest=_digest(value),
                    person=name,
                    csrf_token=secrets.token_urlsafe(24),
                    address=address,
                    created_at=now,
                    seen_at=now,
                    expires_at=now + hours * 3600,
                )
            )
        return value

    def session(self, value: str, at: datetime) -> Credential | None:
        """Whose log-in that is, if it has not ended."""
        now = at.timestamp()
        chosen = (
            select(session, person.c.role)
            .join(person, person.c.name == session.c.person)
            .where(
                session.c.digest == _digest(value),
                session.c.expires_at > now,
                session.c.seen_at > now - _IDLE.total_seconds(),
                person.c.disabled_at.is_(None),
            )
        )
        with self._register.read() as connection:
            row = connection.execute(chosen).first()
        if row is None:
            return None
        if now - row.seen_at > _SEEN_SECONDS:
            with self._register.transaction() as connection:
                connection.execute(
                    update(session).where(session.c.digest == row.digest).values(seen_at=now)
                )
        return Credential(row.person, row.role, row.csrf_token)

    def close_session(self, value: str) -> None:
        """Ends a log-in."""
        with self._register.transaction() as connection:
            connection.execute(delete(session).where(session.c.digest == _digest(value)))

    def make_token(
        self, name: str, label: str, permissions: Collection[str], at: datetime, days: float | None
    ) -> str:
        """A token for a program; returns its value, which is shown once and kept nowhere.

        Raises:
            AccountError: no label, or no permission.
        """
        if not label.strip() or not permissions:
            raise AccountError(
                "a token needs a label that says who uses it, and at least one permission"
            )
        value = TOKEN_PREFIX + secrets.token_urlsafe(32)
        with self._register.transaction() as connection:
            connection.execute(
                insert(token).values(
                    id=secrets.token_hex(6),
                    digest=_digest(value),
                    label=label.strip()[:100],
                    person=name,
                    permissions=json.dumps(sorted(permissions)),
                    created_at=at.timestamp(),
                    expires_at=None if days is None else at.timestamp() + days * 86400,
                )
            )
        return value

    def token(self, value: str, at: datetime) -> Credential | None:
        """Whose token that is, if it still counts."""
        now = at.timestamp()
        chosen = (
            select(token, person.c.role)
            .join(person, person.c.name == token.c.person)
            .where(
                token.c.digest == _digest(value),
                token.c.revoked_at.is_(None),
                token.c.expires_at.is_(None) | (token.c.expires_at > now),
                person.c.disabled_at.is_(None),
            )
        )
        with self._register.read() as connection:
            row = connection.execute(chosen).first()
        if row is None:
            return None
        if now - (row.used_at or 0) > _SEEN_SECONDS:
            with self._register.transaction() as connection:
                connection.execute(update(token).where(token.c.id == row.id).values(used_at=now))
        return Credential(row.person, row.role, permissions=tuple(json.loads(row.permissions)))

    def tokens(self, name: str | None = None) -> list[TokenLine]:
        """The tokens of one person or of all, the newest first."""
        chosen = select(token).order_by(token.c.created_at.desc())
        if name is not None:
            chosen = chosen.where(token.c.person == name)
        with self._register.read() as connection:
            return [_token_line(row) for row in connection.execute(chosen).mappings()]

    def revoke(self, token_id: str, at: datetime, *, owner: str | None = None) -> None:
        """Takes a token back; `owner` limits it to that person's.

        Raises:
            AccountError: there is no such token.
        """
        chosen = update(token).where(token.c.id == token_id, token.c.revoked_at.is_(None))
        if owner is not None:
            chosen = chosen.where(token.c.person == owner)
        with self._register.transaction() as connection:
            if connection.execute(chosen.values(revoked_at=at.timestamp())).rowcount == 0:
                raise AccountError("there is no such token, or it was taken back already")


def _digest(value: str) -> str:
    return hashlib.sha256(value.encode()).hexdigest()


def _token_line(row: RowMapping) -> TokenLine:
    def moment(name: str) -> datetime | None:
        return datetime.fromtimestamp(row[name], UTC) if row[name] else None

    return TokenLine(
        row["id"],
        row["label"],
        row["person"],
        tuple(json.loads(row["permissions"])),
        datetime.fromtimestamp(row["created_at"], UTC),
        moment("expires_at"),
        moment("used_at"),
        row["revoked_at"] is not None,
    )
