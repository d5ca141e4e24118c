"""The API's readings: the same as the command line's, kept only where that was asked for, each written down."""

from __future__ import annotations

import base64
import io
import json
import os
import subprocess
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from starlette.testclient import TestClient

from dicom_node.register.audit_trail import AuditTrail
from dicom_node.register.credentials import Credentials
from dicom_node.web.uploads import FOLDER
from pipeline.findings import RESEARCH_NOTICE
from tests.test_docs import blocks, read
from tests.web.conftest import Site, csrf_token
from tests.web.given_files import dicom_film, png_film
from tests.web.live_site import LiveSite

FILM = {"file": ("hand.dcm", dicom_film())}


def acts(site: Site) -> list[tuple[str, str, str, str]]:
    """Who did what, the latest first."""
    latest = AuditTrail(site.register).latest(50)
    return [(entry.person, entry.act, entry.about, entry.detail) for _, entry in latest]


def size_of(png: str) -> tuple[int, int]:
    """Columns and rows of a PNG in base64."""
    return Image.open(io.BytesIO(base64.b64decode(png))).size


def token_for(site: Site, *permissions: str) -> str:
    """A token of an administrator's with these permissions."""
    site.logged_in()
    return Credentials(site.register).make_token("chief", "tests", permissions, site.now, None)


def test_the_answer_says_all_that_was_found(reading_site: Site) -> None:
    """Outcome, probability, body part, regions, thresholds, model and the notice; no picture unless asked for."""
    with reading_site.program() as program:
        answer = program.post("/api/v1/predict", files=FILM)
    said = answer.json()
    assert answer.status_code == 200
    assert said["outcome"] == "fracture"
    assert 0 < said["fracture_probability"] <= 1
    assert said["body_part"]["name"] in ("hand", "leg", "hip", "shoulder")
    assert (said["rows"], said["columns"]) == (256, 208)
    assert said["thresholds"]["fracture"] == reading_site.settings.model.fracture_threshold
    assert (said["model"]["name"], len(said["model"]["digest"])) == ("tiny-net", 64)
    assert said["reason"] is said["overlay"] is said["gradcam"] is None
    assert said["notice"] == RESEARCH_NOTICE
    for region in said["regions"]:
        x0, y0, x1, y1 = region["box"]
        assert 0 <= x0 < x1 <= 208
        assert 0 <= y0 < y1 <= 256


@pytest.mark.parametrize("way", ["query", "form"])
def test_pictures_come_where_they_are_asked_for(reading_site: Site, way: str) -> None:
    """By a flag in the query or a field of the form."""
    query = "?overlay=true" if way == "query" else ""
    fields = {"gradcam": "on"} if way == "form" else {}
    with reading_site.program() as program:
        said = program.post(f"/api/v1/predict{query}", files=FILM, data=fields).json()
    assert (said["overlay"] is not None) == (way == "query")
    assert (said["gradcam"] is not None) == (way == "form")
    assert max(size_of(said["overlay"] or said["gradcam"])) >= 256


def test_nothing_of_a_prediction_is_kept(reading_site: Site) -> None:
    """No file, no picture, no line of history; only that somebody had something read."""
    data = reading_site.settings.node.data
    with reading_site.program() as program:
        before = {path for path in data.rglob("*") if path.is_file()}
        program.post("/api/v1/predict", files=FILM)
        assert {path for path in data.rglob("*") if path.is_file()} - before == set()
        assert program.get("/api/v1/analyses").json()["analyses"] == []
    assert not list((data / FOLDER).iterdir())
    person, act, about, detail = acts(reading_site)[-1]
    assert (person, act, detail) == ("local", "read upload", "fracture")
    assert about.startswith("sha256 ")


def test_the_short_answer_is_what_older_clients_know(reading_site: Site) -> None:
    """`POST /predict`: a word, a share of a hundred, a picture."""
    with reading_site.program() as program:
        long = program.post("/api/v1/predict", files=FILM).json()
        answer = program.post("/predict", files={"file": ("hand.png", png_film())})
        said = program.post("/predict", files=FILM).json()
    assert answer.status_code == 200
    assert set(said) == {"prediction", "confidence", "image_base64"}
    assert said["prediction"] == "Fracture"
    assert said["confidence"] == f"{long['fracture_probability']:.1%}"
    assert max(size_of(said["image_base64"])) >= 256


def test_a_film_that_is_not_read_has_a_word_of_its_own(reading_site: Site) -> None:
    """A blank picture is neither a fracture nor none, in either answer."""
    blank = io.BytesIO()
    Image.fromarray(np.full((200, 160), 80, np.uint8)).save(blank, "PNG")
    files = {"file": ("blank.png", blank.getvalue())}
    with reading_site.program() as program:
        long = program.post("/api/v1/predict?gradcam=true&overlay=true", files=files).json()
        short = program.post("/predict", files=files).json()
    assert (long["outcome"], long["reason"]["code"], long["gradcam"]) == (
        "not processed",
        "FN-107",
        None,
    )
    assert long["overlay"] is not None
    assert (short["prediction"], short["confidence"]) == ("Not processed", "")
    assert short["image_base64"]


def test_an_analysis_is_kept_found_shown_and_forgotten(reading_site: Site) -> None:
    """Its pictures are PNGs, its history line has its name and digest, and nothing is left of it in the end."""
    with reading_site.program() as program:
        added = program.post("/api/v1/analyses", files=FILM)
        assert added.status_code == 201
        kept = added.json()
        assert program.get(added.headers["location"]).json() == kept
        assert kept["image_name"] == "hand.dcm"
        assert set(kept["pictures"]) == {"film", "overlay", "gradcam", "thumbnail"}
        for path in kept["pictures"].values():
            picture = program.get(path)
            assert picture.headers["content-type"] == "image/png"
            Image.open(io.BytesIO(picture.content)).load()
        assert program.get(f"/api/v1/analyses/{kept['id']}/other.png").status_code == 422
        assert program.delete(f"/api/v1/analyses/{kept['id']}").status_code == 204
        for path in (added.headers["location"], kept["pictures"]["film"]):
            assert program.get(path).status_code == 404
    assert not list((reading_site.settings.node.data / "analyses").iterdir())
    said = [(act, about) for _, act, about, _ in acts(reading_site)]
    assert said[0] == ("deleted analysis", kept["id"])
    assert ("read upload", kept["id"]) in said
    assert ("saw analysis", kept["id"]) in said


def test_the_history_is_asked_by_name_date_and_outcome(reading_site: Site) -> None:
    """Each filter keeps what matches; pages follow each other without gap or repetition."""
    with reading_site.program() as program:
        for number in range(5):
            name = f"{'Wrist' if number % 2 else 'hand'}_{number}%.png"
            files = {"file": (name, png_film())}
            assert program.post("/api/v1/analyses", files=files).status_code == 201
            reading_site.later(days=1)

        def names(**query: str | int) -> list[str]:
            found = program.get("/api/v1/analyses", params=query)
            assert found.status_code == 200, found.text
            return [one["image_name"] for one in found.json()["analyses"]]

        everything = names()
        assert everything == [
            "hand_4%.png",
            "Wrist_3%.png",
            "hand_2%.png",
            "Wrist_1%.png",
            "hand_0%.png",
        ]
        assert names(image_name="wRIST") == ["Wrist_3%.png", "Wrist_1%.png"]
        assert names(image_name="3%") == ["Wrist_3%.png"]
        assert names(image_name="_%.") == []
        assert names(outcome="no fracture") == []
        assert names(outcome="fracture") == everything
        assert names(**{"from": "2026-01-03", "to": "2026-01-05T00:00:00Z"}) == everything[2:4]
        first = program.get("/api/v1/analyses", params={"limit": 3}).json()
        rest = program.get("/api/v1/analyses", params={"limit": 3, "cursor": first["next"]}).json()
        paged = [one["image_name"] for one in (*first["analyses"], *rest["analyses"])]
        assert paged == everything
        assert rest["next"] is None
        alias = program.get("/api/analysis", params={"image_name": "wrist"}).json()
        assert [one["image_name"] for one in alias["analyses"]] == ["Wrist_3%.png", "Wrist_1%.png"]
        for wrong in ({"cursor": "x"}, {"from": "soon"}, {"outcome": "maybe"}, {"limit": "0"}):
            assert program.get("/api/v1/analyses", params=wrong).status_code == 422


def test_what_is_old_is_forgotten(reading_site: Site) -> None:
    """After `keep_analyses_days` neither the line nor the pictures are there."""
    with reading_site.program() as program:
        kept = program.post("/api/analysis", files=FILM).json()
        reading_site.now += timedelta(days=reading_site.settings.web.keep_analyses_days, seconds=1)
        assert program.get("/api/v1/analyses").json()["analyses"] == []
        assert program.get(kept["pictures"]["overlay"]).status_code == 404
    assert not list((reading_site.settings.node.data / "analyses").iterdir())


def test_only_who_had_it_read_and_administrators_forget(reading_site: Site) -> None:
    """Another viewer sees a reading and may not delete it."""
    own, other, chief = (reading_site.logged_in(*who) for who in (
        ("viewer", "ann"), ("viewer", "ben"), ("administrator", "cleo"),
    ))  # fmt: skip
    place = f"/api/v1/analyses/{posted(own).json()['id']}"
    assert other.get(place).status_code == 200
    assert other.delete(place, headers=signed(other)).status_code == 403
    assert chief.delete(place, headers=signed(chief)).status_code == 204
    mine = f"/api/v1/analyses/{posted(own).json()['id']}"
    assert own.delete(mine, headers=signed(own)).status_code == 204


def signed(browser: TestClient) -> dict[str, str]:
    """The header that a page's script sends."""
    return {"x-csrf-token": csrf_token(browser.get("/try")), "accept": "application/json"}


def posted(browser: TestClient, **headers: str):  # type: ignore[no-untyped-def]
    """A film, given from the page."""
    return browser.post("/api/v1/analyses", files=FILM, headers={**signed(browser), **headers})


def test_who_may_not_is_told_before_the_film_is_taken(reading_site: Site) -> None:
    """Nobody known, a token for another purpose, a session whose request is not signed."""
    browser = reading_site.logged_in("viewer")
    token = token_for(reading_site, "metrics")
    with reading_site.program() as stranger, reading_site.program(token) as program:
        assert stranger.post("/api/v1/predict", files=FILM).status_code == 401
        assert stranger.get("/api/v1/analyses").status_code == 401
        assert program.post("/api/v1/predict", files=FILM).status_code == 403
        assert program.post("/predict", files=FILM).status_code == 403
    unsigned = browser.post("/api/v1/predict", files=FILM, headers={"accept": "application/json"})
    assert unsigned.status_code == 403
    assert posted(browser).status_code == 201
    assert not list((reading_site.settings.node.data / FOLDER).glob("*"))


def test_the_examples_of_the_documentation_do_what_it_says(
    reading_site: Site, live: LiveSite, tmp_path: Path
) -> None:
    """Each curl of docs/api.md about readings, run as it stands with a token that may predict: none fails."""
    (tmp_path / "wrist.dcm").write_bytes(dicom_film())
    section = read("api.md").partition("## Reading a film")[2].partition("## Studies")[0]
    commands = [line for block in blocks(section, "sh") for line in block.splitlines()]
    environment = {**os.environ, "TOKEN": token_for(reading_site, "predict"), "ID": ""}
    answers = []
    for command in commands:
        done = subprocess.run(
            ["bash", "-c", command.replace("http://127.0.0.1:8080", live.url)],
            cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
        assert done.returncode == 0, f"{command}: {done.stdout} {done.stderr}"
        answers.append(done.stdout)
        environment["ID"] = environment["ID"] or done.stdout.partition('"id":"')[2][:32]
    told = "".join(answers)
    assert '"prediction":"Fracture"' in told
    assert '"analyses":[{"outcome":"fracture"' in told
    assert (tmp_path / "annotated.png").read_bytes().startswith(b"\x89PNG")
    assert json.loads(answers[-1])["analyses"] == []
