"""`dicom-node users`: registering people without a browser."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import Result
from typer.testing import CliRunner

from dicom_node.cli import app
from dicom_node.register.accounts import Accounts
from dicom_node.register.audit_trail import AuditTrail
from dicom_node.register.register import Register
from tests.node.running_node import destination, settings_text

PASSWORD = "quiet river under stones\n"  # noqa: S105 - the tests' own


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """A settings file of a node that was never started."""
    path = tmp_path / "node.toml"
    path.write_text(settings_text([destination("archive", 11113)]))
    return path


def users(config: Path, *words: str, given: str = PASSWORD) -> Result:
    """The command, with a password on standard input."""
    return CliRunner().invoke(
        app, ["users", *words, "--config", str(config)], input=given, env={"COLUMNS": "200"}
    )


def test_people_are_registered_changed_and_locked_out(config: Path) -> None:
    """Each change counts for the page, and is in the audit trail under the operator's name."""
    assert "Nobody is registered" in users(config, "list").output
    for words in (
        ("add", "chief", "--role", "administrator", "--password-stdin"),
        ("add", "reader", "--password-stdin"),
        ("role", "reader", "--role", "radiologist"),
        ("password", "reader", "--password-stdin"),
        ("disable", "reader"),
        ("enable", "reader"),
        ("disable", "reader"),
    ):
        answer = users(config, *words)
        assert answer.exit_code == 0, answer.output
    listed = users(config, "list").output
    assert "radiologist" in listed
    assert "locked out" in listed
    register = Register.open(config.parent / "data")
    assert [(one.name, one.role, one.disabled) for one in Accounts(register).all()] == [
        ("chief", "administrator", False),
        ("reader", "radiologist", True),
    ]
    acts = [entry.act for _, entry in AuditTrail(register).latest(10)]
    register.close()
    assert acts.count("registered user") == 2
    assert acts.count("changed user: disable") == 2


@pytest.mark.parametrize(
    ("words", "given", "why"),
    [
        (("add", "reader", "--password-stdin"), PASSWORD, "must be an administrator"),
        (("add", "chief", "--role", "king", "--password-stdin"), PASSWORD, "no role"),
        (("add", "chief", "--role", "administrator", "--password-stdin"), "short\n", "at least 12"),
        (("password", "nobody", "--password-stdin"), PASSWORD, "nobody is registered as nobody"),
    ],
)
def test_what_cannot_be_is_refused_in_words(
    config: Path, words: tuple[str, ...], given: str, why: str
) -> None:
    """Exit status 1, nothing registered, nothing in the audit trail."""
    answer = users(config, *words, given=given)
    assert answer.exit_code == 1
    assert why in " ".join(answer.output.split())
    register = Register.open(config.parent / "data")
    assert not Accounts(register).all()
    assert not AuditTrail(register).latest(10)
    register.close()


def test_a_password_is_asked_for_twice_and_not_shown(config: Path) -> None:
    """At a terminal."""
    answer = users(config, "add", "chief", "--role", "administrator", given=PASSWORD * 2)
    assert answer.exit_code == 0, answer.output
    assert PASSWORD.strip() not in answer.output
