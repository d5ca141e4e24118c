"""The `dicom-node` command."""

from __future__ import annotations

import typer

from dicom_node import __version__
from dicom_node.command_line import (
    check,
    config,
    dataset,
    demo,
    echo,
    evaluate,
    jobs,
    model,
    predict,
    send,
    serve,
    train,
    users,
    verdicts,
)
from dicom_node.command_line.terminal import out
from dicom_node.logs import quiet_libraries
from pipeline.findings import RESEARCH_NOTICE

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    help="A DICOM node that reads bone radiographs and answers with Structured Reports and overlays.\n\n"
    f"[bold]{RESEARCH_NOTICE}[/bold]",
    epilog="Begin with: dicom-node demo",
)
app.command()(demo.demo)
app.command()(serve.serve)
app.command()(check.check)
app.command()(predict.predict)
app.command()(echo.echo)
app.command()(send.send)
app.command()(train.train)
app.command()(evaluate.evaluate)
app.add_typer(jobs.app, name="jobs")
app.add_typer(model.app, name="model")
app.add_typer(config.app, name="config")
app.add_typer(dataset.app, name="dataset")
app.add_typer(verdicts.app, name="verdicts")
app.add_typer(users.app, name="users")


def _say_version(wanted: bool) -> None:
    if wanted:
        out.print(f"dicom-node {__version__}")
        raise typer.Exit


@app.callback()
def root(
    version: bool = typer.Option(
        False, "--version", callback=_say_version, is_eager=True, help="Say the version."
    ),
) -> None:
    """The node's commands."""
    quiet_libraries()


def main() -> None:
    """The console script."""
    app()
