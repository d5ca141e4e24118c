"""The film on the canvas: the whole grey depth, shown at first exactly as it was read."""

from __future__ import annotations

import io
import json
import subprocess
from dataclasses import replace
from pathlib import Path
from threading import BoundedSemaphore
from typing import Any

import cv2
import numpy as np
import pydicom
import pytest
from pydicom.dataset import FileDataset
from pydicom.uid import JPEG2000Lossless

from dicom_node.web.api import films
from dicom_node.web.film_pixels import read_film_pixels
from dicom_node.work.readings import FinishedReading
from pipeline.findings import NotProcessed
from pipeline.lookup_tables import Window, apply_window
from pipeline.pixel_conversion import read_radiograph
from tests.phantoms import GREY_CASES, encode, header_case, phantom
from tests.real_parts import program
from tests.results.hand_made import FAILED, POSITIVE

from .conftest import Site
from .studies import Walk

STATIC = Path(__file__).resolve().parents[2] / "dicom_node/web/static"
CASES = [*GREY_CASES, "padding", "shutter", "pixels not square"]
# The canvas's own table, asked of its own script.
_TABLE = """
import { Film } from "%s";
const { about, at } = JSON.parse(process.argv[1]);
const film = new Film(about, new Uint16Array(0));
film.setTable(film.firstWindow, "");
process.stdout.write(JSON.stringify(at.map((value) => film.table[value] & 255)));
"""


def film_of(ds: FileDataset, folder: Path) -> Path:
    """The data set as a file."""
    path = folder / "film.dcm"
    ds.save_as(path, enforce_file_format=True)
    return path


@pytest.mark.parametrize("inverse", [False, True], ids=["MONOCHROME2", "MONOCHROME1"])
@pytest.mark.parametrize("case", CASES)
def test_the_first_window_shows_what_was_read(case: str, inverse: bool, tmp_path: Path) -> None:
    """Values through the window that comes with them are the presentation values that the model got."""
    ds = header_case(case, monochrome1=inverse)
    film, read = read_film_pixels(film_of(ds, tmp_path)), read_radiograph(ds)
    units = film.slope * film.values.astype(np.float64) + film.intercept
    shown = apply_window(units, film.window)
    shown = 1.0 - shown if film.inverted else shown
    assert np.abs(shown - read.pixels).max() < 2e-6
    assert np.abs(film.shown / 255.0 - read.pixels).max() <= 0.5 / 255 + 2e-6
    assert film.aspect == read.pixel_aspect


def test_values_outside_of_the_first_window_are_still_there(tmp_path: Path) -> None:
    """A window far too narrow hides nothing for good: the canvas has every stored level."""
    ds = phantom()
    ds.WindowCenter, ds.WindowWidth = 2000, 100
    film = read_film_pixels(film_of(ds, tmp_path))
    assert len(np.unique(film.values)) == len(np.unique(ds.pixel_array)) > 500
    assert (film.window.center, film.window.width) == (2000, 100)


@pytest.mark.parametrize(
    "case", ["plain", "SIGMOID", "LINEAR_EXACT", "rescale", "VOI LUT only", "signed"]
)
@pytest.mark.parametrize("inverse", [False, True])
def test_the_canvas_computes_the_same_greys(case: str, inverse: bool, tmp_path: Path) -> None:
    """The script's own table, run in Node.js, against the pipeline's, for every level of the film."""
    film = read_film_pixels(film_of(header_case(case, monochrome1=inverse), tmp_path))
    levels = np.unique(film.values)
    script = _TABLE % (STATIC / "film.js").as_uri()
    about = json.dumps({"about": json.loads(film.description()), "at": levels.tolist()})
    done = subprocess.run(
        [program("node"), "--input-type=module", "--eval", script, about],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    greys = np.array(json.loads(done.stdout))
    units = film.slope * levels.astype(np.float64) + film.intercept
    bright = apply_window(units, film.window)
    bright = 1.0 - bright if film.inverted else bright
    assert np.abs(greys - bright * 255).max() <= 0.5 + 1e-6


def test_the_pixels_come_as_they_are_described(site: Site) -> None:
    """Little-endian words, row by row, with what the canvas must know in one header."""
    walk, ds = Walk(site), phantom()
    job = walk.receive(ds)
    walk.read(job, ds, POSITIVE)
    answer = site.browser().get(f"/api/v1/jobs/{job}/film")
    about: dict[str, Any] = json.loads(answer.headers["film-description"])
    values = np.frombuffer(answer.content, "<u2").reshape(about["rows"], about["columns"])
    assert np.array_equal(values, ds.pixel_array)
    assert about["spacing_mm"] == [float(value) for value in ds.ImagerPixelSpacing]
    window = Window(about["window_center"], about["window_width"], about["voi_function"])
    assert window == Window(float(ds.WindowCenter), float(ds.WindowWidth), "LINEAR")


def test_the_browser_keeps_a_film_and_no_one_between_does(site: Site) -> None:
    """Private, and asked for again at each sight; with its ETag there is nothing to send. The page itself is not kept."""
    walk, ds = Walk(site), phantom()
    job = walk.receive(ds)
    walk.read(job, ds, POSITIVE)
    browser = site.browser()
    for form in ("film", "thumbnail"):
        first = browser.get(f"/api/v1/jobs/{job}/{form}")
        assert first.headers["cache-control"] == "private, no-cache"
        again = browser.get(
            f"/api/v1/jobs/{job}/{form}", headers={"if-none-match": first.headers["etag"]}
        )
        assert (again.status_code, again.content) == (304, b"")
    assert browser.get(f"/studies/{ds.StudyInstanceUID}").headers["cache-control"] == "no-store"


def test_a_thumbnail_has_square_pixels(site: Site) -> None:
    """Of a film whose pixels are twice as high as wide."""
    walk, ds = Walk(site), header_case("pixels not square")
    job = walk.receive(ds)
    walk.read(job, ds, POSITIVE)
    small = cv2.imdecode(
        np.frombuffer(site.browser().get(f"/api/v1/jobs/{job}/thumbnail").content, np.uint8), 0
    )
    assert small is not None
    height, width = small.shape
    assert max(height, width) <= 192
    assert height / width == pytest.approx(2 * ds.Rows / ds.Columns, rel=0.02)


def test_what_the_analysis_could_not_decode_is_not_decoded_here(site: Site) -> None:
    """A compressed film goes to the decoder of the page's process only after the analysis has survived it."""
    walk, ds = Walk(site), pydicom.dcmread(io.BytesIO(encode(phantom(), JPEG2000Lossless)))
    job = walk.receive(ds)
    assert site.browser().get(f"/api/v1/jobs/{job}/film").status_code == 409
    begun = walk.readings.begin(job, site.now)
    assert begun is not None
    walk.readings.finish(begun, FinishedReading(FAILED, "", "header"), (), site.now)
    answer = site.browser().get(f"/api/v1/jobs/{job}/film")
    assert answer.status_code == 409
    assert NotProcessed.NO_DECODER.meaning in answer.text


def test_layers_are_those_of_the_model_that_read(reading_site: Site) -> None:
    """Where another model read the film there are no pictures, and it is said."""
    walk, ds = Walk(reading_site), phantom()
    job = walk.receive(ds)
    walk.read(job, ds, POSITIVE)
    browser = reading_site.browser()
    said = browser.get(f"/api/v1/jobs/{job}/layers").json()
    assert (said["same_model"], said["heat"], said["activation"]) == (False, "", "")
    same = replace(POSITIVE, model=replace(POSITIVE.model, digest=said["model_digest"]))
    other = phantom(seed=2)
    job = walk.receive(other)
    walk.read(job, other, same)
    said = browser.get(f"/api/v1/jobs/{job}/layers").json()
    assert said["same_model"] is True
    assert said["heat"].startswith("iVBOR")
    assert said["activation"].startswith("iVBOR")


def test_whoever_waits_too_long_for_a_film_is_told_to_come_again(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else those who wait would hold every thread that answers, and nobody could log in."""
    walk, ds = Walk(site), phantom()
    job = walk.receive(ds)
    walk.read(job, ds, POSITIVE)
    monkeypatch.setattr(films, "_DECODING", BoundedSemaphore(1))
    monkeypatch.setattr(films, "_WAIT_SECONDS", 0.0)
    with films._DECODING:
        answer = site.browser().get(f"/api/v1/jobs/{job}/film")
    assert (answer.status_code, answer.headers["retry-after"]) == (429, "5")
    assert site.browser().get(f"/api/v1/jobs/{job}/film").status_code == 200
