"""What a reader sees in OHIF, a viewer that others wrote, on an archive that holds the node's results.

Chromium draws OHIF as its makers publish it, on the DICOMweb of a real Orthanc; the pictures of its window are measured.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from pydicom import dcmread

from pipeline.pixel_conversion import read_radiograph
from tests.node.orthanc import HTTP_PORT, network_namespace, running_orthanc
from tests.real_parts import dicomweb_plugin
from tests.viewer import ohif
from tests.viewer.browser import Browser, Shot, open_browser
from tests.viewer.film_on_screen import (
    Place,
    as_shown,
    coloured,
    edge_shares,
    filled,
    place_by_fit,
    place_by_rim,
    without_edges,
    without_words,
)
from tests.viewer.studies import Study, studies
from tests.viewer.web_server import serving

# A browser without a graphics card on a busy machine; on an idle one all of it takes a minute.
pytestmark = [pytest.mark.real_part, pytest.mark.viewer, pytest.mark.timeout(1500)]

REPORT, OVERLAY = "AI fracture report", "AI fracture overlay"
# Grey levels of 256: the viewer's window and its interpolation are not ours.
SAME_GREY = 8
# Pixels.
_STRIP = 90


@pytest.fixture(scope="module")
def made() -> dict[str, Study]:
    """What the archive holds."""
    return studies()


@pytest.fixture(scope="module")
def browser(
    made: dict[str, Study], pictures: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Browser]:
    """A window on the viewer of an archive that took all studies by C-STORE."""
    folder = tmp_path_factory.mktemp("viewer")
    package, plugin = ohif.package(), dicomweb_plugin()
    files = [
        (folder / f"{name}-{kind}.dcm", data)
        for name, study in made.items()
        for kind, data in study.files().items()
    ]
    for path, data in files:
        path.write_bytes(data)
    with (
        network_namespace() as within,
        running_orthanc(folder / "orthanc", within, plugins=[plugin]) as orthanc,
        serving(package, folder, within, HTTP_PORT) as address,
        open_browser(address, folder, pictures, within) as opened,
    ):
        orthanc.store(*(path for path, _ in files))
        yield opened


@pytest.fixture(scope="module")
def upright(browser: Browser, made: dict[str, Study]) -> dict[str, Shot]:
    """A study of a MONOCHROME2 film that stands: the film, the report on it, the overlay."""
    study = made["upright"]
    shots = _film_and_report(browser, study, "upright", become_own=False)
    browser.show(OVERLAY, str(dcmread(io.BytesIO(study.results["sc"])).SOPInstanceUID))
    return {**shots, "overlay": browser.shoot("upright-overlay")}


@pytest.fixture(scope="module")
def lying(browser: Browser, made: dict[str, Study]) -> dict[str, Shot]:
    """A study of a MONOCHROME1 film that lies: the film, and the report's regions as the reader's own."""
    return _film_and_report(browser, made["lying"], "lying", become_own=True)


@pytest.mark.parametrize("name", ["upright", "lying"])
def test_the_reports_boxes_lie_where_its_regions_are(
    name: str, made: dict[str, Study], request: pytest.FixtureRequest
) -> None:
    """All four edges of each, within three pixels of the screen; without the report the film has no lines."""
    study, shots = made[name], request.getfixturevalue(name)
    for box in study.boxes:
        for shot, drawn in ((shots["report"], True), (shots["film"], False)):
            place = _place(shot, study)
            shares = edge_shares(coloured(shot.picture), place.box(box))
            assert (min(shares) > 0.95) if drawn else (max(shares) == 0), (box, shares)


@pytest.mark.parametrize("name", ["upright", "lying"])
def test_the_report_draws_nothing_else_on_the_film(
    name: str, made: dict[str, Study], request: pytest.FixtureRequest
) -> None:
    """The boxes of its regions, the film's own edge for the film's own result, and words beside them."""
    study, shot = made[name], request.getfixturevalue(name)["report"]
    place = _place(shot, study)
    drawn = coloured(shot.picture) & _interior(shot, place)
    for box in (*study.boxes, (0.0, 0.0, float(study.film.Columns), float(study.film.Rows))):
        drawn = without_edges(drawn, place.box(box))
    assert without_words(drawn, shot).sum() == 0


def test_the_report_says_each_probability_beside_its_box(upright: dict[str, Shot]) -> None:
    """In percent: of both regions and of the film."""
    for words in ("Probability: 81.00 %", "Probability: 41.00 %", "Probability: 87.34 %"):
        assert words in upright["report"].text


@pytest.mark.parametrize("name", ["upright", "lying"])
def test_a_film_of_either_polarity_looks_as_the_model_read_it(
    name: str, made: dict[str, Study], request: pytest.FixtureRequest
) -> None:
    """MONOCHROME1 is not shown inverted, MONOCHROME2 neither: the greys are those of our own conversion."""
    study, shot = made[name], request.getfixturevalue(name)["film"]
    grey = np.rint(read_radiograph(study.film).pixels * 255).astype(np.uint8)
    place = _place(shot, study)
    assert _share_alike(shot, place, np.repeat(grey[:, :, None], 3, axis=2)) > 0.98


def test_the_overlay_shows_our_pixels(made: dict[str, Study], upright: dict[str, Shot]) -> None:
    """The film with its boxes and words, colours included, as we drew it."""
    ours = dcmread(io.BytesIO(made["upright"].results["sc"])).pixel_array
    shot = upright["overlay"]
    place = place_by_fit(shot, *ours.shape[:2])
    assert _share_alike(shot, place, ours) > 0.98
    expected = coloured(as_shown(ours, place, shot.picture.shape)) & _interior(shot, place)
    assert expected.sum() > 200
    assert (coloured(shot.picture) & expected).sum() > 0.9 * expected.sum()


def test_a_negative_report_opens(made: dict[str, Study], browser: Browser) -> None:
    """The viewer shows the film with its small probability; nothing failed, and no box is drawn inside the film."""
    study = made["negative"]
    film = str(study.film.SOPInstanceUID)
    browser.open(study.uid, film)
    browser.show(REPORT, film)
    browser.answer("No")
    shot = browser.shoot("negative-report", lines=1)
    assert "Probability: 4.00 %" in shot.text
    assert browser.errors == []
    place = _place(shot, study)
    drawn = without_words(coloured(shot.picture), shot) & _interior(shot, place)
    whole = place.box((0.0, 0.0, float(study.film.Columns), float(study.film.Rows)))
    assert without_edges(drawn, whole).sum() == 0


def _film_and_report(browser: Browser, study: Study, name: str, *, become_own: bool) -> dict[str, Shot]:
    film = str(study.film.SOPInstanceUID)
    browser.open(study.uid, film)
    alone = browser.shoot(f"{name}-film")
    browser.show(REPORT, film)
    browser.answer("Yes" if become_own else "No")
    # A line for each region, and one for the whole film.
    report = browser.shoot(f"{name}-report", lines=len(study.boxes) + 1)
    assert browser.errors == []
    return {"film": alone, "report": report}


def _place(shot: Shot, study: Study) -> Place:
    return place_by_rim(shot, int(study.film.Rows), int(study.film.Columns))


def _interior(shot: Shot, place: Place) -> npt.NDArray[np.bool_]:
    """The image without the strips at the window's top and bottom, where the viewer has words and buttons of its own."""
    left, top, right, bottom = shot.canvas
    return place.mask(shot.picture.shape) & filled(
        shot.picture.shape, (left, top + _STRIP, right, bottom - _STRIP)
    )


def _share_alike(shot: Shot, place: Place, image: npt.NDArray[np.uint8]) -> float:
    """How many of the pixels that show an image have its colours."""
    expected = as_shown(image, place, shot.picture.shape).astype(int)
    alike = (np.abs(shot.picture.astype(int) - expected) <= SAME_GREY).all(axis=2)
    return float(alike[_interior(shot, place)].mean())
