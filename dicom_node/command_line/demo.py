"""`dicom-node demo`: the whole walk on this machine."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from dicom_node.command_line.terminal import OUTCOME_STYLES, err, out, percent, plain_errors
from pipeline.findings import RESEARCH_NOTICE


def demo(
    images: Annotated[
        list[Path] | None,
        typer.Option(
            exists=True, help="Real films instead of phantoms: DICOM, PNG, JPEG, folders. Repeatable."
        ),
    ] = None,
    folder: Annotated[
        Path, typer.Option("--out", file_okay=False, help="Where everything is left.")
    ] = Path("demo-results"),
) -> None:
    """Run the whole node on loopback, with a small archive of its own, and show each step.

    Without --images it sends phantoms: drawn limbs, plainly synthetic. They show the walk,
    not the reading. Takes under 20 seconds.

    [dim]dicom-node demo
    dicom-node demo --images films/ --out results[/dim]
    """
    from dicom_node.operating.demo import DemoImage, clear_folder, run_demo

    with plain_errors():
        if not clear_folder(folder):
            err.print(
                f"{folder}: holds other things than a demo's results; name another folder with --out",
                markup=False,
            )
            raise typer.Exit(2)
        shown: list[DemoImage] = run_demo(
            folder,
            images or [],
            say=lambda line: out.print(f"[dim]{line.seconds:5.1f} s[/]  {line.text}"),
        )
    table = Table("sent", "outcome", "probability", "body part", "overlay", box=None)
    for image in shown:
        table.add_row(
            image.sent,
            f"[{OUTCOME_STYLES[image.outcome]}]{image.outcome}[/]"
            + (f" ({image.reason})" if image.reason else ""),
            percent(image.probability),
            image.body_part,
            image.picture,
        )
    out.print()
    out.print(table)
    reports = len(list(folder.glob("*_sr.dcm")))
    out.print(f"\n{reports} Structured Reports, overlays and their pictures are in [bold]{folder}[/]")
    if not images:
        out.print("The films were synthetic phantoms: they show the walk, not the reading.")
    out.print(RESEARCH_NOTICE, style="dim")
