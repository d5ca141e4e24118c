"""The evaluation as a page that opens offline, and as JSON."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from pipeline.evaluation import plots
from pipeline.evaluation.evaluating import Evaluation
from pipeline.evaluation.figures import ALL_FILMS, FIGURES, TOP_HIT, Figure, Figures
from pipeline.evaluation.gallery import called_normals, missed_fractures
from pipeline.findings import RESEARCH_NOTICE

PAGE = "report.html"
_TEMPLATE = "report.html.jinja"
_GROUP_FIGURES = (
    ("AUC", "AUC"),
    ("sensitivity at the sensitive point", "sensitivity, sensitive point"),
    ("specificity at the sensitive point", "specificity, sensitive point"),
    ("sensitivity at the specific point", "sensitivity, specific point"),
    ("specificity at the specific point", "specificity, specific point"),
    (TOP_HIT, "top region hits"),
)
# What each figure means, for a stranger.
EXPLAINED = {
    "AUC": "the chance that a fractured film gets a higher score than a normal one; 0.5 is guessing",
    "average precision": "the mean share of fractured films among those called, over all thresholds",
    "sensitivity at the sensitive point": "of the fractured films, the share that is at least a doubt",
    "specificity at the sensitive point": "of the normal films, the share that is below any doubt",
    "sensitivity at the specific point": "of the fractured films, the share that is called a fracture",
    "specificity at the specific point": "of the normal films, the share that is not called a fracture",
    TOP_HIT: "of the films with a labelled box, the share whose likeliest region points into one",
    "box mAP50": "COCO's average precision of the boxes at an overlap of one half, normal films included",
    "Dice of heat and mask": "overlap of the warm part of the heat map and the outlined fracture; two people reach about 0.7",
    "body part named correctly": "the share of films whose likeliest body part is one of those labelled",
    "calibration slope": "1 is perfect; below 1 the probabilities are too extreme",
    "calibration intercept": "0 is perfect; below 0 the probabilities are too high",
    "Brier score": "mean squared distance of probability and truth; lower is better",
    "expected calibration error, 10 bins": "mean gap between the probability said and the share that is fractured; "
    "resampling adds gaps of its own, so its interval lies high",
}


@dataclass(frozen=True)
class Identity:
    """Which package was measured, on what."""

    model: str
    digest: str
    data: str


def write_report(folder: Path, evaluation: Evaluation, identity: Identity) -> Path:
    """Writes `figures.json` and `report.html` into the folder; returns the page."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / FIGURES).write_text(evaluation.figures.text(), encoding="utf-8")
    page = folder / PAGE
    page.write_text(render_page(evaluation, identity), encoding="utf-8")
    return page


def render_page(evaluation: Evaluation, identity: Identity) -> str:
    """One HTML page; its pictures are inside it and it needs no script."""
    sample, figures = evaluation.sample, evaluation.figures
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template(_TEMPLATE).render(
        notice=RESEARCH_NOTICE,
        identity=identity,
        figures=figures,
        seen=evaluation.seen,
        overall=[one for one in figures.figures if one.group == ALL_FILMS],
        explained=EXPLAINED,
        group_columns=[short for _, short in _GROUP_FIGURES],
        groups=_groups(figures),
        roc=plots.roc(sample),
        precision_recall=plots.precision_recall(sample),
        reliability=plots.reliability(sample),
        free_response=plots.free_response(sample, figures)
        if any(file.boxes for file in sample.files)
        else None,
        forest=plots.forest(figures),
        missed=missed_fractures(sample),
        called=called_normals(sample),
        folds=sample.has_folds,
    )


def _groups(figures: Figures) -> list[tuple[Figure, list[Figure]]]:
    """Each group with its figures in the table's order; the first carries the counts."""
    rows = []
    for group in dict.fromkeys(one.group for one in figures.figures if one.group != ALL_FILMS):
        own = {one.name: one for one in figures.figures if one.group == group}
        rows.append((own["AUC"], [own[name] for name, _ in _GROUP_FIGURES]))
    return rows
