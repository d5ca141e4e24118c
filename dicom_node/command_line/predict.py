"""`dicom-node predict`: reads files without a node."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.progress import track
from rich.table import Table

from dicom_node.command_line.terminal import OUTCOME_STYLES, err, out, percent, plain_errors
from pipeline.findings import RESEARCH_NOTICE, ImageFindings

if TYPE_CHECKING:  # torch is loaded only by the command that needs it
    from pipeline.analysis import Analyzer
    from pipeline.explanation import Explainer
    from pipeline.radiograph import Radiograph

ProfileOption = Annotated[
    Path | None,
    typer.Option(dir_okay=False, help="A site profile, as [model] profile in the node's settings."),
]
MinimumAgeOption = Annotated[
    float | None,
    typer.Option(
        metavar="YEARS",
        min=0,
        max=120,
        help="Do not read films of younger patients, as [model] minimum_age_years.",
    ),
]
GradcamOption = Annotated[
    Path | None,
    typer.Option(
        help="Write here why: a PNG of the film with its Grad-CAM; of several films, a folder of them."
    ),
]
_SUFFIXES = {".dcm", ".dicom", ".ima", ".png", ".jpg", ".jpeg"}


def predict(
    paths: Annotated[
        list[Path], typer.Argument(exists=True, help="DICOM, PNG or JPEG files, or folders of them.")
    ],
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a line.")] = False,
    overlay: Annotated[
        Path | None, typer.Option(file_okay=False, help="Write an annotated PNG of each film here.")
    ] = None,
    gradcam: GradcamOption = None,
    model: Annotated[
        Path | None, typer.Option(exists=True, help="A model package; default: the shipped one.")
    ] = None,
    profile: ProfileOption = None,
    minimum_age: MinimumAgeOption = None,
    engine: Annotated[
        str, typer.Option(help='What runs the network, e.g. "openvino bf16"; auto: torch.')
    ] = "auto",
) -> None:
    """Read radiographs and say: fracture, doubt, no fracture or not processed. No node is needed.

    Exit status: 0 when every file was read, 1 when one was not, 2 on wrong usage.

    [dim]dicom-node predict wrist.dcm
    dicom-node predict films/ --json > answers.jsonl
    dicom-node predict films/ --overlay pictures/
    dicom-node predict wrist.dcm --gradcam why.png
    dicom-node predict films/ --profile site.toml --minimum-age 18[/dim]
    """
    with plain_errors():
        from pipeline.analysis import Analyzer

        analyzer = Analyzer.open(model, profile=profile, engine=engine)
    files = list(film_files(paths))
    if not files:
        err.print(f"no DICOM, PNG or JPEG file in {', '.join(map(str, paths))}", markup=False)
        raise typer.Exit(2)
    if gradcam is not None and len(files) > 1 and gradcam.suffix:
        raise typer.BadParameter(
            f"{len(files)} films do not fit into {gradcam}; name a folder", param_hint="--gradcam"
        )
    explainer = _explainer(model) if gradcam is not None else None
    table = _table()
    unread = 0
    for path in track(files, "reading", console=err, disable=not err.is_terminal, transient=True):
        findings, film = _read(path, analyzer, overlay, minimum_age)
        if gradcam is not None and explainer is not None and film is not None:
            _explain(gradcam, path, film, findings, explainer)
        unread += findings.reason is not None
        if as_json:
            print(json.dumps(answer(path, findings)), flush=True)  # noqa: T201 - the answer itself
        else:
            _add_row(table, path, findings)
    if not as_json:
        out.print(table)
        out.print(f"{_model_name(analyzer)}. {RESEARCH_NOTICE}", style="dim")
    if unread:
        raise typer.Exit(1)


def _model_name(analyzer: Analyzer) -> str:
    model = analyzer.identity
    site = f", site profile {model.profile[:12]}" if model.profile else ""
    return f"{model.name} {model.version}{site}"


def film_files(paths: list[Path]) -> Iterator[Path]:
    """The named files, and of folders what looks like a film by its name or its first bytes."""
    for path in paths:
        if not path.is_dir():
            yield path
            continue
        for inner in sorted(path.rglob("*")):
            if inner.is_file() and not inner.name.startswith(".") and _looks_like_film(inner):
                yield inner


def _looks_like_film(path: Path) -> bool:
    if path.suffix.lower() in _SUFFIXES:
        return True
    if path.suffix:
        return False
    with path.open("rb") as file:
        return file.read(132)[128:] == b"DICM"


def _read(
    path: Path, analyzer: Analyzer, overlay: Path | None, minimum_age: float | None
) -> tuple[ImageFindings, Radiograph | None]:
    from pipeline.predict import read_film

    findings, radiograph = read_film(path, analyzer, minimum_age_years=minimum_age)
    if overlay is not None and radiograph is not None:
        from PIL import Image

        from dicom_node.results.overlay_drawing import draw_overlay

        overlay.mkdir(parents=True, exist_ok=True)
        picture = draw_overlay(radiograph, findings, longest_side=2048)
        Image.fromarray(picture).save(_free_name(overlay, f"{path.stem}_overlay"))
    return findings, radiograph


def _explainer(model: Path | None) -> Explainer:
    from pipeline.explanation import Explainer

    with plain_errors():
        return Explainer.open(model)


def _explain(
    target: Path, path: Path, film: Radiograph, findings: ImageFindings, explainer: Explainer
) -> None:
    """Its own file for one film; in a folder each film under its name."""
    from PIL import Image

    from pipeline.explanation_drawing import draw_explanation

    picture = draw_explanation(film, findings, explainer.explain(film))
    if not target.suffix:
        target.mkdir(parents=True, exist_ok=True)
        target = _free_name(target, f"{path.stem}_gradcam")
    target.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(picture[:, :, ::-1]).save(target)


def _free_name(folder: Path, stem: str) -> Path:
    """Films of one name in several folders must not write over each other's picture."""
    name, count = folder / f"{stem}.png", 2
    while name.exists():
        name, count = folder / f"{stem}_{count}.png", count + 1
    return name


def answer(path: Path, findings: ImageFindings) -> dict[str, object]:
    """The answer to one file, as `--json` prints it."""
    part = findings.body_part
    return {
        "path": str(path),
        "outcome": str(findings.outcome),
        "reason": _reason(findings),
        "note": None if findings.reason else findings.detail or None,
        "fracture_probability": _rounded(findings.fracture_probability),
        "body_part": part.name if part else None,
        "body_part_probability": _rounded(part.probability) if part else None,
        "regions": [
            {
                "box": [round(edge, 2) for edge in region.box],
                "probability": _rounded(region.probability),
            }
            for region in findings.regions
        ],
        "thresholds": {
            "fracture": findings.thresholds.fracture,
            "doubt": findings.thresholds.doubt,
        },
        "model": f"{findings.model.name} {findings.model.version}",
        "digest": findings.model.digest,
        "profile": findings.model.profile or None,
    }


def _reason(findings: ImageFindings) -> str | None:
    if findings.reason is None:
        return None
    detail = f": {findings.detail}" if findings.detail else ""
    return f"{findings.reason.value} {findings.reason.meaning}{detail}"


def _rounded(probability: float | None) -> float | None:
    return None if probability is None else round(probability, 6)


def _table() -> Table:
    table = Table(box=None)
    table.add_column("file", overflow="fold", min_width=24)
    table.add_column("outcome", no_wrap=True)
    table.add_column("prob.", justify="right")
    table.add_column("body part")
    table.add_column("regions, or why not")
    return table


def _add_row(table: Table, path: Path, findings: ImageFindings) -> None:
    part = findings.body_part
    table.add_row(
        str(path),
        f"[{OUTCOME_STYLES[findings.outcome]}]{findings.outcome}[/]",
        percent(findings.fracture_probability),
        f"{part.name} {percent(part.probability)}" if part else "",
        _reason(findings) or "; ".join(filter(None, (_regions(findings), findings.detail))),
    )


def _regions(findings: ImageFindings) -> str:
    return ", ".join(
        f"{percent(region.probability)} at "
        f"({region.box[0]:.0f}, {region.box[1]:.0f})-({region.box[2]:.0f}, {region.box[3]:.0f})"
        for region in findings.visible_regions
    )
