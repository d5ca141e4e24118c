"""One's own password and tokens; for administrators, everybody's roles, and the audit trail."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from typing import Annotated

from fastapi import APIRouter, Depends, Form, Query
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response, StreamingResponse

from dicom_node.errors import AccountError
from dicom_node.register.accounts import LEAST_PASSWORD, ROLES, Account, Accounts
from dicom_node.register.audit_trail import AuditTrail
from dicom_node.register.credentials import Credentials
from dicom_node.web.access import Permission, Person, Way, may
from dicom_node.web.auditing import audit
from dicom_node.web.context import Context, WebContext
from dicom_node.web.login_limit import LoginLimit
from dicom_node.web.pages import page
from dicom_node.web.problem import ProblemError

router = APIRouter(include_in_schema=False)
Member = Annotated[Person, Depends(may(Permission.READ))]
Administrator = Annotated[Person, Depends(may(Permission.ADMINISTER))]
_LINES = 200


@router.get("/account")
def show_account(request: Request, context: Context, person: Member) -> Response:
    """One's own password and tokens."""
    _refuse_unnamed(person)
    return _account_page(request, context, person)


@router.post("/account/password")
def change_password(
    request: Request,
    context: Context,
    person: Member,
    old: Annotated[str, Form(max_length=1000)],
    new: Annotated[str, Form(max_length=1000)],
    again: Annotated[str, Form(max_length=1000)],
) -> Response:
    """A new password for oneself; every log-in ends."""
    _refuse_unnamed(person)
    accounts = Accounts(context.register)

    def check() -> Account | None:
        return accounts.check(person.name, old, context.clock())

    limit: LoginLimit = request.app.state.login_limit
    try:
        if limit.tried(person.name, "account", check) is None:
            raise AccountError("the old password is not right")
        if new != again:
            raise AccountError("the two new passwords differ")
        accounts.set_password(person.name, new)
    except AccountError as error:
        return _account_page(request, context, person, status=422, failed=str(error))
    audit(request, person, "changed password", person.name)
    return RedirectResponse("/login", 303)


@router.post("/account/tokens")
def make_token(
    request: Request,
    context: Context,
    person: Member,
    label: Annotated[str, Form(max_length=100)],
    days: Annotated[int, Form(ge=1, le=3650)] = 365,
    permissions: Annotated[list[str], Form()] = [],  # noqa: B006 - FastAPI copies it
) -> Response:
    """A token for a program, with at most one's own permissions; shown this once."""
    _refuse_unnamed(person)
    allowed = {str(one) for one in person.permissions}
    try:
        if not set(permissions) <= allowed:
            raise AccountError("a token cannot hold more than you may yourself")
        value = Credentials(context.register).make_token(
            person.name, label, permissions, context.clock(), days
        )
    except AccountError as error:
        return _account_page(request, context, person, status=422, failed=str(error))
    audit(request, person, "made token", label[:64], ", ".join(sorted(permissions)))
    return _account_page(request, context, person, made=value)


@router.post("/account/tokens/{token_id}/revoke")
def revoke_token(request: Request, context: Context, person: Member, token_id: str) -> Response:
    """Takes one's own token back; an administrator anybody's."""
    _refuse_unnamed(person)
    owner = None if person.may(Permission.ADMINISTER) else person.name
    try:
        Credentials(context.register).revoke(token_id, context.clock(), owner=owner)
    except AccountError as error:
        raise ProblemError(404, "Not found", str(error)) from error
    audit(request, person, "took token back", token_id)
    return RedirectResponse("/account", 303)


@router.get("/users")
def show_users(request: Request, context: Context, person: Administrator) -> Response:
    """Everybody who is registered."""
    return _users_page(request, context, person)


@router.post("/users")
def add_user(
    request: Request,
    context: Context,
    person: Administrator,
    name: Annotated[str, Form(max_length=100)],
    role: Annotated[str, Form()],
    password: Annotated[str, Form(max_length=1000)],
) -> Response:
    """Registers somebody."""
    try:
        Accounts(context.register).add(name, role, password, context.clock())
    except AccountError as error:
        return _users_page(request, context, person, status=422, failed=str(error))
    audit(request, person, "registered user", name, role)
    return RedirectResponse("/users", 303)


@router.post("/users/{name}")
def change_user(
    request: Request,
    context: Context,
    person: Administrator,
    name: str,
    act: Annotated[str, Form()],
    role: Annotated[str, Form()] = "",
    password: Annotated[str, Form(max_length=1000)] = "",
) -> Response:
    """Another role or password, or in and out."""
    accounts, at = Accounts(context.register), context.clock()
    acts = {
        "role": lambda: accounts.set_role(name, role),
        "password": lambda: accounts.set_password(name, password),
        "disable": lambda: accounts.disable(name, at),
        "enable": lambda: accounts.enable(name),
    }
    if act not in acts:
        raise ProblemError(422, "Not as asked for", f"act is one of {', '.join(acts)}")
    try:
        acts[act]()
    except AccountError as error:
        return _users_page(request, context, person, status=422, failed=str(error))
    audit(request, person, f"changed user: {act}", name, role if act == "role" else "")
    return RedirectResponse("/users", 303)


@router.get("/audit")
def show_audit(
    request: Request, context: Context, person: Administrator,
    before: Annotated[int | None, Query(ge=0, lt=2**63)] = None, who: str = "", about: str = "",
) -> Response:  # fmt: skip
    """The audit trail, the latest first."""
    audit(request, person, "saw audit trail", about or who or "all")
    lines = context.audit.latest(_LINES + 1, before=before, person=who, about=about)
    older = lines[_LINES - 1][0] if len(lines) > _LINES else None
    return page(request, "audit.html", person, lines=lines[:_LINES], older=older, who=who, about=about)


@router.get("/audit.csv")
def download_audit(request: Request, context: Context, person: Administrator) -> Response:
    """The whole audit trail as a table."""
    audit(request, person, "downloaded audit trail", "all")
    return StreamingResponse(
        _as_csv(context.audit),
        media_type="text/csv; charset=utf-8",
        headers={"Content-Disposition": 'attachment; filename="audit.csv"'},
    )


def _as_csv(trail: AuditTrail) -> Iterator[str]:
    yield "at,person,role,address,act,about,detail\n"
    before = None
    while lines := trail.latest(1000, before=before):
        text = io.StringIO()
        writer = csv.writer(text)
        for _, one in lines:
            values = (
                one.at.isoformat(),
                one.person,
                one.role,
                one.address,
                one.act,
                one.about,
                one.detail,
            )
            writer.writerow([_no_formula(value) for value in values])
        yield text.getvalue()
        before = lines[-1][0]


def _no_formula(value: str) -> str:
    """A spreadsheet must not calculate what a stranger wrote."""
    return f"'{value}" if value.startswith(("=", "+", "-", "@", "\t", "\r")) else value


def _refuse_unnamed(person: Person) -> None:
    if person.way is not Way.SESSION:
        raise ProblemError(
            403, "Not allowed", "This is for people who are logged in; register the first at /setup."
        )


def _account_page(
    request: Request,
    context: WebContext,
    person: Person,
    *,
    status: int = 200,
    failed: str = "",
    made: str = "",
) -> Response:
    return page(
        request, "account.html", person, status=status, failed=failed, made=made, least=LEAST_PASSWORD,
        tokens=Credentials(context.register).tokens(
            None if person.may(Permission.ADMINISTER) else person.name
        ),
        permissions=[one for one in Permission if person.may(one)],
    )  # fmt: skip


def _users_page(
    request: Request, context: WebContext, person: Person, *, status: int = 200, failed: str = ""
) -> Response:
    return page(
        request, "users.html", person, status=status, failed=failed, roles=ROLES, least=LEAST_PASSWORD,
        accounts=Accounts(context.register).all(),
    )  # fmt: skip
