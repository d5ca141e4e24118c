"""What a model said of films, as it is committed beside the weights: two small tables."""

from __future__ import annotations

import csv
import math
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pipeline.errors import EvaluationError
from pipeline.geometry import Box

OUT_OF_FOLD = "out_of_fold"
SCORES, REGIONS = "scores.csv", "regions.csv"
# The fold of a film that no member held out.
ALWAYS_TRAINED = -1
MOST_REGIONS = 5
DECIMALS = 4


@dataclass(frozen=True)
class FoundRegion:
    """A region before calibration; `box` in shares of the film's width and height."""

    box: Box
    logit: float


@dataclass(frozen=True)
class FilmScore:
    """Logits of one film; `fracture` and `dice` are None where there is none.

    `fold`: which fold held the film out, `ALWAYS_TRAINED` if none did. `dice`: overlap of heat and mask.
    `regions`: strongest first, `MOST_REGIONS` at most. Numbers are rounded to four decimals, as the tables
    hold them: figures made from either are the same.
    """

    id: str
    fold: int = ALWAYS_TRAINED
    fracture: float | None = None
    parts: tuple[float, ...] = ()
    dice: float | None = None
    regions: tuple[FoundRegion, ...] = ()


def rounded(value: float) -> float:
    """As the tables hold it."""
    return round(float(value), DECIMALS)


def write_film_scores(folder: Path, scores: Sequence[FilmScore]) -> None:
    """Writes `scores.csv` and `regions.csv` into the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    parts = max((len(score.parts) for score in scores), default=0)
    head = ("id", "fold", "fracture", *(f"part_{index}" for index in range(parts)), "dice")
    _write_table(folder / SCORES, head, (_score_row(score, parts) for score in scores))
    _write_table(
        folder / REGIONS,
        ("id", "x0", "y0", "x1", "y1", "logit"),
        (
            (score.id, *map(_text, (*region.box, region.logit)))
            for score in scores
            for region in score.regions
        ),
    )


def _score_row(score: FilmScore, parts: int) -> tuple[object, ...]:
    said = [_text(part) for part in score.parts] or [""] * parts
    return (score.id, score.fold, _text(score.fracture), *said, _text(score.dice))


def _text(value: float | None) -> str:
    return "" if value is None else f"{value:.{DECIMALS}f}"


def _write_table(path: Path, head: tuple[str, ...], rows: Iterable[tuple[object, ...]]) -> None:
    with path.open("w", newline="", encoding="utf-8") as table:
        csv.writer(table, lineterminator="\n").writerows([head, *rows])


def read_film_scores(folder: Path) -> tuple[FilmScore, ...]:
    """The scores that `write_film_scores` wrote.

    Raises:
        EvaluationError: a table is missing or holds something else; names file and line.
    """
    return _scores(folder / SCORES, _regions(folder / REGIONS))


def read_score_table(path: Path) -> tuple[FilmScore, ...]:
    """A `scores.csv` alone, under whatever name; with the `regions.csv` beside it if there is one.

    Raises:
        EvaluationError: as `read_film_scores`, and a film that stands there twice.
    """
    beside = path.parent / REGIONS
    scores = _scores(path, _regions(beside) if beside.is_file() else {})
    if not scores or len({score.id for score in scores}) < len(scores):
        raise EvaluationError(f"{path}: holds no film, or one of them twice; restore the file")
    return scores


def _regions(path: Path) -> Mapping[str, Sequence[FoundRegion]]:
    regions: dict[str, list[FoundRegion]] = defaultdict(list)
    for place, cells in _lines(path):
        x0, y0, x1, y1, logit = (
            _number(place, cells, name) for name in ("x0", "y0", "x1", "y1", "logit")
        )
        regions[cells["id"]].append(FoundRegion((x0, y0, x1, y1), logit))
    return regions


def _scores(path: Path, regions: Mapping[str, Sequence[FoundRegion]]) -> tuple[FilmScore, ...]:
    return tuple(
        _score(place, cells, tuple(regions.get(cells["id"], ()))) for place, cells in _lines(path)
    )


def _lines(path: Path) -> Iterator[tuple[str, dict[str, str]]]:
    if not path.is_file():
        raise EvaluationError(
            f"{path}: missing; give the {OUT_OF_FOLD} folder of a model package made by `dicom-node model package`"
        )
    with path.open(newline="", encoding="utf-8") as table:
        reader = csv.DictReader(table, restval="")
        for cells in reader:
            if not cells.get("id"):
                raise EvaluationError(f"{path}:{reader.line_num}: id is missing; restore the file")
            yield f"{path}:{reader.line_num}", cells


def _score(place: str, cells: dict[str, str], regions: tuple[FoundRegion, ...]) -> FilmScore:
    read = bool(cells.get("fracture"))
    parts = [name for name in cells if name.startswith("part_")] if read else []
    return FilmScore(
        id=cells["id"],
        fold=int(_number(place, cells, "fold")),
        fracture=_number(place, cells, "fracture") if read else None,
        parts=tuple(_number(place, cells, name) for name in parts),
        dice=_number(place, cells, "dice") if cells.get("dice") else None,
        regions=regions,
    )


def _number(place: str, cells: dict[str, str], name: str) -> float:
    try:
        value = float(cells[name])
    except (KeyError, ValueError):
        value = math.nan
    if not math.isfinite(value):
        raise EvaluationError(f"{place}: {name} = {cells.get(name)!r} is no number; restore the file")
    return value
