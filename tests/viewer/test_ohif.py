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
    share_alike,
    without_edges,
    without_marks,
    without_words,
)
from tests.viewer.studies import Study, studies
from tests.viewer.web_server import serving

# A browser without a graphics card on a busy machine; on an idle one all of it takes a minute.
pytestmark = [pytest.mark.real_part, pytest.mark.viewer, pytest.mark.timeout(1500)]

REPORT, REGIONS = "AI fracture report", "AI fracture regions"
# Kinds of our captures, and the beginnings of their series' names.
CAPTURES = {
    "sc": "AI fracture overlay",
    "summary": "AI fracture summary",
    "gradcam": "AI Grad-CAM",
}
# What stands over the film when a segmentation was asked for.
LOADING = "Loading SEG"
# What a Finding Site is called where its code stands for its name.
FINDING_SITE = "363698007"
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
    package, plugin = ohif.PACKAGE.file(), dicomweb_plugin()
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
    """A study of a MONOCHROME2 film that stands: the report on it, and every capture."""
    study = made["upright"]
    shots = {"report": _report(browser, study, "upright", become_own=False)}
    for kind, series in CAPTURES.items():
        browser.show(series, str(dcmread(io.BytesIO(study.results[kind])).SOPInstanceUID))
        shots[kind] = browser.shoot(f"upright-{kind}")
    assert browser.errors == []
    return shots


@pytest.fixture(scope="module")
def lying(browser: Browser, made: dict[str, Study]) -> dict[str, Shot]:
    """A study of a MONOCHROME1 film that lies: the report's regions as the reader's own."""
    return {"report": _report(browser, made["lying"], "lying", become_own=True)}


@pytest.mark.parametrize("name", ["upright", "lying"])
def test_the_reports_boxes_lie_where_its_regions_are(
    name: str, made: dict[str, Study], request: pytest.FixtureRequest
) -> None:
    """All four edges of each, within three pixels of the screen."""
    study, shot = made[name], request.getfixturevalue(name)["report"]
    place = _place(shot, study)
    for box in study.boxes:
        shares = edge_shares(coloured(shot.picture), place.box(box))
        assert min(shares) > 0.95, (box, shares)


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


def test_the_report_says_beside_each_box_whether_it_is_a_fracture_or_a_doubt(
    upright: dict[str, Shot],
) -> None:
    """In words and in percent, of both regions and of the film; and no code stands for a word."""
    for number, grade in (
        ("81.00", "Fracture suspected"),
        ("41.00", "Doubt"),
        ("87.34", "Fracture suspected"),
    ):
        assert f"Probability: {number} %" in upright["report"].text
        assert f"{grade}: {number} %" in upright["report"].text
    assert FINDING_SITE not in upright["report"].text


@pytest.mark.parametrize("name", ["upright", "lying"])
def test_a_film_of_either_polarity_looks_as_the_model_read_it(
    name: str, made: dict[str, Study], request: pytest.FixtureRequest
) -> None:
    """MONOCHROME1 is not shown inverted, MONOCHROME2 neither: between the marks, the greys are those of our conversion."""
    study, shot = made[name], request.getfixturevalue(name)["report"]
    grey = np.rint(read_radiograph(study.film).pixels * 255).astype(np.uint8)
    place = _place(shot, study)
    bare = without_marks(_interior(shot, place), shot)
    assert bare.sum() > 0.9 * _interior(shot, place).sum()
    assert share_alike(shot, place, np.repeat(grey[:, :, None], 3, axis=2), bare) > 0.98


@pytest.mark.parametrize("kind", CAPTURES)
def test_a_capture_shows_our_pixels(
    kind: str, made: dict[str, Study], upright: dict[str, Shot]
) -> None:
    """Overlay, summary and Grad-CAM as we drew them: boxes, words and colours."""
    ours = dcmread(io.BytesIO(made["upright"].results[kind])).pixel_array
    shot = upright[kind]
    place = place_by_fit(shot, *ours.shape[:2])
    interior = _interior(shot, place)
    assert share_alike(shot, place, ours, interior) > 0.98
    expected = coloured(as_shown(ours, place, shot.picture.shape)) & interior
    assert expected.sum() > 200
    assert (coloured(shot.picture) & expected).sum() > 0.9 * expected.sum()


def test_a_segmentation_leaves_the_film_on_the_screen(made: dict[str, Study], browser: Browser) -> None:
    """The viewer places no mask on a radiograph; it goes on loading over the film, and the next series opens."""
    study = made["upright"]
    film = str(study.film.SOPInstanceUID)
    browser.open(study.uid, film)
    browser.begin(REGIONS, says=LOADING)
    browser.show(CAPTURES["sc"], str(dcmread(io.BytesIO(study.results["sc"])).SOPInstanceUID))
    assert not browser.page.get_by_text(LOADING).count()
    assert browser.errors == []


def test_a_negative_report_opens(made: dict[str, Study], browser: Browser) -> None:
    """The viewer shows the film with its small probability; nothing failed, and no box is drawn inside the film."""
    study = made["negative"]
    shot = _report(browser, study, "negative", become_own=False)
    assert "Below threshold: 4.00 %" in shot.text
    place = _place(shot, study)
    drawn = without_words(coloured(shot.picture), shot) & _interior(shot, place)
    whole = place.box((0.0, 0.0, float(study.film.Columns), float(study.film.Rows)))
    assert without_edges(drawn, whole).sum() == 0


def _report(browser: Browser, study: Study, name: str, *, become_own: bool) -> Shot:
    """The report over its film, which has no lines without it."""
    film = str(study.film.SOPInstanceUID)
    browser.open(study.uid, film)
    assert browser.lines() == 0
    browser.show(REPORT, film)
    browser.answer("Yes" if become_own else "No")
    # A line for each region, and one for the whole film.
    shot = browser.shoot(f"{name}-report", lines=len(study.boxes) + 1)
    assert browser.errors == []
    return shot


def _place(shot: Shot, study: Study) -> Place:
    return place_by_rim(shot, int(study.film.Rows), int(study.film.Columns))


def _interior(shot: Shot, place: Place) -> npt.NDArray[np.bool_]:
    """The image without the strips at the window's top and bottom, where the viewer has words and buttons of its own."""
    left, top, right, bottom = shot.canvas
    return place.mask(shot.picture.shape) & filled(
        shot.picture.shape, (left, top + _STRIP, right, bottom - _STRIP)
    )
