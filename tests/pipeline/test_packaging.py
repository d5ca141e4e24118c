"""What is fitted on val after training, and the figures of the card."""

from __future__ import annotations

import numpy as np
import pytest

from pipeline.geometry import Box
from pipeline.model_description import Calibration
from pipeline.packaging.figures import (
    BoxFigures,
    FilmBoxes,
    area_under_curve,
    average_precision,
    estimate,
    sensitivity,
    specificity,
)
from pipeline.packaging.tuning import film_operating_points, fit_calibration, probabilities

HERE: Box = (10, 10, 20, 20)
NEAR: Box = (11, 10, 21, 20)
AWAY: Box = (60, 60, 70, 70)


@pytest.mark.parametrize("positives", [1, 2, 9, 10, 11, 37])
@pytest.mark.parametrize("negatives", [1, 2, 9, 10, 11, 37])
def test_the_operating_points_keep_what_they_promise(positives: int, negatives: int) -> None:
    """Sensitivity 0.90 at doubt, specificity 0.90 at fracture, doubt never above; with ties and few films too."""
    chance = np.random.default_rng([positives, negatives])
    labels = np.arange(positives + negatives) < positives
    scores = np.round(chance.uniform(0.01, 0.99, len(labels)), 2)
    points = film_operating_points(scores, labels)
    assert sensitivity(scores, labels, points.doubt) >= 0.9
    assert specificity(scores, labels, points.fracture) >= 0.9
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


def test_area_under_curve_is_the_share_of_pairs_in_the_right_order() -> None:
    """Ties count one half: 3 and 2.5 of 6 pairs by hand."""
    scores = np.array([0.9, 0.4, 0.4, 0.1, 0.6])
    labels = np.array([True, True, False, False, False])
    assert area_under_curve(scores, labels) == pytest.approx((3 + 1.5) / 6)


def test_average_precision_of_a_hand_computed_list() -> None:
    """Hits at ranks 1 and 3 of two labelled boxes, one more labelled and not found."""
    hits = np.array([True, False, True])
    assert average_precision(np.array([0.9, 0.8, 0.7]), hits, 3) == pytest.approx((1 + 2 / 3) / 3)


def test_a_label_is_claimed_once_and_films_without_fracture_count() -> None:
    """The second box on the same label, and any box on a normal film, are false."""
    films = [FilmBoxes((HERE,), (NEAR, HERE), (3.0, 2.0)), FilmBoxes((), (AWAY,), (4.0,))]
    boxes = BoxFigures(films)
    assert boxes.mean_average_precision(np.array([0, 1])) == pytest.approx(0.5)
    assert boxes.mean_average_precision(np.array([0])) == pytest.approx(1.0)
    assert boxes.top_hit_rate(np.array([0, 1])) == 1.0
    assert BoxFigures([FilmBoxes((HERE,), (AWAY, HERE), (3.0, 2.0))]).top_hit_rate(np.array([0])) == 0.0


def test_an_interval_resamples_clusters_and_not_films() -> None:
    """A hundred copies of four patients are four patients: the interval is wide."""
    values = np.repeat([0.0, 0.0, 1.0, 1.0], 100)
    apart = [str(index) for index in range(400)]
    together = [str(index // 100) for index in range(400)]
    narrow = estimate(lambda films: float(values[films].mean()), apart, draws=300)
    wide = estimate(lambda films: float(values[films].mean()), together, draws=300)
    assert narrow.value == wide.value == 0.5
    assert narrow.high - narrow.low < 0.15
    assert wide.high - wide.low > 0.7
