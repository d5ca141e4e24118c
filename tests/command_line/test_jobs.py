"""What the commands show of what came over the wire: as it is, for an AE title may look like markup."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from dicom_node.cli import app
from dicom_node.records import AssociationRecord
from tests.work.conftest import START, Workplace, workplace

__all__ = ["workplace"]
# To rich, the end of a style that never began.
TITLE = "[/bold]X[red]"


def run(*arguments: object) -> Result:
    """A command in this process, its table as wide as it likes."""
    return CliRunner().invoke(app, [str(one) for one in arguments], env={"COLUMNS": "300"})


@pytest.fixture
def config(workplace: Workplace) -> Path:
    """The settings file of a node to which somebody sent under that AE title."""
    film = workplace.receive("a")
    workplace.intake.register(
        replace(film, id="b" * 64, sop_instance_uid="1.2", calling_ae_title=TITLE)
    )
    refused = AssociationRecord(
        TITLE, "FRACTURE", "127.0.0.1", START, False, "calling AE title is no peer"
    )
    workplace.intake.note_association(refused)
    workplace.intake.note_instance(
        calling_ae_title=TITLE, address="127.0.0.1", at=START, status=0xA700, text="no room"
    )
    path = workplace.folder / "node.toml"
    path.write_text(
        f'[node]\ndata = "{workplace.folder}"\n'
        '[[destinations]]\nname = "research"\nkind = "folder"\npath = "out"\n'
    )
    return path


@pytest.mark.parametrize("command", ["jobs list", "jobs show bbbbbbbb", "check"])
def test_an_ae_title_is_shown_letter_by_letter(config: Path, command: str) -> None:
    """Whoever sent it: it ends no command and hides nothing."""
    done = run(*command.split(), "--config", config)
    assert done.exception is None or isinstance(done.exception, SystemExit)
    assert TITLE in done.output
