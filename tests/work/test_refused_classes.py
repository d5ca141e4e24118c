"""An object of a class that its archive does not take: said at once, parked, and sent when that changes."""

from __future__ import annotations

import random
from collections.abc import Iterable
from typing import Any

import pytest
from pydicom.uid import UID, ExplicitVRLittleEndian

from dicom_node.delivering.storage_scu import (
    GRAYSCALE_PRESENTATION_STATE,
    KEY_OBJECT_SELECTION,
    SECONDARY_CAPTURE,
    SEGMENTATION,
)
from dicom_node.dimse_status import StoreStatus
from dicom_node.operating.small_archive import KINDS, SmallArchive
from dicom_node.records import DeliveryState, Priority, ResultKind, ResultObject
from dicom_node.settings import Settings
from dicom_node.work.deliveries import NewDelivery
from dicom_node.work.delivery_lookup import DeliveryLookup
from dicom_node.work.delivery_worker import DeliveryWorker
from dicom_node.work.job_control import JobControl
from dicom_node.work.job_list import DeliveryLine, JobList
from dicom_node.work.readings import FinishedReading
from tests.delivering.peers import association_accept, free_port, listener
from tests.phantoms import encode, phantom
from tests.results.hand_made import POSITIVE
from tests.work.test_retirement import close, deliveries, read
from tests.work.test_workers import spool

from .conftest import Workplace

CLASS_OF = {
    ResultKind.OVERLAY: SECONDARY_CAPTURE,
    ResultKind.SUMMARY: SECONDARY_CAPTURE,
    ResultKind.EXPLANATION: SECONDARY_CAPTURE,
    ResultKind.PRESENTATION: GRAYSCALE_PRESENTATION_STATE,
    ResultKind.SEGMENTATION: SEGMENTATION,
    ResultKind.KEY_OBJECTS: KEY_OBJECT_SELECTION,
    ResultKind.REJECTION: KEY_OBJECT_SELECTION,
}
EVERYTHING = frozenset({*KINDS, *CLASS_OF.values()})


class Site:
    """A node's ledger with one film, and one archive on a port that it keeps."""

    def __init__(self, place: Workplace, **more: Any) -> None:
        self.place, self.port = place, free_port()
        archive = {"name": "archive", "ae_title": "ARCHIVE", "host": "127.0.0.1", "timeout_seconds": 5}
        self.settings = Settings.model_validate(
            {"node": {"data": place.folder}, "destinations": [archive | {"port": self.port} | more]}
        )
        self.came: list[str] = []

    def results(self, *kinds: ResultKind, film: str = "a") -> None:
        """A film that is read, with an object of each kind on its way."""
        self.place.receive(film)
        job = self.place.readings.begin(f"{film:0>64}", self.place.now)
        assert job is not None
        outbox, made = self.place.outbox, [_object(kind, f"{film} {kind}") for kind in kinds]
        new = [
            NewDelivery(one, outbox.store(one), "archive", 1, job.instance_id, Priority.ROUTINE)
            for one in made
        ]
        self.place.readings.finish(job, FinishedReading(POSITIVE, film, film), new, self.place.now)

    def deliver(self) -> None:
        """Sends what is queued, after what waits was queued again."""
        self.place.deliveries.requeue_due(self.place.now.timestamp())
        worker = DeliveryWorker(
            self.settings, self.place.deliveries, DeliveryLookup(self.place.ledger),
            self.place.report_worker(self.settings), self.place.outbox, lambda: self.place.now, random.Random(1),
        )  # fmt: skip
        for line in self.lines():
            worker.deliver(line.id)

    def deliver_to(self, classes: Iterable[str]) -> None:
        """The same, while the archive takes these classes."""
        folder = self.place.folder / f"archive {len(self.came)}"
        with SmallArchive(folder, port=self.port, sop_classes=frozenset(classes)) as archive:
            self.deliver()
            self.came += [one.sop_instance_uid for one in archive.arrivals]

    def lines(self) -> list[DeliveryLine]:
        """Every delivery: those of films, then those of studies."""
        images = reversed(JobList(self.place.ledger).images(9))
        return [*(one for image in images for one in image.deliveries), *deliveries(self.place)]

    def states(self) -> list[str]:
        """Where they stand."""
        return [line.state for line in self.lines()]


def _object(kind: ResultKind, name: str) -> ResultObject:
    """Bytes that an archive takes for an object of that kind."""
    ds = phantom(seed=sum(name.encode()))
    ds.SOPClassUID = ds.file_meta.MediaStorageSOPClassUID = UID(CLASS_OF[kind])
    return ResultObject(
        kind, CLASS_OF[kind], ds.SOPInstanceUID, ds.SeriesInstanceUID, "1.2.3", ExplicitVRLittleEndian,
        encode(ds, ExplicitVRLittleEndian),
    )  # fmt: skip


@pytest.mark.parametrize("kind", CLASS_OF)
def test_a_class_that_is_not_taken_is_told_at_once_with_the_remedy(
    workplace: Workplace, kind: ResultKind
) -> None:
    """Parked after one association; the line names archive, class, and what to change."""
    objects = ["sr"] if kind is ResultKind.REJECTION else ["sr", str(kind)]
    site = Site(workplace, objects=objects, rejection_note=kind is ResultKind.REJECTION)
    site.results(kind)
    site.deliver_to(EVERYTHING - {CLASS_OF[kind]})
    (line,) = site.lines()
    assert (line.state, line.attempts, line.status) == ("parked", 1, None)
    assert f"ARCHIVE at 127.0.0.1:{site.port} does not accept " in line.detail
    assert f"({CLASS_OF[kind]})" in line.detail
    assert "let it accept this class" in line.detail
    change = "set rejection_note = false" if kind is ResultKind.REJECTION else f'leave "{kind}" out'
    assert f"{change}" in line.detail
    assert "destination archive" in line.detail


def test_what_else_goes_to_that_archive_arrives(workplace: Workplace) -> None:
    """In the same association."""
    site = Site(workplace, objects=["sc", "seg", "gsps"])
    site.results(ResultKind.SEGMENTATION, ResultKind.OVERLAY, ResultKind.PRESENTATION)
    site.deliver_to(EVERYTHING - {SEGMENTATION})
    assert site.states() == ["parked", "delivered", "delivered"]


def test_an_archive_that_shall_get_nothing_else_has_given_its_answer_too(workplace: Workplace) -> None:
    """A destination for segmentations alone: nothing is accepted, and nothing more is to be learnt."""
    site = Site(workplace, objects=["seg"])
    site.results(ResultKind.SEGMENTATION)
    site.deliver_to([SECONDARY_CAPTURE])
    assert site.states() == ["parked"]
    assert "does not accept Segmentation Storage" in site.lines()[0].detail


def test_retry_sends_it_to_an_archive_that_was_set_up_anew(workplace: Workplace) -> None:
    """The same object, and refused again as long as nothing changed."""
    site = Site(workplace, objects=["sc", "seg"])
    site.results(ResultKind.SEGMENTATION)
    site.deliver_to([SECONDARY_CAPTURE])
    control = JobControl(workplace.ledger, workplace.engine)
    assert control.retry(f"{'a':0>64}", workplace.now) == "1 deliveries go again"
    site.deliver_to([SECONDARY_CAPTURE])
    assert site.states() == ["parked"]
    control.retry(f"{'a':0>64}", workplace.now)
    site.deliver_to([SECONDARY_CAPTURE, SEGMENTATION])
    assert site.states() == ["delivered"]
    assert site.came == [site.lines()[0].sop_instance_uid]


def test_it_goes_by_itself_once_an_association_shows_that_the_class_is_taken(
    workplace: Workplace,
) -> None:
    """The next film's results tell; what the archive refused for another reason stays parked."""
    site = Site(workplace, objects=["sc", "seg"])
    site.results(ResultKind.SEGMENTATION)
    site.deliver_to([SECONDARY_CAPTURE])
    site.results(ResultKind.SEGMENTATION, film="bad")
    bad = site.lines()[-1].id
    workplace.deliveries.end(bad, DeliveryState.PARKED, 0, StoreStatus.CANNOT_UNDERSTAND, "refused")
    site.results(ResultKind.OVERLAY, film="b")
    site.deliver_to([SECONDARY_CAPTURE])
    assert sorted(site.states()) == ["delivered", "parked", "parked"]
    site.results(ResultKind.OVERLAY, film="c")
    site.deliver_to([SECONDARY_CAPTURE, SEGMENTATION])
    site.deliver_to([SECONDARY_CAPTURE, SEGMENTATION])
    assert {line.id for line in site.lines() if line.state != "delivered"} == {bad}


def test_what_was_replaced_meanwhile_stays_parked(workplace: Workplace) -> None:
    """The film was read anew: only what the second reading made goes when the class is taken."""
    site = Site(workplace, objects=["sc", "seg"])
    site.results(ResultKind.SEGMENTATION)
    site.deliver_to([SECONDARY_CAPTURE])
    workplace.readings.read_again(f"{'a':0>64}", workplace.now)
    job = workplace.readings.begin(f"{'a':0>64}", workplace.now)
    assert job is not None
    made = [_object(ResultKind.SEGMENTATION, "anew"), _object(ResultKind.OVERLAY, "anew, too")]
    new = [
        NewDelivery(
            one, workplace.outbox.store(one), "archive", job.revision, job.instance_id, job.priority
        )
        for one in made
    ]
    workplace.readings.finish(job, FinishedReading(POSITIVE, "a", "a"), new, workplace.later(1))
    site.deliver_to([SECONDARY_CAPTURE])
    assert site.states() == ["parked", "parked", "delivered"]
    site.results(ResultKind.OVERLAY, film="b")
    site.deliver_to([SECONDARY_CAPTURE, SEGMENTATION])
    site.deliver_to([SECONDARY_CAPTURE, SEGMENTATION])
    assert site.states() == ["parked", "delivered", "delivered", "delivered"]


def test_an_archive_that_takes_neither_reports_nor_captures_is_waited_for(workplace: Workplace) -> None:
    """It is set up wrongly, and answers C-ECHO all the same: that must not hurry the next try."""
    site = Site(workplace, objects=["sc", "seg"])
    site.results(ResultKind.OVERLAY, ResultKind.SEGMENTATION)
    site.deliver_to([])
    for line in site.lines():
        assert (line.state, line.status) == ("waiting", StoreStatus.SOP_CLASS_NOT_SUPPORTED)
        assert "accepts none of Secondary Capture Image Storage, Segmentation Storage" in line.detail
        assert "may 'FRACTURE' use it?" in line.detail
    assert workplace.deliveries.down_destinations() == set()
    workplace.later(5)
    site.deliver_to(EVERYTHING)
    assert site.states() == ["delivered", "delivered"]


def test_a_context_that_is_rejected_without_a_reason_is_tried_five_times(workplace: Workplace) -> None:
    """It may be accepted next time."""
    site = Site(workplace, objects=["seg"])
    site.results(ResultKind.SEGMENTATION)
    for attempt in range(1, 6):
        with listener(association_accept(1)) as port:
            place = site.settings.destinations[0].model_copy(update={"port": port})
            site.settings = site.settings.model_copy(update={"destinations": (place,)})
            site.deliver()
        (line,) = site.lines()
        assert (line.state, line.attempts) == ("parked" if attempt == 5 else "waiting", attempt)
        assert 'leave "seg" out of objects of destination archive' in line.detail
        workplace.later(1000)


def test_a_report_that_is_taken_in_no_way_says_so_of_its_summary(workplace: Workplace) -> None:
    """Neither a report class nor captures: the pages that stand in are parked, with what to change."""
    site = Site(workplace, objects=["sr", "kos"], overlay_for=[])
    ds = phantom()
    spool(workplace, "film", ds)
    read(workplace, "film", POSITIVE)
    close(workplace, site.settings, ds, 1)
    assert {line.kind for line in deliveries(workplace)} == {"sr", "kos"}
    site.deliver_to([KEY_OBJECT_SELECTION])
    site.deliver_to([KEY_OBJECT_SELECTION])
    states = {line.kind: line.state for line in deliveries(workplace)}
    assert states == {"sr": "replaced", "kos": "delivered", "summary": "parked"}
    (pages,) = [line for line in deliveries(workplace) if line.kind == "summary"]
    assert 'leave "sr" out of objects of destination archive' in pages.detail


def test_a_destination_for_reports_alone_gets_summary_pages_where_it_takes_no_report(
    workplace: Workplace,
) -> None:
    """Captures are offered to it from the first association on, so that this is known."""
    site = Site(workplace, objects=["sr"])
    ds = phantom()
    spool(workplace, "film", ds)
    read(workplace, "film", POSITIVE)
    close(workplace, site.settings, ds, 1)
    site.deliver_to([SECONDARY_CAPTURE])
    site.deliver_to([SECONDARY_CAPTURE])
    assert [(line.kind, line.state) for line in deliveries(workplace)] == [
        ("sr", "replaced"),
        ("summary", "delivered"),
    ]
