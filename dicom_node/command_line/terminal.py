"""What every command shares with the terminal: consoles, and how an error ends it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from dicom_node.errors import NodeError, SettingsError
from dicom_node.settings import Settings, read_settings
from pipeline.errors import PipelineError
from pipeline.findings import Outcome

out = Console(highlight=False)
err = Console(stderr=True, highlight=False)

ConfigOption = Annotated[
    Path,
    typer.Option("--config", "-c", help="The settings file (TOML).", envvar="DICOM_NODE_CONFIG"),
]

OUTCOME_STYLES = {
    Outcome.FRACTURE: "bold red",
    Outcome.DOUBT: "yellow",
    Outcome.NO_FRACTURE: "green",
    Outcome.NOT_PROCESSED: "magenta",
}


@contextmanager
def plain_errors() -> Iterator[None]:
    """Our own errors end a command with their message and no traceback: 2 for settings, else 1."""
    try:
        yield
    except SettingsError as error:
        err.print(str(error), style="red", markup=False)
        raise typer.Exit(2) from error
    except (NodeError, PipelineError) as error:
        err.print(str(error), style="red", markup=False)
        raise typer.Exit(1) from error


def load_settings(path: Path) -> Settings:
    """The settings of a file, or the end of the command."""
    with plain_errors():
        return read_settings(path)


def check_appearances(settings: Settings) -> None:
    """Ends the command where a destination's catalogue or font cannot be used; says what else to know of them."""
    from dicom_node.results.site_check import check_appearance

    with plain_errors():
        notes = [check_appearance(place) for place in settings.destinations]
    for note in filter(None, notes):
        err.print(note, style="yellow", markup=False)


def percent(probability: float | None) -> str:
    """A probability for people."""
    return "" if probability is None else f"{probability:.0%}"
