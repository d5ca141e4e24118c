"""What the heat map shows comes back at the right place of the film."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from pipeline.findings import Outcome
from pipeline.geometry import Placement
from pipeline.localization import KEPT_BELOW_THRESHOLD, find_candidates, find_regions
from pipeline.model_description import OperatingPoints, RegionSettings
from pipeline.model_input import InputSettings, make_model_input

SETTINGS = RegionSettings(relative_level=0.5, minimum_cells=2)
SIZE = 256
PLAIN = Placement(SIZE, SIZE, SIZE, 1.0, 1.0, 0.0, 0.0)


def heat_of(shape: tuple[int, int] = (64, 64), *blobs: tuple[int, int, int, float]) -> np.ndarray:
    """A heat map in logits with square blobs (x, y, side, probability of the peak) on a cold ground."""
    chance = np.full(shape, 0.001, np.float32)
    for x, y, side, peak in blobs:
        chance[y : y + side, x : x + side] = peak * 0.9
        chance[y + side // 2, x + side // 2] = peak
    return np.log(chance / (1 - chance)).astype(np.float32)


@pytest.mark.parametrize(
    ("rows", "columns", "aspect"),
    [
        (900, 600, 1.0),
        (600, 900, 1.0),
        (500, 500, 1.0),
        (400, 900, 2.0),
        (900, 400, 0.5),
        (2000, 1700, 1.0),
    ],
)
def test_a_bright_patch_of_the_film_is_found_where_it_is(
    rows: int, columns: int, aspect: float
) -> None:
    """Landscape, portrait and films whose pixels are not square: the patch itself, seen by the model, is the heat."""
    box = (columns * 0.55, rows * 0.2, columns * 0.75, rows * 0.4)
    x0, y0, x1, y1 = (round(edge) for edge in box)
    film = np.zeros((rows, columns), np.float32)
    film[y0:y1, x0:x1] = 1.0
    given = make_model_input(film, InputSettings(SIZE, 454), pixel_aspect=aspect)
    cells = cv2.resize(given.pixels, (SIZE // 4, SIZE // 4), interpolation=cv2.INTER_AREA)
    regions = find_regions(cells * 5, 0.0, Outcome.FRACTURE, given.placement, SETTINGS)
    assert len(regions) == 1
    cell_x, cell_y = 4 / given.placement.scale_x, 4 / given.placement.scale_y
    for found, true, cell in zip(regions[0].box, (x0, y0, x1, y1), (cell_x, cell_y) * 2, strict=True):
        assert abs(found - true) <= cell


def test_regions_are_sorted_and_each_keeps_to_its_own_peak() -> None:
    """The likeliest first, whatever its place."""
    heat = heat_of((64, 64), (5, 5, 4, 0.4), (40, 40, 6, 0.9), (20, 50, 4, 0.6))
    regions = find_regions(heat, 0.0, Outcome.FRACTURE, PLAIN, SETTINGS)
    assert [region.box for region in regions] == [
        (160, 160, 184, 184), (80, 200, 96, 216), (20, 20, 36, 36),
    ]  # fmt: skip
    assert [round(region.probability, 2) for region in regions] == [0.9, 0.6, 0.4]


def test_a_lesser_peak_beside_a_greater_one_is_a_region_of_its_own() -> None:
    """Two bones broken side by side: the ridge between them does not swallow the weaker."""
    heat = heat_of((64, 64), (20, 20, 6, 0.9), (30, 20, 6, 0.5))
    heat[21:25, 26:30] = np.log(0.3 / 0.7)
    boxes = [candidate.box for candidate in find_candidates(heat, SETTINGS)]
    assert boxes == [(20, 20, 26, 26), (30, 20, 36, 26)]


def test_a_speck_smaller_than_the_settings_demand_is_no_region() -> None:
    """One hot cell among cold ones."""
    heat = heat_of((64, 64), (10, 10, 1, 0.95), (40, 40, 4, 0.5))
    assert [candidate.box for candidate in find_candidates(heat, SETTINGS)] == [(40, 40, 44, 44)]


def test_a_cold_map_has_no_regions() -> None:
    """Neither has one that is warm nowhere in particular but below the floor."""
    assert find_candidates(heat_of(), SETTINGS) == ()


def test_up_to_five_regions_below_the_threshold_are_kept() -> None:
    """All that reach a point, and five for whoever lowers it."""
    blobs = [
        (4 + 8 * column, 4 + 12 * row, 4, 0.1 + 0.02 * column)
        for row in range(4)
        for column in range(4)
    ]
    settings = SETTINGS.model_copy(update={"thresholds": OperatingPoints(fracture=0.9, doubt=0.155)})
    regions = find_regions(heat_of((64, 64), *blobs), 0.0, Outcome.DOUBT, PLAIN, settings)
    reached = [region for region in regions if region.outcome is Outcome.DOUBT]
    assert len(reached) == 4
    assert len(regions) == 4 + KEPT_BELOW_THRESHOLD


@pytest.mark.parametrize(
    ("film", "expected"),
    [
        (Outcome.FRACTURE, [Outcome.FRACTURE, Outcome.DOUBT, Outcome.NO_FRACTURE]),
        (Outcome.DOUBT, [Outcome.DOUBT, Outcome.DOUBT, Outcome.NO_FRACTURE]),
        (Outcome.NO_FRACTURE, [Outcome.NO_FRACTURE] * 3),
    ],
)
def test_a_region_never_says_more_than_its_film(film: Outcome, expected: list[Outcome]) -> None:
    """A fracture here in a film without one would contradict itself."""
    settings = SETTINGS.model_copy(update={"thresholds": OperatingPoints(fracture=0.7, doubt=0.4)})
    heat = heat_of((64, 64), (5, 5, 4, 0.9), (30, 30, 4, 0.5), (50, 5, 4, 0.2))
    regions = find_regions(heat, 0.0, film, PLAIN, settings)
    assert [region.outcome for region in regions] == expected


def test_heat_in_the_black_beside_the_film_is_no_region() -> None:
    """A portrait film leaves black left and right of it."""
    beside = Placement(256, 128, SIZE, 1.0, 1.0, 64.0, 0.0)
    heat = heat_of((64, 64), (2, 30, 5, 0.9), (30, 30, 5, 0.6))
    regions = find_regions(heat, 0.0, Outcome.FRACTURE, beside, SETTINGS)
    assert [region.box for region in regions] == [(56, 120, 76, 140)]


def test_the_film_s_own_evidence_moves_its_regions_as_the_package_says() -> None:
    """With a weight of one half, a film logit of 2 adds 1 to each region's."""
    settings = SETTINGS.model_copy(update={"film_weight": 0.5})
    heat = heat_of((64, 64), (30, 30, 5, 0.5))
    region = find_regions(heat, 2.0, Outcome.FRACTURE, PLAIN, settings)[0]
    assert region.probability == pytest.approx(1 / (1 + np.exp(-1)), abs=1e-5)


@pytest.mark.parametrize("film", [Outcome.FRACTURE, Outcome.DOUBT])
def test_a_suspicious_film_says_where_to_look_first(film: Outcome) -> None:
    """Its likeliest region is a doubt even below the points, with its own low probability; no other is."""
    unreachable = SETTINGS.model_copy(update={"thresholds": OperatingPoints(fracture=0.99, doubt=0.98)})
    heat = heat_of((64, 64), (5, 5, 4, 0.1), (40, 40, 6, 0.2))
    regions = find_regions(heat, 0.0, film, PLAIN, unreachable)
    assert [region.outcome for region in regions] == [Outcome.DOUBT, Outcome.NO_FRACTURE]
    assert regions[0].probability < 0.3
    calm = find_regions(heat, 0.0, Outcome.NO_FRACTURE, PLAIN, unreachable)
    assert {region.outcome for region in calm} == {Outcome.NO_FRACTURE}


def test_a_region_carries_the_outline_of_its_heat_in_the_films_pixels() -> None:
    """A square of heat comes back as a polygon around it, within half a cell."""
    heat = heat_of((64, 64), (20, 30, 8, 0.9))
    loose = SETTINGS.model_copy(update={"relative_level": 0.8})
    (region,) = find_regions(heat, 0.0, Outcome.FRACTURE, PLAIN, loose)
    xs, ys = zip(*region.contour, strict=True)
    assert len(region.contour) >= 4
    assert np.allclose((min(xs), min(ys), max(xs), max(ys)), (80, 120, 112, 152), atol=2)


def test_the_box_is_what_the_box_head_says_of_the_heats_cells() -> None:
    """Heat is wider than a lesion: the edges come from the network where it says them."""
    heat = heat_of((64, 64), (20, 30, 8, 0.9))
    edges = np.zeros((4, 64, 64), np.float32)
    columns, rows = np.meshgrid(np.arange(64) + 0.5, np.arange(64) + 0.5)
    edges[:] = columns - 22, rows - 31, 26 - columns, 37 - rows
    (candidate,) = find_candidates(heat, SETTINGS, edges)
    assert candidate.box == pytest.approx((22, 31, 26, 37), abs=1e-3)
