"""`dicom-node model package`: trained runs into a verified model package."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from dicom_node.command_line.dataset import AloneOption, GroupByOption, LayoutOption
from dicom_node.command_line.evaluate import data_errors, said, watched
from dicom_node.command_line.terminal import out


def package(
    runs: Annotated[
        list[Path],
        typer.Argument(
            exists=True, file_okay=False, help="The run's folder, or the folders of all folds."
        ),
    ],
    data: Annotated[
        Path, typer.Option(exists=True, file_okay=False, help="The films that it was trained on.")
    ],
    version: Annotated[str, typer.Option(help="x.y.z, not published yet.")],
    folder: Annotated[Path, typer.Option("--out", file_okay=False, help="The folder of packages.")],
    name: Annotated[str, typer.Option(help="The package's name.")] = "fracture-net",
    draws: Annotated[int, typer.Option(min=1, help="Samples of clusters for the intervals.")] = 1000,
    layout: LayoutOption = None,
    group_by: GroupByOption = "",
    each_film_alone: AloneOption = False,
    citation: Annotated[str, typer.Option(help="How the owner of the data wants them cited.")] = "",
    licence: Annotated[str, typer.Option(help="The licence of the data.")] = "",
    gate: Annotated[
        bool,
        typer.Option("--gate", help="Fit a gate that refuses pictures that are no films of limbs."),
    ] = False,
    outliers: Annotated[
        Path | None,
        typer.Option(
            exists=True,
            file_okay=False,
            help="Real pictures to try the gate on: a folder for each kind.",
        ),
    ] = None,
) -> None:
    """Fit thresholds on what the runs held out, measure, write the card, and replay the package.

    Given the runs of all folds, the networks become members of one package, and every figure is out of fold.

    [dim]dicom-node model package runs/second --data films --version 0.2.0 --out packages
    dicom-node model package runs/fold0 runs/fold1 runs/fold2 --data films --version 1.0.0 --out packages[/dim]
    """
    with data_errors():
        from pipeline.packaging.held_out import TrainingData
        from pipeline.packaging.packing import write_package
        from pipeline.training.datasets.grouping import Grouping

        grouping = Grouping(group_by, each_film_alone)
        written = write_package(
            runs,
            folder,
            data=TrainingData(data, layout, grouping, citation, licence),
            name=name,
            version=version,
            draws=draws,
            gated=gate,
            outliers=outliers,
            said=said,
            watched=watched,
        )
    out.print(f"{written}: written, verified, golden input replayed", markup=False)
