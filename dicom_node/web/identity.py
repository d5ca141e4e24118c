"""Finding out who asks: a session's cookie, a program's token, or this machine while nobody is registered."""

from __future__ import annotations

import ipaddress

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from dicom_node.errors import LedgerError
from dicom_node.register.accounts import Accounts
from dicom_node.register.credentials import Credential, Credentials
from dicom_node.web.access import LOCAL, Permission, Person, Role, Way
from dicom_node.web.context import WebContext
from dicom_node.web.problem import ProblemError, unreadable_register

_BEARER = "bearer "


class IdentityGuard:
    """Sets `request.state.person`; None for nobody known."""

    def __init__(self, app: ASGIApp, context: WebContext) -> None:
        self._app, self._context = app, context

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Passes on with the person; a token that does not count ends here."""
        if scope["type"] == "http":
            request = Request(scope)
            try:
                request.state.person = await run_in_threadpool(person_of, request, self._context)
            except ProblemError as problem:
                await problem.response()(scope, receive, send)
                return
            except LedgerError as error:
                await unreadable_register(error).response()(scope, receive, send)
                return
        await self._app(scope, receive, send)


def cookie_name(context: WebContext) -> str:
    """Under TLS a name that browsers take only over TLS and for this host alone."""
    return "session" if context.settings.web.certificate is None else "__Host-session"


def person_of(request: Request, context: WebContext) -> Person | None:
    """Who sends that request.

    Raises:
        ProblemError: 401, a token that is unknown, expired or taken back.
    """
    credentials = Credentials(context.register)
    shown = request.headers.get("authorization", "")
    if shown.lower().startswith(_BEARER):
        found = credentials.token(shown[len(_BEARER) :].strip(), context.clock())
        if found is None:
            raise ProblemError(
                401,
                "Token does not count",
                "It is unknown, expired or taken back.",
                {"WWW-Authenticate": "Bearer"},
            )
        return _person(found)
    cookie = request.cookies.get(cookie_name(context))
    known = credentials.session(cookie, context.clock()) if cookie else None
    if known is not None:
        return _person(known)
    here = context.settings.web.is_loopback and _from_here(request)
    return LOCAL if here and not Accounts(context.register).exist() else None


def _person(found: Credential) -> Person:
    role = Role(found.role)
    if found.permissions is None:
        return Person(found.person, role, role.permissions, Way.SESSION, found.csrf_token)
    granted = frozenset(Permission(word) for word in found.permissions)
    return Person(found.person, role, granted & role.permissions, Way.TOKEN)


def _from_here(request: Request) -> bool:
    try:
        return request.client is not None and ipaddress.ip_address(request.client.host).is_loopback
    except ValueError:
        return False
