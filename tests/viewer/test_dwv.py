"""What a reader sees in dwv, a second viewer that others wrote: images, and reports over them."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pydicom import dcmread

from pipeline.pixel_conversion import read_radiograph
from tests.node.orthanc import network_namespace
from tests.viewer.browser import Shot, open_browser
from tests.viewer.dwv import ADDRESS, Dwv
from tests.viewer.film_on_screen import (
    coloured,
    edge_shares,
    place_by_fit,
    place_by_rim,
    share_alike,
    without_marks,
)
from tests.viewer.studies import Study, studies

pytestmark = [pytest.mark.real_part, pytest.mark.viewer, pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def made() -> dict[str, Study]:
    """What can be opened."""
    return studies()


@pytest.fixture(scope="module")
def dwv(
    made: dict[str, Study], pictures: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Dwv]:
    """A page of the viewer."""
    folder = tmp_path_factory.mktemp("dwv")
    files = {
        f"{name}-{kind}.dcm": data
        for name, study in made.items()
        for kind, data in study.files().items()
    }
    with (
        network_namespace() as within,
        open_browser(ADDRESS, folder, pictures, within) as browser,
    ):
        yield Dwv(browser.page, files)


@pytest.fixture(scope="module")
def lying(dwv: Dwv, pictures: Path) -> Shot:
    """A MONOCHROME1 film that lies, and the report on it."""
    shot = dwv.show("lying-film.dcm", "lying-sr.dcm")
    assert dwv.refused() == []
    Image.fromarray(shot.picture).save(pictures / "dwv-lying-report.png")
    return shot


def test_the_reports_boxes_lie_where_its_regions_are(made: dict[str, Study], lying: Shot) -> None:
    """All four edges of each, within three pixels of the screen."""
    place = place_by_rim(lying, int(made["lying"].film.Rows), int(made["lying"].film.Columns))
    for box in made["lying"].boxes:
        assert min(edge_shares(coloured(lying.picture), place.box(box))) > 0.95


def test_the_report_says_beside_each_box_whether_it_is_a_fracture_or_a_doubt(lying: Shot) -> None:
    """With the film's own result; dwv shows the Short Label of each group."""
    assert sorted(lying.text.splitlines()) == [
        "Doubt 41 %", "Fracture suspected 81 %", "Fracture suspected 87 %",
    ]  # fmt: skip


def test_a_monochrome1_film_looks_as_the_model_read_it(made: dict[str, Study], lying: Shot) -> None:
    """Between the marks the greys are those of our own conversion."""
    film = made["lying"].film
    grey = np.rint(read_radiograph(film).pixels * 255).astype(np.uint8)
    place = place_by_rim(lying, int(film.Rows), int(film.Columns))
    bare = without_marks(place.mask(lying.picture.shape), lying)
    assert share_alike(lying, place, np.repeat(grey[:, :, None], 3, axis=2), bare) > 0.95


@pytest.mark.parametrize("kind", ["sc", "gradcam"])
def test_a_capture_shows_our_pixels(kind: str, made: dict[str, Study], dwv: Dwv) -> None:
    """Overlay and Grad-CAM as we drew them, from edge to edge; dwv smooths less than we do."""
    ours = dcmread(io.BytesIO(made["upright"].results[kind])).pixel_array
    shot = dwv.show(f"upright-{kind}.dcm")
    place = place_by_fit(shot, *ours.shape[:2])
    assert share_alike(shot, place, ours, place.mask(shot.picture.shape)) > 0.9
