"""The worklist says what the ledger says, whatever happened in between."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import delete, select, text, update

from dicom_node.records import DeliveryState
from dicom_node.register.register import Register
from dicom_node.register.tables import worklist, worklist_progress
from dicom_node.register.worklist_study import DELIVERY_STATES, OUTCOMES
from dicom_node.work.job_control import JobControl
from dicom_node.work.retention import Retention
from dicom_node.work.study_changes import StudyChanges
from dicom_node.work.tables import delivery, delivery_commitment, instance, study_change
from tests.phantoms import uid_of
from tests.results.hand_made import DOUBTFUL, FAILED, NEGATIVE, NOT_ATTEMPTED, POSITIVE

from .conftest import make_site
from .studies import Walk, archive_for_all
from .worklist_films import film_of, follow, follower, line, rows


@pytest.fixture
def walk(tmp_path: Path) -> Iterator[Walk]:
    """An empty node whose one archive wants everything."""
    for site in make_site(tmp_path, archive_for_all()):
        yield Walk(site)


def test_a_study_is_listed_from_its_first_film_to_its_last_delivery(walk: Walk) -> None:
    """Each step of the walk changes the line, and nothing else has to be told."""
    ds = film_of("a", PatientName="Meier^Anna", PatientID="P1", StudyDescription="Hand p.a.")
    job = walk.receive(ds)
    came = line(walk.site, "a")
    assert came is not None
    assert (came.outcome, came.unread, came.header.patient_name) == ("being read", 1, "Meier^Anna")
    assert (came.header.patient_id, came.header.study_description) == ("P1", "Hand p.a.")
    walk.read(job, ds, POSITIVE)
    read = line(walk.site, "a")
    assert read is not None
    assert (read.outcome, read.probability, read.body_parts) == ("fracture", 0.8734, ("hand",))
    assert (read.unread, read.delivery_state) == (0, "queued")
    walk.close()
    closed = line(walk.site, "a")
    assert closed is not None
    assert closed.revision == 1
    assert closed.deliveries["queued"] > read.deliveries["queued"]
    walk.deliver()
    arrived = line(walk.site, "a")
    assert arrived is not None
    assert dict(arrived.deliveries) == {"delivered": closed.deliveries["queued"]}


def test_what_a_reader_must_not_miss_stands_for_the_study(walk: Walk) -> None:
    """Fracture before doubt before not processed before being read before no fracture; the rest is counted."""
    readings = {
        "fracture": POSITIVE,
        "doubt": DOUBTFUL,
        "not processed": FAILED,
        "no fracture": NEGATIVE,
    }
    order = ["no fracture", "being read", "not processed", "doubt", "fracture"]
    for number, outcome in enumerate(order):
        ds = film_of("a", str(number))
        job = walk.receive(ds)
        if outcome in readings:
            walk.read(job, ds, readings[outcome])
        now = line(walk.site, "a")
        assert now is not None
        assert now.outcome == outcome
        assert dict(now.outcomes) == dict.fromkeys(order[: number + 1], 1)
    assert now is not None
    assert now.reasons == FAILED.reason.meaning  # type: ignore[union-attr]


def test_a_delivery_that_needs_somebody_stands_for_all(walk: Walk) -> None:
    """Parked before not committed before waiting before delivered before committed."""
    walk.whole([(film_of("a"), POSITIVE)])
    site = walk.site
    with site.ledger.read() as connection:
        ids = list(connection.execute(select(delivery.c.id)).scalars())

    def commit(ids: list[str], state: str) -> None:
        values = {
            "destination": "archive",
            "transaction_uid": "1",
            "state": state,
            "attempts": 1,
            "since": 0,
        }
        with site.ledger.transaction() as connection:
            connection.execute(
                delivery_commitment.insert(), [{"delivery_id": one, **values} for one in ids]
            )

    def state() -> str:
        found = line(site, "a")
        assert found is not None
        return found.delivery_state

    commit(ids[1:], "committed")
    assert state() == "delivered"
    commit(ids[:1], "committed")
    assert state() == "committed"
    with site.ledger.transaction() as connection:
        first = delivery_commitment.c.delivery_id == ids[0]
        connection.execute(update(delivery_commitment).where(first).values(state="never committed"))
    assert state() == "not committed"
    with site.ledger.transaction() as connection:
        walk.deliveries.requeue(connection, ids[1:3])
    walk.deliveries.wait(ids[1], 1e10, None, "no association", False)
    walk.deliveries.end(ids[2], DeliveryState.PARKED, 1.0, 0xA900, "refused")
    assert state() == "parked"


def test_a_reading_that_was_taken_back_is_never_silent(walk: Walk) -> None:
    """Cancelled is not processed, with the reason; no other version of the image hides or is hidden by it."""
    job = walk.receive(film_of("a"))
    JobControl(walk.site.ledger, walk.engine).cancel(job, walk.site.now)
    cancelled = line(walk.site, "a")
    assert cancelled is not None
    assert (cancelled.outcome, cancelled.reasons) == ("not processed", "Reading cancelled")
    corrected = film_of("a", PatientID="other bytes")
    walk.read(walk.receive(corrected), corrected, NEGATIVE)
    now = line(walk.site, "a")
    assert now is not None
    assert (now.outcome, now.images, now.header.patient_id) == ("no fracture", 1, "other bytes")


def test_an_image_that_moved_leaves_its_old_study_without_one(walk: Walk) -> None:
    """A corrected header that names another study: both lines change."""
    walk.whole([(film_of("a", "x"), POSITIVE)])
    moved = film_of("b", "x")
    moved.SOPInstanceUID = moved.file_meta.MediaStorageSOPInstanceUID = uid_of("a x")
    walk.whole([(moved, POSITIVE)])
    old, new = line(walk.site, "a"), line(walk.site, "b")
    assert old is not None
    assert new is not None
    assert (old.outcome, old.images) == ("no image left", 0)
    assert (new.outcome, new.images) == ("fracture", 1)


def test_what_retention_deletes_is_listed_no_more(walk: Walk) -> None:
    """The line goes with the study; the change log keeps no row of it, and gives no number twice."""
    walk.whole([(film_of("a"), NEGATIVE)])
    walk.whole([(film_of("b"), NEGATIVE)])
    follow(walk.site)
    before = StudyChanges(walk.site.ledger).last()
    late = walk.site.now + timedelta(days=walk.site.settings.retention.keep_days + 1)
    Retention(walk.site.settings, walk.site.ledger).sweep(late)
    told = follow(walk.site)
    assert {uid_of("a"), uid_of("b")} <= {*told.studies}
    assert rows(walk.site) == []
    assert told.number > before
    with walk.site.ledger.read() as connection:
        keys = set(connection.execute(select(study_change.c.study_instance_uid)).scalars())
    assert keys == {"-forgotten"}


class After(threading.Event):
    """A stop that comes after so many questions."""

    def __init__(self, questions: int) -> None:
        super().__init__()
        self._left = questions

    def is_set(self) -> bool:
        self._left -= 1
        return self._left < 0


def test_a_follower_that_ends_in_between_is_followed_by_one_that_goes_on(walk: Walk) -> None:
    """Lines and how far they reach are written together: nothing is missed, and nothing is done for ever."""
    for name in ("a", "b", "c"):
        walk.receive(film_of(name))
    first = follower(walk.site, batch=1).follow(After(1))
    assert len(rows(walk.site)) == 1
    second = follow(walk.site)
    assert len(rows(walk.site)) == 3
    assert not {*first.studies} & {*second.studies}
    assert not follow(walk.site)


def test_the_worklist_is_made_again_from_nothing(walk: Walk) -> None:
    """Its rows are a copy: without them the same come back, from the ledger and the films."""
    walk.whole([(film_of("a", PatientName="Meier^Anna"), POSITIVE)])
    walk.whole([(film_of("b"), NOT_ATTEMPTED)])
    follow(walk.site)
    before = rows(walk.site)
    with walk.site.register.transaction() as connection:
        connection.execute(delete(worklist))
        connection.execute(delete(worklist_progress))
    follow(walk.site)
    assert rows(walk.site) == before
    assert len(before) == 2


def test_a_worklist_of_an_older_shape_is_made_again(walk: Walk) -> None:
    """An update of the program needs no hand."""
    walk.receive(film_of("a"))
    follow(walk.site)
    with walk.site.register.transaction() as connection:
        connection.execute(text("ALTER TABLE worklist DROP COLUMN reasons"))
    Register.open(walk.data).close()
    follow(walk.site)
    assert [row["outcome"] for row in rows(walk.site)] == ["being read"]


def test_a_ledger_of_an_older_version_is_followed_whole(walk: Walk) -> None:
    """Before, changes were not numbered: at the next start every study counts as changed."""
    walk.whole([(film_of("a"), POSITIVE)])
    with walk.site.ledger.transaction() as connection:
        names = connection.execute(
            text(
                "SELECT name FROM sqlite_master WHERE name LIKE 'study\\_change\\_%' ESCAPE '\\' AND type='trigger'"
            )
        ).scalars()
        for name in names.all():
            connection.execute(text(f"DROP TRIGGER {name}"))
        connection.execute(text("DROP TABLE study_change"))
    walk.site.ledger.create(walk.site.now.timestamp())
    walk.receive(film_of("b"))
    assert {*follow(walk.site).studies} == {uid_of("a"), uid_of("b")}


def test_a_ledger_that_was_put_back_is_listed_as_it_is(walk: Walk) -> None:
    """A register that knows of later changes than the ledger has is of another ledger: made anew."""
    walk.receive(film_of("a"))
    follow(walk.site)
    with walk.site.register.transaction() as connection:
        connection.execute(update(worklist_progress).values(last_change=10_000))
        connection.execute(update(worklist).values(outcome="fracture"))
    follow(walk.site)
    assert [row["outcome"] for row in rows(walk.site)] == ["being read"]


def test_however_often_a_study_changes_it_has_one_row_in_the_log(walk: Walk) -> None:
    """A node whose page is off keeps no growing list."""
    for number in range(5):
        ds = film_of("a", str(number))
        walk.read(walk.receive(ds), ds, NEGATIVE)
    with walk.site.ledger.read() as connection:
        keys = list(connection.execute(select(study_change.c.study_instance_uid)).scalars())
    assert keys == [uid_of("a")]


def test_a_name_is_decoded_as_its_film_says(walk: Walk) -> None:
    """PS3.5 H: Japanese with code extensions; found by a part of it, too."""
    name = "Yamada^Tarou=山田^太郎=やまだ^たろう"
    walk.receive(film_of("a", SpecificCharacterSet=["", "ISO 2022 IR 87"], PatientName=name))
    found = line(walk.site, "a")
    assert found is not None
    assert found.header.patient_name == name


@pytest.mark.parametrize("damage", ["cut", "noise", "long"])
def test_a_broken_header_is_listed_without_what_cannot_be_read(walk: Walk, damage: str) -> None:
    """What is a stranger's may be anything: the study is listed in any case."""
    job = walk.receive(film_of("a", PatientName="x" * 5000 if damage == "long" else "Meier"))
    with walk.site.ledger.read() as connection:
        path = connection.execute(
            select(instance.c.spool_path).where(instance.c.id == job)
        ).scalar_one()
    whole = (walk.data / path).read_bytes()
    if damage != "long":
        (walk.data / path).write_bytes(whole[:200] if damage == "cut" else b"\xff" * 5000)
    found = line(walk.site, "a")
    assert found is not None
    assert (found.outcome, found.header.patient_name) == ("being read", "")


def test_a_film_that_is_gone_leaves_what_was_known(walk: Walk) -> None:
    """A version whose film cannot be read any more takes no name away."""
    walk.receive(film_of("a", PatientName="Meier"))
    follow(walk.site)
    walk.site.later(seconds=1)
    job = walk.receive(film_of("a", "2", PatientName="Meyer"))
    with walk.site.ledger.read() as connection:
        path = connection.execute(
            select(instance.c.spool_path).where(instance.c.id == job)
        ).scalar_one()
    (walk.data / path).unlink()
    found = line(walk.site, "a")
    assert found is not None
    assert (found.images, found.header.patient_name) == (2, "Meier")


def test_every_outcome_and_state_can_be_asked_for() -> None:
    """The page offers what the worklist says, by the same words."""
    from typing import get_args

    from dicom_node.web.worklist_request import DeliveryWord, OutcomeWord

    assert get_args(OutcomeWord) == (*OUTCOMES, "refused")
    assert get_args(DeliveryWord) == DELIVERY_STATES
