"""Every figure of a sample, with its interval: what `figures.json`, the model card and the report say."""

from __future__ import annotations

from typing import Literal

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict
from sklearn.metrics import confusion_matrix

from pipeline.evaluation import film_figures as film
from pipeline.evaluation.baselines import BASELINES, baseline_scores
from pipeline.evaluation.box_figures import FALSE_BOXES, BoxFigures
from pipeline.evaluation.cluster_draws import cluster_weights, estimate
from pipeline.evaluation.sample import Sample
from pipeline.evaluation.subgroups import FEWEST, Subgroup, fracture_sizes, subgroups

Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]
FIGURES = "figures.json"
ALL_FILMS = "all films"
DECIMALS = 4
TOP_HIT = "hit rate of the top region (its centre in a labelled box)"


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Figure(_Record):
    """One figure of one group; `value` is None where there are too few films. `films` are those it is of."""

    name: str
    group: str
    films: int
    fractured: int
    fractured_clusters: int
    value: float | None
    low: float | None
    high: float | None

    def __str__(self) -> str:
        if self.value is None:
            return "too few films"
        if self.low is None or self.high is None:
            return f"{self.value:.3f}"
        return f"{self.value:.3f} [{self.low:.3f}, {self.high:.3f}]"


class Confusion(_Record):
    """Films by label and by what an operating point says."""

    point: str
    threshold: float
    true_positives: int
    false_positives: int
    true_negatives: int
    false_negatives: int


class Misses(_Record):
    """How often a kind of film is misread at the sensitive point: fractures missed, or normal films called."""

    kind: Literal["fracture missed", "normal film called"]
    group: str
    films: int
    misread: int


class Figures(_Record):
    """All of them. `protocol` says which films were read by which weights."""

    format: Literal[1] = 1
    model: str
    protocol: str
    films: int
    fractured: int
    clusters: int
    fractured_clusters: int
    draws: int
    dice_level: float | None
    figures: tuple[Figure, ...]
    baselines: tuple[Figure, ...]
    confusion: tuple[Confusion, ...]
    misses: tuple[Misses, ...]

    def find(self, name: str, group: str = ALL_FILMS) -> Figure | None:
        """The figure of that name and group."""
        found = (one for one in self.figures if (one.name, one.group) == (name, group))
        return next(found, None)

    def text(self) -> str:
        """As `figures.json` holds it."""
        return self.model_dump_json(indent=1) + "\n"


class Measuring:
    """Figures of one sample over one set of draws."""

    def __init__(self, sample: Sample, draws: int) -> None:
        self.sample = sample
        self.boxes = BoxFigures(
            [file.boxes for file in sample.files], [score.regions for score in sample.scores]
        )
        self._weights = cluster_weights(sample.clusters, draws=draws)
        self._every = Subgroup(ALL_FILMS, "", np.ones(len(sample.files), np.bool_))

    def figures(self) -> list[Figure]:
        """Of all films, and of each subgroup."""
        made = self._ranking(self._every) + self._at_points(self._every)
        if self.sample.has_folds:
            _, doubt, fracture = self.sample.fitted_elsewhere()
            made += self._called(self._every, doubt, fracture, ", chosen on the other folds")
        made += self._of_boxes() + self._of_calibration()
        for group in subgroups(self.sample):
            made += (
                self._ranking(group)[:1] + self._at_points(group) + [self._top_hit(group.films, group)]
            )
        return made

    def baselines(self) -> list[Figure]:
        """Image-free rates, and how far the model is ahead of each on the same draws."""
        sample, made = self.sample, []
        own = film.drawn_area_under_curve(sample.logits, sample.labels, self._weights)
        area = film.area_under_curve(sample.logits, sample.labels)
        for name, described in BASELINES.items():
            guesses = baseline_scores(sample, described)
            other = film.area_under_curve(guesses, sample.labels)
            drawn = film.drawn_area_under_curve(guesses, sample.labels, self._weights)
            made.append(self._figure(f"AUC of {name} alone", self._every, other, drawn))
            made.append(
                self._figure(f"AUC of the model above {name}", self._every, area - other, own - drawn)
            )
        return made

    def _ranking(self, group: Subgroup) -> list[Figure]:
        scores, labels = self.sample.logits[group.films], self.sample.labels[group.films]
        weights = self._weights[:, group.films]
        return [
            self._figure(
                "AUC",
                group,
                film.area_under_curve(scores, labels),
                film.drawn_area_under_curve(scores, labels, weights),
            ),
            self._figure(
                "average precision",
                group,
                film.average_precision(scores, labels),
                film.drawn_average_precision(scores, labels, weights),
            ),
        ]

    def _at_points(self, group: Subgroup) -> list[Figure]:
        doubt, fracture = self.sample.reached(self.sample.label.thresholds)
        return self._called(group, doubt, fracture, "")

    def _called(self, group: Subgroup, doubt: Flags, fracture: Flags, how: str) -> list[Figure]:
        labels, made = self.sample.labels, []
        for point, called in (("sensitive", doubt), ("specific", fracture)):
            for name, value, right, among in (
                ("sensitivity", film.sensitivity, called, labels),
                ("specificity", film.specificity, ~called, ~labels),
            ):
                given = value(called[group.films], labels[group.films])
                own = among & group.films
                drawn = film.drawn_share(right, own, self._weights)
                title = f"{name} at the {point} point{how}"
                made.append(self._figure(title, group, given, drawn, fewest=int(own.sum())))
        return made

    def _of_boxes(self) -> list[Figure]:
        boxes, dice = self.boxes, np.array([_number(score.dice) for score in self.sample.scores])
        made = [
            self._top_hit(boxes.boxed, self._every),
            self._figure(
                "box mAP50",
                self._every,
                boxes.mean_average_precision,
                boxes.drawn_mean_average_precision(self._weights),
            ),
        ]
        drawn = boxes.drawn_sensitivities(self._weights)
        for index, (allowed, value) in enumerate(zip(FALSE_BOXES, boxes.sensitivities(), strict=True)):
            name = f"share of labelled boxes found at {allowed:g} false boxes per film"
            made.append(self._figure(name, self._every, value, drawn[:, index]))
        marked = np.isfinite(dice)
        made.append(self._mean("Dice of heat and mask", np.nan_to_num(dice), marked, self._every))
        if len(self.sample.part_names) > 1:
            named = np.array(
                [
                    file.parts[int(np.argmax(score.parts))]
                    for file, score in zip(self.sample.files, self.sample.scores, strict=True)
                ]
            )
            made.append(self._mean("body part named correctly", named, self._every.films, self._every))
        return made

    def _of_calibration(self) -> list[Figure]:
        labels, weights, every = self.sample.labels, self._weights, self._every
        chances, _, _ = self.sample.fitted_elsewhere()
        slope, intercept = film.slope_and_intercept(chances, labels)
        slopes, intercepts = film.drawn_slopes_and_intercepts(chances, labels, weights)
        squares = np.square(chances - labels)
        return [
            self._figure("calibration slope", every, slope, slopes),
            self._figure("calibration intercept", every, intercept, intercepts),
            self._figure(
                "Brier score",
                every,
                film.brier(chances, labels),
                film.drawn_share(squares, every.films, weights),
            ),
            self._figure(
                "expected calibration error, 10 bins",
                every,
                film.calibration_error(chances, labels),
                film.drawn_calibration_error(chances, labels, weights),
            ),
        ]

    def _top_hit(self, among: Flags, group: Subgroup) -> Figure:
        return self._mean(TOP_HIT, self.boxes.top_hits, among & self.boxes.boxed, group)

    def _mean(
        self, name: str, values: npt.NDArray[np.generic], among: Flags, group: Subgroup
    ) -> Figure:
        value = float(values[among].mean()) if among.any() else np.nan
        of = Subgroup(group.kind, group.name, among)
        return self._figure(
            name, of, value, film.drawn_share(values, among, self._weights), fewest=int(among.sum())
        )

    def _figure(
        self, name: str, group: Subgroup, value: float, drawn: Floats, *, fewest: int | None = None
    ) -> Figure:
        """`fewest`: how many films the figure stands on; unless told, those of the rarer kind."""
        labels = self.sample.labels[group.films]
        own = {
            self.sample.clusters[index] for index in np.flatnonzero(group.films & self.sample.labels)
        }
        count = min(labels.sum(), (~labels).sum()) if fewest is None else fewest
        enough = group.kind == ALL_FILMS or count >= FEWEST
        given = estimate(value if enough else np.nan, drawn)
        return Figure(
            name=name,
            group=group.kind if group.kind == ALL_FILMS else group.title,
            films=len(labels),
            fractured=int(labels.sum()),
            fractured_clusters=len(own),
            value=_finite(given.value),
            low=_finite(given.low),
            high=_finite(given.high),
        )


def measure(
    sample: Sample, *, model: str, protocol: str, dice_level: float | None, draws: int
) -> Figures:
    """All figures of a sample; the same for the same scores, labels and number of draws."""
    measuring = Measuring(sample, draws)
    fractured = {name for name, is_so in zip(sample.clusters, sample.labels, strict=True) if is_so}
    return Figures(
        model=model,
        protocol=protocol,
        films=len(sample.files),
        fractured=int(sample.labels.sum()),
        clusters=len(set(sample.clusters)),
        fractured_clusters=len(fractured),
        draws=draws,
        dice_level=dice_level,
        figures=tuple(measuring.figures()),
        baselines=tuple(measuring.baselines()),
        confusion=_confusion(sample),
        misses=_misses(sample),
    )


def _confusion(sample: Sample) -> tuple[Confusion, ...]:
    points, made = sample.label.thresholds, []
    for name, at, called in zip(
        ("sensitive", "specific"), (points.doubt, points.fracture), sample.reached(points), strict=True
    ):
        counts = confusion_matrix(sample.labels, called, labels=[False, True])
        (true_negatives, false_positives), (false_negatives, true_positives) = counts.tolist()
        made.append(
            Confusion(
                point=name,
                threshold=at,
                true_positives=true_positives,
                false_positives=false_positives,
                true_negatives=true_negatives,
                false_negatives=false_negatives,
            )
        )
    return tuple(made)


def _misses(sample: Sample) -> tuple[Misses, ...]:
    """By subgroup, the worst first."""
    called, _ = sample.reached(sample.label.thresholds)
    made: list[Misses] = []

    def add(kind: Literal["fracture missed", "normal film called"], group: Subgroup, wrong: Flags, among: Flags) -> None:  # fmt: skip
        films = group.films & among
        if films.sum() >= FEWEST:
            made.append(
                Misses(
                    kind=kind,
                    group=group.title,
                    films=int(films.sum()),
                    misread=int((films & wrong).sum()),
                )
            )

    for group in subgroups(sample) + fracture_sizes(sample):
        add("fracture missed", group, ~called, sample.labels)
    for group in subgroups(sample):
        add("normal film called", group, called, ~sample.labels)
    return tuple(sorted(made, key=lambda one: (one.kind, -one.misread / one.films)))


def _finite(value: float) -> float | None:
    return round(float(value), DECIMALS) if np.isfinite(value) else None


def _number(value: float | None) -> float:
    return np.nan if value is None else value


__all__ = ["FIGURES", "TOP_HIT", "Confusion", "Figure", "Figures", "Misses", "measure"]
