"""Who asks, and what they may: a person with a role, a program with a token, or whoever sits at this machine."""

from __future__ import annotations

import secrets
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from enum import StrEnum

from starlette.requests import Request

from dicom_node.web.problem import ProblemError

SAFE_METHODS = ("GET", "HEAD", "OPTIONS")
_FORMS = ("application/x-www-form-urlencoded", "multipart/form-data")


class Permission(StrEnum):
    """What can be allowed; also the scopes of a token."""

    READ = "read"
    PREDICT = "predict"
    JUDGE = "judge"
    ACT = "act"
    METRICS = "metrics"
    ADMINISTER = "administer"


class Role(StrEnum):
    """What a person is here; each may what the one before may."""

    VIEWER = "viewer"
    RADIOLOGIST = "radiologist"
    ADMINISTRATOR = "administrator"

    @property
    def permissions(self) -> frozenset[Permission]:
        """What the role allows."""
        return _PERMISSIONS[self]


_PERMISSIONS = {
    Role.VIEWER: frozenset({Permission.READ, Permission.PREDICT}),
    Role.RADIOLOGIST: frozenset({Permission.READ, Permission.PREDICT, Permission.JUDGE}),
    Role.ADMINISTRATOR: frozenset(Permission),
}


class Way(StrEnum):
    """How somebody proved who they are."""

    LOOPBACK = "loopback"
    SESSION = "session"
    TOKEN = "token"  # noqa: S105 - the way, not a secret


@dataclass(frozen=True)
class Person:
    """Whoever asks. `csrf_token` is what forms of a session must send back; empty for the other ways."""

    name: str
    role: Role
    permissions: frozenset[Permission]
    way: Way
    csrf_token: str = ""

    def may(self, permission: Permission) -> bool:
        """Whether that is allowed to them."""
        return permission in self.permissions


# While nobody is registered, whoever can reach the loopback address is the administrator of this machine.
LOCAL = Person("local", Role.ADMINISTRATOR, frozenset(Permission), Way.LOOPBACK)


def may(permission: Permission) -> Callable[[Request], Awaitable[Person]]:
    """A route's dependency: the person who asks, if they may.

    Raises:
        ProblemError: 401 for nobody known, 403 for somebody who may not, or whose form does not hold the
            session's own token.
    """

    async def allowed(request: Request) -> Person:
        person: Person | None = request.state.person
        if person is None:
            raise ProblemError(
                401,
                "Log in first",
                "This is for people who are registered here, and for programs with a token.",
                {"WWW-Authenticate": "Bearer"},
            )
        if not person.may(permission):
            raise ProblemError(
                403,
                "Not allowed",
                f"This needs the permission {permission.value!r}, which {person.name} has not.",
            )
        if person.way is Way.SESSION and request.method not in SAFE_METHODS:
            await refuse_forged(request, person)
        return person

    return allowed


async def refuse_forged(request: Request, person: Person) -> None:
    """Refuses what does not bring back the session's own token (OWASP, synchronizer token).

    Raises:
        ProblemError: 403.
    """
    sent = request.headers.get("x-csrf-token")
    kind = request.headers.get("content-type", "")
    if sent is None and kind.startswith(_FORMS):
        sent = str((await request.form()).get("csrf_token", ""))
    if sent is None or not secrets.compare_digest(sent.encode(), person.csrf_token.encode()):
        raise ProblemError(403, "The page is out of date", "Load it again, and send once more.")
