"""`dicom-node send`: C-STORE of files."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.progress import track

from dicom_node.command_line.echo import CallingOption, OptionalConfig, TargetArgument, resolve_target
from dicom_node.command_line.terminal import err, out, plain_errors
from dicom_node.settings import DicomDestination


def send(
    target: TargetArgument,
    paths: Annotated[list[Path], typer.Argument(exists=True, help="DICOM files, or folders of them.")],
    config: OptionalConfig = None,
    calling: CallingOption = None,
) -> None:
    """Send DICOM files (C-STORE), to a node or an archive. Exit status 1 if one was not taken.

    [dim]dicom-node send FRACTURE@127.0.0.1:11112 study/[/dim]
    """
    from dicom_node.delivering.file_sending import send_files

    place, title = resolve_target(target, config, calling)
    if not isinstance(place, DicomDestination):
        err.print(f"{place.name} is of kind {place.kind!r}: send goes by C-STORE", markup=False)
        raise typer.Exit(2)
    files = [
        file
        for path in paths
        for file in (sorted(path.rglob("*")) if path.is_dir() else [path])
        if file.is_file()
    ]
    failed = 0
    with plain_errors():
        results = send_files(files, place, title)
        for sent in track(
            results,
            "sending",
            total=len(files),
            console=err,
            disable=not err.is_terminal,
            transient=True,
        ):
            if not sent.taken:
                failed += 1
                err.print(f"{sent.path}: {sent.reason}", style="red", markup=False)
    out.print(f"{len(files) - failed} of {len(files)} taken by {place.ae_title}")
    if failed:
        raise typer.Exit(1)
