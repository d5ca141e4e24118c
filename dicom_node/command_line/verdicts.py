"""`dicom-node verdicts`: what radiologists said of readings, and a labelled data set made of it."""

from __future__ import annotations

import getpass
import json
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from dicom_node.command_line.terminal import (
    ConfigOption,
    err,
    load_settings,
    out,
    percent,
    plain_errors,
)
from pipeline.findings import RESEARCH_NOTICE

if TYPE_CHECKING:
    from dicom_node.register.register import Register
    from dicom_node.register.verdicts import Verdict

app = typer.Typer(
    no_args_is_help=True, help="What radiologists said of readings, and a labelled data set made of it."
)


@contextmanager
def _kept(config: Path) -> Iterator[tuple[Path, Register]]:
    from dicom_node.register.register import REGISTER_NAME, Register

    data = load_settings(config).node.data
    if not (data / REGISTER_NAME).is_file():
        err.print(f"{data}: no register yet; start the node once with `dicom-node serve`", markup=False)
        raise typer.Exit(1)
    with plain_errors():
        register = Register.open(data)
        try:
            yield data, register
        finally:
            register.close()


@app.command("list")
def list_verdicts(
    config: ConfigOption,
    every: Annotated[
        bool, typer.Option("--all", help="Also those that a later one of the same person replaced.")
    ] = False,
    limit: Annotated[int, typer.Option(min=1, help="So many, the latest first.")] = 30,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a line.")] = False,
) -> None:
    """The latest verdicts first."""
    from dicom_node.register.verdicts import Verdicts, Wanted

    with _kept(config) as (_, register):
        found = Verdicts(register).latest(Wanted(standing_only=not every), limit)
    if as_json:
        for one in found:
            print(json.dumps(_as_json(one)))  # noqa: T201 - the answer itself
        return
    table = Table("given", "by", "reading", "verdict", "fracture", "boxes", "job", box=None)
    for one in found:
        table.add_row(
            one.at.astimezone().strftime("%Y-%m-%d %H:%M"),
            one.person,
            f"{one.outcome} {percent(one.probability)}",
            ("agrees" if one.agrees else "disagrees") + ("" if one.stands else " (replaced)"),
            str(one.fracture),
            str(len(one.boxes)),
            one.instance_id[:8],
        )
    out.print(table)


@app.command()
def export(
    folder: Annotated[Path, typer.Argument(file_okay=False, help="A new folder for the data set.")],
    config: ConfigOption,
) -> None:
    """Write the verdicts as a labelled data set, de-identified, that `dicom-node train` reads.

    Words that are burned into the pixels are not removed: look at every film before you give it away.

    [dim]dicom-node verdicts export judged --config node.toml
    dicom-node dataset check judged[/dim]
    """
    from dicom_node.register.verdict_export import choose_films, exported_files
    from dicom_node.register.verdict_films import VerdictFilms
    from dicom_node.register.verdicts import Verdicts

    if folder.exists() and any(folder.iterdir()):
        err.print(f"{folder}: is not empty; name a new folder", markup=False)
        raise typer.Exit(2)
    with _kept(config) as (data, register):
        kept = VerdictFilms(data, secrets.token_bytes)
        chosen = choose_films(Verdicts(register).standing(), kept)
        _note_export(register, f"{chosen.counts.films} films")
        for name, contents in exported_files(chosen, kept):
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(contents)
    out.print(f"{folder}: {chosen.counts.words}. {RESEARCH_NOTICE}", markup=False)


def _note_export(register: Register, films: str) -> None:
    """In the audit trail as when the page exports."""
    from dicom_node.processes import now
    from dicom_node.register.audit_trail import AuditEntry, AuditTrail

    entry = AuditEntry(now(), getpass.getuser(), "command line", "", "exported verdicts", films)
    AuditTrail(register).note(entry)


def _as_json(one: Verdict) -> dict[str, object]:
    return {
        "at": one.at.isoformat(),
        "person": one.person,
        "job": one.instance_id,
        "stands": one.stands,
        "outcome": one.outcome,
        "probability": one.probability,
        "agrees": one.agrees,
        "fracture": str(one.fracture),
        "boxes": [list(box) for box in one.boxes],
        "comment": one.comment,
    }
