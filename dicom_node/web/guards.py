"""What stands around every route: the name that is called, from which site, and what a browser may do."""

from __future__ import annotations

import ipaddress
import socket
from urllib.parse import urlsplit

from fastapi import FastAPI
from python_multipart.multipart import parse_options_header
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from dicom_node.errors import LedgerError
from dicom_node.register.accounts import Accounts
from dicom_node.web.access import SAFE_METHODS
from dicom_node.web.context import WebContext
from dicom_node.web.identity import IdentityGuard
from dicom_node.web.problem import ProblemError, unreadable_register

# Nothing from elsewhere, no inline script or style, no frame around or within.
CONTENT_SECURITY_POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' data: blob:",
        "connect-src 'self'",
        "font-src 'self'",
        "form-action 'self'",
        "frame-ancestors 'none'",
        "base-uri 'none'",
    )
)
HEADERS = {
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}
# What a form may be written in.
_LETTERS = (b"utf-8", b"utf8", b"us-ascii", b"iso-8859-1")
_FORWARDED = ("forwarded", "via", "x-real-ip", "x-forwarded-")


def add_guards(app: FastAPI, context: WebContext) -> None:
    """The first that is met is added last."""
    app.add_middleware(IdentityGuard, context=context)
    app.add_middleware(OriginGuard)
    app.add_middleware(HostGuard, context=context)
    app.add_middleware(HeaderGuard)


class HeaderGuard:
    """Tells the browser what this page may do; keeps what is personal out of caches."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Adds the headers to every answer."""

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        await self._app(scope, receive, send_with_headers if scope["type"] == "http" else send)


class HostGuard:
    """Refuses a name that is not ours (DNS rebinding); while nobody is registered, also what came through a proxy."""

    def __init__(self, app: ASGIApp, context: WebContext) -> None:
        self._app, self._context = app, context
        own = (
            {"localhost"}
            if context.settings.web.is_loopback
            else {"localhost", socket.gethostname().lower()}
        )
        self._names = own | {name.lower() for name in context.settings.web.hosts}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Passes on what was called by a name of ours."""
        if scope["type"] == "http":
            headers = Headers(scope=scope)
            problem = self._wrong_name(headers) or await self._through_a_proxy(headers)
            if problem is not None:
                await problem.response()(scope, receive, send)
                return
        await self._app(scope, receive, send)

    def _wrong_name(self, headers: Headers) -> ProblemError | None:
        name = host_name(headers.get("host", ""))
        # An address as such cannot be rebound by anybody's DNS.
        loopback_only = self._context.settings.web.is_loopback
        if name in self._names or (_is_loopback(name) if loopback_only else _is_address(name)):
            return None
        return ProblemError(
            421,
            "Not a name of this node",
            "Add the name to [web] hosts if browsers are to call it by it.",
        )

    async def _through_a_proxy(self, headers: Headers) -> ProblemError | None:
        """Who sits behind a proxy is not this machine; those who log in may come through one, and are not believed more."""
        if not any(header.startswith(_FORWARDED) for header in headers):
            return None
        try:
            if await run_in_threadpool(Accounts(self._context.register).exist):
                return None
        except LedgerError as error:
            return unreadable_register(error)
        return ProblemError(
            400,
            "No proxy without users",
            "While nobody is registered, only this machine itself is answered; see `dicom-node users add`.",
        )


class OriginGuard:
    """Refuses what another site makes a browser send (Origin, Fetch Metadata), and forms in letters of no browser."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Passes on a link from elsewhere, what was sent from our own pages, and what was sent by no browser."""
        problem = _refused(scope["method"], Headers(scope=scope)) if scope["type"] == "http" else None
        if problem is not None:
            await problem.response()(scope, receive, send)
            return
        await self._app(scope, receive, send)


def _refused(method: str, headers: Headers) -> ProblemError | None:
    if _from_elsewhere(method, headers):
        return ProblemError(403, "Sent from another site", "Only this node's own pages may do this.")
    kind, options = parse_options_header(headers.get("content-type", ""))
    # Some take the square of their length to decode, in the loop that serves everybody; some give what is no text.
    if kind == b"multipart/form-data" and options.get(b"charset", b"utf-8").lower() not in _LETTERS:
        return ProblemError(415, "Not in UTF-8", "Send the form in UTF-8.")
    return None


def _from_elsewhere(method: str, headers: Headers) -> bool:
    site, origin = headers.get("sec-fetch-site"), headers.get("origin")
    if site is not None and site not in ("same-origin", "none"):
        # Who follows a link from elsewhere sees the page; a page from elsewhere gets nothing.
        return method not in SAFE_METHODS or headers.get("sec-fetch-mode") != "navigate"
    if method in SAFE_METHODS or origin is None:
        return False
    try:
        return urlsplit(origin).netloc.lower() != headers.get("host", "").lower()
    except ValueError:
        return True


def host_name(host: str) -> str:
    """The name of a Host header, without its port and brackets, in small letters; "" where it has no form."""
    try:
        return (urlsplit(f"//{host}").hostname or "").lower()
    except ValueError:
        return ""


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def _is_loopback(name: str) -> bool:
    return _is_address(name) and ipaddress.ip_address(name).is_loopback
