"""Logging in and out, and the first user of all."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Form
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from dicom_node.errors import AccountError
from dicom_node.register.accounts import LEAST_PASSWORD, Accounts
from dicom_node.register.credentials import Credentials
from dicom_node.web.access import Person, Role, Way, refuse_forged
from dicom_node.web.auditing import audit
from dicom_node.web.context import Context, WebContext
from dicom_node.web.identity import cookie_name
from dicom_node.web.login_limit import LoginLimit
from dicom_node.web.pages import page
from dicom_node.web.problem import ProblemError

router = APIRouter(include_in_schema=False)


@router.get("/login")
def show_login(request: Request, context: Context, next: str = "/") -> Response:  # noqa: A002 - the query's word
    """The form; while nobody is registered, the way to register the first."""
    if not Accounts(context.register).exist():
        return RedirectResponse("/setup", 303)
    return page(request, "login.html", None, next=_own_path(next), failed="", clear=_in_clear(context))


@router.post("/login")
def log_in(
    request: Request,
    context: Context,
    name: Annotated[str, Form(max_length=100)],
    password: Annotated[str, Form(max_length=1000)],
    next: Annotated[str, Form()] = "/",  # noqa: A002
) -> Response:
    """A session, or the form again."""
    address = request.client.host if request.client else ""
    limit: LoginLimit = request.app.state.login_limit
    accounts = Accounts(context.register)
    account = limit.tried(name, address, lambda: accounts.check(name, password, context.clock()))
    if account is None:
        nobody = Person(name[:64], Role.VIEWER, frozenset(), Way.SESSION)
        audit(request, nobody, "failed to log in", name[:64])
        failed = "Nobody is registered with this name and password."
        return page(
            request,
            "login.html",
            None,
            status=401,
            next=_own_path(next),
            failed=failed,
            clear=_in_clear(context),
        )
    return _logged_in(request, context, account.name, Role(account.role), _own_path(next))


@router.post("/logout")
async def log_out(request: Request, context: Context) -> Response:
    """Ends the session."""
    person: Person | None = request.state.person
    if person is not None and person.way is Way.SESSION:
        await refuse_forged(request, person)
        audit(request, person, "logged out", person.name)
        Credentials(context.register).close_session(request.cookies.get(cookie_name(context), ""))
    response = RedirectResponse("/login", 303)
    response.delete_cookie(cookie_name(context), secure=_secure(context), httponly=True, samesite="lax")
    return response


@router.get("/setup")
def show_setup(request: Request, context: Context) -> Response:
    """The form for the first user, who administers."""
    _refuse_second(request, context)
    return page(request, "setup.html", None, failed="", name="", least=LEAST_PASSWORD)


@router.post("/setup")
def set_up(
    request: Request,
    context: Context,
    name: Annotated[str, Form(max_length=100)],
    password: Annotated[str, Form(max_length=1000)],
    again: Annotated[str, Form(max_length=1000)],
) -> Response:
    """Registers the first user; from now on everybody must log in."""
    person = _refuse_second(request, context)
    try:
        if password != again:
            raise AccountError("the two passwords differ")
        Accounts(context.register).add(name, "administrator", password, context.clock())
    except AccountError as error:
        return page(
            request, "setup.html", None, status=422, failed=str(error), name=name, least=LEAST_PASSWORD
        )
    audit(request, person, "registered the first user", name)
    return _logged_in(request, context, name, Role.ADMINISTRATOR, "/")


def _logged_in(
    request: Request, context: WebContext, name: str, role: Role, where: str
) -> RedirectResponse:
    hours = context.settings.web.session_hours
    address = request.client.host if request.client else ""
    audit(request, Person(name, role, role.permissions, Way.SESSION), "logged in", name)
    value = Credentials(context.register).open_session(name, address, context.clock(), hours)
    response = RedirectResponse(where, 303)
    response.set_cookie(
        cookie_name(context), value, max_age=int(hours * 3600), path="/", httponly=True, samesite="lax",
        secure=_secure(context),
    )  # fmt: skip
    return response


def _refuse_second(request: Request, context: WebContext) -> Person:
    """Only this machine, and only while nobody is registered."""
    person: Person | None = request.state.person
    if person is None or person.way is not Way.LOOPBACK or Accounts(context.register).exist():
        raise ProblemError(
            404, "Not found", "The first user is registered; others are added under Users."
        )
    return person


def _own_path(path: str) -> str:
    """Where to go after the log-in: a path of this node, never another site."""
    return path if path.startswith("/") and not path.startswith(("//", "/\\")) else "/"


def _secure(context: WebContext) -> bool:
    return context.settings.web.certificate is not None


def _in_clear(context: WebContext) -> bool:
    """Whether a password would cross a network unencrypted."""
    return not _secure(context) and not context.settings.web.is_loopback
