"""Acts on images and studies do what they say, are in the audit trail, and are for those who may."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import select, text, update

from dicom_node.records import DeliveryState
from dicom_node.register.audit_trail import AuditTrail
from dicom_node.work.deliveries import DELIVER
from dicom_node.work.intake import ANALYSE
from dicom_node.work.tables import delivery, delivery_commitment, instance, result_object, sending
from tests.phantoms import uid_of
from tests.results.hand_made import FAILED, NEGATIVE, POSITIVE

from .conftest import Site, csrf_token, make_site
from .studies import Walk, archive_for_all
from .worklist_films import film_of, follow


@pytest.fixture
def walk(tmp_path: Path) -> Iterator[Walk]:
    """An empty node whose one archive wants everything."""
    for site in make_site(tmp_path, archive_for_all()):
        yield Walk(site)


def act(site: Site, path: str, **body: str) -> str:
    """What the API says of an act of this machine."""
    answer = site.program().post(f"/api/v1/{path}", json=body or None)
    assert answer.status_code == 200, answer.text
    return str(answer.json()["message"])


def states(walk: Walk) -> dict[str, int]:
    """The deliveries by state."""
    with walk.site.ledger.read() as connection:
        found = list(connection.execute(select(delivery.c.state)).scalars())
    return {state: found.count(state) for state in found}


def image(walk: Walk, job: str) -> tuple[str, int, int]:
    """State, priority and round of an image."""
    with walk.site.ledger.read() as connection:
        row = connection.execute(select(instance).where(instance.c.id == job)).one()
    return row.state, row.priority, row.round


def priorities(walk: Walk) -> dict[str, int]:
    """What waits in the engine's queues, and how urgent it is."""
    with walk.site.ledger.read() as connection:
        rows = connection.execute(
            text("SELECT workflow_uuid, priority FROM workflow_status WHERE status = 'ENQUEUED'")
        )
        return {row.workflow_uuid: row.priority for row in rows}


@pytest.mark.parametrize("whole", [False, True], ids=["image", "study"])
def test_what_failed_is_tried_again(walk: Walk, whole: bool) -> None:
    """A film that could not be read is read again, and a parked delivery goes again; nothing else moves."""
    ds = film_of("a")
    job = walk.receive(ds)
    walk.read(job, ds, FAILED)
    path = f"studies/{uid_of('a')}" if whole else f"jobs/{job}"
    assert act(walk.site, f"{path}/retry") == "read again"
    assert image(walk, job)[::2] == ("received", 2)
    assert act(walk.site, f"{path}/retry") == "still in work; nothing to retry"
    walk.read(job, ds, POSITIVE)
    walk.close()
    walk.deliver()
    assert act(walk.site, f"{path}/retry") == "everything arrived; nothing to retry"
    with walk.site.ledger.transaction() as connection:
        first = select(delivery.c.id).limit(1).scalar_subquery()
        parked = update(delivery).where(delivery.c.id == first).values(state=DeliveryState.PARKED)
        connection.execute(parked)
    assert act(walk.site, f"{path}/retry") == "1 deliveries go again"
    assert states(walk)["queued"] == 1
    assert act(walk.site, f"{path}/read-again") == "read again"
    assert image(walk, job)[::2] == ("received", 3)


def test_a_study_is_taken_back_whole(walk: Walk) -> None:
    """Its unread film, the overlays and the reports that have not ended; what arrived stays."""
    ds = film_of("a")
    walk.read(walk.receive(ds), ds, POSITIVE)
    walk.close()
    unread = walk.receive(film_of("a", "2"))
    said = act(walk.site, f"studies/{uid_of('a')}/cancel")
    assert "reading" in said
    assert "deliveries of its reports" in said
    assert set(states(walk)) == {"cancelled"}
    assert image(walk, unread)[0] == "cancelled"
    assert walk.engine.live(DELIVER) == set()
    assert f"{ANALYSE}:{unread}:1" not in walk.engine.live(ANALYSE)
    assert act(walk.site, f"studies/{uid_of('a')}/cancel").startswith("2 of 2: nothing left to cancel")


def test_what_stands_is_sent_again_byte_for_byte(walk: Walk) -> None:
    """The same objects under the same UIDs, without asking the archive first; what was replaced stays where it is."""
    job = walk.whole([(film_of("a"), NEGATIVE)])[0]
    walk.readings.read_again(job, walk.site.now)
    walk.read(job, film_of("a"), POSITIVE)
    walk.close()
    walk.deliver()
    with walk.site.ledger.transaction() as connection:
        rows = connection.execute(
            select(delivery.c.id, result_object.c.revision, result_object.c.digest).join(
                result_object, result_object.c.sop_instance_uid == delivery.c.sop_instance_uid
            )
        ).all()
        values = {"destination": "archive", "transaction_uid": "1", "attempts": 1, "since": 0}
        for row in rows:
            connection.execute(sending.insert().values(delivery_id=row.id, at=1))
            connection.execute(
                delivery_commitment.insert().values(delivery_id=row.id, state="not committed", **values)
            )
    standing = {row.id for row in rows if row.revision == 2}
    assert 0 < len(standing) < len(rows)
    said = act(walk.site, f"studies/{uid_of('a')}/send-again")
    assert said == f"{len(standing)} deliveries go again"
    with walk.site.ledger.read() as connection:
        queued = connection.execute(select(delivery.c.id).where(delivery.c.state == "queued"))
        assert set(queued.scalars()) == standing
        digests = connection.execute(select(result_object.c.digest)).scalars()
        assert sorted(digests) == sorted(row.digest for row in rows)
        asked = set(connection.execute(select(sending.c.delivery_id)).scalars())
        assert asked == {row.id for row in rows} - standing
        again = select(delivery_commitment.c.delivery_id).where(
            delivery_commitment.c.state == "sent again"
        )
        assert set(connection.execute(again).scalars()) == standing
    walk.deliver()
    assert act(walk.site, f"jobs/{job}/send-again") == said


@pytest.mark.parametrize("whole", [False, True], ids=["image", "study"])
def test_what_waits_changes_its_place(walk: Walk, whole: bool) -> None:
    """Row and queue say the new priority; there is one piece of work, not two; asking again changes nothing."""
    ds = film_of("a")
    walk.read(walk.receive(ds), ds, POSITIVE)
    job = walk.receive(film_of("a", "2"))
    other = walk.receive(film_of("b"))
    path = f"studies/{uid_of('a')}" if whole else f"jobs/{job}"
    before = len(priorities(walk))
    said = act(walk.site, f"{path}/priority", priority="emergency")
    assert said.startswith("emergency now; 1 readings")
    assert image(walk, job)[1] == 1
    waiting = priorities(walk)
    assert len(waiting) == before
    assert waiting[f"{ANALYSE}:{job}:2"] == 1
    assert waiting[f"{ANALYSE}:{other}:1"] == 10
    deliveries = {name: value for name, value in waiting.items() if name.startswith(DELIVER)}
    assert set(deliveries.values()) == ({1} if whole else {10})
    repeated = act(walk.site, f"{path}/priority", priority="emergency")
    assert repeated == "emergency now; 0 readings and 0 deliveries change place"
    assert priorities(walk) == waiting
    assert walk.readings.begin(job, walk.site.now) is not None


def test_acts_are_in_the_audit_trail_and_for_those_who_may(walk: Walk) -> None:
    """Each with who and what; a radiologist may not, and is not noted as having done it."""
    job = walk.whole([(film_of("a"), POSITIVE)])[0]
    follow(walk.site)
    chief = walk.site.logged_in("administrator", "chief")
    headers = {"X-CSRF-Token": csrf_token(chief.get("/")), "accept": "application/json"}
    image_uid, study_uid = uid_of("a 1"), uid_of("a")
    names = {
        "retry": "retried",
        "send-again": "sent {} again",
        "cancel": "cancelled",
        "read-again": "read {} again",
    }
    for name in names:
        for place in (f"jobs/{job}", f"studies/{study_uid}"):
            assert chief.post(f"/api/v1/{place}/{name}", headers=headers).status_code == 200
    for place in (f"jobs/{job}", f"studies/{study_uid}"):
        path, form = f"/api/v1/{place}/priority", {"priority": "urgent"}
        assert chief.post(path, headers=headers, json=form).status_code == 200
    entries = [entry for _, entry in AuditTrail(walk.site.register).latest(10)][::-1]
    assert {entry.person for entry in entries} == {"chief"}
    assert [(entry.act, entry.about) for entry in entries[:2]] == [
        ("retried image", image_uid),
        ("retried study", study_uid),
    ]
    assert [(entry.act, entry.detail) for entry in entries[8:]] == [
        ("set priority of image", "urgent"),
        ("set priority of study", "urgent"),
    ]
    reader = walk.site.logged_in("radiologist")
    headers = {"X-CSRF-Token": csrf_token(reader.get("/")), "accept": "application/json"}
    before = image(walk, job)
    for place in (f"jobs/{job}", f"studies/{study_uid}"):
        assert reader.post(f"/api/v1/{place}/read-again", headers=headers).status_code == 403
    assert image(walk, job) == before


def test_what_is_not_there_cannot_be_acted_on(walk: Walk) -> None:
    """404 in words, and no line in the trail that says it was done."""
    program = walk.site.program()
    for path in ("jobs/0000", "studies/1.2.3"):
        for name in ("retry", "read-again", "cancel", "send-again"):
            answer = program.post(f"/api/v1/{path}/{name}")
            assert (answer.status_code, answer.headers["content-type"]) == (
                404,
                "application/problem+json",
            )
        answer = program.post(f"/api/v1/{path}/priority", json={"priority": "urgent"})
        assert answer.status_code == 404
        answer = program.post(f"/api/v1/{path}/priority", json={"priority": "at once"})
        assert answer.status_code == 422
    assert AuditTrail(walk.site.register).latest(10) == []


def test_programs_read_what_people_see(walk: Walk) -> None:
    """Studies, jobs and deliveries, page by page."""
    job = walk.whole([(film_of("a", PatientName="Meier^Anna"), POSITIVE)])[0]
    walk.site.later(seconds=60)
    second = walk.whole([(film_of("b"), NEGATIVE)])[0]
    program = walk.site.program()
    early = program.get(f"/api/v1/studies/{uid_of('a')}").json()
    assert (early["study"]["outcome"], early["study"]["patient_name"]) == ("fracture", "")
    follow(walk.site)
    whole = program.get(f"/api/v1/studies/{uid_of('a')}").json()
    assert (whole["study"]["patient_name"], [one["job"] for one in whole["jobs"]]) == (
        "Meier^Anna",
        [job],
    )
    first = program.get("/api/v1/studies", params={"limit": 1}).json()
    assert [one["study_instance_uid"] for one in first["studies"]] == [uid_of("b")]
    then = program.get("/api/v1/studies", params={"limit": 1, "after": first["next"]}).json()
    assert [one["study_instance_uid"] for one in then["studies"]] == [uid_of("a")]
    assert then["next"] == ""
    jobs = program.get("/api/v1/jobs", params={"limit": 1}).json()
    assert [one["job"] for one in jobs] == [second]
    older = program.get("/api/v1/jobs", params={"before": jobs[0]["received_at"]}).json()
    assert [one["job"] for one in older] == [job]
    shown = program.get(f"/api/v1/jobs/{job}").json()
    assert (shown["outcome"], shown["fracture_probability"]) == ("fracture", 0.8734)
    assert {one["state"] for one in shown["deliveries"]} == {"delivered"}
    total = sum(states(walk).values())
    page = program.get("/api/v1/deliveries", params={"limit": 3, "destination": "archive"}).json()
    found = page["deliveries"]
    while page["next"] is not None:
        page = program.get("/api/v1/deliveries", params={"limit": 3, "before": page["next"]}).json()
        found += page["deliveries"]
    assert len({one["id"] for one in found}) == len(found) == total
    assert program.get("/api/v1/deliveries?state=parked").json()["deliveries"] == []
