"""Two tables of scores on the same films: what the second is ahead of the first, with paired intervals.

Both tables are drawn together: a sample of clusters that is hard for one is hard for the other, so the interval of
the difference is narrower than two intervals side by side suggest (Efron and Tibshirani, 1993, chapter 8).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence, Set
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict

from pipeline.errors import EvaluationError
from pipeline.evaluation import film_figures as film
from pipeline.evaluation.box_figures import lies_in
from pipeline.evaluation.cluster_draws import cluster_weights, estimate
from pipeline.evaluation.figures import DECIMALS, TOP_HIT
from pipeline.evaluation.film_scores import REGIONS, FilmScore, read_score_table
from pipeline.training.datasets.labelled_file import LabelledFile

COMPARISON = "comparison.json"
Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Difference(_Record):
    """One figure of both tables; `difference` is the second's minus the first's, `low` and `high` its interval."""

    name: str
    films: int
    first: float | None
    second: float | None
    difference: float | None
    low: float | None
    high: float | None

    @property
    def excludes_zero(self) -> bool:
        """Whether the whole interval lies on one side of no difference."""
        return self.low is not None and self.high is not None and not self.low <= 0 <= self.high

    def __str__(self) -> str:
        if self.difference is None:
            return "too few films"
        if self.low is None or self.high is None:
            return f"{self.difference:+.3f}"
        return f"{self.difference:+.3f} [{self.low:+.3f}, {self.high:+.3f}]"


class Comparison(_Record):
    """What `comparison.json` holds; `first` and `second` name the tables as they were given."""

    format: Literal[1] = 1
    first: str
    second: str
    films: int
    fractured: int
    clusters: int
    draws: int
    differences: tuple[Difference, ...]

    def text(self) -> str:
        """As `comparison.json` holds it."""
        return self.model_dump_json(indent=1) + "\n"


@dataclass(frozen=True, eq=False)
class _Pair:
    """The films that both tables score, in the data set's order, and the draws that both share."""

    files: tuple[LabelledFile, ...]
    first: tuple[FilmScore, ...]
    second: tuple[FilmScore, ...]
    weights: Floats

    @property
    def labels(self) -> Flags:
        return np.array([file.fractured for file in self.files])

    def ranked(
        self,
        name: str,
        value: Callable[[Floats, Flags], float],
        drawn: Callable[[Floats, Flags, Floats], Floats],
    ) -> Difference:
        """A figure of the films' logits."""
        labels = self.labels
        one, other = (
            np.array([score.fracture for score in scores], np.float64)
            for scores in (self.first, self.second)
        )
        return _difference(
            name,
            len(labels),
            (value(one, labels), value(other, labels)),
            (drawn(one, labels, self.weights), drawn(other, labels, self.weights)),
        )

    def top_hits(self) -> Difference:
        """Over the films with a labelled box."""
        boxed = np.array([bool(file.boxes) for file in self.files])
        one, other = (
            np.array(
                [
                    bool(score.regions) and lies_in(score.regions[0].box, file.boxes)
                    for file, score in zip(self.files, scores, strict=True)
                ]
            )
            for scores in (self.first, self.second)
        )
        return _difference(
            TOP_HIT,
            int(boxed.sum()),
            (_mean(one[boxed]), _mean(other[boxed])),
            (
                film.drawn_share(one, boxed, self.weights),
                film.drawn_share(other, boxed, self.weights),
            ),
        )


def compare_tables(
    first: Path, second: Path, files: Sequence[LabelledFile], *, draws: int = 1000
) -> Comparison:
    """AUC, average precision and, where both tables have regions, the hit rate of the top region.

    `first`, `second`: a `scores.csv` as packages hold it; a `regions.csv` beside it belongs to it.
    `files`: the labels, films without a score included.

    Raises:
        EvaluationError: a table is none, the tables score different films, a film is not among the labels, or all
            films are of one kind; names the table and a film.
    """
    read = [read_score_table(path) for path in (first, second)]
    scored = [{one.id: one for one in scores if one.fracture is not None} for scores in read]
    _refuse_other_films(first, second, scored[0].keys(), scored[1].keys())
    known = {file.id for file in files}
    strange = [name for name in scored[0] if name not in known]
    if strange:
        raise EvaluationError(
            f"{first}: {len(strange)} of {len(scored[0])} scored films, {strange[0]!r} first, are not in the data: "
            "give the data set that the scores were made of"
        )
    kept = tuple(file for file in files if file.id in scored[0])
    fractured = sum(file.fractured for file in kept)
    if not 0 < fractured < len(kept):
        raise EvaluationError(
            f"{first}: {fractured} of {len(kept)} scored films are fractured; figures need films of both kinds"
        )
    clusters = [file.cluster for file in kept]
    one, other = (tuple(scores[file.id] for file in kept) for scores in scored)
    pair = _Pair(kept, one, other, cluster_weights(clusters, draws=draws))
    with_regions = all((path.parent / REGIONS).is_file() for path in (first, second))
    return Comparison(
        first=str(first),
        second=str(second),
        films=len(kept),
        fractured=fractured,
        clusters=len(set(clusters)),
        draws=draws,
        differences=tuple(_differences(pair, with_regions)),
    )


def _differences(pair: _Pair, with_regions: bool) -> list[Difference]:
    made = [
        pair.ranked("AUC", film.area_under_curve, film.drawn_area_under_curve),
        pair.ranked("average precision", film.average_precision, film.drawn_average_precision),
    ]
    return [*made, pair.top_hits()] if with_regions else made


def _refuse_other_films(first: Path, second: Path, one: Set[str], other: Set[str]) -> None:
    for mine, lacking, missing in ((first, second, one - other), (second, first, other - one)):
        if missing:
            raise EvaluationError(
                f"{lacking}: {len(missing)} films that {mine} scores, {min(missing)!r} first, have no score; a paired "
                "comparison needs the same films in both tables"
            )


def _difference(
    name: str, films: int, values: tuple[float, float], drawn: tuple[Floats, Floats]
) -> Difference:
    given = estimate(values[1] - values[0], drawn[1] - drawn[0])
    return Difference(
        name=name,
        films=films,
        first=_finite(values[0]),
        second=_finite(values[1]),
        difference=_finite(given.value),
        low=_finite(given.low),
        high=_finite(given.high),
    )


def _mean(values: Flags) -> float:
    return float(values.mean()) if len(values) else np.nan


def _finite(value: float) -> float | None:
    return round(float(value), DECIMALS) if np.isfinite(value) else None


__all__ = ["COMPARISON", "Comparison", "Difference", "compare_tables"]
