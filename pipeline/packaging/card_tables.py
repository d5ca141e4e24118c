"""The tables of a model card, from the figures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from pipeline.evaluation.figures import ALL_FILMS, Figure, Figures
from pipeline.packaging.run_record import RunRecord

_TOP_HIT = "hit rate of the top region (its centre in a labelled box)"
_COLUMNS = ("AUC", "sensitivity at the sensitive point", "specificity at the sensitive point", _TOP_HIT)
# Fewer wrong ones are no kind of failure.
_FEWEST_WRONG = 2
_MOST_KINDS = 6


def figure_rows(figures: Sequence[Figure]) -> str:
    """Name, films, value with its interval."""
    return "\n".join(f"| {one.name} | {one.films} | {one} |" for one in figures)


def overall_rows(figures: Figures) -> str:
    """Every figure of all films."""
    return figure_rows([one for one in figures.figures if one.group == ALL_FILMS])


def subgroup_rows(figures: Figures) -> str:
    """One line a group, with how many films, fractures and clusters with a fracture stand behind it."""
    groups = dict.fromkeys(one.group for one in figures.figures if one.group != ALL_FILMS)
    lines = []
    for group in groups:
        own = {one.name: one for one in figures.figures if one.group == group}
        area = own["AUC"]
        cells = [str(own[name]) for name in _COLUMNS]
        lines.append(
            f"| {group} | {area.films} | {area.fractured} | {area.fractured_clusters} | {' | '.join(cells)} |"
        )
    return "\n".join(lines)


def confusion_rows(figures: Figures) -> str:
    """Counts at both operating points."""
    return "\n".join(
        f"| {one.point} | {one.threshold} | {one.true_positives} | {one.false_negatives} | {one.false_positives} "
        f"| {one.true_negatives} |"
        for one in figures.confusion
    )


def failures(figures: Figures) -> str:
    """The kinds of film that are misread most often, as sentences; small groups are in no sentence."""
    lines = []
    for kind, words in (
        ("fracture missed", "fractured films below the sensitive point"),
        ("normal film called", "films without a fracture at or above the sensitive point"),
    ):
        worst = [one for one in figures.misses if one.kind == kind and one.misread >= _FEWEST_WRONG]
        for one in worst[:_MOST_KINDS]:
            share = one.misread / one.films
            lines.append(f"- {one.group}: {one.misread} of {one.films} {words} ({share:.0%}).")
    return "\n".join(lines) or "- No group has two misread films at the sensitive point."


def abstention_table(gate: Mapping[str, object] | None) -> str:
    """The gate's own figures; without a gate, that there is none."""
    if not gate:
        return (
            "The header decides what is read; the pixels are not gated in this package: a chest film that is labelled "
            "as a hand is read as a hand."
        )
    rows = "\n".join(f"| {name} | {value} |" for name, value in gate.items())
    return f"Besides the header, the pixels decide whether a film is read:\n\n| figure | value |\n| --- | --- |\n{rows}"


def history_tables(runs: Sequence[RunRecord]) -> str:
    """Loss, and AUC where it was judged, of every run: each tenth epoch and the last."""
    parts = []
    for run in runs:
        head = f"Fold {run.fold} of {run.folds}" if run.folds is not None else "The run"
        last = len(run.history)
        lines = [
            f"| {line['epoch']:.0f} | {line['loss']:.4f} | {_short(line.get('val_auc'))} |"
            for line in run.history
            if line["epoch"] % 10 == 0 or line["epoch"] in (last, run.best_epoch)
        ]
        parts.append(
            f"{head}, epoch {run.best_epoch} of {last} shipped:\n\n| epoch | loss | AUC on what was held out |\n"
            "| --- | --- | --- |\n" + "\n".join(lines)
        )
    return "\n\n".join(parts)


def _short(value: float | None) -> str:
    return "" if value is None else f"{value:.4f}"
