"""`dicom-node model`: the model packages."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from dicom_node.command_line.terminal import err, out, plain_errors

app = typer.Typer(
    no_args_is_help=True, help="The model packages: which there are, and whether they are whole."
)


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
