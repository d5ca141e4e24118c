"""Figures: each against a second way of having it, and the same from weights, tables and JSON."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from sklearn.calibration import calibration_curve
from sklearn.metrics import average_precision_score, roc_auc_score

from pipeline.errors import EvaluationError
from pipeline.evaluation import film_figures
from pipeline.evaluation.baselines import BASELINES, baseline_scores
from pipeline.evaluation.box_figures import BoxFigures
from pipeline.evaluation.cluster_draws import cluster_weights, estimate
from pipeline.evaluation.evaluating import Labelled, evaluate_committed, evaluate_package
from pipeline.evaluation.figures import Figures, measure
from pipeline.evaluation.film_reading import FilmReading, dice_at
from pipeline.evaluation.film_scores import (
    FilmScore,
    FoundRegion,
    read_film_scores,
    write_film_scores,
)
from pipeline.evaluation.report import Identity, write_report
from pipeline.evaluation.sample import Sample
from pipeline.evaluation.subgroups import subgroups
from pipeline.geometry import Box, Placement
from pipeline.model_description import Calibration, Code, FractureLabel, OperatingPoints
from pipeline.model_package import ModelPackage, load_package
from pipeline.training.datasets.labelled_file import LabelledFile
from tests.made_films import make_fracatlas
from tests.made_model import make_package

HERE: Box = (0.1, 0.1, 0.2, 0.2)
NEAR: Box = (0.11, 0.1, 0.21, 0.2)
AWAY: Box = (0.6, 0.6, 0.7, 0.7)
DRAWS = 20


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> ModelPackage:
    """Two networks, one for each of two folds."""
    folder = tmp_path_factory.mktemp("evaluated")
    return load_package(make_package(folder, members=2, box_head=True))


@pytest.fixture(scope="module")
def data(package: ModelPackage) -> Path:
    """The films that it was trained on."""
    return package.folder.parents[2] / "films"


def found(*regions: tuple[Box, float]) -> tuple[FoundRegion, ...]:
    """Regions, the strongest first."""
    return tuple(FoundRegion(box, logit) for box, logit in regions)


def made_sample(films: int = 60, *, hardware: bool = False) -> Sample:
    """Films of two parts in clusters of three and two folds; fractures score higher, mostly."""
    chance = np.random.default_rng(5)
    files, scores = [], []
    for index in range(films):
        fractured = bool(chance.random() < 0.4)
        files.append(
            LabelledFile(
                id=f"f{index}",
                path=Path(f"f{index}.png"),
                fractured=fractured,
                parts=(index % 2 == 0, index % 2 == 1),
                boxes=(HERE,) if fractured else (),
                cluster=f"c{index // 3}",
                split="val",
                hardware=hardware and fractured,
                view="frontal;lateral" if index % 5 == 0 else "frontal",
            )
        )
        logit = round(float(chance.normal(1.5 if fractured else -1.0, 1.5)), 1)
        regions = found((HERE if index % 3 else AWAY, logit))
        scores.append(
            FilmScore(
                f"f{index}", index // 3 % 2, logit, (1.0, 0.0), 0.5 if fractured else None, regions
            )
        )
    code = Code(value="1", scheme="99TEST", meaning="Fracture")
    label = FractureLabel(
        code=code, calibration=Calibration(), thresholds=OperatingPoints(fracture=0.7, doubt=0.3)
    )
    return Sample.of(files, scores, label, ("hand", "leg"))


def drawn_alike(weights: np.ndarray) -> list[np.ndarray]:
    """Each draw written out: every film as often as it was drawn."""
    return [np.repeat(np.arange(len(row)), row.astype(int)) for row in weights]


def test_an_interval_resamples_clusters_and_not_films() -> None:
    """A hundred copies of four patients are four patients: the interval is wide."""
    values, every = np.repeat([0.0, 0.0, 1.0, 1.0], 100), np.ones(400, bool)
    widths = {}
    for name, clusters in (
        ("apart", [str(index) for index in range(400)]),
        ("together", [str(index // 100) for index in range(400)]),
    ):
        drawn = film_figures.drawn_share(values, every, cluster_weights(clusters, draws=300))
        given = estimate(0.5, drawn)
        widths[name] = given.high - given.low
    assert widths["apart"] < 0.15
    assert widths["together"] > 0.7


def test_a_cluster_is_drawn_whole() -> None:
    """Films of one patient are in a sample equally often, and as many clusters are drawn as there are."""
    clusters = ["a", "b", "a", "c", "b", "a"]
    weights = cluster_weights(clusters, draws=50)
    assert (weights[:, 0] == weights[:, 2]).all()
    assert (weights[:, 0] == weights[:, 5]).all()
    assert (weights[:, 1] == weights[:, 4]).all()
    assert (weights[:, [0, 1, 3]].sum(1) == 3).all()
    assert len(np.unique(weights, axis=0)) > 5


def test_every_draw_is_what_the_library_says_of_the_films_drawn() -> None:
    """AUC, average precision and calibration by scikit-learn, film by film; ties included."""
    sample = made_sample()
    scores, labels = sample.logits, sample.labels
    chances = sample.chances
    weights = cluster_weights(sample.clusters, draws=25)
    area = film_figures.drawn_area_under_curve(scores, labels, weights)
    precision = film_figures.drawn_average_precision(scores, labels, weights)
    slopes, _ = film_figures.drawn_slopes_and_intercepts(chances, labels, weights)
    for index, films in enumerate(drawn_alike(weights)):
        assert area[index] == pytest.approx(roc_auc_score(labels[films], scores[films]))
        assert precision[index] == pytest.approx(average_precision_score(labels[films], scores[films]))
        slope, _ = film_figures.slope_and_intercept(chances[films], labels[films])
        assert slopes[index] == pytest.approx(slope, rel=1e-3)


def test_the_calibration_error_is_the_mean_gap_of_the_reliability_diagram() -> None:
    """Of scikit-learn's bins, each by its number of films."""
    sample = made_sample(200)
    chances, labels = sample.chances, sample.labels
    true, said = calibration_curve(labels, chances, n_bins=10)
    counts = np.bincount(np.ceil(chances * 10).astype(int), minlength=11)[1:]
    expected = np.abs(true - said) @ counts[counts > 0] / len(labels)
    assert film_figures.calibration_error(chances, labels) == pytest.approx(expected)


def test_slope_and_intercept_tell_how_probabilities_are_wrong() -> None:
    """Logits doubled: a slope of one half; logits raised by one: an intercept of minus one."""
    chance = np.random.default_rng(2)
    logits = chance.normal(0, 1.5, 20_000)
    labels = chance.random(len(logits)) < 1 / (1 + np.exp(-logits))
    slope, _ = film_figures.slope_and_intercept(1 / (1 + np.exp(-2 * logits)), labels)
    assert slope == pytest.approx(0.5, abs=0.03)
    slope, intercept = film_figures.slope_and_intercept(1 / (1 + np.exp(-(logits + 1))), labels)
    assert slope == pytest.approx(1, abs=0.05)
    assert intercept == pytest.approx(-1, abs=0.1)


def test_figures_that_need_both_kinds_are_no_number_without_them() -> None:
    """Not a zero that looks like one."""
    scores, fractured = np.array([0.1, 0.9]), np.array([True, True])
    assert np.isnan(film_figures.area_under_curve(scores, fractured))
    assert np.isnan(film_figures.specificity(fractured, fractured))
    assert np.isnan(film_figures.sensitivity(fractured, ~fractured))
    assert film_figures.sensitivity(np.array([True, False]), fractured) == 0.5


def test_a_label_is_claimed_once_and_films_without_fracture_count() -> None:
    """The second box on the same label, and any box on a normal film, are false."""
    both = BoxFigures([(HERE,), ()], [found((NEAR, 3.0), (HERE, 2.0)), found((AWAY, 4.0))])
    assert both.mean_average_precision == pytest.approx(0.5, abs=0.01)
    alone = BoxFigures([(HERE,)], [found((NEAR, 3.0), (HERE, 2.0))])
    assert alone.mean_average_precision == pytest.approx(1.0)
    assert both.top_hits.tolist() == [True, False]
    assert both.boxed.tolist() == [True, False]
    nothing = BoxFigures([(HERE,), ()], [(), ()])
    assert nothing.mean_average_precision == 0
    assert np.isnan(BoxFigures([()], [found((AWAY, 1.0))]).mean_average_precision)


def test_a_draw_of_boxes_is_what_pycocotools_says_of_the_films_drawn() -> None:
    """COCO's average precision with each film as often as it was drawn; no draw is matched anew."""
    chance = np.random.default_rng(8)
    labelled = [((HERE, AWAY), (HERE,), (), ())[index % 4] for index in range(24)]
    regions = [found((NEAR, float(chance.normal(1))), (AWAY, float(chance.normal()))) for _ in labelled]
    regions = [tuple(sorted(own, key=lambda one: -one.logit)) for own in regions]
    boxes = BoxFigures(labelled, regions)
    weights = cluster_weights([str(index // 2) for index in range(24)], draws=8)
    drawn = boxes.drawn_mean_average_precision(weights)
    for index, films in enumerate(drawn_alike(weights)):
        again = BoxFigures([labelled[film] for film in films], [regions[film] for film in films])
        assert drawn[index] == pytest.approx(again.mean_average_precision, abs=1e-6)


def test_the_free_response_counts_false_boxes_by_film() -> None:
    """By hand: two films, the best box false, the next one a hit: found only once half a false box is allowed."""
    boxes = BoxFigures([(HERE,), ()], [found((HERE, 1.0)), found((AWAY, 2.0))])
    assert boxes.sensitivities().tolist() == [0, 0, 1, 1, 1, 1]
    false, true = boxes.free_response()
    assert (false.tolist(), true.tolist()) == ([0.5, 0.5], [0.0, 1.0])


def test_dice_compares_heat_and_mask_on_the_heat_map_s_cells() -> None:
    """A heat that is the mask gives 1, an empty one 0, one twice as large two thirds."""
    square = np.array([[0.25, 0.25], [0.75, 0.25], [0.75, 0.75], [0.25, 0.75]], np.float32)
    file = LabelledFile("a", Path("a"), True, polygons=(square,))
    placement = Placement(64, 64, 64, 1.0, 1.0, 0.0, 0.0)
    heat = np.full((16, 16), -9, np.float32)

    def dice(heat: np.ndarray) -> float:
        reading = FilmReading(file, placement, 0.0, np.zeros(1, np.float32), heat, heat[None][:0])
        given = dice_at(reading, (0.5,))
        assert given is not None
        return float(given[0])

    assert dice(heat) == 0
    heat[4:12, 4:12] = 9
    assert dice(heat) == pytest.approx(1, abs=0.15)
    heat[4:12, 4:20] = 9
    assert dice(heat) == pytest.approx(4 / 5, abs=0.1)


def test_committed_scores_come_back_as_they_were_written(tmp_path: Path) -> None:
    """To the last of four decimals, a film without a score among them; a broken line is named."""
    scores = [
        FilmScore("a,b", 0, -1.2345, (0.5, -0.25), 0.6789, found((HERE, 1.5), (AWAY, -2.0))),
        FilmScore("giant", -1),
        FilmScore("c", 1, 2.0, (0.1, 0.2)),
    ]
    write_film_scores(tmp_path, scores)
    assert list(read_film_scores(tmp_path)) == scores
    table = tmp_path / "scores.csv"
    table.write_text(table.read_text().replace("-1.2345", "much"))
    with pytest.raises(EvaluationError, match=r"scores.csv:2: fracture = 'much' is no number"):
        read_film_scores(tmp_path)


def test_what_a_baseline_says_of_a_film_was_learnt_on_other_folds() -> None:
    """Turning the labels of one fold round changes only what is said of the other."""
    sample = made_sample()
    turned = Sample.of(
        [
            replace(file, fractured=not file.fractured) if score.fold == 0 else file
            for file, score in zip(sample.files, sample.scores, strict=True)
        ],
        sample.scores,
        sample.label,
        sample.part_names,
    )
    described = BASELINES["body part and view"]
    before, after = baseline_scores(sample, described), baseline_scores(turned, described)
    assert np.array_equal(before[sample.fold_of == 0], after[sample.fold_of == 0])
    assert not np.allclose(before[sample.fold_of == 1], after[sample.fold_of == 1])


def test_a_baseline_that_knows_the_answer_is_ahead_of_the_model() -> None:
    """Hardware only on fractured films: the image-free guess wins, and the figures show it."""
    figures = measure(made_sample(hardware=True), model="m", protocol="p", dice_level=0.3, draws=DRAWS)
    ahead = {one.name: one.value for one in figures.baselines}
    assert ahead["AUC of body part, view and hardware alone"] == 1
    behind = ahead["AUC of the model above body part, view and hardware"]
    assert behind is not None
    assert behind < 0


def test_calibration_is_judged_by_what_the_other_folds_fitted() -> None:
    """Scores of one fold shifted by ten: the package's one calibration hides it, the other fold's cannot."""
    sample = made_sample()
    chances, _, _ = sample.fitted_elsewhere()
    assert not np.allclose(chances, sample.chances)
    alone = replace(sample, scores=tuple(replace(score, fold=0) for score in sample.scores))
    assert np.array_equal(alone.fitted_elsewhere()[0], alone.chances)


def test_a_group_says_how_many_films_fractures_and_clusters_stand_behind_it() -> None:
    """And gives no figure for fewer than five of either kind."""
    sample = made_sample()
    names = {group.title for group in subgroups(sample)}
    assert names == {"body part: hand", "body part: leg", "view: frontal", "view: lateral"}
    figures = measure(sample, model="m", protocol="p", dice_level=0.3, draws=DRAWS)
    one = figures.find("AUC", "view: lateral")
    assert one is not None
    shown = [file for file in sample.files if "lateral" in file.view]
    assert one.films == len(shown)
    assert one.fractured == sum(file.fractured for file in shown)
    assert one.fractured_clusters == len({file.cluster for file in shown if file.fractured})
    few = made_sample(12)
    least = measure(few, model="m", protocol="p", dice_level=0.3, draws=DRAWS).find(
        "AUC", "view: lateral"
    )
    assert least is not None
    assert least.value is None


def test_the_figures_of_a_package_come_again_from_its_committed_scores(
    package: ModelPackage, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """To the digit, and without reading one film."""
    monkeypatch.setattr("cv2.imdecode", None)
    again = evaluate_committed(
        package, package.folder / "out_of_fold", Labelled(data), draws=DRAWS, said=lambda _: None
    )
    assert again.figures.text() == (package.folder / "figures.json").read_text(encoding="utf-8")


def test_the_figures_of_a_package_come_again_from_its_weights(
    package: ModelPackage, data: Path
) -> None:
    """Each film read by the member that never saw it; within 0.002."""
    again = evaluate_package(
        package, Labelled(data), out_of_fold=True, draws=DRAWS, threads=1, said=lambda _: None
    )
    committed = Figures.model_validate_json((package.folder / "figures.json").read_text())
    assert again.seen == 0
    for mine, theirs in zip(again.figures.figures, committed.figures, strict=True):
        assert (mine.name, mine.group, mine.films) == (theirs.name, theirs.group, theirs.films)
        assert (mine.value is None) == (theirs.value is None)
        if mine.value is not None:
            assert mine.value == pytest.approx(theirs.value, abs=0.002), mine.name


def test_films_that_were_seen_in_training_are_counted(
    package: ModelPackage, data: Path, tmp_path: Path
) -> None:
    """All of its own; none of another collection, on which --out-of-fold is refused."""
    own = evaluate_package(package, Labelled(data, limit=24), draws=2, threads=1, said=lambda _: None)
    assert own.seen == own.figures.films
    assert "seen in training" in own.figures.protocol
    strange = make_fracatlas(tmp_path / "strange", films=24)
    for table in ("labels.csv", "boxes.csv", "masks.json"):
        text = (strange / table).read_text()
        (strange / table).write_text(re.sub(r"(?<!/)made_", "other_", text))
    other = evaluate_package(package, Labelled(strange), draws=2, threads=1, said=lambda _: None)
    assert other.seen == 0
    with pytest.raises(EvaluationError, match=r"none of these films is one of the training's"):
        evaluate_package(package, Labelled(strange), out_of_fold=True, draws=2, said=lambda _: None)


def test_scores_of_other_films_are_refused(package: ModelPackage, tmp_path: Path) -> None:
    """The labels must be those of the films that were read."""
    fewer = make_fracatlas(tmp_path / "fewer", films=24)
    with pytest.raises(EvaluationError, match=r"are not in the data"):
        evaluate_committed(
            package, package.folder / "out_of_fold", Labelled(fewer), draws=2, said=lambda _: None
        )


def test_the_report_opens_offline(package: ModelPackage, data: Path, tmp_path: Path) -> None:
    """One file: the notice, every figure of all films, the pictures inside it, no script and no link."""
    made = evaluate_committed(
        package, package.folder / "out_of_fold", Labelled(data), draws=DRAWS, said=lambda _: None
    )
    page = write_report(tmp_path, replace(made, seen=7), Identity("m <1>", package.digest, "films"))
    text = page.read_text(encoding="utf-8")
    assert "Not a medical device" in text
    assert "7 of these films were seen" in text
    assert package.digest in text
    for figure in made.figures.figures:
        if figure.group == "all films" and not figure.name.startswith("share of labelled"):
            assert figure.name in text
    sources = re.findall(r'(?:src|href)="([^"]{5})', text)
    assert len(sources) >= 5
    assert set(sources) == {"data:"}
    assert "<script" not in text
    assert json.loads((tmp_path / "figures.json").read_text())["films"] == made.figures.films
