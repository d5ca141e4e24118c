"""Who is registered: names, roles, passwords (argon2; RFC 9106)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache

from argon2 import PasswordHasher
from argon2.exceptions import Argon2Error, InvalidHashError
from sqlalchemy import ColumnElement, Connection, RowMapping, delete, func, insert, select, update

from dicom_node.errors import AccountError
from dicom_node.register.register import Register
from dicom_node.register.tables import person, session

ROLES = ("viewer", "radiologist", "administrator")
LEAST_PASSWORD, LONGEST_PASSWORD = 12, 256
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.@-]{0,63}")
_HASHER = PasswordHasher()


@dataclass(frozen=True)
class Account:
    """One registered person."""

    name: str
    role: str
    created_at: datetime
    disabled: bool
    last_login_at: datetime | None


class Accounts:
    """Adds, changes and checks. There is always an administrator who can log in, once there is anybody."""

    def __init__(self, register: Register) -> None:
        self._register = register

    def exist(self) -> bool:
        """Whether anybody is registered."""
        with self._register.read() as connection:
            return connection.execute(select(person.c.name).limit(1)).first() is not None

    def all(self) -> list[Account]:
        """Everybody, by name."""
        with self._register.read() as connection:
            rows = connection.execute(select(person).order_by(person.c.name)).mappings()
            return [_account(row) for row in rows]

    def add(self, name: str, role: str, password: str, at: datetime) -> None:
        """Registers somebody; the first one must be an administrator.

        Raises:
            AccountError: the name is taken or has no usable form, the password is too short, or there would be
                nobody to administer.
        """
        if _NAME.fullmatch(name) is None:
            raise AccountError(
                f"{name!r} is no name for a user: letters, digits and . _ @ - only, at most 64, "
                "a letter or digit first"
            )
        digest = _digest(name, password)
        with self._register.transaction() as connection:
            if connection.execute(select(person.c.name).where(_called(name))).first():
                raise AccountError(f"{name} is registered already")
            connection.execute(
                insert(person).values(
                    name=name, role=_known(role), password=digest, created_at=at.timestamp()
                )
            )
            _keep_an_administrator(connection)

    def check(self, name: str, password: str, at: datetime) -> Account | None:
        """Who logs in with that password; None if nobody does."""
        with self._register.read() as connection:
            row = connection.execute(select(person).where(_called(name))).mappings().first()
        digest = _nobodys_password() if row is None else row["password"]
        try:
            _HASHER.verify(digest, password[:LONGEST_PASSWORD])
        except (Argon2Error, InvalidHashError):
            return None
        if row is None or row["disabled_at"] is not None:
            return None
        with self._register.transaction() as connection:
            change: dict[str, object] = {"last_login_at": at.timestamp()}
            if _HASHER.check_needs_rehash(digest):
                change["password"] = _HASHER.hash(password[:LONGEST_PASSWORD])
            connection.execute(update(person).where(_called(name)).values(**change))
        return _account(row)

    def set_password(self, name: str, password: str) -> None:
        """A new password; every log-in of that person ends.

        Raises:
            AccountError: nobody has that name, or the password is too short.
        """
        self._change(name, password=_digest(name, password))

    def set_role(self, name: str, role: str) -> None:
        """Another role, from the next request on.

        Raises:
            AccountError: nobody has that name, or there would be nobody to administer.
        """
        self._change(name, role=_known(role))

    def disable(self, name: str, at: datetime) -> None:
        """Ends every log-in of that person and lets in none; verdicts and the audit trail keep the name.

        Raises:
            AccountError: nobody has that name, or there would be nobody to administer.
        """
        self._change(name, disabled_at=at.timestamp())

    def enable(self, name: str) -> None:
        """Lets that person log in again.

        Raises:
            AccountError: nobody has that name.
        """
        self._change(name, disabled_at=None)

    def _change(self, name: str, **values: object) -> None:
        with self._register.transaction() as connection:
            if connection.execute(update(person).where(_called(name)).values(**values)).rowcount == 0:
                raise AccountError(
                    f"nobody is registered as {name}; `dicom-node users list` shows who is"
                )
            connection.execute(delete(session).where(func.lower(session.c.person) == name.lower()))
            _keep_an_administrator(connection)


@cache
def _nobodys_password() -> str:
    """Checked where no such person is, so that the answer takes as long."""
    return _HASHER.hash("nobody")


def _called(name: str) -> ColumnElement[bool]:
    """Two names that differ in capitals alone are one."""
    return func.lower(person.c.name) == name.lower()


def _known(role: str) -> str:
    if role not in ROLES:
        raise AccountError(f"{role!r} is no role; known: {', '.join(ROLES)}")
    return role


def _digest(name: str, password: str) -> str:
    if not LEAST_PASSWORD <= len(password) <= LONGEST_PASSWORD:
        raise AccountError(
            f"a password has at least {LEAST_PASSWORD} characters (and at most {LONGEST_PASSWORD}); "
            "a few words in a row are easy to keep in mind"
        )
    if name.lower() in password.lower() or len(set(password)) < 5:
        raise AccountError(
            "that password is too easy to guess: it holds the name, or few letters over and over"
        )
    return _HASHER.hash(password)


def _keep_an_administrator(connection: Connection) -> None:
    able = select(person.c.name).where(person.c.role == "administrator", person.c.disabled_at.is_(None))
    if connection.execute(able.limit(1)).first() is None:
        raise AccountError("there must be an administrator who can log in; register another one first")


def _account(row: RowMapping) -> Account:
    last = row["last_login_at"]
    return Account(
        row["name"],
        row["role"],
        datetime.fromtimestamp(row["created_at"], UTC),
        row["disabled_at"] is not None,
        datetime.fromtimestamp(last, UTC) if last else None,
    )
