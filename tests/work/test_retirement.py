"""What a new revision replaces is retired, where a destination wants it: exactly that, once, and never too soon."""

from __future__ import annotations

import io
from typing import Any

import pydicom
import pytest
from pydicom.dataset import Dataset, FileDataset

from dicom_node.records import DeliveryState
from dicom_node.settings import Settings
from dicom_node.storage_commitment import CommitmentAnswer
from dicom_node.work.commitments import Commitments
from dicom_node.work.job_list import DeliveryLine, JobList
from dicom_node.work.readings import FinishedReading
from pipeline.findings import ImageFindings
from tests.phantoms import phantom
from tests.results.hand_made import NEGATIVE, POSITIVE
from tests.work.test_studies_and_deliveries import QUIET
from tests.work.test_workers import spool

from .conftest import Workplace


def settings_with(place: Workplace, **more: Any) -> Settings:
    """One archive; `more` are keys of its table."""
    archive = {"name": "archive", "ae_title": "A", "host": "127.0.0.1", "port": 104}
    return Settings.model_validate(
        {"node": {"data": place.folder}, "destinations": [archive | {"objects": ["sr"]} | more]}
    )


def read(place: Workplace, name: str, findings: ImageFindings = NEGATIVE) -> None:
    """As the analysis does, without objects of the image's own."""
    job = place.readings.begin(f"{name:0>64}", place.now)
    assert job is not None
    place.readings.finish(job, FinishedReading(findings, name, name), (), place.now)


def close(place: Workplace, settings: Settings, ds: Dataset, revision: int) -> None:
    """The study falls quiet and is composed."""
    place.gathering.close_due(QUIET, place.later(60))
    place.report_worker(settings).compose(f"{ds.StudyInstanceUID}/{revision}")


def deliveries(place: Workplace) -> list[DeliveryLine]:
    """All, oldest study revision first."""
    lines = JobList(place.ledger).studies(20)
    return [one for line in sorted(lines, key=lambda line: line.revision) for one in line.deliveries]


def end_all(place: Workplace, state: DeliveryState = DeliveryState.DELIVERED) -> None:
    """What is open ends so."""
    for line in deliveries(place):
        if line.state in ("queued", "waiting"):
            place.deliveries.end(line.id, state, place.now.timestamp(), 0, "")


def stored(place: Workplace, uid: str) -> FileDataset:
    """An object as it lies in the outbox."""
    with place.ledger.read() as connection:
        path = connection.exec_driver_sql(
            "SELECT path FROM result_object WHERE sop_instance_uid = ?", (uid,)
        ).scalar_one()
    return pydicom.dcmread(io.BytesIO((place.folder / path).read_bytes()))


def rejected_by(note: FileDataset) -> set[str]:
    """The SOP Instances that a Key Object note speaks of."""
    return {
        sop.ReferencedSOPInstanceUID
        for study in note.CurrentRequestedProcedureEvidenceSequence
        for series in study.ReferencedSeriesSequence
        for sop in series.ReferencedSOPSequence
    }


@pytest.fixture
def two_films(workplace: Workplace) -> tuple[FileDataset, FileDataset]:
    """Two films of a study; the first has come."""
    first, second = phantom(instance_number=1), phantom(instance_number=2, seed=2)
    assert first.StudyInstanceUID == second.StudyInstanceUID
    spool(workplace, "first", first)
    read(workplace, "first")
    return first, second


def late(place: Workplace, ds: FileDataset) -> None:
    """The second film comes when the study is closed."""
    spool(place, "second", ds)
    read(place, "second", POSITIVE)


def test_a_late_film_retires_the_first_report_once_the_second_is_stored(
    workplace: Workplace, two_films: tuple[FileDataset, FileDataset]
) -> None:
    """Not before: an archive is never left without a report."""
    settings = settings_with(workplace, rejection_note=True)
    close(workplace, settings, two_films[0], 1)
    end_all(workplace)
    (old,) = deliveries(workplace)
    late(workplace, two_films[1])
    close(workplace, settings, two_films[0], 2)
    retirement = workplace.retirement(settings)
    assert retirement.sweep() == 0
    end_all(workplace)
    assert retirement.sweep() == 1
    (note,) = [one for one in deliveries(workplace) if one.kind == "rejection"]
    assert note.state == "queued"
    made = stored(workplace, note.sop_instance_uid)
    assert made.ConceptNameCodeSequence[0].CodeValue == "113001"
    assert rejected_by(made) == {old.sop_instance_uid}
    assert retirement.sweep() == 0


def test_without_the_setting_nothing_is_retired(
    workplace: Workplace, two_films: tuple[FileDataset, FileDataset]
) -> None:
    """The new report names the old one as its predecessor; more is the site's choice."""
    settings = settings_with(workplace)
    close(workplace, settings, two_films[0], 1)
    late(workplace, two_films[1])
    close(workplace, settings, two_films[0], 2)
    end_all(workplace)
    assert workplace.retirement(settings).sweep() == 0
    assert [one.kind for one in deliveries(workplace)] == ["sr", "sr"]


def test_a_new_report_that_the_archive_refused_leaves_the_old_one_standing(
    workplace: Workplace, two_films: tuple[FileDataset, FileDataset]
) -> None:
    """Parked is not stored."""
    settings = settings_with(workplace, rejection_note=True)
    close(workplace, settings, two_films[0], 1)
    end_all(workplace)
    late(workplace, two_films[1])
    close(workplace, settings, two_films[0], 2)
    end_all(workplace, DeliveryState.PARKED)
    assert workplace.retirement(settings).sweep() == 0


def test_where_the_archive_commits_the_old_report_stays_until_the_new_one_is_committed(
    workplace: Workplace, two_films: tuple[FileDataset, FileDataset]
) -> None:
    """Delivered is not yet kept."""
    settings = settings_with(workplace, rejection_note=True, storage_commitment=True)
    close(workplace, settings, two_films[0], 1)
    end_all(workplace)
    late(workplace, two_films[1])
    close(workplace, settings, two_films[0], 2)
    end_all(workplace)
    retirement = workplace.retirement(settings)
    assert retirement.sweep() == 0
    commitments = Commitments(workplace.ledger, workplace.deliveries)
    request = commitments.claim("archive", 24, "2.25.77", workplace.now.timestamp())
    assert request is not None
    kept = CommitmentAnswer(request.transaction_uid, frozenset(uid for _, uid in request.instances))
    assert commitments.answer(kept, {"archive"}, workplace.now.timestamp())
    assert retirement.sweep() == 1


def test_where_results_must_vanish_the_note_says_so(
    workplace: Workplace, two_films: tuple[FileDataset, FileDataset]
) -> None:
    """113037, by the destination's choice; key images and summaries are retired with the report."""
    settings = settings_with(
        workplace, rejection_note=True, rejection_title="113037", objects=["sr", "kos", "summary"]
    )
    close(workplace, settings, two_films[0], 1)
    end_all(workplace)
    old = {one.sop_instance_uid for one in deliveries(workplace)}
    late(workplace, two_films[1])
    close(workplace, settings, two_films[0], 2)
    end_all(workplace)
    assert workplace.retirement(settings).sweep() == 1
    (note,) = [one for one in deliveries(workplace) if one.kind == "rejection"]
    made = stored(workplace, note.sop_instance_uid)
    assert made.ConceptNameCodeSequence[0].CodeValue == "113037"
    assert rejected_by(made) == old


def test_an_archive_that_takes_no_report_gets_a_summary_page(
    workplace: Workplace, two_films: tuple[FileDataset, FileDataset]
) -> None:
    """The result is seen, though not as a report."""
    settings = settings_with(workplace)
    capture = frozenset({"1.2.840.10008.5.1.4.1.1.7"})
    workplace.deliveries.learn("archive", capture, workplace.now.timestamp())
    close(workplace, settings, two_films[0], 1)
    assert [one.kind for one in deliveries(workplace)] == ["summary"]


@pytest.mark.parametrize(("told", "images"), [(["fracture"], 1), (["fracture", "no fracture"], 2)])
def test_a_report_speaks_of_the_outcomes_that_its_destination_asked_for(
    workplace: Workplace,
    two_films: tuple[FileDataset, FileDataset],
    told: list[str],
    images: int,
) -> None:
    """`report_for` leaves out the rest."""
    settings = settings_with(workplace, report_for=told)
    late(workplace, two_films[1])
    close(workplace, settings, two_films[0], 1)
    (line,) = deliveries(workplace)
    made = stored(workplace, line.sop_instance_uid)
    assert len(rejected_by(made)) == images


def test_a_destination_that_is_told_of_no_image_gets_no_report(
    workplace: Workplace, two_films: tuple[FileDataset, FileDataset]
) -> None:
    """An empty report would read as an all-clear."""
    settings = settings_with(workplace, report_for=["fracture"])
    close(workplace, settings, two_films[0], 1)
    assert deliveries(workplace) == []
