"""Two tables of scores on the same films: what is better, and what may be chance."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score
from typer.testing import CliRunner

from dicom_node.cli import app
from pipeline.errors import EvaluationError
from pipeline.evaluation.cluster_draws import cluster_weights
from pipeline.evaluation.comparing import Comparison, compare_tables
from pipeline.evaluation.figures import TOP_HIT
from pipeline.evaluation.film_scores import (
    REGIONS,
    SCORES,
    FilmScore,
    FoundRegion,
    write_film_scores,
)
from pipeline.geometry import Box
from pipeline.training.datasets.labelled_file import LabelledFile
from tests.made_films import make_fracatlas

HERE: Box = (0.1, 0.1, 0.2, 0.2)
AWAY: Box = (0.6, 0.6, 0.7, 0.7)
FILMS = 240


def labelled() -> tuple[LabelledFile, ...]:
    """Films in clusters of two, a third of the clusters fractured, those with a box."""
    return tuple(
        LabelledFile(
            id=f"f{index:03d}",
            path=Path(f"f{index:03d}.png"),
            fractured=index // 2 % 3 == 0,
            boxes=(HERE,) if index // 2 % 3 == 0 else (),
            cluster=f"c{index // 2:03d}",
        )
        for index in range(FILMS)
    )


def scored(separation: float, hits: float, *, seed: int = 1) -> tuple[FilmScore, ...]:
    """Scores that know the label by `separation` deviations, and point at `hits` of the fractures."""
    chance = np.random.default_rng(seed)
    return tuple(
        FilmScore(
            file.id,
            0,
            round(float(chance.normal(separation * file.fractured)), 4),
            regions=(FoundRegion(HERE if chance.random() < hits else AWAY, 1.0),),
        )
        for file in labelled()
    )


def table(folder: Path, scores: tuple[FilmScore, ...]) -> Path:
    """As a package holds it."""
    write_film_scores(folder, scores)
    return folder / SCORES


def compared(folder: Path, first: tuple[FilmScore, ...], second: tuple[FilmScore, ...]) -> Comparison:
    """The second against the first."""
    return compare_tables(
        table(folder / "first", first), table(folder / "second", second), labelled(), draws=400
    )


def test_a_better_table_is_ahead_beyond_chance_and_a_worse_one_behind(tmp_path: Path) -> None:
    """Every figure's interval lies on one side of 0; the other way round on the other side, to the digit."""
    poor, good = scored(0.7, 0.3), scored(2.5, 0.9, seed=2)
    ahead = compared(tmp_path / "ahead", poor, good)
    behind = compared(tmp_path / "behind", good, poor)
    assert [one.name for one in ahead.differences] == ["AUC", "average precision", TOP_HIT]
    for one, back in zip(ahead.differences, behind.differences, strict=True):
        assert one.low is not None
        assert one.low > 0, one.name
        assert one.excludes_zero
        assert (back.first, back.second) == (one.second, one.first)
        assert back.high == pytest.approx(-one.low, abs=2e-4)


def test_a_shuffled_twin_is_not_ahead(tmp_path: Path) -> None:
    """The same scores handed out anew among films of one kind: 0 lies in every interval."""
    own = scored(1.5, 0.6)
    chance, twin = np.random.default_rng(8), list(own)
    for kind in (True, False):
        places = [index for index, file in enumerate(labelled()) if file.fractured is kind]
        for index, other in zip(places, chance.permutation(places), strict=True):
            twin[index] = replace(own[other], id=own[index].id)
    for one in compared(tmp_path, own, tuple(twin)).differences:
        assert one.difference == pytest.approx(0, abs=1e-9), one.name
        assert not one.excludes_zero
        assert one.low is not None
        assert one.high is not None
        assert one.low < 0 < one.high


def test_the_difference_is_drawn_in_pairs(tmp_path: Path) -> None:
    """Each draw's difference is that of scikit-learn on the films drawn, the same films for both tables."""
    first, second = scored(1.0, 0.5), scored(1.4, 0.5, seed=3)
    made = compared(tmp_path, first, second).differences[0]
    labels = np.array([file.fractured for file in labelled()])
    differences = []
    for row in cluster_weights([file.cluster for file in labelled()], draws=400):
        drawn = np.repeat(np.arange(FILMS), row.astype(int))
        differences.append(
            roc_auc_score(labels[drawn], [second[index].fracture for index in drawn])
            - roc_auc_score(labels[drawn], [first[index].fracture for index in drawn])
        )
    assert (made.low, made.high) == pytest.approx(np.percentile(differences, (2.5, 97.5)), abs=1e-4)
    same = compared(tmp_path / "same", first, first).differences
    assert all((one.difference, one.low, one.high) == (0, 0, 0) for one in same)


def test_without_regions_in_both_there_is_no_hit_rate(tmp_path: Path) -> None:
    """A table alone is enough for the rest, under any name."""
    first = table(tmp_path / "first", scored(1.0, 0.5))
    second = table(tmp_path / "second", scored(1.2, 0.5, seed=4)).rename(tmp_path / "ablated.csv")
    assert not (tmp_path / REGIONS).exists()
    made = compare_tables(first, second, labelled(), draws=20)
    assert [one.name for one in made.differences] == ["AUC", "average precision"]


def test_tables_of_other_films_are_refused_by_name(tmp_path: Path) -> None:
    """Which table lacks how many, the first of them; labels that do not know the films; a table of nothing."""
    whole = scored(1.0, 0.5)
    fewer = (replace(whole[0], fracture=None), *whole[1:-1])
    with pytest.raises(EvaluationError, match=r"second/scores.csv: 2 films that .*first.*'f000' first"):
        compared(tmp_path, whole, fewer)
    with pytest.raises(EvaluationError, match=r"first/scores.csv: 2 films that .*second.*'f000' first"):
        compared(tmp_path, fewer, whole)
    one = table(tmp_path / "one", whole)
    with pytest.raises(EvaluationError, match=r"one/scores.csv: 40 of 240 .*'f200' first, are not in"):
        compare_tables(one, one, labelled()[:200])
    normal = tuple(score for score, file in zip(whole, labelled(), strict=True) if not file.fractured)
    with pytest.raises(EvaluationError, match="0 of 160 scored films are fractured"):
        compared(tmp_path / "normal", normal, normal)
    with pytest.raises(EvaluationError, match="holds no film, or one of them twice"):
        compared(tmp_path / "twice", (*whole, whole[0]), whole)


def test_the_command_prints_the_differences_and_writes_them(tmp_path: Path) -> None:
    """Labels from the data set; other options of measuring do not go with it."""
    films, ids = make_fracatlas(tmp_path / "films"), [f"made_{index:03d}" for index in range(32)]
    tables = [
        table(tmp_path / name, tuple(FilmScore(one, 0, know * (index % 3 == 0) + index % 5)
                                     for index, one in enumerate(ids)))
        for name, know in (("old", 0.0), ("new", 9.0))
    ]  # fmt: skip
    words = [
        "evaluate",
        "--data",
        films,
        "--compare",
        *tables,
        "--draws",
        50,
        "--out",
        tmp_path / "out",
    ]
    typed = [str(word) for word in words]
    done = CliRunner().invoke(app, typed, env={"COLUMNS": "200"})
    assert done.exit_code == 0, done.output
    made = json.loads((tmp_path / "out/comparison.json").read_text())
    assert (made["films"], made["fractured"], made["draws"]) == (32, 11, 50)
    area = made["differences"][0]
    assert area["second"] == 1
    assert area["low"] > 0
    assert f"+{area['difference']:.3f} [+{area['low']:.3f}" in done.output
    both = CliRunner().invoke(app, [*typed, "--out-of-fold"])
    assert both.exit_code == 2
    assert "--compare" in both.output
