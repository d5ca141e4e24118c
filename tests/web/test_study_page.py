"""The page of a study: what it says, whom it tells, and that nothing of a stranger's header is anything but text."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
import pydicom
import pytest
from pydicom.dataset import FileDataset
from starlette.testclient import TestClient

from dicom_node.register.audit_trail import AuditTrail
from dicom_node.register.study_events import study_events
from dicom_node.register.study_record import StudyRecords
from tests.phantoms import phantom
from tests.results.hand_made import DOUBTFUL, NEGATIVE, NOT_ATTEMPTED, POSITIVE

from .conftest import Site, make_site
from .studies import Walk, archive_for_all

HOSTILE = '<script>alert("p")</script>"><img src=x onerror=alert(2)>'
READINGS = (POSITIVE, DOUBTFUL, NEGATIVE, NOT_ATTEMPTED)


@dataclass(frozen=True)
class Filled:
    """A study of four films that was read, composed and delivered."""

    site: Site
    walk: Walk
    films: tuple[FileDataset, ...]
    jobs: tuple[str, ...]

    @property
    def uid(self) -> str:
        """Its Study Instance UID."""
        return str(self.films[0].StudyInstanceUID)

    @property
    def browser(self) -> TestClient:
        """A browser on this machine."""
        return self.site.browser()


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Filled]:
    """Read only: tests that change something make their own."""
    for site in make_site(tmp_path_factory.mktemp("study"), archive_for_all()):
        walk = Walk(site)
        films = tuple(phantom(seed=seed) for seed in range(1, 5))
        for film in films:
            film.PatientName = HOSTILE
            film.PatientID = HOSTILE
            film.StudyDescription = HOSTILE
            film.AccessionNumber = "'--;<b>"
        readings = [replace(one, detail=HOSTILE) for one in READINGS]
        jobs = walk.whole(list(zip(films, readings, strict=True)))
        yield Filled(site, walk, films, tuple(jobs))


def test_the_page_tells_the_reading(filled: Filled) -> None:
    """Outcome, probability, thresholds, body part, regions, and which model said so."""
    text = filled.browser.get(f"/studies/{filled.uid}?image={filled.jobs[0]}").text
    model = POSITIVE.model
    for words in (
        "87 %",
        "62 %",
        "31 %",
        "hand",
        "81 %",
        "41 %",
        model.version,
        model.digest,
        model.engine,
    ):
        assert words in text, words
    assert '<span class="tag fracture">fracture</span>' in text


def test_the_page_begins_with_the_film_that_must_not_be_missed(filled: Filled) -> None:
    """Unasked, the fracture is on the canvas, and the other films are a click away."""
    text = filled.browser.get(f"/studies/{filled.uid}").text
    assert f'href="/api/v1/jobs/{filled.jobs[0]}/film"' in text
    for job in filled.jobs:
        assert f'href="?image={job}"' in text


def test_a_film_that_was_not_processed_says_why_and_claims_nothing(filled: Filled) -> None:
    """The reason stands in words; no probability and no region beside it."""
    text = filled.browser.get(f"/studies/{filled.uid}?image={filled.jobs[3]}").text
    assert "Body part outside the model" in text
    assert "FN-003" in text
    assert "No statement about a fracture is made" in text
    assert 'id="verdict-form"' not in text


def test_every_object_is_listed_with_its_delivery(filled: Filled) -> None:
    """Kind, revision, destination and state; each leads to its own page."""
    text = filled.browser.get(f"/studies/{filled.uid}").text
    record = StudyRecords(filled.site.ledger).study(filled.uid)
    assert record is not None
    assert {one.kind for one in record.objects} == {"sr", "sc", "summary", "gsps", "seg", "kos"}
    for made in record.objects:
        assert f'href="/objects/{made.sop_instance_uid}"' in text
        assert [sent.state for sent in made.deliveries] == ["delivered"]
    assert text.count('<span class="tag delivered">delivered</span>') == len(record.objects)


def test_the_time_line_goes_from_received_to_delivered(filled: Filled) -> None:
    """Every step once for each thing that it happened to, in the order of time, with its length."""
    record = StudyRecords(filled.site.ledger).study(filled.uid)
    assert record is not None
    events = study_events(record)
    assert [event.at for event in events] == sorted(event.at for event in events)
    steps = [event.what for event in events]
    assert steps.count("received") == steps.count("read") == 4
    assert steps.count("study closed") == 1
    assert steps.count("composed") == steps.count("delivered") == len(record.objects)
    assert next(event.took for event in events if event.what == "read") == pytest.approx(0.5)
    text = filled.browser.get(f"/studies/{filled.uid}").text
    assert text.index("<strong>received</strong>") < text.index("<strong>study closed</strong>")


def test_nothing_of_a_header_becomes_markup(filled: Filled) -> None:
    """Name, ID, description, accession number and a reading's detail are text on every page that shows them."""
    record = StudyRecords(filled.site.ledger).study(filled.uid)
    assert record is not None
    pages = [f"/studies/{filled.uid}?image={job}" for job in filled.jobs]
    pages += [f"/objects/{made.sop_instance_uid}" for made in record.objects]
    for path in pages:
        text = filled.browser.get(path).text
        assert "<script>alert" not in text, path
        assert "<img src=x" not in text, path
        assert "&lt;script&gt;" in text, path
        assert " style=" not in text, path
        assert "onerror=alert(2)>" not in text, path


def test_whoever_looks_is_written_down(filled: Filled) -> None:
    """A look at a study, a film and an object each leave a line with the UID, and no name."""
    record = StudyRecords(filled.site.ledger).study(filled.uid)
    assert record is not None
    made = record.objects[0].sop_instance_uid
    filled.browser.get(f"/studies/{filled.uid}")
    filled.browser.get(f"/api/v1/jobs/{filled.jobs[0]}/film")
    filled.browser.get(f"/objects/{made}")
    filled.browser.get(f"/api/v1/objects/{made}/file")
    lines = [line for _, line in AuditTrail(filled.site.register).latest(4)]
    said = [(line.act, line.about) for line in reversed(lines)]
    assert said == [
        ("saw study", filled.uid),
        ("saw film", str(filled.films[0].SOPInstanceUID)),
        ("saw object", made),
        ("downloaded object", made),
    ]
    assert all("alert" not in line.detail for line in lines)


@pytest.mark.parametrize(
    "path", ["/studies/1.2.3", "/objects/1.2.3", "/studies/{uid}?image=unknown", "/api/v1/jobs/ab/film"]
)
def test_what_is_not_there_is_said_in_plain_words(filled: Filled, path: str) -> None:
    """404, with a sentence for people and for programs."""
    answer = filled.browser.get(path.format(uid=filled.uid))
    assert answer.status_code == 404
    assert "No such" in answer.text


def test_a_document_is_shown_as_its_tree(filled: Filled) -> None:
    """Concept names, codes, numbers and references of a report, nested as they are."""
    text = filled.browser.get(f"/objects/{_made(filled, 'sr')}").text
    for words in (
        "Imaging Measurement Report",
        "Fracture suspected",
        "Present (52101004, SCT)",
        "<details open>",
    ):
        assert words in text, words
    for film in filled.films[:3]:
        assert str(film.SOPInstanceUID) in text


@pytest.mark.parametrize(
    ("kind", "words"),
    [("gsps", "Layer"), ("gsps", "Window"), ("seg", "Segment"), ("seg", "Mask"), ("kos", "Speaks of")],
)
def test_what_cannot_be_drawn_is_summed_up(filled: Filled, kind: str, words: str) -> None:
    """Layers and windows, segments and frames, references."""
    assert f"<dt>{words}</dt>" in filled.browser.get(f"/objects/{_made(filled, kind)}").text


def test_the_file_is_the_one_that_is_sent(filled: Filled) -> None:
    """Byte for byte, as an attachment under a name made of digests; the header as JSON has no pixels."""
    uid = _made(filled, "sc")
    made = StudyRecords(filled.site.ledger).object(uid)
    assert made is not None
    answer = filled.browser.get(f"/api/v1/objects/{uid}/file")
    assert answer.content == (filled.walk.data / made.path).read_bytes()
    assert answer.headers["content-disposition"] == f'attachment; filename="sc-{made.digest[:16]}.dcm"'
    header = filled.browser.get(f"/api/v1/objects/{uid}/header").json()
    assert header["00080018"]["Value"] == [uid]
    assert "7FE00010" not in header


def test_a_capture_is_shown_in_its_own_colours(filled: Filled, tmp_path: Path) -> None:
    """The PNG holds the pixels of the object, red as red."""
    uid = _made(filled, "sc")
    picture = filled.browser.get(f"/api/v1/objects/{uid}/picture")
    shown = cv2.cvtColor(cv2.imdecode(np.frombuffer(picture.content, np.uint8), 1), cv2.COLOR_BGR2RGB)
    file = tmp_path / "object.dcm"
    file.write_bytes(filled.browser.get(f"/api/v1/objects/{uid}/file").content)
    assert np.array_equal(shown, pydicom.dcmread(file).pixel_array)
    assert picture.headers["cache-control"] == "private, no-cache"
    known = {"if-none-match": picture.headers["etag"]}
    assert filled.browser.get(f"/api/v1/objects/{uid}/picture", headers=known).status_code == 304
    assert filled.browser.get(f"/api/v1/objects/{_made(filled, 'sr')}/picture").status_code == 409


def test_a_study_whose_film_is_gone_still_tells_its_reading(site: Site) -> None:
    """The page stays, without a canvas; the pixels are a 404."""
    walk, film = Walk(site), phantom()
    (job,) = walk.whole([(film, POSITIVE)])
    known = StudyRecords(site.ledger).film(job)
    assert known is not None
    (walk.data / known.spool_path).unlink()
    answer = site.browser().get(f"/studies/{film.StudyInstanceUID}")
    assert answer.status_code == 200
    assert "The film is no longer kept" in answer.text
    assert "87 %" in answer.text
    assert site.browser().get(f"/api/v1/jobs/{job}/film").status_code == 404


def _made(filled: Filled, kind: str) -> str:
    record = StudyRecords(filled.site.ledger).study(filled.uid)
    assert record is not None
    return next(one.sop_instance_uid for one in record.objects if one.kind == kind)
