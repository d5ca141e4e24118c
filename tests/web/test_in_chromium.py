"""Each page and each act, driven in Chromium on a running node that DCMTK feeds."""

from __future__ import annotations

import io
import json
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import httpx
import numpy as np
import pytest
from axe_playwright_python.sync_playwright import Axe
from PIL import Image
from playwright.sync_api import expect
from pydicom import dcmread

from dicom_node.operating.demo_films import DemoFilm, draw_phantoms
from tests.node.archive import Archive
from tests.node.films import film, study_uid, write
from tests.node.running_node import destination, settings_text
from tests.phantoms import uid_of
from tests.receiving.running_scp import free_port
from tests.web.browser import (
    NARROW,
    PATIENCE_MS,
    Chromium,
    ServedNode,
    Theme,
    Window,
    chromium,
    served_node,
)
from tests.web.conftest import PASSWORD

pytestmark = [pytest.mark.real_part, pytest.mark.viewer]
expect.set_options(timeout=PATIENCE_MS)
EVERYTHING = ["sr", "sc", "summary", "gradcam", "gsps", "seg", "kos"]
MALICE = "<img src=x onerror=alert(1)>^<script>alert(2)</script>"


@dataclass(frozen=True)
class Place:
    """The node, what was sent to it, and the browser."""

    served: ServedNode
    browser: Chromium
    films: tuple[DemoFilm, ...]
    folder: Path

    @property
    def suspicious(self) -> str:
        """The path of the study whose first film has a break."""
        return f"/studies/{dcmread(self.films[0].path).StudyInstanceUID}"


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """Five drawn films are read, and everything of them is delivered."""
    folder = tmp_path_factory.mktemp("page")
    films = tuple(draw_phantoms(folder / "films", uid_of, datetime(2026, 1, 2, tzinfo=UTC)))
    with Archive(folder / "archive") as archive:
        text = settings_text(
            [destination("archive", archive.port, objects=EVERYTHING, overlay_longest_side=512)],
            web={"enabled": True, "port": free_port()},
            model={"fracture_threshold": 0.5, "doubt_threshold": 0.02},
        )
        with served_node(folder, text, archive) as served, chromium(served.address) as browser:
            sent = served.node.storescu("-R", *(one.path for one in films))
            assert sent.returncode == 0, sent.stderr
            served.node.wait_until_done(len(films))
            yield Place(served, browser, films, folder)


def shoot(window: Window, name: str) -> Image.Image:
    """The window as a picture; kept where DICOM_NODE_TEST_PICTURES says."""
    data = window.page.screenshot()
    if kept := os.environ.get("DICOM_NODE_TEST_PICTURES"):
        folder = Path(kept)
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"page-{name}.png").write_bytes(data)
    return Image.open(io.BytesIO(data)).convert("RGB")


def painted(window: Window) -> None:
    """Until the film is on its canvas."""
    window.page.wait_for_selector('#viewer[data-painted="yes"]')


def test_a_film_appears_in_the_open_worklist_by_itself(place: Place) -> None:
    """Sent while the page is open: no reload; its name is shown as it is and runs nothing."""
    with place.browser.window() as window:
        window.open("/")
        expect(window.page.locator("#live")).to_contain_text("live")
        ds = film("while the page is open")
        ds.PatientName, ds.StudyDescription, ds.BodyPartExamined = MALICE, MALICE, "CHEST"
        place.served.node.storescu(write(place.folder, "malice", ds), calling="<b>AE</b>")
        row = window.page.locator(f'tr[data-uid="{study_uid("while the page is open")}"]')
        expect(row).to_contain_text("not processed")
        expect(row).to_contain_text("Body part outside the model's scope")
        expect(row).to_contain_text("<script>alert(2)</script>")
        expect(row).to_contain_text("<b>AE</b>")
        assert window.page.locator("main script, main img[onerror]").count() == 0
        row.locator("a").click()
        expect(window.page.locator("h1")).to_contain_text("<script>alert(2)</script>")


def test_the_worklist_is_worked_with_the_keyboard(place: Place) -> None:
    """/ searches, j and k move, Enter opens."""
    with place.browser.window() as window:
        window.open("/")
        window.page.keyboard.press("/")
        window.page.keyboard.type("phantom")
        window.page.keyboard.press("Enter")
        window.page.wait_for_url(re.compile("search=phantom"))
        window.page.locator("h1").click()
        window.page.keyboard.press("j")
        window.page.keyboard.press("Enter")
        window.page.wait_for_url(re.compile("/studies/"))


def test_an_act_on_a_chosen_study_is_done_and_told(place: Place) -> None:
    """Send again: an archive that lost a study has each object once more, byte for byte."""
    study = place.suspicious.rpartition("/")[2]
    lost = {
        path: path.read_bytes()
        for path in place.served.archive.folder.iterdir()
        if dcmread(path, specific_tags=["StudyInstanceUID"]).StudyInstanceUID == study
    }
    for path in lost:
        path.unlink()
    with place.browser.window() as window:
        window.open("/")
        window.page.locator(f'tr[data-uid="{study}"] input[type=checkbox]').check()
        window.page.locator('button[data-act="send-again"]').click()
        expect(window.page.locator("#toasts")).to_contain_text("again")
    place.served.node.wait_for(lambda: place.served.node.jobs.unfinished() == 0)
    assert len(lost) >= len(EVERYTHING)
    assert {path: path.read_bytes() for path in lost} == lost


@pytest.mark.parametrize("act", ["retry", "read-again", "priority", "cancel"])
def test_every_act_of_the_worklist_answers_in_words(place: Place, act: str) -> None:
    """And is in the audit trail, about that study; the study is none the worse for it."""
    study = place.suspicious.rpartition("/")[2]
    with place.browser.window() as window:
        window.page.on("dialog", lambda dialog: dialog.accept())
        window.open("/")
        window.page.locator(f'tr[data-uid="{study}"] input[type=checkbox]').check()
        window.page.locator("#priority").select_option("urgent")
        window.page.locator(f'button[data-act="{act}"]').click()
        expect(window.page.locator(".toast").first).to_have_text(re.compile(r"\w+ \w+"))
        assert "Something went wrong" not in window.page.locator("#toasts").inner_text()
        window.open(f"/audit?about={study}")
        words = {
            "retry": "retried study", "read-again": "read study again",
            "priority": "set priority of study", "cancel": "cancelled study",
        }  # fmt: skip
        expect(window.page.locator("tbody")).to_contain_text(words[act])
    place.served.node.wait_for(lambda: place.served.node.jobs.unfinished() == 0)


def test_the_film_is_drawn_with_its_boxes_and_answers_mouse_and_keys(place: Place) -> None:
    """Window, zoom and inversion change the picture and come back; boxes go and come."""
    with place.browser.window() as window:
        window.open(place.suspicious)
        painted(window)
        canvas = window.page.locator("#film")
        box = canvas.bounding_box()
        assert box is not None

        def picture() -> np.ndarray:
            window.page.wait_for_timeout(300)
            return np.asarray(Image.open(io.BytesIO(canvas.screenshot())).convert("L"), dtype=float)

        assert window.page.locator("#marks rect, #marks path, #marks polygon").count() > 0
        first = picture()
        assert first.std() > 10
        window.page.locator("#viewer").focus()
        window.page.keyboard.press("b")
        expect(window.page.locator('button[data-act="boxes"]')).to_have_attribute(
            "aria-pressed", "false"
        )
        window.page.keyboard.press("i")
        inverted = picture()
        assert np.corrcoef(first.ravel(), inverted.ravel())[0, 1] < 0
        window.page.keyboard.press("i")
        window.page.keyboard.press("b")
        window.page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
        window.page.mouse.wheel(0, -600)
        assert np.abs(picture() - first).mean() > 2
        window.page.keyboard.press("r")
        window.page.mouse.down()
        window.page.mouse.move(box["x"] + box["width"] / 2 + 150, box["y"] + box["height"] / 2 + 90)
        window.page.mouse.up()
        assert np.abs(picture() - first).mean() > 2
        window.page.keyboard.press("r")
        assert np.abs(picture() - first).mean() < 1


def test_heat_and_grad_cam_are_laid_over_the_film(place: Place) -> None:
    """The model looks again, in a process of its own; an arrow points to the strongest place."""
    with place.browser.window() as window:
        window.open(place.suspicious)
        painted(window)
        before = np.asarray(shoot(window, "study"), dtype=float)
        window.page.locator('button[data-act="gradcam"]').click()
        expect(window.page.locator("#marks .arrow, #marks line").first).to_be_visible()
        window.page.wait_for_timeout(500)
        after = np.asarray(shoot(window, "gradcam"), dtype=float)
        red = (after[..., 0] - after[..., 2]) - (before[..., 0] - before[..., 2])
        assert red.max() > 40


def test_a_verdict_with_a_box_is_kept_and_exported(place: Place) -> None:
    """Given in the page, seen at once in another; the command writes a labelled film of it without a name or a UID."""
    ds = film("to be judged")
    ds.BurnedInAnnotation = "NO"
    judged = f"/studies/{study_uid('to be judged')}"
    place.served.node.storescu(write(place.folder, "judged", ds))
    place.served.node.wait_until_closed(study_uid("to be judged"))
    with place.browser.window() as window, place.browser.window() as other:
        other.open("/")
        expect(other.page.locator("#live")).to_contain_text("live")
        window.open(judged)
        painted(window)
        form = window.page.locator("#verdict-form")
        form.locator('input[name="agrees"][value="yes"]').check()
        form.locator('input[name="fracture"][value="present"]').check()
        form.locator("textarea").fill("as drawn")
        form.locator("button.main").click()
        expect(window.page.locator("#verdicts")).to_contain_text("agrees: fracture present")
        row = other.page.locator(f'tr[data-uid="{study_uid("to be judged")}"]')
        expect(row).to_contain_text("agrees")
    out = place.folder / "exported"
    done = place.served.node.command("verdicts", "export", str(out))
    assert done.returncode == 0, done.stderr
    written = [path for path in out.rglob("*") if path.is_file()]
    assert any(path.suffix == ".png" for path in written)
    for path in written:
        assert b"PHANTOM" not in path.read_bytes()
        assert study_uid("to be judged").encode() not in path.read_bytes()
        assert b"as drawn" not in path.read_bytes()


def test_an_object_is_shown_with_its_tree_and_can_be_taken_away(place: Place) -> None:
    """The report's content in words, the capture as a picture, the very bytes that the archive got."""
    with place.browser.window() as window:
        window.open(place.suspicious)
        window.page.get_by_role("link", name="Structured Report").first.click()
        expect(window.page.locator("main")).to_contain_text("Imaging Measurement Report")
        shoot(window, "object")
        with window.page.expect_download() as download:
            window.page.get_by_role("link", name="DICOM file").click()
        taken = Path(download.value.path()).read_bytes()
        uid = dcmread(io.BytesIO(taken)).SOPInstanceUID
        (kept,) = [
            path
            for path in place.served.node.data.glob("outbox/**/*.dcm")
            if dcmread(path, specific_tags=["SOPInstanceUID"]).SOPInstanceUID == uid
        ]
        assert taken == kept.read_bytes()
        window.open(place.suspicious)
        window.page.get_by_role("link", name="overlay capture").first.click()
        shown = window.page.locator("main img").first
        expect(shown).to_be_visible()
        assert shown.evaluate("image => image.complete && image.naturalWidth") > 100


def test_a_dropped_film_is_read_in_place_and_nothing_is_sent(place: Place) -> None:
    """A PNG; its reading, the annotated picture to take away, a line in the history."""
    picture = place.folder / "dropped.png"
    pixels = dcmread(place.films[0].path).pixel_array.astype(float)
    Image.fromarray((pixels / pixels.max() * 255).astype(np.uint8)).save(picture)
    deliveries = len(place.served.node.jobs.images(1000))
    with place.browser.window() as window:
        window.open("/try")
        window.page.set_input_files("#files", str(picture))
        reading = window.page.locator("article.reading").first
        expect(reading).to_contain_text("dropped.png")
        expect(reading.locator(".tag").first).to_have_text(
            re.compile("fracture|doubt|no fracture|not processed")
        )
        with window.page.expect_download() as download:
            reading.get_by_role("link", name="Save annotated image").click()
        with Image.open(download.value.path()) as annotated:
            assert annotated.width > 100
        shoot(window, "try")
        notes = place.folder / "notes.dcm"
        notes.write_text("<html><script>alert(1)</script></html>")
        window.page.set_input_files("#files", str(notes))
        expect(window.page.locator("#queue")).to_contain_text("neither DICOM, PNG nor JPEG")
        window.page.on("dialog", lambda dialog: dialog.accept())
        window.page.locator("#history [data-delete]").first.click()
        expect(window.page.locator("#history [data-analysis]")).to_have_count(0)
        # The browser's console tells of each refused request.
        assert all("415" in one or "422" in one for one in window.errors)
        window.errors.clear()
    assert len(place.served.node.jobs.images(1000)) == deliveries


def test_traffic_tells_who_came_and_what_an_archive_accepts(place: Place) -> None:
    """Contexts in place, one click to see whether the archive is there, a probe that sends nothing."""
    before = len(list(place.served.archive.folder.iterdir()))
    with place.browser.window() as window:
        window.open("/traffic")
        window.page.locator("a.more").first.click()
        expect(window.page.locator("tr.contexts").first).to_contain_text("X-Ray Image Storage")
        window.page.locator('button[data-act="echo"]').click()
        expect(window.page.locator(".answer")).to_contain_text("ms")
        window.page.locator('button[data-act="probe"]').click()
        expect(window.page.locator(".answer table")).to_contain_text("Comprehensive 3D SR")
        shoot(window, "traffic")
    assert len(list(place.served.archive.folder.iterdir())) == before


def test_every_page_can_be_used_by_everybody(place: Place) -> None:
    """axe finds nothing against WCAG A and AA; no page is wider than a phone; light and dark."""
    report = next(
        one
        for one in place.served.node.deliveries(place.suspicious.rpartition("/")[2])
        if one.kind == "sr"
    )
    paths = {
        "worklist": "/",
        "study": place.suspicious,
        "object": f"/objects/{report.sop_instance_uid}",
        "try": "/try",
        "traffic": "/traffic",
        "verdicts": "/verdicts",
        "users": "/users",
        "audit": "/audit",
        "setup": "/setup",
    }
    complaints: dict[str, object] = {}
    themes: tuple[tuple[Theme, dict[str, int] | None], ...] = (("light", None), ("dark", NARROW))
    for theme, size in themes:
        with place.browser.window(theme, size) as window:
            for name, path in paths.items():
                window.open(path)
                if name == "study":
                    painted(window)
                shoot(window, f"{name}-{theme}")
                found = (
                    Axe()
                    .run(
                        window.page,
                        options={
                            "runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa"],
                            "resultTypes": ["violations"],
                        },
                    )
                    .response["violations"]
                )
                if found:
                    complaints[f"{name}, {theme}"] = [
                        (one["id"], [node["html"][:200] for node in one["nodes"]]) for one in found
                    ]
                if window.overflows():
                    complaints[f"{name}, {theme}, width"] = "wider than the window"
    assert not complaints, json.dumps(complaints, indent=1)


def test_the_first_user_ends_the_open_door(place: Place) -> None:
    """Set up, logged out and in again; another window sees the log-in page alone. This test is the last."""
    with place.browser.window() as window:
        window.open("/setup")
        window.page.fill('input[name="name"]', "chief")
        window.page.fill('input[name="password"]', PASSWORD)
        window.page.fill('input[name="again"]', PASSWORD)
        window.page.click("button.main")
        expect(window.page.locator(".who")).to_contain_text("chief")
        with place.browser.window() as stranger:
            stranger.open(place.suspicious)
            expect(stranger.page.locator("h1")).to_have_text("Log in")
            stranger.page.fill('input[name="name"]', "chief")
            stranger.page.fill('input[name="password"]', PASSWORD)
            stranger.page.click("button.main")
            stranger.page.wait_for_url(f"**{place.suspicious}")
            painted(stranger)
        _people_and_tokens(window)
        window.page.get_by_role("button", name="Log out").click()
        expect(window.page.locator("h1")).to_have_text("Log in")
        window.open("/")
        expect(window.page.locator("h1")).to_have_text("Log in")


def _people_and_tokens(window: Window) -> None:
    """Somebody is registered and locked out, a token made and taken back, a password changed."""
    page = window.page
    window.open("/users")
    form = page.locator('form[action="/users"]')
    form.locator('input[name="name"]').fill("reader")
    form.locator("select").select_option("radiologist")
    form.locator('input[name="password"]').fill(PASSWORD)
    form.locator("button").click()
    row = page.locator("tr", has=page.locator("th", has_text="reader"))
    expect(row.locator("select")).to_have_value("radiologist")
    row.get_by_role("button", name="Lock out").click()
    expect(row.get_by_role("button", name="Let in again")).to_be_visible()
    window.open("/account")
    page.fill('input[name="label"]', "prometheus")
    page.check('input[value="metrics"]')
    page.get_by_role("button", name="Make it").click()
    token = page.locator('input[aria-label="Token"]').input_value()
    figures = httpx.get(f"{window.address}/metrics", headers={"authorization": f"Bearer {token}"})
    assert "fracture_node" in figures.text
    page.get_by_role("button", name="Take back prometheus").click()
    expect(page.locator("tbody")).to_contain_text("taken back")
    assert httpx.get(f"{window.address}/metrics").status_code == 401
    for name, value in (("old", PASSWORD), ("new", f"{PASSWORD}!"), ("again", f"{PASSWORD}!")):
        page.fill(f'input[name="{name}"]', value)
    page.get_by_role("button", name="Change it").click()
    expect(page.locator("h1")).to_have_text("Log in")
    page.fill('input[name="name"]', "chief")
    page.fill('input[name="password"]', f"{PASSWORD}!")
    page.click("button.main")
    expect(page.locator(".who")).to_contain_text("chief")
