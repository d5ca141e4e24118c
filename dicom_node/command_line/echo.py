"""`dicom-node echo`: C-ECHO."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated

import typer
from pydantic import ValidationError

from dicom_node.command_line.terminal import err, load_settings, out
from dicom_node.settings import AnyDestination, DicomDestination

_ADDRESS = re.compile(r"(?P<title>[^@]{1,16})@(?P<host>.+):(?P<port>\d{1,5})")
TargetArgument = Annotated[
    str, typer.Argument(help="A destination's name in the settings, or AETITLE@HOST:PORT.")
]
CallingOption = Annotated[
    str | None, typer.Option("--calling", help="Our AE title; default: the node's.")
]
OptionalConfig = Annotated[
    Path | None, typer.Option("--config", "-c", exists=True, help="The settings file that names it.")
]


def resolve_target(target: str, config: Path | None, calling: str | None) -> tuple[AnyDestination, str]:
    """The destination of a command's argument, and our AE title towards it; or the end of the command."""
    if config is not None:
        settings = load_settings(config)
        place = settings.destination(target)
        if place is not None:
            return place, calling or settings.calling_ae_title(place)
    matched = _ADDRESS.fullmatch(target)
    if matched is None:
        known = (
            f"; {config} knows no destination of that name"
            if config
            else "; or give --config and a destination's name"
        )
        err.print(f"{target!r} is not AETITLE@HOST:PORT{known}", markup=False)
        raise typer.Exit(2)
    try:
        place = DicomDestination(
            name="target", ae_title=matched["title"], host=matched["host"], port=int(matched["port"])
        )
    except ValidationError as error:
        err.print(f"{target!r}: {error.errors()[0]['msg']}", markup=False)
        raise typer.Exit(2) from error
    return place, calling or "FRACTURE"


def echo(target: TargetArgument, config: OptionalConfig = None, calling: CallingOption = None) -> None:
    """Ask a destination whether it is there (C-ECHO). Exit status 1 if it is not.

    A DICOMweb server is asked for a study that nobody has, of a folder is seen whether it can be written to.

    [dim]dicom-node echo ARCHIVE@10.0.0.5:104
    dicom-node echo archive --config node.toml[/dim]
    """
    from dicom_node.delivering.reachability import reach

    place, title = resolve_target(target, config, calling)
    answer = reach(place, title)
    if not answer.answered:
        remedy = f"; {answer.remedy}" if answer.remedy else ""
        err.print(f"{place.where}: {answer.reason}{remedy}", markup=False)
        raise typer.Exit(1)
    if answer.milliseconds is None:
        out.print(f"{place.where} can be written to", markup=False)
    else:
        out.print(f"{place.where} answers in {answer.milliseconds:.0f} ms", markup=False)
