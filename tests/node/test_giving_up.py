"""How often and how long an archive that says no is asked: real associations, a clock that the test sets."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from dicom_node.dimse_status import StoreStatus
from dicom_node.operating.small_archive import SmallArchive
from dicom_node.records import Priority
from dicom_node.settings import DicomDestination, Settings
from dicom_node.work.deliveries import NewDelivery
from dicom_node.work.delivery_lookup import DeliveryLookup
from dicom_node.work.delivery_worker import DeliveryWorker
from dicom_node.work.engine import WorkEngine
from dicom_node.work.job_control import JobControl
from dicom_node.work.job_list import DeliveryLine, JobList
from dicom_node.work.ledger import Ledger
from dicom_node.work.readings import FinishedReading
from tests.phantoms import phantom
from tests.receiving.running_scp import free_port
from tests.results.hand_made import POSITIVE, overlay
from tests.work.conftest import START, Workplace

HOURS = 2


@dataclass
class Desk:
    """One film's overlay, queued for one archive, and the worker that sends it when it is asked to."""

    place: Workplace
    folder: Path
    destination: DicomDestination
    worker: DeliveryWorker
    instance_id: str

    def line(self) -> DeliveryLine:
        """How the delivery stands."""
        (image,) = JobList(self.place.ledger).images(10)
        (delivery,) = image.deliveries
        return delivery

    def try_against(self, status: StoreStatus | None) -> DeliveryLine:
        """When its time has come, one try: the archive answers with this status, or is not there."""
        self.place.deliveries.requeue_due(self.place.now.timestamp())
        if status is None:
            self.worker.deliver(self.line().id)
            return self.line()
        archive = SmallArchive(
            self.folder / f"{status:04X}", ae_title="ARCHIVE", port=self.destination.port, status=status
        )
        with archive:
            self.worker.deliver(self.line().id)
        return self.line()

    def wait_as_told(self) -> float:
        """Moves the clock just past the next try; the seconds that it took."""
        before, due = self.place.now, self.line().next_attempt_at
        assert due is not None
        # The ledger keeps times finer than a datetime.
        return (self.place.later((due - before).total_seconds() + 0.001) - before).total_seconds()


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    ledger = Ledger.open(tmp_path)
    ledger.create(START.timestamp())
    WorkEngine.prepare(ledger, 1)
    place = Workplace(tmp_path, ledger, WorkEngine(ledger))
    archive = DicomDestination(
        name="archive",
        ae_title="ARCHIVE",
        host="127.0.0.1",
        port=free_port(),
        deliver_within_hours=HOURS,
    )
    settings = Settings.model_validate({"node": {"data": tmp_path}, "destinations": [archive]})

    def clock() -> datetime:
        return place.now

    outbox, reports = place.outbox, place.report_worker(settings)
    worker = DeliveryWorker(
        settings, place.deliveries, DeliveryLookup(ledger), reports, outbox, clock, random.Random(1)
    )
    received = place.receive("film")
    result = overlay(phantom(), POSITIVE)
    new = NewDelivery(result, outbox.store(result), "archive", 1, received.id, Priority.ROUTINE)
    job = place.readings.begin(received.id, place.now)
    assert job is not None
    place.readings.finish(job, FinishedReading(POSITIVE, "pixels", "header"), [new], place.now)
    yield Desk(place, tmp_path, archive, worker, received.id)
    ledger.close()


def test_an_object_that_is_refused_five_times_is_parked(desk: Desk) -> None:
    """Cxxx is the object's own fault as a rule: not for ever, and never lost; it waits for a person."""
    for _ in range(4):
        line = desk.try_against(StoreStatus.CANNOT_UNDERSTAND)
        assert (line.state, line.status) == ("waiting", StoreStatus.CANNOT_UNDERSTAND)
        desk.wait_as_told()
    line = desk.try_against(StoreStatus.CANNOT_UNDERSTAND)
    assert (line.state, line.attempts) == ("parked", 5)
    assert line.detail == "refused, status 0xC000; refused 5 times"
    desk.place.later(1e6)
    assert desk.try_against(StoreStatus.SUCCESS).state == "parked"


def test_a_parked_object_goes_on_by_one_command_with_its_tries_counted_anew(desk: Desk) -> None:
    """`jobs retry`: the same bytes again, five tries again."""
    for _ in range(4):
        desk.try_against(StoreStatus.CANNOT_UNDERSTAND)
        desk.wait_as_told()
    parked = desk.try_against(StoreStatus.CANNOT_UNDERSTAND)
    assert parked.state == "parked"
    control = JobControl(desk.place.ledger, desk.place.engine)
    assert control.retry(desk.instance_id, desk.place.now) == "1 deliveries go again"
    assert desk.line().state == "queued"
    assert desk.try_against(StoreStatus.CANNOT_UNDERSTAND).state == "waiting"
    desk.wait_as_told()
    line = desk.try_against(StoreStatus.SUCCESS)
    assert (line.state, line.sop_instance_uid) == ("delivered", parked.sop_instance_uid)


def test_an_archive_without_room_is_asked_for_as_long_as_the_settings_say(desk: Desk) -> None:
    """A7xx passes: no count of tries parks it, only `deliver_within_hours`, with pauses that grow to minutes."""
    pauses = []
    for _ in range(100):
        line = desk.try_against(StoreStatus.OUT_OF_RESOURCES)
        if line.state != "waiting":
            break
        pauses.append(desk.wait_as_told())
    assert (line.state, line.detail) == ("parked", f"status 0xA700; tried for {HOURS} h")
    assert desk.place.now - START >= timedelta(hours=HOURS)
    assert line.attempts == len(pauses) + 1 > 5
    assert 2.5 <= pauses[0] <= 5.1
    assert all(450 <= pause <= 900.1 for pause in pauses[8:])


def test_an_archive_that_is_away_is_no_refusal(desk: Desk) -> None:
    """However often nobody answers, the object is not blamed: it goes when the archive is back."""
    for _ in range(8):
        line = desk.try_against(None)
        assert (line.state, line.status) == ("waiting", None)
        assert "connection refused" in line.detail
        desk.wait_as_told()
    assert desk.place.deliveries.down_destinations() == {"archive"}
    assert desk.place.deliveries.hurry("archive") == 1
    line = desk.try_against(StoreStatus.COERCED_ELEMENTS)
    assert (line.state, line.detail) == ("delivered", "warning, status 0xB000")
