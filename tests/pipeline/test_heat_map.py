"""The heat of a film: where the network's cells lie in it, and that it says what regions say."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from pipeline.analysis import Analyzer
from pipeline.geometry import Placement
from pipeline.heat_map import HeatMap
from pipeline.model_input import InputSettings, make_model_input
from pipeline.radiograph import Radiograph


@pytest.mark.parametrize(("rows", "columns"), [(120, 90), (80, 110), (3000, 2000)])
def test_a_hot_cell_lies_in_the_film_where_the_letterbox_put_it(rows: int, columns: int) -> None:
    """Portrait, landscape, larger than the layer: the hottest place is the cell's own, within half a cell."""
    given = make_model_input(np.zeros((rows, columns), np.float32), InputSettings(64, 96))
    cells = np.zeros((16, 16), np.float32)
    cells[9, 6] = 1.0
    heat = HeatMap(cells, given.placement).on_film(256)
    assert max(heat.shape) == min(256, max(rows, columns))
    y, x = np.unravel_index(int(heat.argmax()), heat.shape)
    wanted = given.placement.point_to_film((6.5 * 4, 9.5 * 4))
    share = max(heat.shape) / max(rows, columns)
    half = 2 / given.placement.scale_x * share
    assert (x + 0.5, y + 0.5) == pytest.approx((wanted[0] * share, wanted[1] * share), abs=half)


def test_a_reduced_film_has_the_same_places() -> None:
    """A corner of the film stays that corner, whatever the number of its pixels."""
    full = Placement(3000, 2000, 64, 64 / 3000, 64 / 3000, 10.0, 0.0)
    half = full.reduced(1500, 1000)
    for x, y in ((0.0, 0.0), (20.0, 30.0), (52.0, 64.0)):
        there = full.point_to_film((x, y))
        assert half.point_to_film((x, y)) == pytest.approx((there[0] / 2, there[1] / 2))


def test_heat_says_of_a_place_what_its_region_says(package_folder: Path, phantom: Radiograph) -> None:
    """The map's cells hold every region's probability."""
    analyzer = Analyzer.open(package_folder, threads=1, engine="torch fp32")
    cells = analyzer.heat(phantom).cells
    regions = analyzer.analyze(phantom).regions
    assert regions
    for region in regions:
        assert np.abs(cells - region.probability).min() < 1e-5
    assert 0 <= cells.min() <= cells.max() <= 1
