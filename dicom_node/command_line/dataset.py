"""`dicom-node dataset`: look at labelled films before training on them, and fetch a published set."""

from __future__ import annotations

import importlib
import shutil
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.progress import BarColumn, DownloadColumn, Progress, TimeRemainingColumn, track
from rich.table import Table

from dicom_node.command_line.terminal import err, out, plain_errors
from pipeline.findings import RESEARCH_NOTICE

if TYPE_CHECKING:
    import httpx

    from dicom_node.operating.dataset_archive import Archive
    from pipeline.training.datasets.labelled_file import LabelledFile, Listing
    from pipeline.training.datasets.layouts import Examination, TakeFingerprint

app = typer.Typer(
    no_args_is_help=True, help="Labelled films: check them, look at them, fetch a published set."
)
FolderArgument = Annotated[Path, typer.Argument(exists=True, file_okay=False, help="The data set.")]
LayoutOption = Annotated[str | None, typer.Option(help="The layout; default: found by the files.")]
GroupByOption = Annotated[
    str, typer.Option(help="A regular expression for file names; its first group names the patient.")
]
AloneOption = Annotated[
    bool, typer.Option("--each-film-alone", help="Every film is of another patient.")
]
_FRACATLAS = "fracatlas"
_CITATION = (
    "FracAtlas: Abedeen I., Rahman M.A., Prottyasha F.Z., Ahmed T., Chowdhury T.M., Shatabda S., "
    "Scientific Data 10:521 (2023), doi 10.1038/s41597-023-02432-4, CC BY 4.0: name it in what you make of it."
)


@app.command()
def check(
    folder: FolderArgument,
    layout: LayoutOption = None,
    group_by: GroupByOption = "",
    each_film_alone: AloneOption = False,
    every: Annotated[bool, typer.Option("--all", help="Name every film, not five of a kind.")] = False,
) -> None:
    """Read every film of a data set and say what is wrong with it.

    Exit status: 0 when it can be trained on, 1 when it cannot.

    [dim]dicom-node dataset check films
    dicom-node dataset check films --group-by "^(p[0-9]+)_"[/dim]
    """
    from pipeline.training.datasets.problems import told

    found = _examined(folder, layout, group_by, each_film_alone)
    out.print(_counts(found.listing))
    for line in told(found.problems, None if every else 5):
        out.print(line, markup=False, style="red" if line.startswith("FATAL") else None)
    if found.fatal:
        err.print(f"{folder}: {len(found.fatal)} fatal problems, cannot be trained on", markup=False)
        raise typer.Exit(1)
    out.print(f"{folder}: layout {found.listing.layout}, can be trained on", markup=False)


@app.command()
def describe(
    folder: FolderArgument,
    page: Annotated[
        Path, typer.Option("--out", dir_okay=False, help="The page to write: .html or .png.")
    ],
    layout: LayoutOption = None,
    group_by: GroupByOption = "",
    each_film_alone: AloneOption = False,
) -> None:
    """Draw what a data set holds: counts, box sizes, films with their boxes. One file, opens offline.

    [dim]dicom-node dataset describe films --out films.html[/dim]
    """
    if page.suffix.lower() not in (".html", ".png"):
        err.print(f"--out {page}: name a file that ends in .html or .png", markup=False)
        raise typer.Exit(2)
    _need("matplotlib")
    from dicom_node.operating.dataset_page import write_page

    found = _examined(folder, layout, group_by, each_film_alone)
    page.parent.mkdir(parents=True, exist_ok=True)
    write_page(found, folder.resolve().name, page)
    out.print(f"{page}: {len(found.listing.files)} films. {RESEARCH_NOTICE}", markup=False)


@app.command()
def get(
    name: Annotated[str, typer.Argument(help="The published set: fracatlas.")],
    to: Annotated[Path, typer.Option("--to", file_okay=False, help="A new folder for it.")],
    url: Annotated[
        str | None, typer.Option(help="Where the record is asked for; default: figshare.")
    ] = None,
    keep_archive: Annotated[
        bool, typer.Option("--keep-archive", help="Keep the zip file beside the films.")
    ] = False,
) -> None:
    """Fetch a published data set, check its digest, clean it, and write it in the fracatlas layout.

    A download that was cut goes on where it stopped: give the same command again.

    [dim]dicom-node dataset get fracatlas --to films[/dim]
    """
    if name != _FRACATLAS:
        err.print(f"{name}: there is {_FRACATLAS}", markup=False)
        raise typer.Exit(2)
    if (to / "labels.csv").exists():
        err.print(f"{to}: a data set is there already; name another folder with --to", markup=False)
        raise typer.Exit(2)
    _need("httpx")
    _need("imagehash")
    import httpx

    from dicom_node.operating.dataset_archive import FIGSHARE, find_archive, unpack

    with plain_errors(), httpx.Client(timeout=60, follow_redirects=True) as client:
        archive = find_archive(client, url or FIGSHARE)
        out.print(_CITATION, markup=False)
        out.print(f"{archive.title} (doi {archive.doi}), licence: {archive.licence}", markup=False)
        to.mkdir(parents=True, exist_ok=True)
        zipped, published = to / archive.name, to / "published"
        _fetch(client, archive, zipped)
        shutil.rmtree(published, ignore_errors=True)
        unpack(zipped, published)
    _clean(published, to)
    shutil.rmtree(published)
    if not keep_archive:
        zipped.unlink()


def _fetch(client: httpx.Client, archive: Archive, zipped: Path) -> None:
    from dicom_node.operating.dataset_archive import fetch

    columns = ("{task.description}", BarColumn(), DownloadColumn(), TimeRemainingColumn())
    with Progress(*columns, console=err, disable=not err.is_terminal, transient=True) as bar:
        task = bar.add_task(archive.name, total=archive.size)
        fetch(
            client,
            archive,
            zipped,
            moved=lambda there: bar.update(task, completed=there),
            pause=time.sleep,
        )


def _clean(published: Path, to: Path) -> None:
    from dicom_node.operating.near_duplicates import fingerprint
    from pipeline.training.datasets.cleaning import NOTE, clean
    from pipeline.training.datasets.problems import told

    with _plain_dataset_errors():
        done = clean(published, to, fingerprint=fingerprint, said=_say, watched=_watched)
    for line in told(done.problems):
        out.print(line, markup=False)
    out.print(f"{to}: {done.films} films written, {done.copies} copies left out", markup=False)
    out.print(NOTE, markup=False)


def _need(library: str) -> None:
    try:
        importlib.import_module(library)
    except ImportError as error:
        err.print(
            f'needs {library}, which is not installed: pip install "fracture-node[training]"',
            markup=False,
        )
        raise typer.Exit(2) from error


@contextmanager
def _plain_dataset_errors() -> Iterator[None]:
    from pipeline.training.datasets.problems import DatasetError

    try:
        yield
    except DatasetError as error:
        err.print(str(error), style="red", markup=False)
        raise typer.Exit(1) from error


def _examined(folder: Path, layout: str | None, group_by: str, each_film_alone: bool) -> Examination:
    from pipeline.training.datasets.grouping import Grouping
    from pipeline.training.datasets.layouts import examine, list_dataset

    with _plain_dataset_errors():
        grouping = Grouping(group_by, each_film_alone)
        listing = list_dataset(folder, layout=layout, grouping=grouping, said=_say)
        return examine(listing, fingerprint=_fingerprint(), watched=_watched)


def _fingerprint() -> TakeFingerprint | None:
    try:
        from dicom_node.operating.near_duplicates import fingerprint
    except ImportError:
        err.print(
            "near-duplicates are not looked for: ImageHash is not installed; "
            'pip install "fracture-node[training]"',
            markup=False,
        )
        return None
    return fingerprint


def _watched(files: Iterable[LabelledFile]) -> Iterable[LabelledFile]:
    return track(list(files), "reading", console=err, disable=not err.is_terminal, transient=True)


def _say(line: str) -> None:
    err.print(line, markup=False)


def _counts(listing: Listing) -> Table:
    names = (*listing.part_names, *listing.type_names)
    table = Table("split", "films", "fractured", "patients", "boxes", *names, box=None)
    for split in sorted({file.split for file in listing.files}):
        files = [file for file in listing.files if file.split == split]
        held = Counter(
            index for file in files for index, shown in enumerate(file.parts + file.types) if shown
        )
        table.add_row(
            split,
            str(len(files)),
            str(sum(file.fractured for file in files)),
            str(len({file.cluster for file in files})),
            str(sum(len(file.boxes) for file in files)),
            *(str(held[index]) for index in range(len(names))),
        )
    return table
