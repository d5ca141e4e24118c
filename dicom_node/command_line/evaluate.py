"""`dicom-node evaluate`: how good a model is on labelled films."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.progress import track
from rich.table import Table

from dicom_node.command_line.dataset import AloneOption, GroupByOption, LayoutOption
from dicom_node.command_line.terminal import err, out, plain_errors
from pipeline.findings import RESEARCH_NOTICE

if TYPE_CHECKING:  # torch and scikit-learn are loaded only by the command that needs them
    from pipeline.evaluation.comparing import Comparison
    from pipeline.evaluation.evaluating import Evaluation

EXTRA = 'pip install "fracture-node[training]"'
OutOfFoldOption = Annotated[
    bool,
    typer.Option("--out-of-fold", help="Each film by the network of the package that never saw it."),
]
ScoresOption = Annotated[
    Path | None,
    typer.Option(
        exists=True,
        file_okay=False,
        help="A package's out_of_fold folder: the figures from committed scores; no film is read.",
    ),
]
CompareOption = Annotated[
    tuple[Path, Path] | None,
    typer.Option(
        exists=True,
        dir_okay=False,
        help="Two tables of scores (scores.csv) of the same films: the second against the first; no film is read.",
    ),
]
ReportOption = Annotated[
    Path | None,
    typer.Option(
        "--out",
        file_okay=False,
        help="Write figures.json and report.html here; of --compare, comparison.json.",
    ),
]


@contextmanager
def data_errors() -> Iterator[None]:
    """What `plain_errors` does, for data sets and for libraries that are not installed too."""
    from pipeline.training.datasets.problems import DatasetError

    with plain_errors():
        try:
            yield
        except DatasetError as error:
            err.print(str(error), style="red", markup=False)
            raise typer.Exit(1) from error
        except ModuleNotFoundError as error:
            err.print(f"needs {error.name}, which is not installed: {EXTRA}", style="red", markup=False)
            raise typer.Exit(1) from error


def watched(films: Iterable[Any]) -> Iterable[Any]:
    """A progress bar, where there is a terminal."""
    listed = list(films)
    return track(listed, "reading", console=err, disable=not err.is_terminal, transient=True)


def said(line: str) -> None:
    """A line for whoever waits."""
    err.print(line, markup=False)


def evaluate(
    data: Annotated[Path, typer.Option(exists=True, file_okay=False, help="The labelled films.")],
    model: Annotated[
        Path | None, typer.Option(exists=True, help="A model package; default: the shipped one.")
    ] = None,
    split: Annotated[str, typer.Option(help="val, train or all.")] = "all",
    out_of_fold: OutOfFoldOption = False,
    scores: ScoresOption = None,
    compare: CompareOption = None,
    report: ReportOption = None,
    draws: Annotated[int, typer.Option(min=1, help="Samples of clusters for the intervals.")] = 1000,
    limit: Annotated[int | None, typer.Option(min=1, help="About so many films only.")] = None,
    layout: LayoutOption = None,
    group_by: GroupByOption = "",
    each_film_alone: AloneOption = False,
) -> None:
    """Measure a model on labelled films: figures with intervals, curves, groups, the worst misreadings.

    Exit status: 0 when it was measured, 1 when it could not be.

    [dim]dicom-node evaluate --data films --out report
    dicom-node evaluate --data films --out-of-fold --out report
    dicom-node evaluate --data films --scores weights/fracture-net/1.0.0/out_of_fold
    dicom-node evaluate --data films --compare old/scores.csv new/scores.csv[/dim]
    """
    if compare is not None and (model or scores or out_of_fold or limit or split != "all"):
        raise typer.BadParameter(
            "takes --data, --draws, --out and the layout's options only", param_hint="--compare"
        )
    with data_errors():
        from pipeline.evaluation.comparing import compare_tables
        from pipeline.evaluation.evaluating import Labelled, evaluate_committed, evaluate_package
        from pipeline.model_package import default_package, load_package
        from pipeline.training.datasets.grouping import Grouping

        grouping = Grouping(group_by, each_film_alone)
        if compare is not None:
            files = Labelled(data, layout, grouping).listing(said).files
            _tell(compare_tables(*compare, files, draws=draws), report)
            return
        package = load_package(model or (scores.resolve().parent if scores else default_package()))
        if scores:
            # The committed scores are of all films; a part of them would be another figure.
            labelled = Labelled(data, layout, grouping)
            made = evaluate_committed(package, scores, labelled, draws=draws, said=said)
        else:
            labelled = Labelled(data, layout, grouping, split, limit)
            made = evaluate_package(
                package, labelled, out_of_fold=out_of_fold, draws=draws, said=said, watched=watched
            )
        _print(made)
        if report is not None:
            _write(report, made, package.digest, f"{data.resolve().name}, {labelled.split} films")


def _tell(made: Comparison, folder: Path | None) -> None:
    from pipeline.evaluation.comparing import COMPARISON

    out.print(
        f"{made.films} films, {made.fractured} with a fracture, in {made.clusters} clusters; the difference is the "
        "second's minus the first's, drawn together",
        markup=False,
    )
    table = Table("figure", "films", "first", "second", "difference [95 %]", "", box=None)
    for one in made.differences:
        values = ("" if value is None else f"{value:.3f}" for value in (one.first, one.second))
        verdict = "" if one.excludes_zero else "may be chance"
        table.add_row(one.name, str(one.films), *values, str(one).replace("[", r"\["), verdict)
    out.print(table)
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / COMPARISON).write_text(made.text(), encoding="utf-8")
        out.print(f"{folder / COMPARISON}: the same as JSON", markup=False)
    out.print(RESEARCH_NOTICE, style="dim")


def _write(folder: Path, made: Evaluation, digest: str, data: str) -> None:
    from pipeline.evaluation.report import Identity, write_report

    page = write_report(folder, made, Identity(made.figures.model, digest, data))
    beside = page.with_name("figures.json")
    out.print(f"{page}: open it in a browser; {beside}: the same as JSON", markup=False)


def _print(made: Evaluation) -> None:
    figures = made.figures
    if made.seen:
        err.print(
            f"WARNING: {made.seen} of these films were seen when the model was trained or fitted. The figures are too good and "
            "say nothing of new films; use --out-of-fold, or films that it never saw.",
            style="bold red",
            markup=False,
        )
    out.print(
        f"{figures.model}: {figures.films} films, {figures.fractured} with a fracture, in {figures.clusters} clusters; "
        f"{figures.protocol}",
        markup=False,
    )
    table = Table("figure", "group", "films", "value [95 %]", box=None)
    for one in (*figures.figures, *figures.baselines):
        table.add_row(one.name, one.group, str(one.films), str(one).replace("[", r"\["))
    out.print(table)
    out.print(RESEARCH_NOTICE, style="dim")
