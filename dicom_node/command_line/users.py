"""`dicom-node users`: who may log in to the page, and the audit trail of what they did."""

from __future__ import annotations

import getpass
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Annotated

import typer
from rich.table import Table

from dicom_node.command_line.terminal import ConfigOption, load_settings, out, plain_errors
from dicom_node.register.accounts import ROLES, Accounts
from dicom_node.register.audit_trail import AuditEntry, AuditTrail
from dicom_node.register.register import Register

app = typer.Typer(no_args_is_help=True, help="Who may log in to the page, and as what.")
NameArgument = Annotated[str, typer.Argument(help="The name to log in with.")]
RoleOption = Annotated[str, typer.Option(help=f"One of {', '.join(ROLES)}.")]
PasswordStdinOption = Annotated[
    bool, typer.Option("--password-stdin", help="Read the password from standard input, one line.")
]


@app.command("list")
def list_users(config: ConfigOption) -> None:
    """Everybody who is registered."""
    with _register(config) as register:
        table = Table("name", "role", "registered", "last log-in", "", box=None)
        for one in Accounts(register).all():
            table.add_row(
                one.name, one.role, _local(one.created_at),
                _local(one.last_login_at) if one.last_login_at else "never",
                "locked out" if one.disabled else "",
            )  # fmt: skip
        if table.row_count:
            out.print(table)
        else:
            out.print(
                "Nobody is registered: the page answers this machine only, and asks nobody who they are."
            )


@app.command()
def add(
    name: NameArgument,
    config: ConfigOption,
    role: RoleOption = "viewer",
    password_stdin: PasswordStdinOption = False,
) -> None:
    """Register somebody; the first must be an administrator. Asks for the password."""
    with _changing(config, "registered user", name, role) as (accounts, at):
        accounts.add(name, role, _password(password_stdin), at)
    out.print(f"{name} is registered as {role}")


@app.command()
def password(
    name: NameArgument, config: ConfigOption, password_stdin: PasswordStdinOption = False
) -> None:
    """Set another password; every log-in of that person ends."""
    with _changing(config, "changed user: password", name) as (accounts, _):
        accounts.set_password(name, _password(password_stdin))
    out.print(f"{name} has a new password")


@app.command()
def role(name: NameArgument, role: RoleOption, config: ConfigOption) -> None:
    """Set another role."""
    with _changing(config, "changed user: role", name, role) as (accounts, _):
        accounts.set_role(name, role)
    out.print(f"{name} is {role} now")


@app.command()
def disable(name: NameArgument, config: ConfigOption) -> None:
    """Lock somebody out; their verdicts and their part of the audit trail stay."""
    with _changing(config, "changed user: disable", name) as (accounts, at):
        accounts.disable(name, at)
    out.print(f"{name} is locked out")


@app.command()
def enable(name: NameArgument, config: ConfigOption) -> None:
    """Let somebody log in again."""
    with _changing(config, "changed user: enable", name) as (accounts, _):
        accounts.enable(name)
    out.print(f"{name} may log in again")


@contextmanager
def _register(config: ConfigOption) -> Iterator[Register]:
    settings = load_settings(config)
    with plain_errors():
        settings.node.data.mkdir(parents=True, exist_ok=True)
        register = Register.open(settings.node.data)
        try:
            yield register
        finally:
            register.close()


@contextmanager
def _changing(
    config: ConfigOption, act: str, name: str, detail: str = ""
) -> Iterator[tuple[Accounts, datetime]]:
    """The accounts and the time; what was done is in the audit trail if it was done."""
    from dicom_node.processes import now

    with _register(config) as register:
        yield Accounts(register), now()
        entry = AuditEntry(now(), getpass.getuser(), "command line", "", act, name, detail)
        AuditTrail(register).note(entry)


def _password(from_stdin: bool) -> str:
    if from_stdin:
        return sys.stdin.readline().rstrip("\r\n")
    ask: Callable[..., str] = typer.prompt
    return ask("Password", hide_input=True, confirmation_prompt=True)


def _local(moment: datetime) -> str:
    return moment.astimezone().strftime("%Y-%m-%d %H:%M")
