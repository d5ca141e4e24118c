"""`dicom-node check`: is all well?"""

from __future__ import annotations

from typing import Annotated

import typer
from rich.markup import escape
from rich.table import Table

from dicom_node.command_line.terminal import ConfigOption, err, load_settings, out
from dicom_node.operating.doctor import examine
from dicom_node.operating.examined import Verdict

_STYLES = {Verdict.GOOD: "green", Verdict.FAILED: "bold red", Verdict.NOTE: "dim"}


def check(
    config: ConfigOption,
    measure: Annotated[
        bool,
        typer.Option(
            "--measure",
            help="Time the engines anew and keep the fastest; serve takes it when it starts.",
        ),
    ] = False,
) -> None:
    """Check settings, disk, model with its golden answer, port, destinations and peers.

    An archive is asked whether it is there (C-ECHO) and which of its objects it accepts; nothing is sent to it.
    Works beside a running node and without one. Exit status 1 when something failed.
    """
    settings = load_settings(config)
    table = Table("", "", "", box=None, show_header=False)
    table.add_row("settings", "[green]good[/]", escape(str(config)))
    failed = 0
    with err.status("checking") if err.is_terminal else err.capture():
        for line in examine(settings, measure=measure):
            failed += line.verdict is Verdict.FAILED
            verdict = f"[{_STYLES[line.verdict]}]{line.verdict}[/]"
            table.add_row(escape(line.what), verdict, escape(line.said))
    out.print(table)
    if failed:
        raise typer.Exit(1)
