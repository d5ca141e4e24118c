"""The report's curves, drawn by matplotlib: each an SVG in a data URI, so that the page needs nothing beside it."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence

import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas
from sklearn.calibration import calibration_curve
from sklearn.metrics import precision_recall_curve, roc_curve

from pipeline.evaluation.baselines import BASELINES, baseline_scores
from pipeline.evaluation.box_figures import FALSE_BOXES, BoxFigures
from pipeline.evaluation.figures import ALL_FILMS, Figure, Figures
from pipeline.evaluation.film_figures import BINS
from pipeline.evaluation.sample import Sample

MODEL, OTHER, POINT = "#1f5fa8", "#9a9a9a", "#c2410c"


def roc(sample: Sample) -> str:
    """Sensitivity against the share of normal films called, with the baselines and both operating points."""
    canvas, axes = _square("share of normal films called", "sensitivity")
    axes.plot([0, 1], [0, 1], color=OTHER, linewidth=0.8, linestyle=":")
    for dashes, (name, described) in zip(("--", "-."), BASELINES.items(), strict=True):
        false, true, _ = roc_curve(sample.labels, baseline_scores(sample, described))
        axes.plot(false, true, color=OTHER, linestyle=dashes, label=f"{name} alone")
    false, true, _ = roc_curve(sample.labels, sample.chances)
    axes.plot(false, true, color=MODEL, linewidth=2, label="the model")
    for marker, (name, called) in zip("os", _points(sample), strict=True):
        x, y = called[~sample.labels].mean(), called[sample.labels].mean()
        axes.plot(x, y, marker, color=POINT, label=f"{name} point")
    axes.legend(loc="lower right", frameon=False, fontsize=8)
    return _as_uri(canvas)


def precision_recall(sample: Sample) -> str:
    """Of the films called, how many are fractured, against the share of fractures found."""
    canvas, axes = _square("sensitivity (recall)", "share of called films that are fractured")
    precision, recall, _ = precision_recall_curve(sample.labels, sample.chances)
    share = sample.labels.mean()
    axes.axhline(share, color=OTHER, linestyle="--", label=f"calling every film: {share:.2f}")
    axes.plot(recall, precision, color=MODEL, linewidth=2, label="the model")
    for marker, (name, called) in zip("os", _points(sample), strict=True):
        if called.any():
            axes.plot(
                called[sample.labels].mean(),
                sample.labels[called].mean(),
                marker,
                color=POINT,
                label=f"{name} point",
            )
    axes.legend(loc="upper right", frameon=False, fontsize=8)
    return _as_uri(canvas)


def reliability(sample: Sample) -> str:
    """Said probability against the share that is fractured, with how many films lie in each bin."""
    chances, _, _ = sample.fitted_elsewhere()
    canvas = Canvas(figsize=(4.6, 4.6), layout="constrained")
    axes, below = canvas.subplots(2, 1, sharex=True, height_ratios=(4, 1))
    true, said = calibration_curve(sample.labels, chances, n_bins=BINS)
    axes.plot([0, 1], [0, 1], color=OTHER, linewidth=0.8, linestyle=":", label="perfect")
    axes.plot(said, true, "o-", color=MODEL, linewidth=2, label="the model")
    axes.set(ylabel="share that is fractured", xlim=(-0.02, 1.02), ylim=(-0.02, 1.02))
    axes.legend(loc="upper left", frameon=False, fontsize=8)
    below.hist(chances, bins=BINS, range=(0, 1), color=MODEL, alpha=0.5)
    below.set(xlabel="probability said", ylabel="films", yscale="log")
    return _as_uri(canvas)


def free_response(sample: Sample, figures: Figures) -> str:
    """Share of labelled boxes found against false boxes per film, with intervals where the figures have them."""
    boxes = BoxFigures(
        [file.boxes for file in sample.files], [score.regions for score in sample.scores]
    )
    canvas = Canvas(figsize=(4.6, 4.6), layout="constrained")
    axes = canvas.subplots()
    false, true = boxes.free_response()
    if len(false):
        axes.step(np.append(0, false), np.append(0, true), where="post", color=MODEL, linewidth=2)
    for allowed in FALSE_BOXES:
        one = figures.find(f"share of labelled boxes found at {allowed:g} false boxes per film")
        if one is not None and one.value is not None and one.low is not None and one.high is not None:
            axes.plot([allowed, allowed], [one.low, one.high], color=POINT, linewidth=1.2)
            axes.plot(allowed, one.value, "o", color=POINT, markersize=4)
    axes.set(
        xlabel="false boxes per film",
        ylabel="share of labelled boxes found",
        xscale="symlog",
        xlim=(0, 4.5),
        ylim=(0, 1.02),
    )
    axes.set_xscale("symlog", linthresh=0.125)
    axes.set_xticks((0, *FALSE_BOXES), ["0", *(f"{allowed:g}" for allowed in FALSE_BOXES)])
    axes.minorticks_off()
    return _as_uri(canvas)


def forest(figures: Figures, name: str = "AUC") -> str:
    """One figure for each group, with its interval, beside that of all films."""
    rows = [(one, one.value) for one in figures.figures if one.name == name and one.value is not None]
    canvas = Canvas(figsize=(7.2, 0.7 + 0.36 * len(rows)), layout="constrained")
    axes = canvas.subplots()
    for place, (one, value) in enumerate(reversed(rows)):
        colour = MODEL if one.group == ALL_FILMS else "#333333"
        if one.low is not None and one.high is not None:
            axes.plot([one.low, one.high], [place, place], color=colour, linewidth=1.6)
        axes.plot(value, place, "o", color=colour)
    axes.set_yticks(range(len(rows)), [_named(one) for one, _ in reversed(rows)])
    overall = next((value for one, value in rows if one.group == ALL_FILMS), None)
    if overall is not None:
        axes.axvline(overall, color=OTHER, linestyle=":", linewidth=0.8)
    axes.set(xlabel=name, ylim=(-0.6, len(rows) - 0.4))
    return _as_uri(canvas)


def _named(one: Figure) -> str:
    return f"{one.group} ({one.films} films, {one.fractured} fractured)"


def _points(sample: Sample) -> Sequence[tuple[str, np.ndarray[tuple[int], np.dtype[np.bool_]]]]:
    doubt, fracture = sample.reached(sample.label.thresholds)
    return (("sensitive", doubt), ("specific", fracture))


def _square(across: str, up: str) -> tuple[Canvas, Axes]:
    canvas = Canvas(figsize=(4.6, 4.6), layout="constrained")
    axes = canvas.subplots()
    axes.set(xlabel=across, ylabel=up, xlim=(-0.02, 1.02), ylim=(-0.02, 1.02))
    return canvas, axes


def _as_uri(canvas: Canvas) -> str:
    for axes in canvas.axes:
        axes.spines[["top", "right"]].set_visible(False)
    held = io.BytesIO()
    # Names inside the picture are made of this word, not at random: the same figures, the same page.
    with rc_context({"svg.hashsalt": "report"}):
        canvas.savefig(held, format="svg", metadata={"Date": None})
    return "data:image/svg+xml;base64," + base64.b64encode(held.getvalue()).decode("ascii")
