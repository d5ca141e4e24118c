"""Fitting the gate: made outliers teach, real pictures only count, no film is judged by what has seen it."""

from __future__ import annotations

import hashlib
import re
from functools import partial
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from pipeline.gate_fitting.altered_films import still_a_film
from pipeline.gate_fitting.cross_fitting import GROUPS, judge
from pipeline.gate_fitting.examples import KINDS, film_pictures, made_outliers, take_examples
from pipeline.gate_fitting.fitting import (
    ALTERED,
    ALWAYS_SEEN,
    FILM,
    FittedGate,
    GateFittingError,
    fit_gate,
)
from pipeline.model_description import CARD, GATE
from pipeline.model_input import InputSettings
from pipeline.model_package import load_package
from pipeline.networks.fracture_net import FractureNet
from pipeline.packaging import packing
from pipeline.packaging.gating import gate_of
from pipeline.packaging.held_out import TrainingData
from pipeline.pixel_gate import PixelGate
from pipeline.radiograph import Radiograph
from pipeline.training.films import from_grey
from tests.made_films import make_fracatlas
from tests.made_gate import drawn_film, drawn_limb, fit_tiny_gate
from tests.made_model import TINY, make_untrained_run

SETTINGS = InputSettings(64, 96)


def network(seed: int) -> FractureNet:
    """An untrained one."""
    torch.manual_seed(seed)
    return FractureNet(TINY).eval()


def radiograph(seed: int) -> Radiograph:
    """A drawn limb as a film that was read."""
    return Radiograph(drawn_limb(seed), None, None, 1.0, "0" * 64)


def test_made_outliers_are_the_same_each_time_and_differ_among_each_other() -> None:
    """Every kind is there, finite, in the input's range, and no two are alike."""
    films = [drawn_film(seed) for seed in range(4)]

    def make(seed: int) -> list[np.ndarray]:
        pictures = list(made_outliers(films, SETTINGS, 1, each=1, groups=GROUPS, seed=seed))
        assert [picture.kind for picture in pictures] == list(KINDS)
        return [picture.given.pixels for picture in pictures]

    first, again, other = make(1), make(1), make(2)
    for one, same, another in zip(first, again, other, strict=True):
        assert np.array_equal(one, same)
        assert not np.array_equal(one, another)
        assert np.isfinite(one).all()
        assert np.abs(one).max() <= 1.21
    for a in range(len(first)):
        for b in range(a):
            assert not np.array_equal(first[a], first[b]), (a, b)


def test_an_altered_film_is_still_the_film_and_not_inverted() -> None:
    """Its bright bone stays bright: it teaches the gate what to pass."""
    film = from_grey(drawn_film(3).grey)
    for seed in range(10):
        altered = still_a_film(film, np.random.default_rng(seed))
        rows, columns = altered.shape
        edge = np.concatenate([altered[:4].ravel(), altered[-4:].ravel()])
        assert altered.max() > 0.5
        assert altered[rows // 4 : -rows // 4, columns // 4 : -columns // 4].mean() > np.percentile(
            edge, 5
        )


def test_a_film_asks_only_the_member_that_never_saw_it() -> None:
    """The features of the others are not numbers, so they cannot enter by mistake."""
    films = [drawn_film(seed) for seed in range(6)]
    folds = [0, 1, 0, 1, 1, 0]
    pictures = film_pictures(films, [0] * 6, folds, 64, altered=False)
    examples = take_examples(pictures, [network(1), network(2)], said=lambda _: None)
    asked = np.isfinite(examples.features).all(2)
    assert asked.tolist() == [[fold == 0, fold == 1] for fold in folds]


def test_a_gate_of_two_members_counts_every_film_and_every_kind() -> None:
    """Films that all members saw are reported apart; real pictures are counted and change nothing."""
    films = [drawn_film(seed) for seed in range(92)]
    folds = [index % 2 if index < 84 else -1 for index in range(92)]
    members = [network(1), network(2)]

    def fit(measured: list[tuple[str, Radiograph]]) -> FittedGate:
        return fit_gate(films, members, folds, SETTINGS, measured=measured, each=2, said=lambda _: None)

    plain, measured = fit([]), fit([("a real limb", radiograph(500)), ("a real limb", radiograph(501))])
    counted = {figure.kind: figure for figure in measured.figures}
    assert set(counted) == {FILM, ALTERED, ALWAYS_SEEN, "a real limb", *KINDS}
    assert (counted[FILM].films, counted[ALTERED].films) == (84, 84)
    assert counted[ALWAYS_SEEN].films == 8
    assert counted["a real limb"].films == 2
    assert all(counted[kind].films == 2 for kind in KINDS)
    assert all(counted[kind].unseen is not None for kind in KINDS)
    assert plain.record == measured.record
    assert np.array_equal(plain.tensors.weights, measured.tensors.weights)
    assert plain.tensors.members == 2
    # One film in a hundred is the promise; so few films can only show that it is not many.
    assert counted[FILM].refused <= 6


def test_the_gate_that_serves_scores_as_the_gate_that_was_fitted(package_folder: Path) -> None:
    """One function makes the statistics and the score in both places."""
    fitted, package = fit_tiny_gate(package_folder), load_package(package_folder)
    pictures = list(film_pictures([drawn_film(700)], [0], [0], 64, altered=False))
    examples = take_examples(pictures, [package.network()], said=lambda _: None)
    served = PixelGate(fitted.record, fitted.tensors).score(
        examples.statistics[0], examples.features[0].ravel().astype(np.float32)
    )
    assert served == pytest.approx(float(judge(fitted.tensors, examples).scores[0]), abs=1e-6)


def test_too_few_films_that_a_member_never_saw_are_refused() -> None:
    """The error says how many there are and how many it takes."""
    films = [drawn_film(seed) for seed in range(12)]
    with pytest.raises(GateFittingError, match=r"needs 40 films that member 1 .*there are 6"):
        fit_gate(films * 8, [network(1), network(2)], [0] * 90 + [1] * 6, SETTINGS, said=lambda _: None)


def test_packaging_ships_the_gate_with_its_digest_and_its_figures(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two folds, each network asked about the films of the other's training; what was counted is in the card."""
    runs = [
        make_untrained_run(tmp_path / f"run{fold}", seed=fold, folds=2, fold=fold) for fold in (0, 1)
    ]
    pictures = tmp_path / "pictures" / "real limb"
    pictures.mkdir(parents=True)
    cv2.imwrite(str(pictures / "a.png"), (drawn_limb(500) * 255).astype(np.uint8))
    monkeypatch.setattr(packing, "gate_of", partial(gate_of, each=2))
    folder = packing.write_package(
        runs,
        tmp_path / "weights",
        data=TrainingData(make_fracatlas(tmp_path / "films", films=96)),
        name="gated-net",
        version="0.0.1",
        draws=20,
        gated=True,
        outliers=tmp_path / "pictures",
        said=lambda _: None,
    )
    package = load_package(folder)
    assert package.gate is not None
    assert package.gate.tensors.members == package.description.architecture.members == 2
    digest = hashlib.sha256((folder / GATE).read_bytes()).hexdigest()
    assert package.description.files[GATE] == digest
    card = (folder / CARD).read_text(encoding="utf-8")
    for kind in KINDS:
        assert re.search(rf"{re.escape(kind)} \| [0-2] of 2 refused", card), kind
    assert re.search(r"real limb \| [01] of 1 refused", card)
