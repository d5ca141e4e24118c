"""`dicom-node config`: settings files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from dicom_node.command_line.terminal import (
    check_appearances,
    err,
    load_settings,
    out,
    plain_errors,
)
from dicom_node.operating.settings_reference import settings_reference
from dicom_node.settings import Settings
from dicom_node.shipped import shipped_config

app = typer.Typer(no_args_is_help=True, help="Write, check and describe settings files.")


@app.command()
def init(
    path: Annotated[Path, typer.Argument(help="The file to write.")] = Path("node.toml"),
    minimal: Annotated[bool, typer.Option(help="Only what must be said.")] = False,
) -> None:
    """Write a commented settings file to begin from; an existing file is left alone."""
    if path.exists():
        err.print(f"{path}: exists and is left alone; name another file", markup=False)
        raise typer.Exit(1)
    with plain_errors():
        text = shipped_config("minimal.toml" if minimal else "example.toml").read_text(encoding="utf-8")
    path.write_text(text, encoding="utf-8")
    out.print(f"wrote {path}; next: edit it, then `dicom-node check --config {path}`")


@app.command()
def check(path: Annotated[Path, typer.Argument(help="The settings file.")]) -> None:
    """Say what is wrong with a settings file (file, key, value, remedy), or what it means."""
    settings = load_settings(path)
    check_appearances(settings)
    table = Table("from", "to", "objects", "overlay for", box=None)
    for sender in [peer.ae_title for peer in settings.peers] or ["everyone on loopback"]:
        title = sender if settings.peers else "*"
        for place in settings.destinations_for(title):
            table.add_row(
                sender,
                f"{place.name} ({place.where})",
                ", ".join(place.objects),
                ", ".join(place.overlay_for),
            )
    out.print(
        f"{path}: good. {', '.join(settings.node.called)} on {settings.node.address}:{settings.node.port}, data in {settings.node.data}",
        markup=False,
    )
    out.print(table)


def schema_text() -> str:
    """The JSON schema of a settings file, as `config/settings.schema.json` holds it."""
    return json.dumps(Settings.model_json_schema(), indent=2, ensure_ascii=False) + "\n"


@app.command()
def schema() -> None:
    """Print the JSON schema of a settings file."""
    print(schema_text(), end="")  # noqa: T201 - the answer itself


@app.command()
def reference() -> None:
    """Print every key with type, default and meaning, as Markdown."""
    print(settings_reference(), end="")  # noqa: T201 - the answer itself
