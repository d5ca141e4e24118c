"""`dicom-node model calibrate`: a site's own thresholds, from its own labelled films."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dicom_node.command_line.dataset import AloneOption, GroupByOption, LayoutOption
from dicom_node.command_line.evaluate import data_errors, said, watched
from dicom_node.command_line.terminal import err, out
from pipeline.findings import RESEARCH_NOTICE

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pipeline.model_package import ModelPackage
    from pipeline.site_profile import SiteProfile
    from pipeline.training.datasets.labelled_file import LabelledFile


def calibrate(
    data: Annotated[
        Path, typer.Option(exists=True, file_okay=False, help="The site's labelled films.")
    ],
    profile: Annotated[
        Path, typer.Option("--out", dir_okay=False, help="The profile to write (TOML).")
    ],
    model: Annotated[
        Path | None, typer.Option(exists=True, help="A model package; default: the shipped one.")
    ] = None,
    layout: LayoutOption = None,
    group_by: GroupByOption = "",
    each_film_alone: AloneOption = False,
    draws: Annotated[int, typer.Option(min=100, help="Samples of the intervals.")] = 1000,
) -> None:
    """Fit calibration and both thresholds to a site's labelled films; the package stays as it is.

    The site's films should be as they come there: fractures neither picked nor left out. Name the file in the node's
    settings with [model] profile, and restart.

    [dim]dicom-node model calibrate --data films --out site.toml[/dim]
    """
    if profile.exists():
        err.print(
            f"--out {profile}: is there already; results may name it: choose another name", markup=False
        )
        raise typer.Exit(2)
    made = _fit(data, model, layout, group_by, each_film_alone, draws)
    from tomlkit import dumps

    profile.parent.mkdir(parents=True, exist_ok=True)
    profile.write_text(dumps(made.model_dump(mode="json")), encoding="utf-8")
    _tell(made, profile)


def _fit(
    data: Path, model: Path | None, layout: str | None, group_by: str, each_film_alone: bool, draws: int
) -> SiteProfile:
    with data_errors():
        from pipeline.engines.torch_engine import TorchEngine
        from pipeline.model_package import default_package, load_package
        from pipeline.site_calibration import calibrate as fit_profile
        from pipeline.site_calibration import known_films, read_logits
        from pipeline.training.datasets.grouping import Grouping
        from pipeline.training.datasets.layouts import list_dataset

        package = load_package(model or default_package())
        grouping = Grouping(group_by, each_film_alone)
        listing = list_dataset(data, layout=layout, grouping=grouping, said=said)
        _warn_of_known(package, listing.files, known_films(package, listing.files))
        engine = TorchEngine(package.network())
        films = read_logits(package, engine, listing.files, said=said, watched=watched)
        return fit_profile(package, films, draws=draws)


def _warn_of_known(
    package: ModelPackage, files: Sequence[LabelledFile], known: Sequence[LabelledFile]
) -> None:
    if not known:
        return
    name = f"{package.description.name} {package.description.version}"
    err.print(
        f"WARNING: {len(known)} of these {len(files)} films, {known[0].id!r} first, have the id of a film that {name} was "
        "trained or judged on. The network knows such films: thresholds from them look better than they are. Leave them "
        "out. Only ids are compared; the same film under another id is not found.",
        style="bold red",
        markup=False,
    )


def _tell(made: SiteProfile, profile: Path) -> None:
    fitted = made.fitted_on
    out.print(
        f"{profile}: for {made.package}, from {fitted.films} films ({fitted.fractured} with a fracture, "
        f"{fitted.clusters} patients or clusters, {fitted.left_out_by_the_gate} refused by the gate)",
        markup=False,
    )
    for name, point, sensitivity, specificity in (
        ("doubt", made.thresholds.doubt, fitted.sensitivity_at_doubt, fitted.specificity_at_doubt),
        (
            "fracture",
            made.thresholds.fracture,
            fitted.sensitivity_at_fracture,
            fitted.specificity_at_fracture,
        ),
    ):
        out.print(
            f"{name} from {point:.4f}: sensitivity {_words(sensitivity)}, specificity {_words(specificity)}",
            markup=False,
        )
    out.print(
        f"AUC {_words(fitted.auc)}. The films chose the points, so these figures are optimistic.",
        markup=False,
    )
    out.print(RESEARCH_NOTICE, style="dim")


def _words(figure: tuple[float, float, float]) -> str:
    return f"{figure[0]:.3f} [{figure[1]:.3f}, {figure[2]:.3f}]"
