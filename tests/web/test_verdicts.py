"""Verdicts: who may give them, what stands, and what an export holds and does not hold."""

from __future__ import annotations

import io
import json
import zipfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from pydicom.dataset import FileDataset
from starlette.testclient import TestClient
from typer.testing import CliRunner

from dicom_node.cli import app
from dicom_node.register.audit_trail import AuditTrail
from dicom_node.register.verdict_export import choose_films, exported_files
from dicom_node.register.verdict_films import VerdictFilms
from dicom_node.register.verdicts import FractureWord, Verdict, Verdicts
from pipeline.findings import RESEARCH_NOTICE, ImageFindings
from pipeline.pixel_conversion import read_radiograph
from pipeline.training.datasets.layouts import examine, list_dataset
from tests.phantoms import phantom
from tests.pipeline.training_runs import record_of, run
from tests.results.hand_made import DOUBTFUL, NEGATIVE, NOT_ATTEMPTED, POSITIVE

from .conftest import Site, csrf_token
from .studies import Walk

PATIENT = "Secret^Name"
AGREED = {"outcome": "fracture", "agrees": True, "fracture": "present", "boxes": [[50, 60, 90, 100]]}
SHORT = {"crop_epochs": 1, "film_epochs": 1, "batch_size": 2}


def film(seed: int = 1, **more: Any) -> FileDataset:
    """A phantom of a patient with a name; its header does not say that words are burned in."""
    ds = phantom(seed=seed, **more)
    ds.PatientName, ds.PatientID, ds.BurnedInAnnotation = PATIENT, f"Secret-{seed}", "NO"
    return ds


def read_film(site: Site, ds: FileDataset, findings: ImageFindings = POSITIVE) -> str:
    """The film, received and read; its job's id."""
    walk = Walk(site)
    job = walk.receive(ds)
    walk.read(job, ds, findings)
    return job


def judge(browser: TestClient, job: str, **more: Any) -> Any:
    """What the node answers to a verdict."""
    return browser.post(f"/api/v1/jobs/{job}/verdict", json={**AGREED, **more})


def test_a_verdict_is_kept_and_listed(site: Site) -> None:
    """With the reading that was judged, its boxes, and who said it when."""
    ds = film()
    job = read_film(site, ds)
    answer = judge(site.program(), job, comment="distal")
    assert answer.status_code == 201, answer.text
    (listed,) = site.program().get("/api/v1/verdicts").json()
    assert listed == answer.json()
    assert (listed["person"], listed["outcome"], listed["probability"]) == ("local", "fracture", 0.8734)
    assert listed["boxes"] == [[50, 60, 90, 100]]
    assert listed["model_digest"] == POSITIVE.model.digest
    page = site.browser().get(f"/studies/{ds.StudyInstanceUID}").text
    assert "agrees: fracture present, 1 box" in page
    acts = [line.act for _, line in AuditTrail(site.register).latest(10)]
    assert "judged image" in acts


def test_a_later_verdict_of_the_same_person_stands_and_the_earlier_stays(site: Site) -> None:
    """Both are in the image's history, one of them stands."""
    job = read_film(site, film())
    judge(site.program(), job)
    site.later(minutes=1)
    judge(site.program(), job, agrees=False, fracture="absent", boxes=[])
    history = site.program().get(f"/api/v1/jobs/{job}/verdicts").json()
    assert [(one["fracture"], one["stands"]) for one in history] == [
        ("absent", True),
        ("present", False),
    ]
    assert [one["fracture"] for one in site.program().get("/api/v1/verdicts").json()] == ["absent"]
    every = site.program().get("/api/v1/verdicts", params={"standing": False, "limit": 1}).json()
    rest = site.program().get("/api/v1/verdicts", params={"standing": False, "before": every[0]["id"]})
    assert [one["fracture"] for one in every + rest.json()] == ["absent", "present"]
    assert site.program().get("/api/v1/verdicts", params={"agrees": True}).json() == []


def test_only_radiologists_judge(site: Site) -> None:
    """A viewer sees verdicts and gives none; without the page's token nobody gives any."""
    ds = film()
    job = read_film(site, ds)
    for role, status in (("viewer", 403), ("radiologist", 201)):
        browser = site.logged_in(role)
        page = browser.get(f"/studies/{ds.StudyInstanceUID}")
        assert ('id="verdict-form"' in page.text) is (status == 201)
        without = judge(browser, job)
        assert without.status_code == 403
        browser.headers["x-csrf-token"] = csrf_token(page)
        assert judge(browser, job).status_code == status
    assert site.browser().get(f"/api/v1/jobs/{job}/film").status_code == 401


@pytest.mark.parametrize(
    "wrong",
    [
        {"fracture": "absent", "boxes": []},
        {"fracture": "absent", "agrees": False},
        {"boxes": [[500, 500, 900, 900]]},
        {"boxes": [[10, 10, 11, 40]]},
        {"boxes": [["x", 0, 1, 1]]},
        {"boxes": [[-1, 0, 9, 9]]},
        {"boxes": [[0, 0, 9, 9]] * 51},
        {"fracture": "perhaps"},
        {"comment": "x" * 2001},
        {"person": "somebody else"},
    ],
)
def test_a_verdict_that_means_nothing_is_refused(site: Site, wrong: dict[str, Any]) -> None:
    """Contradictions, boxes outside of the film or without area, and words that are not known: 422, nothing kept."""
    job = read_film(site, film())
    assert judge(site.program(), job, **wrong).status_code == 422
    assert site.program().get("/api/v1/verdicts").json() == []


def test_numbers_that_are_none_are_refused(site: Site) -> None:
    """JSON's way to write what is not finite."""
    job = read_film(site, film())
    text = json.dumps({**AGREED, "boxes": [[0, 0, float("inf"), float("nan")]]})
    headers = {"content-type": "application/json"}
    answer = site.program().post(f"/api/v1/jobs/{job}/verdict", content=text, headers=headers)
    assert answer.status_code == 422


def test_a_box_over_the_edge_is_clipped(site: Site) -> None:
    """To the film's own matrix."""
    job = read_film(site, film())
    answer = judge(site.program(), job, boxes=[[150, 200, 400, 900]])
    assert answer.json()["boxes"] == [[150, 200, POSITIVE.columns, POSITIVE.rows]]


def test_what_was_not_read_cannot_be_judged(site: Site) -> None:
    """Neither an image without a reading, nor one that says something else by now."""
    ds = film()
    out_of_scope = read_film(site, ds, NOT_ATTEMPTED)
    assert judge(site.program(), out_of_scope, outcome="not processed").status_code == 409
    doubtful = read_film(site, film(2), DOUBTFUL)
    answer = judge(site.program(), doubtful)
    assert answer.status_code == 409
    assert "doubt" in answer.json()["detail"]


def test_the_pixels_outlive_the_film(site: Site) -> None:
    """A grey PNG of what was shown, named by its pixels' digest, with nothing in it but pixels."""
    ds = film()
    judge(site.program(), read_film(site, ds))
    read = read_radiograph(ds)
    data = (site.settings.node.data / "verdicts" / f"{read.pixel_digest}.png").read_bytes()
    grey = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    assert grey is not None
    assert (grey.dtype, grey.shape) == (np.uint8, read.pixels.shape)
    assert np.abs(grey / 255.0 - read.pixels).max() <= 0.5 / 255 + 2e-6
    assert chunks(data) <= {b"IHDR", b"IDAT", b"IEND"}


def chunks(png: bytes) -> set[bytes]:
    """The kinds of a PNG's chunks."""
    found, at = set(), 8
    while at < len(png):
        found.add(png[at + 4 : at + 8])
        at += 12 + int.from_bytes(png[at : at + 4])
    return found


def test_films_with_words_burned_in_are_not_copied(site: Site) -> None:
    """By their header: the verdict is kept, the pixels are not, and the export counts it."""
    ds = film()
    ds.BurnedInAnnotation = "YES"
    answer = judge(site.program(), read_film(site, ds))
    assert answer.json()["exported"] is False
    assert list((site.settings.node.data / "verdicts").glob("*.png")) == []
    kept = films_of(site)
    assert choose_films(Verdicts(site.register).standing(), kept).counts.burned_in == 1


def films_of(site: Site) -> VerdictFilms:
    """Where judged films lie; randomness is not asked for once there is a secret."""
    return VerdictFilms(site.settings.node.data, bytes)


def test_a_patient_is_one_group_and_nobody_can_tell_whose(site: Site) -> None:
    """Two films of one patient share it, another installation's secret makes another, and PatientID alone makes none."""
    for seed, patient in ((1, "A"), (2, "A"), (3, "B")):
        ds = film(seed)
        ds.PatientID = patient
        judge(site.program(), read_film(site, ds))
    first, second, third = sorted(Verdicts(site.register).standing(), key=lambda one: one.at)
    assert first.group_digest == second.group_digest != third.group_digest
    elsewhere = VerdictFilms(site.folder / "elsewhere", lambda count: b"x" * count)
    assert elsewhere.keyed_digest("patient", "A", "") != first.group_digest
    assert films_of(site).keyed_digest("patient", "A", "") == first.group_digest
    secret = site.settings.node.data / "verdicts/secret.key"
    assert secret.stat().st_mode & 0o777 == 0o600


def given(name: str, fracture: FractureWord, *, person: str = "a", at: int = 0, **more: Any) -> Verdict:
    """A verdict on the film `name`."""
    return Verdict(
        id=f"{name}{person}{at}", at=datetime(2026, 1, 1, 0, 0, at, tzinfo=UTC), person=person,
        study_instance_uid="1.2", instance_id=name, sop_instance_uid=f"1.2.{len(name)}",
        pixel_digest=f"{name:0>64}", agrees=True, fracture=fracture, comment="", outcome="doubt",
        probability=0.4, body_part="hand", model="m", group_digest="g" * 64,
        **{"boxes": (), "film_path": f"verdicts/{name:0>64}.png", **more},
    )  # fmt: skip


def test_conflicts_and_films_of_which_nobody_could_say_are_left_out(tmp_path: Path) -> None:
    """ "Cannot say" has no vote; two people who differ leave a film out; the boxes are the latest that were drawn."""
    kept = VerdictFilms(tmp_path, lambda count: b"s" * count)
    png = cv2.imencode(".png", np.zeros((40, 20), np.uint8))[1].tobytes()
    for name in ("a", "b", "c", "d"):
        kept.keep(f"{name:0>64}", png)
    yes, no, unsure = FractureWord.PRESENT, FractureWord.ABSENT, FractureWord.CANNOT_SAY
    old, new = (0.0, 0.0, 10.0, 20.0), (10.0, 20.0, 20.0, 40.0)
    said = [
        given("a", yes, person="one", at=1, boxes=(old,)),
        given("a", yes, person="two", at=2, boxes=(new,)),
        given("a", unsure, person="three", at=3),
        given("b", yes, person="one"),
        given("b", no, person="two"),
        given("c", unsure),
        given("d", no),
        given("e", yes),
    ]
    export = choose_films(said, kept)
    assert [film.fractured for film in sorted(export.films, key=lambda one: one.fractured)] == [
        False,
        True,
    ]
    assert next(film.boxes for film in export.films if film.fractured) == ((0.5, 0.5, 1.0, 1.0),)
    counts = export.counts
    assert (counts.films, counts.conflicts, counts.cannot_say, counts.gone) == (2, 1, 1, 1)
    assert list(exported_files(export, kept)) == list(
        exported_files(choose_films(said[::-1], kept), kept)
    )


def judged_site(site: Site) -> tuple[FileDataset, ...]:
    """Eight films of eight patients: four broken, with a box; four not."""
    films = tuple(film(seed, broken=seed % 2 == 0) for seed in range(1, 9))
    for ds, seed in zip(films, range(1, 9), strict=True):
        if seed % 2 == 0:
            judge(site.program(), read_film(site, ds), comment=PATIENT)
        else:
            job = read_film(site, ds, NEGATIVE)
            judge(site.program(), job, outcome="no fracture", fracture="absent", boxes=[])
    return films


def test_the_export_is_read_and_trained_on_and_names_nobody(site: Site, tmp_path: Path) -> None:
    """`verdicts export`, then the reader, the check and the training that every data set goes through."""
    films = judged_site(site)
    out, config = tmp_path / "judged", site.folder / "node.toml"
    done = CliRunner().invoke(app, ["verdicts", "export", str(out), "--config", str(config)])
    assert done.exit_code == 0, done.output
    assert "8 films of 8 patients, 4 fractured, 4 boxes" in " ".join(done.output.split())
    listing = list_dataset(out, layout=None, said=lambda _: None)
    assert listing.layout == "fracatlas"
    assert examine(listing).problems == ()
    (box,) = next(file.boxes for file in listing.files if file.fractured)
    assert box == pytest.approx((50 / 208, 60 / 256, 90 / 208, 100 / 256), abs=1e-6)
    assert {file.parts for file in listing.files if file.fractured} == {(True, False, False, False)}
    names_nobody(out, films)
    run(out, tmp_path / "run", fitting=SHORT)
    assert record_of(tmp_path / "run")["dataset"]["layout"] == "fracatlas"
    ((_, entry),) = site.context.audit.latest(1)
    assert (entry.act, entry.role) == ("exported verdicts", "command line")
    again = CliRunner().invoke(app, ["verdicts", "export", str(out), "--config", str(config)])
    assert again.exit_code == 2


def names_nobody(folder: Path, films: tuple[FileDataset, ...]) -> None:
    """No file's name or bytes hold a name, an ID, a UID or a date of these films."""
    secrets = [str(ds[keyword].value) for ds in films for keyword in (
        "PatientName", "PatientID", "StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID", "StudyDate",
    )]  # fmt: skip
    for path in (one for one in folder.rglob("*") if one.is_file()):
        held = path.read_bytes() + path.name.encode()
        for secret in secrets:
            assert secret.encode() not in held, path


def test_the_zip_holds_the_same_and_is_for_administrators(site: Site) -> None:
    """A stream of what the command writes, with the notice in its README; a radiologist gets 403."""
    judged_site(site)
    kept = films_of(site)
    expected = dict(exported_files(choose_films(Verdicts(site.register).standing(), kept), kept))
    answer = site.browser().get("/api/v1/verdicts/export")
    with zipfile.ZipFile(io.BytesIO(answer.content)) as archive:
        assert archive.testzip() is None
        assert {
            one.removeprefix("verdicts/"): archive.read(one) for one in archive.namelist()
        } == expected
        assert {one.date_time for one in archive.infolist()} == {(1980, 1, 1, 0, 0, 0)}
    assert expected["README.txt"].decode().startswith(RESEARCH_NOTICE)
    assert "Export as a data set" in site.browser().get("/verdicts").text
    radiologist = site.logged_in("radiologist")
    assert radiologist.get("/api/v1/verdicts/export").status_code == 403
    assert "Export as a data set" not in radiologist.get("/verdicts").text


def test_the_command_lists_verdicts(site: Site) -> None:
    """For people and, with --json, for programs."""
    job = read_film(site, film())
    judge(site.program(), job)
    config = str(site.folder / "node.toml")
    shown = CliRunner().invoke(app, ["verdicts", "list", "--config", config])
    assert job[:8] in shown.output
    (line,) = (
        CliRunner().invoke(app, ["verdicts", "list", "--json", "--config", config]).output.splitlines()
    )
    assert (json.loads(line)["job"], json.loads(line)["outcome"]) == (job, "fracture")
