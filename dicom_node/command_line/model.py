"""`dicom-node model`: the model packages."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.progress import track
from rich.table import Table

from dicom_node.command_line.calibrate import calibrate
from dicom_node.command_line.package import package
from dicom_node.command_line.predict import film_files
from dicom_node.command_line.terminal import err, out, plain_errors
from pipeline.findings import RESEARCH_NOTICE

if TYPE_CHECKING:  # torch is loaded only by the command that needs it
    from pipeline.radiograph import Radiograph

app = typer.Typer(
    no_args_is_help=True, help="The model packages: which there are, and whether they are whole."
)


app.command()(calibrate)
app.command()(package)


class Format(StrEnum):
    """What `model export` writes."""

    ONNX = "onnx"
    OPENVINO = "openvino"


@app.command("list")
def list_models() -> None:
    """The shipped model packages, with their operating points."""
    from pipeline.errors import ModelPackageError
    from pipeline.model_package import default_package, load_package, shipped_packages_folder

    with plain_errors():
        chosen = default_package()
        table = Table(
            "", "model", "version", "fracture from", "doubt from", "digest", "folder", box=None
        )
        for description in sorted(shipped_packages_folder().glob("*/*/model.toml")):
            folder = description.parent
            try:
                package = load_package(folder)
            except ModelPackageError as error:
                err.print(str(error), style="red", markup=False)
                continue
            points = package.description.fracture.thresholds.thresholds()
            table.add_row(
                "*" if folder == chosen else "",
                package.description.name,
                package.description.version,
                f"{points.fracture:.3f}",
                f"{points.doubt:.3f}",
                package.digest[:16],
                str(folder),
            )
    out.print(table)


@app.command()
def verify(
    path: Annotated[
        Path | None, typer.Argument(exists=True, help="A model package; default: the shipped one.")
    ] = None,
) -> None:
    """Check a package's digests and replay its golden input."""
    from pipeline.analysis import Analyzer

    with plain_errors():
        analyzer = Analyzer.open(path)
    out.print(
        f"{analyzer.identity.name} {analyzer.identity.version}: digests hold, the golden input gives its answer "
        f"({analyzer.identity.engine}, {analyzer.identity.digest})",
        markup=False,
    )


@app.command()
def export(
    folder: Annotated[Path, typer.Option("--out", file_okay=False, help="The folder to write to.")],
    form: Annotated[Format, typer.Option("--format", help="ONNX, or OpenVINO IR.")] = Format.ONNX,
    model: Annotated[
        Path | None, typer.Option(exists=True, help="A model package; default: the shipped one.")
    ] = None,
    films: Annotated[
        list[Path] | None,
        typer.Option(exists=True, help="Films to compare on too: files or folders. Repeatable."),
    ] = None,
) -> None:
    """Write a package's network for other programs, with what is to be done before and after it as JSON.

    The file is compared with torch on the golden input and on --films, and is not left if it answers otherwise.

    [dim]dicom-node model export --out exported
    dicom-node model export --format openvino --films films/ --out exported[/dim]
    """
    with plain_errors():
        from pipeline.export.writing import export_model
        from pipeline.model_package import default_package, load_package

        package = load_package(model or default_package())
        files = list(film_files(films or []))
        path, record = export_model(package, form.value, folder, films=_radiographs(files))
    check = record.check
    out.print(
        f"{path}, {', '.join(record.files)}: {check.engine} lies at most {check.largest_difference:.2g} from "
        f"torch fp32 on the golden input and {check.films} films, {check.outcomes_changed} outcomes changed",
        markup=False,
    )
    out.print(RESEARCH_NOTICE, style="dim")


@app.command()
def unpack(
    path: Annotated[Path, typer.Option("--out", dir_okay=False, help="The file to write.")],
    member: Annotated[int, typer.Option(min=0, help="Which of its networks.")] = 0,
    model: Annotated[
        Path | None, typer.Option(exists=True, help="A model package; default: the shipped one.")
    ] = None,
) -> None:
    """Write one network of a package as a file that a training can begin with.

    A member of a package of folds never saw its fold: train it on with the same --folds and that --fold.

    [dim]dicom-node model unpack --member 1 --out start1.pt
    python -m pipeline.training --data films --folds 3 --fold 1 --begin-with start1.pt --out runs/fold1[/dim]
    """
    with plain_errors():
        from pipeline.model_package import default_package, load_package
        from pipeline.packaging.unpacking import unpack_member

        written = unpack_member(load_package(model or default_package()), member, path)
    out.print(f"{written}: written", markup=False)


def _radiographs(files: Sequence[Path]) -> Iterator[Radiograph]:
    """The films that can be read, one after the other; of the others why not."""
    from pipeline.errors import ScopeError, UnreadableError
    from pipeline.film_file import read_film_file

    for path in track(files, "comparing", console=err, disable=not err.is_terminal, transient=True):
        try:
            yield read_film_file(path)[0]
        except (ScopeError, UnreadableError) as error:
            err.print(f"{path}: left out: {error}", markup=False)
