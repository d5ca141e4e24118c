"""Try it: what was read is shown in place, found again and deleted; pages hold no script but our own."""

from __future__ import annotations

import re
from pathlib import Path

from pydicom.uid import ExplicitVRLittleEndian

from dicom_node.register.analyses import FOLDER, Analyses
from dicom_node.register.audit_trail import AuditTrail
from pipeline.findings import RESEARCH_NOTICE
from tests.phantoms import encode, phantom
from tests.web.conftest import Site
from tests.web.given_files import dicom_film, png_film

FRAGMENT = {"x-fragment": "1"}


def kept(site: Site, name: str = "hand.dcm", data: bytes | None = None) -> str:
    """The id of a film that was read on the page."""
    with site.program() as program:
        answer = program.post("/api/v1/analyses", files={"file": (name, data or dicom_film())})
    assert answer.status_code == 201, answer.text
    return str(answer.json()["id"])


def test_the_page_says_what_happens_to_a_film(reading_site: Site) -> None:
    """What is taken, that nothing is sent, how long it is kept; the field can be reached without a mouse."""
    text = reading_site.browser().get("/try").text
    assert "up to 2 MB each" in text
    assert "Nothing is sent anywhere" in text
    assert "for 30 days" in text
    assert RESEARCH_NOTICE in text
    assert '<label for="files">' in text
    assert '<input type="file" id="files" multiple>' in text


def test_a_reading_is_shown_with_all_that_was_found(reading_site: Site) -> None:
    """Outcome, probability, body part, regions, model, thresholds, notice; three views and the picture to save."""
    analysis = kept(reading_site)
    browser = reading_site.browser()
    reading = browser.get(f"/analyses/{analysis}", headers=FRAGMENT).text
    assert "<html" not in reading
    assert reading.strip() in browser.get(f"/analyses/{analysis}").text
    found = Analyses(reading_site.register, reading_site.settings.node.data).find(analysis)
    assert found is not None
    findings = found.findings
    assert findings.body_part is not None
    for words in ('class="tag fracture"', findings.body_part.name, "tiny-net 0.0.1", RESEARCH_NOTICE):
        assert words in reading
    assert reading.count('<td class="number">') == len(findings.regions)
    views = re.findall(r'data-view="([^"]+)"', reading)
    assert [Path(view).name for view in views] == ["overlay.png", "gradcam.png", "film.png"]
    saved = re.search(r'href="([^"]+)" download="annotated_', reading)
    assert saved is not None
    for path in (*views, saved[1]):
        assert browser.get(path).content.startswith(b"\x89PNG")


def test_a_film_that_was_not_read_says_why(reading_site: Site) -> None:
    """The reason and its code, that this is no negative, and no picture where there is none."""
    ds = phantom()
    ds.BodyPartExamined = "CHEST"
    analysis = kept(reading_site, "chest.dcm", encode(ds, ExplicitVRLittleEndian))
    reading = reading_site.browser().get(f"/analyses/{analysis}", headers=FRAGMENT).text
    assert 'class="tag not-processed"' in reading
    assert "(FN-003)" in reading
    assert "Not read is not negative." in reading
    assert "<img" not in reading
    assert "no film" in reading_site.browser().get("/try", headers=FRAGMENT).text


def test_the_history_is_searched_and_paged(reading_site: Site) -> None:
    """By name and outcome; what does not fit on a page is on the next."""
    for number in range(26):
        kept(reading_site, f"film{number:02d}.png", png_film(64, 52))
        reading_site.later(minutes=1)
    browser = reading_site.browser()
    first = browser.get("/try", headers=FRAGMENT).text
    assert "film25.png" in first
    assert "film01.png" not in first
    older = re.search(r'href="(/try\?[^"]+)">Older', first)
    assert older is not None
    rest = browser.get(older[1].replace("&amp;", "&")).text
    assert "film01.png" in rest
    assert "film02.png" not in rest
    assert "film07.png" in browser.get("/try?image_name=M07").text
    assert "Nothing matches." in browser.get("/try?image_name=film07&outcome=no+fracture").text
    assert browser.get("/try?cursor=elsewhere").status_code == 422


def test_only_what_one_may_delete_has_a_button(reading_site: Site) -> None:
    """A viewer sees others' readings without it."""
    reading_site.logged_in()
    own, other = reading_site.logged_in("viewer", "ann"), reading_site.logged_in("viewer", "ben")
    token = re.search(r'name="csrf-token" content="([^"]+)"', own.get("/try").text)
    assert token is not None
    answer = own.post(
        "/api/v1/analyses",
        files={"file": ("hand.dcm", dicom_film())},
        headers={"x-csrf-token": token[1], "accept": "application/json"},
    )
    mark = f'data-delete="{answer.json()["id"]}"'
    for path in ("/try", f"/analyses/{answer.json()['id']}"):
        assert mark in own.get(path).text
        assert mark not in other.get(path).text


def test_every_sight_of_a_reading_is_written_down(reading_site: Site) -> None:
    """Page and pictures; the thumbnail only with the list that it stands in."""
    analysis = kept(reading_site)
    browser = reading_site.browser()
    for path in (f"/analyses/{analysis}", f"/api/v1/analyses/{analysis}/overlay.png"):
        browser.get(path)
    latest = [entry for _, entry in AuditTrail(reading_site.register).latest(2)]
    assert [(one.act, one.about, one.detail) for one in latest] == [
        ("saw analysis", analysis, "overlay"),
        ("saw analysis", analysis, ""),
    ]
    assert browser.get("/analyses/elsewhere").status_code == 404


def test_the_pages_hold_no_script_or_style_of_their_own(reading_site: Site) -> None:
    """The policy that browsers are given forbids both; so there is none to break."""
    analysis = kept(reading_site)
    for path in ("/try", f"/analyses/{analysis}"):
        answer = reading_site.browser().get(path)
        assert "'unsafe" not in answer.headers["content-security-policy"]
        assert not re.search(r"<script(?![^>]*\ssrc=)|<style|\sstyle=|\son\w+=", answer.text)


def test_pictures_without_a_line_are_swept_up(reading_site: Site) -> None:
    """What a kill left between the pictures and the history goes when it is old; what is listed stays."""
    analysis = kept(reading_site)
    folder = reading_site.settings.node.data / FOLDER
    (folder / ("f" * 8)).mkdir()
    history = Analyses(reading_site.register, reading_site.settings.node.data)
    history.remove_orphans(reading_site.now.replace(year=2020))
    assert len(list(folder.iterdir())) == 2
    history.remove_orphans(reading_site.now.replace(year=2100))
    assert [path.name for path in folder.iterdir()] == [analysis]
