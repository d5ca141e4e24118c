"""`dicom-node train`: a network of your own from labelled films."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

from dicom_node.command_line.dataset import AloneOption, GroupByOption, LayoutOption
from dicom_node.command_line.terminal import err, out
from pipeline.findings import RESEARCH_NOTICE

if TYPE_CHECKING:  # torch is loaded only by the command that needs it
    from pipeline.training.fitting import FittingSettings
    from pipeline.training.progress import Progress as Step
    from pipeline.training.run_settings import RunSettings

_FITTING, _TRANSFER = "Training", "Transfer learning"

DataOption = Annotated[Path, typer.Option(exists=True, file_okay=False, help="The labelled films.")]
OutOption = Annotated[Path, typer.Option("--out", file_okay=False, help="The run's folder.")]
LimitOption = Annotated[int | None, typer.Option(min=1, help="About so many films only, to rehearse.")]
ResumeOption = Annotated[bool, typer.Option("--resume", help="Go on after the run's last whole epoch.")]
EpochsOption = Annotated[
    int | None,
    typer.Option(min=1, help="Epochs on crops and films together.", rich_help_panel=_FITTING),
]
BatchOption = Annotated[
    int | None, typer.Option(min=2, help="Films at a time.", rich_help_panel=_FITTING)
]
SizeOption = Annotated[
    int | None,
    typer.Option(min=32, help="Side of the input, a multiple of 32.", rich_help_panel=_FITTING),
]
RateOption = Annotated[
    float | None,
    typer.Option(
        min=0,
        help="AdamW's highest learning rate; Muon's follows in proportion.",
        rich_help_panel=_FITTING,
    ),
]
PatienceOption = Annotated[
    int,
    typer.Option(
        min=0,
        help="Stop after so many epochs on films without a gain; 0: never.",
        rich_help_panel=_FITTING,
    ),
]
SeedOption = Annotated[
    int, typer.Option(min=0, help="The same seed trains the same.", rich_help_panel=_FITTING)
]
FoldsOption = Annotated[
    int | None,
    typer.Option(
        min=2, help="Cross-validate: so many folds of whole patients.", rich_help_panel=_FITTING
    ),
]
FoldOption = Annotated[
    str, typer.Option(help="The fold to hold out, or all in turn.", rich_help_panel=_FITTING)
]
BackboneOption = Annotated[
    str, typer.Option(help="residual, resnet18, resnet34 or resnet50.", rich_help_panel=_TRANSFER)
]
WeightsOption = Annotated[
    Path | None,
    typer.Option(help="A state_dict of that ResNet to start from.", rich_help_panel=_TRANSFER),
]
FreezeOption = Annotated[
    bool,
    typer.Option("--freeze", help="Leave the backbone as the file has it.", rich_help_panel=_TRANSFER),
]


def train(
    data: DataOption,
    out_folder: OutOption = Path("run"),
    layout: LayoutOption = None,
    group_by: GroupByOption = "",
    each_film_alone: AloneOption = False,
    limit: LimitOption = None,
    resume: ResumeOption = False,
    epochs: EpochsOption = None,
    batch_size: BatchOption = None,
    image_size: SizeOption = None,
    rate: RateOption = None,
    patience: PatienceOption = 0,
    seed: SeedOption = 1,
    folds: FoldsOption = None,
    fold: FoldOption = "all",
    backbone: BackboneOption = "residual",
    backbone_weights: WeightsOption = None,
    freeze: FreezeOption = False,
) -> None:
    """Train a network on labelled films and leave a run folder.

    Ctrl-C keeps every whole epoch; the same command with --resume goes on as if it had never stopped.
    Exit status: 0 when trained, 1 when data or settings will not do, 2 on wrong usage, 130 after Ctrl-C.

    [dim]dicom-node train --data films --out runs/first --epochs 2 --limit 200
    dicom-node train --data films --out runs/second
    dicom-node train --data films --out runs/folds --folds 3[/dim]
    """
    if fold != "all" and not fold.isdecimal():
        raise typer.BadParameter(f"{fold!r} is neither a number nor all", param_hint="--fold")
    from pipeline.training.datasets.grouping import Grouping
    from pipeline.training.run_settings import RunSettings

    with _said_plainly():
        fitting = _fitting(epochs, image_size, batch_size, rate)
        asked = RunSettings(
            data=data,
            out=out_folder,
            layout=layout,
            grouping=Grouping(group_by, each_film_alone),
            limit=limit,
            folds=folds,
            fold=None if fold == "all" else int(fold),
            backbone=backbone,
            backbone_weights=backbone_weights,
            freeze=freeze,
            resume=resume,
            fitting=replace(fitting, patience=patience, seed=seed),
        )
        _train(asked)


def _fitting(
    epochs: int | None, image_size: int | None, batch_size: int | None, rate: float | None
) -> FittingSettings:
    """The defaults, and what was asked for otherwise."""
    from pipeline.training.fitting import FittingSettings
    from pipeline.training.run_settings import with_epochs, with_size

    chosen = FittingSettings()
    if epochs is not None:
        chosen = with_epochs(chosen, epochs)
    if image_size is not None:
        chosen = with_size(chosen, image_size)
    faster = 1.0 if rate is None else rate / chosen.rate
    return replace(
        chosen,
        batch_size=batch_size or chosen.batch_size,
        rate=chosen.rate * faster,
        matrix_rate=chosen.matrix_rate * faster,
    )


def _train(asked: RunSettings) -> None:
    from pipeline.training.run import train as train_run

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TaskProgressColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=err, disable=not err.is_terminal, transient=True) as bar:
        task = bar.add_task("reading films", total=None)

        def watched(step: Step) -> None:
            words = f"epoch {step.epoch}/{step.epochs}, {step.stage}, loss {step.loss:.3f}"
            bar.update(task, description=words, total=1.0, completed=step.share)

        folders = train_run(asked, lambda line: err.print(line, markup=False, soft_wrap=True), watched)
    for folder in folders:
        out.print(f"{folder}: trained; best.pt, run.json, metrics.json, curves.png", markup=False)
    out.print(RESEARCH_NOTICE, style="dim")


@contextmanager
def _said_plainly() -> Iterator[None]:
    """The training's own errors end the command with their message and no traceback."""
    from pipeline.training.datasets.problems import DatasetError
    from pipeline.training.errors import TrainingError, TrainingInterrupted

    try:
        yield
    except TrainingInterrupted as stopped:
        err.print(str(stopped), markup=False, soft_wrap=True)
        raise typer.Exit(130) from stopped
    except (DatasetError, TrainingError) as error:
        err.print(str(error), style="red", markup=False, soft_wrap=True)
        raise typer.Exit(1) from error
