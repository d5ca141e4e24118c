"""Studies close when they are quiet; deliveries go on, wait, park and come back; nothing is done twice."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import Connection, select, update

from dicom_node.records import DeliveryState, Priority, ResultKind, ResultObject
from dicom_node.settings import DicomDestination, Retention, Settings, Study
from dicom_node.work import retention
from dicom_node.work.deliveries import DELIVER, NewDelivery
from dicom_node.work.engine import WorkEngine
from dicom_node.work.intake import ANALYSE
from dicom_node.work.job_control import JobControl
from dicom_node.work.job_list import JobList
from dicom_node.work.ledger import Ledger
from dicom_node.work.outbox import Outbox
from dicom_node.work.readings import FinishedReading
from dicom_node.work.reconciling import Reconciler
from dicom_node.work.retention import Retention as Retaining
from dicom_node.work.study_gathering import COMPOSE
from dicom_node.work.tables import delivery, instance
from pipeline.findings import ImageFindings, ModelIdentity, NotProcessed, Outcome, Thresholds

from .conftest import START, Workplace

QUIET = Study(quiet_seconds=60, longest_wait_seconds=300)
MODEL = ModelIdentity("test", "0.0.1", "f" * 64, "none")
POINTS = Thresholds(0.5, 0.2)
NEGATIVE = ImageFindings(Outcome.NO_FRACTURE, 10, 10, MODEL, POINTS, 0.1)
BROKEN = ImageFindings(Outcome.NOT_PROCESSED, 10, 10, MODEL, POINTS, reason=NotProcessed.UNDECODABLE)


def read(
    place: Workplace,
    name: str,
    findings: ImageFindings = NEGATIVE,
    results: tuple[NewDelivery, ...] = (),
) -> None:
    job = place.readings.begin(f"{name:0>64}", place.now)
    assert job is not None
    place.readings.finish(
        job, FinishedReading(findings, f"pixels {name}", "header"), results, place.now
    )


def overlay(place: Workplace, name: str, destination: str = "archive") -> NewDelivery:
    result = ResultObject(
        ResultKind.OVERLAY, "1.2.840.10008.5.1.4.1.1.7", f"2.25.{sum(name.encode())}", "2.25.1", "1.2.3",
        "1.2.840.10008.1.2.1", b"bytes of " + name.encode(),
    )  # fmt: skip
    stored = Outbox(place.folder).store(result)
    return NewDelivery(result, stored, destination, 1, f"{name:0>64}", Priority.ROUTINE)


def closed(place: Workplace) -> list[str]:
    return [key.split(":")[1] for key in sorted(place.engine.live(COMPOSE))]


def test_a_study_closes_when_it_is_quiet(workplace: Workplace) -> None:
    """Not before `quiet_seconds` have passed since the last image."""
    workplace.receive("a")
    read(workplace, "a")
    assert workplace.gathering.close_due(QUIET, workplace.later(59)) == 0
    assert workplace.gathering.close_due(QUIET, workplace.later(1)) == 1
    assert closed(workplace) == ["1.2.3/1"]
    assert workplace.gathering.close_due(QUIET, workplace.later(1000)) == 0


def test_a_study_waits_for_every_image_to_have_an_outcome(workplace: Workplace) -> None:
    """However long the wait: an image that is not read yet keeps the study open."""
    workplace.receive("a")
    workplace.receive("b")
    read(workplace, "a")
    assert workplace.gathering.close_due(QUIET, workplace.later(10_000)) == 0
    read(workplace, "b")
    assert workplace.gathering.close_due(QUIET, workplace.now) == 1


def test_a_study_that_is_never_quiet_closes_after_the_longest_wait(workplace: Workplace) -> None:
    """Images that keep coming hold a report back for `longest_wait_seconds`, not for ever."""
    for number in range(6):
        workplace.receive(f"i{number}")
        read(workplace, f"i{number}")
        assert workplace.gathering.close_due(QUIET, workplace.later(50)) == (number == 5)


def test_a_late_image_makes_the_next_revision_over_all_images(workplace: Workplace) -> None:
    """Revision 2 holds the first image and the late one."""
    workplace.receive("a")
    read(workplace, "a")
    workplace.gathering.close_due(QUIET, workplace.later(60))
    workplace.receive("late")
    read(workplace, "late")
    workplace.gathering.close_due(QUIET, workplace.later(60))
    assert closed(workplace) == ["1.2.3/1", "1.2.3/2"]
    second = workplace.gathering.begin("1.2.3/2")
    assert second is not None
    assert [name.lstrip("0") for name in second.instance_ids] == ["a", "late"]


def test_the_same_film_again_makes_no_new_revision(workplace: Workplace) -> None:
    """Re-encoded, it is recognised by its pixels and header: the study's findings stay as they are."""
    workplace.receive("a", sop="1.2.9")
    read(workplace, "a")
    workplace.gathering.close_due(QUIET, workplace.later(60))
    workplace.receive("again", sop="1.2.9")
    job = workplace.readings.begin(f"{'again':0>64}", workplace.now)
    assert job is not None
    standing = workplace.readings.standing("1.2.9")
    assert standing is not None
    reading = FinishedReading(NEGATIVE, "pixels a", "header", same_as=standing.instance_id)
    workplace.readings.finish(job, reading, (), workplace.now)
    assert workplace.gathering.close_due(QUIET, workplace.later(60)) == 0
    assert closed(workplace) == ["1.2.3/1"]


def test_a_corrected_film_takes_the_place_of_the_old_one(workplace: Workplace) -> None:
    """Revision 2 of the SOP Instance stands; the study's next revision holds it alone."""
    workplace.receive("old", sop="1.2.9")
    read(workplace, "old")
    workplace.gathering.close_due(QUIET, workplace.later(60))
    workplace.receive("new", sop="1.2.9")
    job = workplace.readings.begin(f"{'new':0>64}", workplace.now)
    assert job is not None
    assert job.revision == 2
    workplace.readings.finish(job, FinishedReading(NEGATIVE, "pixels new", "header"), (), workplace.now)
    workplace.gathering.close_due(QUIET, workplace.later(60))
    second = workplace.gathering.begin("1.2.3/2")
    assert second is not None
    assert [name.lstrip("0") for name in second.instance_ids] == ["new"]


def test_a_reading_finished_twice_is_kept_once(workplace: Workplace) -> None:
    """A worker that was killed after its commit, or two at once, add nothing."""
    workplace.receive("a")
    job = workplace.readings.begin(f"{'a':0>64}", workplace.now)
    assert job is not None
    for _ in range(2):
        reading = FinishedReading(NEGATIVE, "pixels", "header")
        workplace.readings.finish(job, reading, (overlay(workplace, "a"),), workplace.now)
    assert workplace.readings.begin(f"{'a':0>64}", workplace.now) is None
    assert len(JobList(workplace.ledger).images(5)[0].deliveries) == 1


def test_the_time_of_the_first_attempt_is_kept(workplace: Workplace) -> None:
    """Doing it again composes with the same time, so that the bytes are the same."""
    workplace.receive("a")
    first = workplace.readings.begin(f"{'a':0>64}", workplace.now)
    again = workplace.readings.begin(f"{'a':0>64}", workplace.later(50))
    assert first is not None
    assert again is not None
    assert again.begun_at == first.begun_at == START
    assert again.attempts == 2


def test_the_same_object_for_two_destinations_is_two_deliveries(workplace: Workplace) -> None:
    """Each destination has its own delivery; the object is kept once."""
    workplace.receive("a")
    read(workplace, "a", results=(overlay(workplace, "a"), overlay(workplace, "a", "research")))
    lines = JobList(workplace.ledger).images(5)[0].deliveries
    assert {line.destination for line in lines} == {"archive", "research"}


def test_a_waiting_delivery_goes_when_its_time_comes(workplace: Workplace) -> None:
    """Not earlier; and each try is new work."""
    workplace.receive("a")
    read(workplace, "a", results=(overlay(workplace, "a"),))
    line = JobList(workplace.ledger).images(1)[0].deliveries[0]
    until = workplace.now.timestamp() + 30
    workplace.deliveries.wait(line.id, until, None, "connection refused", refused=False)
    assert workplace.deliveries.requeue_due(until - 1) == 0
    assert workplace.deliveries.queued("archive", line.id, 50) == []
    assert workplace.deliveries.requeue_due(until) == 1
    assert [one.id for one in workplace.deliveries.queued("archive", line.id, 50)] == [line.id]


def test_a_destination_that_answers_again_gets_what_waits(workplace: Workplace) -> None:
    """What waited for a dead destination goes at once; what it had refused does not."""
    workplace.receive("a")
    results = (overlay(workplace, "a"), replace(overlay(workplace, "b"), instance_id=f"{'a':0>64}"))
    read(workplace, "a", results=results)
    first, second = JobList(workplace.ledger).images(1)[0].deliveries
    workplace.deliveries.wait(first.id, 1e12, None, "connection refused", refused=False)
    workplace.deliveries.wait(second.id, 1e12, 0xA700, "status 0xA700", refused=False)
    assert workplace.deliveries.down_destinations() == {"archive"}
    assert workplace.deliveries.hurry("archive") == 1
    assert workplace.deliveries.down_destinations() == set()


def test_the_same_bytes_again_wake_what_was_parked(workplace: Workplace) -> None:
    """A PACS that sends a film again gets the results that never arrived; its hours count anew."""
    workplace.receive("a")
    read(workplace, "a", results=(overlay(workplace, "a"),))
    line = JobList(workplace.ledger).images(1)[0].deliveries[0]
    workplace.deliveries.end(line.id, DeliveryState.PARKED, 0.0, None, "tried for 72 h")
    workplace.later(1000)
    workplace.receive("a")
    (woken,) = workplace.deliveries.queued("archive", line.id, 50)
    assert woken.trying_since == workplace.now
    assert len(JobList(workplace.ledger).images(5)) == 1


def test_another_encoding_that_comes_again_wakes_what_was_parked(workplace: Workplace) -> None:
    """It is the film that stands in other bytes, and has no objects of its own."""
    workplace.receive("a", sop="1.2.9")
    read(workplace, "a", results=(overlay(workplace, "a"),))
    (line,) = JobList(workplace.ledger).images(1)[0].deliveries
    workplace.receive("b", sop="1.2.9")
    job = workplace.readings.begin(f"{'b':0>64}", workplace.now)
    assert job is not None
    same = FinishedReading(NEGATIVE, "pixels a", "header", same_as=f"{'a':0>64}")
    workplace.readings.finish(job, same, (), workplace.now)
    workplace.deliveries.end(line.id, DeliveryState.PARKED, 1.0, None, "tried for 48 h")
    workplace.receive("b", sop="1.2.9")
    assert [one.id for one in workplace.deliveries.queued("archive", line.id, 50)] == [line.id]


def test_an_ended_delivery_stays_ended(workplace: Workplace) -> None:
    """A late failure of the same batch does not bring a delivered object back."""
    workplace.receive("a")
    read(workplace, "a", results=(overlay(workplace, "a"),))
    line = JobList(workplace.ledger).images(1)[0].deliveries[0]
    workplace.deliveries.end(line.id, DeliveryState.DELIVERED, 1.0, 0, "")
    workplace.deliveries.wait(line.id, 2.0, None, "aborted", refused=False)
    assert JobList(workplace.ledger).images(1)[0].deliveries[0].state == "delivered"


@pytest.mark.parametrize("table", [instance, delivery])
def test_an_unfinished_row_without_work_is_enqueued_again(workplace: Workplace, table: object) -> None:
    """The ledger is the truth: work that the engine lost comes back at the second sweep."""
    workplace.receive("a")
    if table is delivery:
        read(workplace, "a", results=(overlay(workplace, "a"),))
    lost = workplace.engine.live(ANALYSE) | workplace.engine.live("deliver")
    workplace.engine.cancel(sorted(lost))
    reconciler = Reconciler(workplace.ledger, workplace.engine, workplace.deliveries)
    assert [reconciler.sweep(), reconciler.sweep(), reconciler.sweep()] == [0, 1, 0]
    assert workplace.engine.live(ANALYSE) | workplace.engine.live("deliver")


def test_what_arrived_is_said_to_be_there_though_it_was_cancelled(workplace: Workplace) -> None:
    """On its way when somebody took it back: the archive has it, and a later revision must retire it."""
    workplace.receive("a")
    read(workplace, "a", results=(overlay(workplace, "a"),))
    line = JobList(workplace.ledger).images(1)[0].deliveries[0]
    JobControl(workplace.ledger, workplace.engine).cancel(f"{'a':0>64}", workplace.now)
    workplace.deliveries.wait(line.id, 2.0, None, "aborted", refused=False)
    assert JobList(workplace.ledger).images(1)[0].deliveries[0].state == "cancelled"
    workplace.deliveries.end(line.id, DeliveryState.DELIVERED, 1.0, 0, "")
    assert JobList(workplace.ledger).images(1)[0].deliveries[0].state == "delivered"


@pytest.mark.parametrize("state", [DeliveryState.DELIVERED, DeliveryState.CANCELLED])
def test_what_ends_while_the_reconciler_looks_does_not_come_back(
    workplace: Workplace, state: DeliveryState
) -> None:
    """Another association brought it there, or somebody took it back: it is not sent again."""
    workplace.receive("a")
    read(workplace, "a", results=(overlay(workplace, "a"),))
    line = JobList(workplace.ledger).images(1)[0].deliveries[0]
    workplace.engine.cancel(sorted(workplace.engine.live(DELIVER)))

    class Meanwhile(WorkEngine):
        """Between the look at the rows and the look at the work."""

        ends = False

        def live(self, task: str) -> set[str]:
            if self.ends:
                workplace.deliveries.end(line.id, state, 1.0, None, "")
            return super().live(task)

    engine = Meanwhile(workplace.ledger)
    reconciler = Reconciler(workplace.ledger, engine, workplace.deliveries)
    assert reconciler.sweep() == 0
    engine.ends = True
    assert reconciler.sweep() == 0
    assert JobList(workplace.ledger).images(1)[0].deliveries[0].state == state
    assert engine.live(DELIVER) == set()


def test_a_film_that_becomes_urgent_while_it_is_read_has_urgent_results(workplace: Workplace) -> None:
    """What was begun under the old priority is delivered under the new one."""
    workplace.receive("a")
    job = workplace.readings.begin(f"{'a':0>64}", workplace.now)
    assert job is not None
    control = JobControl(workplace.ledger, workplace.engine)
    control.set_priority(job.instance_id, Priority.EMERGENCY)
    workplace.readings.finish(
        job, FinishedReading(NEGATIVE, "pixels", "header"), (overlay(workplace, "a"),), workplace.now
    )
    with workplace.ledger.read() as connection:
        assert connection.execute(select(delivery.c.priority)).scalar() == Priority.EMERGENCY


def test_retry_reads_again_what_could_not_be_read(workplace: Workplace) -> None:
    """A film that failed comes back into the queue, and its study opens again."""
    workplace.receive("a")
    read(workplace, "a", BROKEN)
    workplace.gathering.close_due(QUIET, workplace.later(60))
    control = JobControl(workplace.ledger, workplace.engine)
    assert control.retry(f"{'a':0>64}", workplace.now) == "read again"
    read(workplace, "a")
    workplace.gathering.close_due(QUIET, workplace.later(60))
    assert closed(workplace) == ["1.2.3/1", "1.2.3/2"]


def test_cancel_takes_a_reading_back(workplace: Workplace) -> None:
    """A cancelled image is not read, and does not hold its study open."""
    workplace.receive("a")
    workplace.receive("b")
    read(workplace, "b")
    control = JobControl(workplace.ledger, workplace.engine)
    assert control.cancel(f"{'a':0>64}", workplace.now).startswith("cancelled: reading")
    assert workplace.readings.begin(f"{'a':0>64}", workplace.now) is None
    assert workplace.gathering.close_due(QUIET, workplace.later(60)) == 1


def settings_for(folder: Path) -> Settings:
    place = DicomDestination(name="archive", ae_title="ARCHIVE", host="127.0.0.1", port=104)
    return Settings(destinations=(place,), retention=Retention(keep_days=7)).model_copy(
        update={"node": Settings(destinations=(place,)).node.model_copy(update={"data": folder})}
    )


def spool_film(place: Workplace, name: str, at: datetime) -> Path:
    film = place.folder / f"spool/00/{name}.dcm"
    film.parent.mkdir(parents=True, exist_ok=True)
    film.write_bytes(b"film")
    os.utime(film, (at.timestamp(), at.timestamp()))
    return film


def compose_closed(place: Workplace) -> None:
    place.gathering.close_due(QUIET, place.later(60))
    for key in closed(place):
        study = place.gathering.begin(key)
        assert study is not None
        place.gathering.finish(study, "composed", "", (), place.now)


def test_retention_deletes_what_ended_and_nothing_else(workplace: Workplace) -> None:
    """Films, objects and rows go together, `keep_days` after the last delivery ended; what waits stays."""
    for name, study in (("a", "1.2.3"), ("b", "1.2.4")):
        spool_film(workplace, name, START)
        workplace.receive(name, study=study)
        read(workplace, name, results=(overlay(workplace, name),) if name == "a" else ())
    for path in (workplace.folder / "outbox").rglob("*.dcm"):
        os.utime(path, (START.timestamp(), START.timestamp()))
    compose_closed(workplace)
    retaining = Retaining(settings_for(workplace.folder), workplace.ledger)
    assert retaining.sweep(workplace.now + timedelta(days=6)) == 0
    assert retaining.sweep(workplace.now + timedelta(days=8)) == 1
    assert not (workplace.folder / "spool/00/b.dcm").exists()
    assert (workplace.folder / "spool/00/a.dcm").exists(), "its overlay still waits"
    with workplace.ledger.transaction() as connection:
        connection.execute(
            update(delivery).values(state="delivered", ended_at=workplace.now.timestamp())
        )
    assert retaining.sweep(workplace.now + timedelta(days=8)) == 2
    with workplace.ledger.read() as connection:
        assert connection.execute(select(instance.c.id)).all() == []
    assert not list((workplace.folder / "outbox").rglob("*.dcm"))


def test_retention_asks_again_before_it_deletes(
    workplace: Workplace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Few studies at a time; one to which an image comes meanwhile stays, with all that it has."""
    monkeypatch.setattr(retention, "_MOST_STUDIES", 1)
    studies = ["1.2.3", "1.2.4", "1.2.5"]
    for name, study in zip("abc", studies, strict=True):
        workplace.receive(name, study=study)
        read(workplace, name)
    compose_closed(workplace)
    forget = retention._forget
    came: list[str] = []

    def forget_slowly(connection: Connection, study_uid: str) -> list[Path]:
        came.append(study_uid)
        return forget(connection, study_uid)

    class Busy(Ledger):
        """Once the first study is deleted, an image of the last one comes."""

        @contextmanager
        def transaction(self) -> Iterator[Connection]:
            if len(came) == 1:
                workplace.receive("late", study=studies[-1])
            with super().transaction() as connection:
                yield connection

    monkeypatch.setattr(retention, "_forget", forget_slowly)
    Retaining(settings_for(workplace.folder), Busy(workplace.ledger.engine)).sweep(
        START + timedelta(days=30)
    )
    assert came == studies[:2]
    assert {one.study_instance_uid for one in JobList(workplace.ledger).images(9)} == {studies[-1]}
    assert len(JobList(workplace.ledger).images(9)) == 2


def test_retention_leaves_a_film_that_has_just_come_again(workplace: Workplace) -> None:
    """The sweep deletes its old rows while the receiver has the same film on disk anew: the file stays."""
    sweep_at = START + timedelta(days=30)
    spool_film(workplace, "a", sweep_at)
    workplace.receive("a")
    read(workplace, "a")
    compose_closed(workplace)
    retaining = Retaining(settings_for(workplace.folder), workplace.ledger)
    retaining.sweep(sweep_at)
    with workplace.ledger.read() as connection:
        assert connection.execute(select(instance.c.id)).all() == []
    assert (workplace.folder / "spool/00/a.dcm").exists()


def test_retry_composes_again_what_could_not_be_composed(workplace: Workplace) -> None:
    """A revision that failed comes back; one that was composed does not."""
    workplace.receive("a")
    read(workplace, "a")
    workplace.gathering.close_due(QUIET, workplace.later(60))
    failed = workplace.gathering.begin("1.2.3/1")
    assert failed is not None
    workplace.gathering.finish(failed, "failed", "no source", (), workplace.now)
    control = JobControl(workplace.ledger, workplace.engine)
    assert (
        control.retry(f"{'a':0>64}", workplace.now)
        == "0 deliveries go again, the report is composed again"
    )
    again = workplace.gathering.begin("1.2.3/1")
    assert again is not None
    workplace.gathering.finish(again, "composed", "", (), workplace.now)
    assert "nothing to retry" in control.retry(f"{'a':0>64}", workplace.now)


def test_retry_reads_anew_whatever_was_said_if_asked(workplace: Workplace) -> None:
    """For another model: the reading is done again and makes the study's next revision."""
    workplace.receive("a")
    read(workplace, "a")
    workplace.gathering.close_due(QUIET, workplace.later(60))
    control = JobControl(workplace.ledger, workplace.engine)
    assert control.retry(f"{'a':0>64}", workplace.now, read_again=True) == "read again"
    read(workplace, "a")
    workplace.gathering.close_due(QUIET, workplace.later(60))
    assert closed(workplace) == ["1.2.3/1", "1.2.3/2"]


def test_a_cancelled_film_that_comes_again_is_read(workplace: Workplace) -> None:
    """The sender asks for it anew."""
    workplace.receive("a")
    JobControl(workplace.ledger, workplace.engine).cancel(f"{'a':0>64}", workplace.now)
    workplace.receive("a")
    assert workplace.readings.begin(f"{'a':0>64}", workplace.now) is not None


def test_an_attempt_that_the_disk_failed_does_not_count_against_the_film(workplace: Workplace) -> None:
    """However often: only what the film itself does to its reader counts."""
    workplace.receive("a")
    for _ in range(5):
        job = workplace.readings.begin(f"{'a':0>64}", workplace.now)
        assert job is not None
        assert job.attempts == 1
        workplace.readings.forgive(job)


def test_parked_reports_are_found_like_parked_overlays(workplace: Workplace) -> None:
    """Both are counted, and the report's study is listed by that state."""
    workplace.receive("a")
    read(workplace, "a", results=(overlay(workplace, "a"),))
    workplace.gathering.close_due(QUIET, workplace.later(60))
    study = workplace.gathering.begin("1.2.3/1")
    assert study is not None
    report = replace(overlay(workplace, "r"), instance_id=None)
    report = replace(report, result=replace(report.result, kind=ResultKind.REPORT))
    workplace.gathering.finish(study, "composed", "", (report,), workplace.now)
    with workplace.ledger.transaction() as connection:
        connection.execute(update(delivery).values(state="parked"))
    jobs = JobList(workplace.ledger)
    assert jobs.parked() == 2
    assert [line.revision for line in jobs.studies(5, state="parked")] == [1]
    assert jobs.studies(5, state="waiting") == []
