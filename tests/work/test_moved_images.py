"""A corrected header moves an image to another study: the old study tells of it no more, the new one does."""

from __future__ import annotations

import copy

import pytest
from pydicom.dataset import FileDataset

from dicom_node.records import DeliveryState, Priority
from dicom_node.settings import Settings
from dicom_node.work.deliveries import DeliveryQueue, NewDelivery
from dicom_node.work.engine import WorkEngine
from dicom_node.work.job_list import DeliveryLine, JobList, StudyLine
from dicom_node.work.ledger import Ledger
from dicom_node.work.readings import FinishedReading
from dicom_node.work.study_gathering import COMPOSE, StudyGathering
from pipeline.findings import ImageFindings
from tests.phantoms import phantom, uid_of
from tests.results.hand_made import NEGATIVE, NOT_ATTEMPTED, POSITIVE
from tests.results.hand_made import overlay as made_overlay
from tests.work.test_retirement import rejected_by, settings_with, stored
from tests.work.test_studies_and_deliveries import QUIET
from tests.work.test_workers import spool

from .conftest import Workplace

OLD, NEW = uid_of("study tests"), uid_of("study of somebody else")


def moved(ds: FileDataset) -> FileDataset:
    """The same film with the header of the patient whom it shows."""
    corrected = copy.deepcopy(ds)
    corrected.StudyInstanceUID, corrected.PatientID = NEW, "somebody else"
    return corrected


def receive(
    place: Workplace, name: str, ds: FileDataset, findings: ImageFindings = POSITIVE
) -> FileDataset:
    """Comes and is read; where a fracture is suspected, with an overlay."""
    place.later(1)
    spool(place, name, ds)
    read(place, name, ds, findings)
    return ds


def read(place: Workplace, name: str, ds: FileDataset, findings: ImageFindings = POSITIVE) -> None:
    """As the analysis does."""
    job = place.readings.begin(f"{name:0>64}", place.now)
    assert job is not None
    results = []
    if findings is POSITIVE:
        made = made_overlay(ds, findings, instance_number=job.ordinal, context=place.context(place.now))
        results = [
            NewDelivery(
                made,
                place.outbox.store(made),
                "archive",
                job.revision,
                job.instance_id,
                Priority.ROUTINE,
            )
        ]
    place.readings.finish(job, FinishedReading(findings, name, name), results, place.now)


def compose(place: Workplace, settings: Settings) -> None:
    """Every study falls quiet, closes and is composed."""
    place.gathering.close_due(QUIET, place.later(60))
    for key in sorted(place.engine.live(COMPOSE)):
        place.report_worker(settings).compose(key.split(":")[1])


def revisions(place: Workplace, study: str) -> list[StudyLine]:
    """What closed of a study, the first revision first."""
    lines = JobList(place.ledger).studies(20, uid=study)
    return sorted(lines, key=lambda line: line.revision)


def everything(place: Workplace, study: str) -> list[DeliveryLine]:
    """The deliveries of a study, overlays first."""
    images = JobList(place.ledger).images(20)
    of_images = [one for line in images if line.study_instance_uid == study for one in line.deliveries]
    return of_images + [one for line in revisions(place, study) for one in line.deliveries]


def overlays(place: Workplace, name: str) -> set[str]:
    """What was made of one film alone."""
    (line,) = JobList(place.ledger).images(1, prefix=f"{name:0>64}")
    return {one.sop_instance_uid for one in line.deliveries}


def deliver(place: Workplace, kind: str = "") -> None:
    """The archive takes what is queued."""
    for study in (OLD, NEW):
        for line in everything(place, study):
            if line.state == "queued" and line.kind.startswith(kind):
                place.deliveries.end(line.id, DeliveryState.DELIVERED, place.now.timestamp(), 0, "")


def told(place: Workplace, study: str, revision: int) -> list[set[str]]:
    """The films that each report of a revision speaks of."""
    (line,) = [line for line in revisions(place, study) if line.revision == revision]
    reports = [one for one in line.deliveries if one.kind == "sr"]
    return [rejected_by(stored(place, one.sop_instance_uid)) for one in reports]


@pytest.fixture
def films(workplace: Workplace) -> tuple[FileDataset, FileDataset]:
    """Two films of the old study; the first has come."""
    first, second = phantom(instance_number=1), phantom(instance_number=2, seed=2)
    assert first.StudyInstanceUID == OLD
    receive(workplace, "first", first)
    return first, second


def test_the_old_study_tells_of_it_no_more_and_the_new_one_does(
    workplace: Workplace, films: tuple[FileDataset, FileDataset]
) -> None:
    """Report, summary, key objects and the film's overlay are retired in one note, once their successors are stored."""
    settings = settings_with(workplace, rejection_note=True, objects=["sr", "summary", "kos", "sc"])
    first, second = films
    receive(workplace, "second", second)
    compose(workplace, settings)
    deliver(workplace)
    of_first, of_second = overlays(workplace, "first"), overlays(workplace, "second")
    old = {one.sop_instance_uid for one in everything(workplace, OLD)} - of_first
    assert len(of_first) == len(of_second) == 1
    receive(workplace, "moved", moved(second))
    deliver(workplace)
    retirement = workplace.retirement(settings)
    assert retirement.sweep() == 0, "the old study's next report is still to come"
    compose(workplace, settings)
    assert retirement.sweep() == 0, "it is not stored"
    deliver(workplace, kind="sr")
    assert retirement.sweep() == 0, "its summary and key objects are not"
    deliver(workplace)
    assert [retirement.sweep(), retirement.sweep()] == [1, 0]
    assert told(workplace, OLD, 2) == [{first.SOPInstanceUID}]
    assert told(workplace, NEW, 1) == [{second.SOPInstanceUID}]
    (note,) = [one for one in everything(workplace, OLD) if one.kind == "rejection"]
    made = stored(workplace, note.sop_instance_uid)
    assert rejected_by(made) == old
    assert of_second < old
    assert (made.StudyInstanceUID, made.PatientID) == (OLD, first.PatientID)
    assert {one.kind for one in everything(workplace, NEW)} == {"sr", "summary", "kos", "sc"}


def test_a_study_with_no_image_left_has_its_results_retired_and_gets_no_empty_report(
    workplace: Workplace, films: tuple[FileDataset, FileDataset]
) -> None:
    """One note, under the patient whose study it is; the list of studies says where the images are."""
    settings = settings_with(workplace, rejection_note=True)
    compose(workplace, settings)
    deliver(workplace)
    old = {one.sop_instance_uid for one in everything(workplace, OLD)}
    receive(workplace, "moved", moved(films[0]))
    compose(workplace, settings)
    retirement = workplace.retirement(settings)
    assert [retirement.sweep(), retirement.sweep()] == [1, 0]
    first, second = revisions(workplace, OLD)
    assert [one.kind for one in first.deliveries] == ["sr"]
    assert (second.state, second.images) == ("no image left", 0)
    assert NEW in second.detail
    (note,) = second.deliveries
    made = stored(workplace, note.sop_instance_uid)
    assert (note.kind, rejected_by(made)) == ("rejection", old)
    assert (made.StudyInstanceUID, made.PatientID) == (OLD, films[0].PatientID)
    assert told(workplace, NEW, 1) == [{films[0].SOPInstanceUID}]
    assert workplace.gathering.close_due(QUIET, workplace.later(1000)) == 0


def test_without_a_note_an_emptied_study_is_at_least_shown(
    workplace: Workplace, films: tuple[FileDataset, FileDataset]
) -> None:
    """Nothing more goes to the archive; the list of studies tells."""
    settings = settings_with(workplace)
    compose(workplace, settings)
    deliver(workplace)
    before = everything(workplace, OLD)
    receive(workplace, "moved", moved(films[0]))
    compose(workplace, settings)
    assert workplace.retirement(settings).sweep() == 0
    assert everything(workplace, OLD) == before
    assert [line.state for line in revisions(workplace, OLD)] == ["composed", "no image left"]


def test_a_film_that_moves_before_its_study_is_closed_takes_its_overlay_along(
    workplace: Workplace, films: tuple[FileDataset, FileDataset]
) -> None:
    """It was sent at once: the old study, which never had a report, retires it."""
    settings = settings_with(workplace, rejection_note=True, objects=["sr", "sc"])
    deliver(workplace)
    (overlay,) = everything(workplace, OLD)
    receive(workplace, "moved", moved(films[0]))
    compose(workplace, settings)
    assert workplace.retirement(settings).sweep() == 1
    (line,) = revisions(workplace, OLD)
    (note,) = line.deliveries
    assert (line.state, note.kind) == ("no image left", "rejection")
    assert rejected_by(stored(workplace, note.sop_instance_uid)) == {overlay.sop_instance_uid}
    assert told(workplace, NEW, 1) == [{films[0].SOPInstanceUID}]


def test_a_film_that_a_correction_takes_out_of_scope_takes_its_results_along(
    workplace: Workplace, films: tuple[FileDataset, FileDataset]
) -> None:
    """It was called a hand and is a chest: no report follows, and the first one is retired."""
    settings = settings_with(workplace, rejection_note=True)
    compose(workplace, settings)
    deliver(workplace)
    (report,) = revisions(workplace, OLD)[0].deliveries
    receive(workplace, "chest", films[0], NOT_ATTEMPTED)
    compose(workplace, settings)
    assert workplace.retirement(settings).sweep() == 1
    line = revisions(workplace, OLD)[1]
    assert line.state == "nothing in scope"
    (note,) = line.deliveries
    assert report.sop_instance_uid in rejected_by(stored(workplace, note.sop_instance_uid))


def test_a_node_that_is_killed_after_the_reading_still_closes_the_old_study(
    workplace: Workplace, films: tuple[FileDataset, FileDataset]
) -> None:
    """All that it needs to know is in the ledger."""
    settings = settings_with(workplace)
    receive(workplace, "second", films[1])
    compose(workplace, settings)
    receive(workplace, "moved", moved(films[1]))
    ledger = Ledger.open(workplace.folder)
    engine = WorkEngine(ledger)
    gathering = StudyGathering(ledger, engine, DeliveryQueue(ledger, engine))
    assert gathering.close_due(QUIET, workplace.later(60)) == 2
    assert gathering.close_due(QUIET, workplace.later(60)) == 0
    newest = gathering.newest(OLD)
    ledger.close()
    assert newest is not None
    assert [name.lstrip("0") for name in newest.instance_ids] == ["first"]


def test_an_image_that_is_moved_back_stands_where_it_was(
    workplace: Workplace, films: tuple[FileDataset, FileDataset]
) -> None:
    """The first bytes come again: they are read anew, though they are known, and the other study is emptied."""
    settings = settings_with(workplace)
    compose(workplace, settings)
    receive(workplace, "moved", moved(films[0]))
    compose(workplace, settings)
    receive(workplace, "first", films[0])
    compose(workplace, settings)
    assert told(workplace, OLD, 3) == [{films[0].SOPInstanceUID}]
    assert [line.state for line in revisions(workplace, NEW)] == ["composed", "no image left"]


def test_of_two_versions_the_one_that_came_last_stands_whichever_is_read_first(
    workplace: Workplace, films: tuple[FileDataset, FileDataset]
) -> None:
    """An urgent correction overtakes the film that it corrects: the older version makes no result."""
    settings = settings_with(workplace)
    spool(workplace, "slow", films[1])
    receive(workplace, "moved", moved(films[1]), NEGATIVE)
    read(workplace, "slow", films[1])
    (slow,) = JobList(workplace.ledger).images(1, prefix=f"{'slow':0>64}")
    assert (slow.state, slow.deliveries) == ("done", ())
    assert "came later" in slow.detail
    compose(workplace, settings)
    assert told(workplace, OLD, 1) == [{films[0].SOPInstanceUID}]
    assert told(workplace, NEW, 1) == [{films[1].SOPInstanceUID}]
