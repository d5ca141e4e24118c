"""From runs to a package: what is fitted, what is committed beside the weights, what the card says."""

from __future__ import annotations

import csv
import json
import tomllib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from pipeline.analysis import Analyzer
from pipeline.evaluation.film_scores import ALWAYS_TRAINED, read_film_scores
from pipeline.model_description import Calibration
from pipeline.model_package import load_package
from pipeline.networks.fracture_net import FractureNet
from pipeline.operating_points import film_operating_points, fit_calibration, probabilities
from pipeline.packaging.__main__ import main as package
from pipeline.packaging.card_tables import abstention_table
from pipeline.packaging.codes import part_code
from pipeline.packaging.held_out import HeldOut, TrainingData, held_out_of
from pipeline.packaging.packing import write_package
from pipeline.packaging.protocol import protocol_paragraph, training_record
from pipeline.packaging.run_record import PackagingError, read_run, read_runs
from pipeline.packaging.unpacking import unpack_member
from pipeline.radiograph import Radiograph
from pipeline.training.datasets.problems import DatasetError
from pipeline.training.folds import folds_of
from tests.made_films import make_fracatlas
from tests.made_model import FILMS_FOR_FOLDS, TINY, make_package, make_untrained_run


@pytest.fixture(scope="module")
def members(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A package of two networks, one for each of two folds."""
    return make_package(tmp_path_factory.mktemp("members"), members=2, box_head=True)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> TrainingData:
    """Films enough for two folds."""
    return TrainingData(make_fracatlas(tmp_path_factory.mktemp("d") / "films", films=FILMS_FOR_FOLDS))


def fold_run(folder: Path, fold: int, **others: object) -> Path:
    """A run that held out one of two folds."""
    return make_untrained_run(folder, seed=fold, folds=2, fold=fold, **others)  # type: ignore[arg-type]


@pytest.mark.parametrize("positives", [1, 2, 9, 10, 11, 37])
@pytest.mark.parametrize("negatives", [1, 2, 9, 10, 11, 37])
def test_the_operating_points_keep_what_they_promise(positives: int, negatives: int) -> None:
    """Sensitivity 0.90 at doubt, specificity 0.90 at fracture, doubt never above; with ties and few films too."""
    chance = np.random.default_rng([positives, negatives])
    labels = np.arange(positives + negatives) < positives
    scores = np.round(chance.uniform(0.01, 0.99, len(labels)), 2)
    points = film_operating_points(scores, labels)
    assert (scores[labels] >= points.doubt).mean() >= 0.9
    assert (scores[~labels] < points.fracture).mean() >= 0.9
    assert points.doubt <= points.fracture


def test_calibration_finds_the_temperature_and_the_offset_that_made_the_labels() -> None:
    """From many films; from few it stays finite."""
    chance = np.random.default_rng(1)
    logits = chance.normal(0, 3, 40_000)
    true = Calibration(temperature=1.6, offset=-0.8)
    labels = chance.random(len(logits)) < probabilities(logits, true)
    found = fit_calibration(logits, labels)
    assert found.temperature == pytest.approx(1.6, rel=0.05)
    assert found.offset == pytest.approx(-0.8, abs=0.08)
    separated = fit_calibration(np.array([-2.0, -1.0, 1.0, 2.0]), np.array([False, False, True, True]))
    assert 0 < separated.probability(-2.0) < separated.probability(2.0) < 1


def test_the_runs_of_all_folds_become_members_of_one_package(
    members: Path, phantom: Radiograph
) -> None:
    """Every run's weights are in it, it reads films, and its digests cover scores and figures."""
    package = load_package(members)
    assert package.description.architecture.members == 2
    files = package.description.files
    assert {"figures.json", "out_of_fold/scores.csv", "out_of_fold/regions.csv"} <= set(files)
    for number in range(2):
        run = read_run(members.parents[2] / f"run{number}")
        for name, tensor in run.weights.items():
            stored = package.tensors[f"networks.{number}.{name}"]
            assert torch.allclose(stored.float(), tensor.float(), rtol=2**-8, atol=1e-6), name
    findings = Analyzer.open(members, threads=1).analyze(phantom)
    assert findings.fracture_probability is not None


def test_each_score_is_of_the_network_that_never_saw_the_film(members: Path) -> None:
    """No cluster is in two folds, both folds hold films, and the logits are the member's own."""
    from pipeline.evaluation.evaluating import Labelled, member_engines
    from pipeline.evaluation.film_reading import read_films

    scores = {score.id: score for score in read_film_scores(members / "out_of_fold")}
    with (members.parents[2] / "films/labels.csv").open(newline="") as table:
        folds = {(row["cluster"], scores[row["id"]].fold) for row in csv.DictReader(table)}
    assert len(folds) == len({cluster for cluster, _ in folds})
    assert {fold for _, fold in folds} == {0, 1}
    package = load_package(members)
    engines = member_engines(package, threads=1)
    some = Labelled(members.parents[2] / "films", limit=8).listing(lambda _: None).files
    settings = package.description.input.settings()
    for reading in read_films(some, lambda file: engines[scores[file.id].fold], settings):
        assert reading.fracture == pytest.approx(scores[reading.file.id].fracture, abs=1e-3)
    other = read_films(some, lambda file: engines[1 - scores[file.id].fold], settings)
    assert all(abs(one.fracture - scores[one.file.id].fracture) > 1e-3 for one in other)  # type: ignore[operator]


def test_what_is_committed_beside_the_weights_stays_small(members: Path) -> None:
    """At most five regions a film, the strongest first, inside the film."""
    for score in read_film_scores(members / "out_of_fold"):
        logits = [region.logit for region in score.regions]
        assert logits == sorted(logits, reverse=True)
        assert len(logits) <= 5
        for region in score.regions:
            assert 0 <= region.box[0] < region.box[2] <= 1
            assert 0 <= region.box[1] < region.box[3] <= 1


def test_a_film_that_every_fold_trained_on_has_no_score(tmp_path: Path) -> None:
    """A giant cluster is in no fold; its films are listed, so that nobody measures on them."""
    folder = make_fracatlas(tmp_path / "films", films=FILMS_FOR_FOLDS)
    table = folder / "labels.csv"
    lines = table.read_text().splitlines()
    giant = [line.rsplit(",", 1)[0] + ",GIANT" for line in lines[1:7]]
    table.write_text("\n".join([lines[0], *giant, *lines[7:], ""]))
    runs = read_runs([fold_run(tmp_path / f"run{fold}", fold) for fold in range(2)])
    held = held_out_of(runs, TrainingData(folder).listing(lambda _: None))
    always = [name for name, fold in held.folds.items() if fold == ALWAYS_TRAINED]
    assert sorted(always) == [f"made_{index:03d}" for index in range(6)]
    assert len(held.files) == FILMS_FOR_FOLDS - 6


def test_a_fold_without_a_network_of_its_own_is_in_no_figure(tmp_path: Path) -> None:
    """Two of three folds were trained: the third fold's films were seen by both networks."""
    folder = make_fracatlas(tmp_path / "films", films=FILMS_FOR_FOLDS)
    runs = read_runs(
        [make_untrained_run(tmp_path / f"run{fold}", seed=fold, folds=3, fold=fold) for fold in (2, 0)]
    )
    listing = TrainingData(folder).listing(lambda _: None)
    held = held_out_of(runs, listing)
    folds = folds_of(listing.files, 3)
    member = {0: 0, 1: ALWAYS_TRAINED, 2: 1}
    assert held.folds == {file.id: member[folds[file.cluster]] for file in listing.files}
    assert "No network was trained without fold 1" in protocol_paragraph(runs, held)


def test_runs_that_do_not_belong_together_are_refused(tmp_path: Path) -> None:
    """A fold that is there twice, and networks of two shapes."""
    first, second = fold_run(tmp_path / "a", 0), fold_run(tmp_path / "b", 1)
    again = fold_run(tmp_path / "c", 0)
    other = fold_run(tmp_path / "d", 1, shape=replace(TINY, box_head=True))
    for runs, words in (
        ((first, again), r"they hold out the folds \[0, 0\] of 2"),
        ((first, second, again), r"they hold out the folds \[0, 0, 1\] of 2"),
        ((first, other), r"d: shape is .* members need the same"),
    ):
        with pytest.raises(PackagingError, match=words):
            read_runs(runs)
    assert [run.fold for run in read_runs([second, first])] == [0, 1]


def test_data_that_a_run_was_not_trained_on_are_refused(tmp_path: Path, data: TrainingData) -> None:
    """The run says which films it held out; a package fitted on others would call seen films unseen."""
    run = fold_run(tmp_path / "run", 0)
    torch.save({"ids": ["made_000", "from_elsewhere"]}, run / "scores.pt")
    with pytest.raises(
        PackagingError, match=r"scores.pt: 2 films were held out, .* give the data of the"
    ):
        held_out_of(read_runs([run]), data.listing(lambda _: None))


def test_one_fold_alone_is_measured_on_what_it_held_out(tmp_path: Path, data: TrainingData) -> None:
    """A first version may be made before the other folds are done; the card says what it is."""
    folder = write_package(
        [fold_run(tmp_path / "run", 1)], tmp_path / "weights",
        data=data, name="tiny-net", version="0.0.2", draws=5, said=lambda _: None,
    )  # fmt: skip
    figures = json.loads((folder / "figures.json").read_text())
    assert 0 < figures["films"] < FILMS_FOR_FOLDS
    assert "on fold 1 of 2" in figures["protocol"]
    assert "fold 1 of 2, which the network never saw" in (folder / "MODEL_CARD.md").read_text()


def test_weights_that_half_precision_would_change_are_refused(tmp_path: Path) -> None:
    """Numbers beyond its range would become infinite."""
    run = make_untrained_run(tmp_path / "run")
    state = torch.load(run / "best.pt", weights_only=True)
    state["mean"]["heads.fracture_head.weight"] *= 1e9
    torch.save(state, run / "best.pt")
    with pytest.raises(PackagingError, match=r"best.pt: half precision"):
        write_package(
            [run], tmp_path / "weights", data=TrainingData(make_fracatlas(tmp_path / "films")),
            name="tiny-net", version="0.0.1", said=lambda _: None,
        )  # fmt: skip
    assert not list(tmp_path.glob("weights/**/model.toml"))


def test_further_labels_and_unknown_parts_travel_by_their_names(tmp_path: Path) -> None:
    """Fracture types are listed in the network's order; a part that no code names gets one of ours."""
    run = make_untrained_run(tmp_path / "run", shape=replace(TINY, types=2))
    folder = write_package(
        [run], tmp_path / "weights", data=TrainingData(make_fracatlas(tmp_path / "films")),
        name="tiny-net", version="0.0.1", draws=5, said=lambda _: None,
    )  # fmt: skip
    described = tomllib.loads((folder / "model.toml").read_text())
    assert [row["name"] for row in described["types"]] == ["type 0", "type 1"]
    assert "type 0, type 1" in (folder / "MODEL_CARD.md").read_text()
    unknown = part_code("elbow", 2)
    assert unknown.scheme.startswith("99")
    assert unknown.meaning == "elbow"
    assert (
        len({part_code(name, index).value for index, name in enumerate(("elbow", "hand", "knee"))}) == 3
    )


def test_the_card_names_the_data_as_they_are(tmp_path: Path, data: TrainingData) -> None:
    """FracAtlas by its citation, known by its film numbers; other films by their folder, or as their owner says."""
    runs = read_runs([fold_run(tmp_path / f"run{fold}", fold) for fold in range(2)])
    held = held_out_of(runs, data.listing(lambda _: None))
    own = training_record(runs, held, data)
    assert (own.data, own.citation) == (f"films, {FILMS_FOR_FOLDS} films", "no citation given")
    said = training_record(runs, held, replace(data, citation="Us (2026)", licence="CC0"))
    assert (said.citation, said.licence) == ("Us (2026)", "CC0")
    numbered = tuple(
        replace(file, id=f"fa_{index:07d}") for index, file in enumerate(held.listing.files)
    )
    published = training_record(runs, HeldOut(replace(held.listing, files=numbered), {}), data)
    assert "10.1038/s41597-023-02432-4" in published.citation
    assert published.licence == "CC BY 4.0"


def test_the_card_says_how_its_figures_came_about(members: Path) -> None:
    """Out of fold, the members, the command of each run, and every figure of figures.json."""
    card = (members / "MODEL_CARD.md").read_text()
    assert "**Out of fold.**" in card
    assert "It is 2 networks" in card
    for fold in range(2):
        assert f"--folds 2 --fold {fold} --widths 8 16 16 16" in card
    for figure in json.loads((members / "figures.json").read_text())["figures"]:
        if figure["group"] == "all films" and figure["value"] is not None:
            assert f"| {figure['name']} | {figure['films']} | {figure['value']:.3f}" in card
    assert "$" not in card


def test_the_card_prints_the_figures_of_a_pixel_gate() -> None:
    """Where there is one; else it says that the pixels are not gated."""
    assert "| refused, chest films | 0.99 |" in abstention_table({"refused, chest films": 0.99})
    assert "not gated" in abstention_table(None)


def test_the_command_says_why_a_run_cannot_be_packaged(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """One line and no traceback: no checkpoint, no data."""
    (tmp_path / "empty").mkdir()
    asked = ["--data", str(tmp_path), "--version", "0.1.0", "--out", str(tmp_path / "weights")]
    assert package([str(tmp_path / "empty"), *asked]) == 1
    assert "best.pt: missing" in capsys.readouterr().err
    run = make_untrained_run(tmp_path / "run")
    assert package([str(run), *asked]) == 1
    assert "fits none of the layouts" in capsys.readouterr().err
    with pytest.raises(DatasetError, match=r"no such folder"):
        TrainingData(tmp_path / "nowhere").listing(lambda _: None)


def test_a_member_of_a_package_can_be_trained_on(tmp_path: Path) -> None:
    """Its weights come out as a file that a training begins with, rounded to half precision and no more."""
    package = load_package(make_package(tmp_path, members=2))
    path = unpack_member(package, 1, tmp_path / "start.pt")
    state = torch.load(path, weights_only=True)
    network = FractureNet(TINY)
    network.load_state_dict(state["mean"])
    trained = torch.load(tmp_path / "run1" / "best.pt", weights_only=True)["mean"]
    for name, tensor in network.state_dict().items():
        assert torch.allclose(tensor, trained[name], rtol=2**-8, atol=1e-6), name
    with pytest.raises(PackagingError, match="member = 2, it has 2: give 0 to 1"):
        unpack_member(package, 2, tmp_path / "other.pt")
    with pytest.raises(PackagingError, match=r"start.pt: there already"):
        unpack_member(package, 0, path)
