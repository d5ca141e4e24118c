"""What is made once for all destinations of a study, and what one of them must not change for another."""

from __future__ import annotations

import numpy as np
import pytest

from dicom_node.results.film_drawing import grey_film
from dicom_node.results.reduced_film import reduce_film
from dicom_node.settings import Settings
from dicom_node.work import study_results
from pipeline.pixel_conversion import read_radiograph
from pipeline.radiograph import Radiograph
from tests.phantoms import phantom
from tests.results.hand_made import NEGATIVE, NOT_ATTEMPTED, POSITIVE
from tests.work.test_retirement import deliveries, read, stored
from tests.work.test_studies_and_deliveries import QUIET
from tests.work.test_workers import spool

from .conftest import Workplace


def settings_of(place: Workplace, *destinations: dict[str, object]) -> Settings:
    """Everyone's results to all of them, with summaries unless told."""
    node = {"data": place.folder}
    common = {"ae_title": "A", "host": "127.0.0.1", "port": 104, "objects": ["summary"]}
    routes = [{"from": ["*"], "to": [one["name"] for one in destinations]}]
    places = [common | one for one in destinations]
    return Settings.model_validate({"node": node, "destinations": places, "routes": routes})


@pytest.fixture
def closed(workplace: Workplace) -> str:
    """Three films: one larger than a page, one small, one that was not read. The key of their revision."""
    films = [
        phantom(instance_number=number, seed=number, rows=rows)
        for number, rows in ((1, 2300), (2, 256), (3, 256))
    ]
    readings = (POSITIVE, NEGATIVE, NOT_ATTEMPTED)
    for number, (ds, findings) in enumerate(zip(films, readings, strict=True)):
        spool(workplace, f"film{number}", ds)
        read(workplace, f"film{number}", findings)
    workplace.gathering.close_due(QUIET, workplace.later(60))
    return f"{films[0].StudyInstanceUID}/1"


def test_a_film_is_decoded_once_for_all_destinations_that_want_a_summary(
    workplace: Workplace, closed: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And not at all if it was not read: a card stands for it."""
    decoded = []

    def counted(ds: object) -> Radiograph:
        decoded.append(str(ds.SOPInstanceUID))  # type: ignore[attr-defined]
        return read_radiograph(ds)  # type: ignore[arg-type]

    monkeypatch.setattr(study_results, "read_radiograph", counted)
    settings = settings_of(
        workplace,
        {"name": "large"},
        {"name": "small", "overlay_longest_side": 512},
        {"name": "fractures", "report_for": ["fracture"]},
        {"name": "reports", "objects": ["sr"]},
    )
    workplace.report_worker(settings).compose(closed)
    assert len(decoded) == len(set(decoded)) == 2
    kinds = sorted((one.destination, one.kind) for one in deliveries(workplace))
    assert kinds == [
        ("fractures", "summary"),
        ("large", "summary"),
        ("reports", "sr"),
        ("small", "summary"),
    ]
    shown = {
        one.destination: len(stored(workplace, one.sop_instance_uid).SourceImageSequence)
        for one in deliveries(workplace)
        if one.kind == "summary"
    }
    assert shown == {"large": 3, "small": 3, "fractures": 1}


def test_a_summary_is_the_same_whoever_else_gets_one(workplace: Workplace, closed: str) -> None:
    """What is kept of the films does not depend on the other destinations."""
    small = {"name": "small", "overlay_longest_side": 512}
    both = settings_of(workplace, {"name": "large"}, small)
    study = workplace.study_results(both).reportable(
        workplace.gathering.closed(closed.partition("/")[0], 1)
    )
    made = [
        workplace.study_results(settings).compose(study, settings.destinations)[-1].result
        for settings in (both, settings_of(workplace, small))
    ]
    assert made[0].data == made[1].data
    assert made[0].sop_instance_uid == made[1].sop_instance_uid


@pytest.mark.parametrize(("rows", "columns"), [(4000, 3000), (3000, 4000), (300, 200)])
def test_a_film_is_kept_in_the_size_of_a_page_and_looks_the_same(rows: int, columns: int) -> None:
    """One byte for each of its pixels, on a page as the whole film would be; its boxes' matrix is kept."""
    across = np.sin(np.linspace(0, 40, columns, dtype=np.float32))
    down = np.cos(np.linspace(0, 30, rows, dtype=np.float32))
    pixels = np.asarray(0.5 + 0.5 * down[:, None] * across[None], np.float32)
    film = Radiograph(pixels, None, None, 1.5, "")
    kept = reduce_film(film, 2048)
    assert (kept.rows, kept.columns, kept.pixel_aspect) == (rows, columns, 1.5)
    assert max(kept.grey.shape) == min(2048, max(rows, columns))
    assert kept.grey.nbytes <= 2048 * 2048
    assert kept.pixels.dtype == np.float32
    pages = [grey_film(one.pixels, 450, 600).astype(int) for one in (film, kept)]
    assert np.abs(pages[0] - pages[1]).max() <= 2
