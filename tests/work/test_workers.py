"""What one bad film or object does to its neighbours: nothing."""

from __future__ import annotations

import random
import threading
from pathlib import Path
from typing import Any

import pytest
from pydicom.dataset import FileDataset
from pydicom.uid import ExplicitVRLittleEndian, RLELossless
from pynetdicom import AE, evt

from dicom_node.records import Priority, ResultKind
from dicom_node.settings import DicomDestination, Settings
from dicom_node.work.deliveries import NewDelivery
from dicom_node.work.delivery_lookup import DeliveryLookup
from dicom_node.work.delivery_worker import DeliveryWorker
from dicom_node.work.job_list import JobList
from dicom_node.work.outbox import Outbox
from dicom_node.work.readings import FinishedReading
from pipeline.analysis import Analyzer
from tests.made_model import make_package
from tests.phantoms import encode, phantom
from tests.results.hand_made import NEGATIVE, POSITIVE
from tests.results.hand_made import overlay as made_overlay
from tests.work.test_studies_and_deliveries import QUIET

from .conftest import Workplace

OUTCOMES = ("fracture", "doubt", "no fracture")


def settings_to(folder: Path, port: int) -> Settings:
    place = DicomDestination(
        name="archive",
        ae_title="ARCHIVE",
        host="127.0.0.1",
        port=port,
        overlay_for=OUTCOMES,
        timeout_seconds=5,
    )
    return Settings.model_validate({"node": {"data": folder}, "destinations": [place]})


def spool(place: Workplace, name: str, ds: FileDataset, syntax: str = ExplicitVRLittleEndian) -> None:
    path = place.folder / f"spool/00/{name}.dcm"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(encode(ds, syntax))
    place.receive(name, study=ds.StudyInstanceUID, sop=ds.SOPInstanceUID)


def test_a_film_that_cannot_be_parsed_leaves_the_report_of_the_others(workplace: Workplace) -> None:
    """It is shown by itself; the study's other film has its report."""
    ds = phantom()
    spool(workplace, "good", ds)
    workplace.receive("gone", study=ds.StudyInstanceUID)
    for name in ("good", "gone"):
        job = workplace.readings.begin(f"{name:0>64}", workplace.now)
        assert job is not None
        workplace.readings.finish(job, FinishedReading(NEGATIVE, name, name), (), workplace.now)
    workplace.gathering.close_due(QUIET, workplace.later(60))
    workplace.report_worker(settings_to(workplace.folder, 104)).compose(f"{ds.StudyInstanceUID}/1")
    (line,) = JobList(workplace.ledger).studies(5)
    assert (line.state, line.images) == ("composed", 2)
    assert [one.kind for one in line.deliveries] == [ResultKind.REPORT]


def test_an_object_that_the_archive_aborts_on_holds_back_no_other(workplace: Workplace) -> None:
    """It waits alone; what was behind it goes in a new association at once."""
    workplace.receive("a")
    made = [made_overlay(phantom(seed=seed), POSITIVE) for seed in (1, 2)]
    outbox = Outbox(workplace.folder)
    results = [
        NewDelivery(one, outbox.store(one), "archive", 1, f"{'a':0>64}", Priority.ROUTINE)
        for one in made
    ]
    poison = results[0].result.sop_instance_uid

    def store(event: Any) -> int:
        if event.request.AffectedSOPInstanceUID == poison:
            event.assoc.abort()
        return 0

    ae = AE(ae_title="ARCHIVE")
    ae.add_supported_context(results[0].result.sop_class_uid)
    handlers: Any = [(evt.EVT_C_STORE, store)]
    server: Any = ae.start_server(("127.0.0.1", 0), block=False, evt_handlers=handlers)
    try:
        job = workplace.readings.begin(f"{'a':0>64}", workplace.now)
        assert job is not None
        workplace.readings.finish(job, FinishedReading(POSITIVE, "p", "h"), results, workplace.now)
        settings = settings_to(workplace.folder, int(server.socket.getsockname()[1]))
        worker = DeliveryWorker(
            settings, workplace.deliveries, DeliveryLookup(workplace.ledger), workplace.report_worker(settings),
            Outbox(workplace.folder), lambda: workplace.now, random.Random(1),
        )  # fmt: skip
        worker.deliver(delivery_ids(workplace)[0])
    finally:
        server.shutdown()
    assert states(workplace) == {poison: "waiting", results[1].result.sop_instance_uid: "delivered"}


def delivery_ids(place: Workplace) -> list[str]:
    with place.ledger.read() as connection:
        return [
            row[0] for row in connection.exec_driver_sql("SELECT id FROM delivery ORDER BY created_at")
        ]


def states(place: Workplace) -> dict[str, str]:
    with place.ledger.read() as connection:
        rows = connection.exec_driver_sql("SELECT sop_instance_uid, state FROM delivery")
        return {row[0]: row[1] for row in rows}


@pytest.fixture(scope="module")
def analyzer(tmp_path_factory: pytest.TempPathFactory) -> Analyzer:
    """A tiny real model; what it says does not matter here."""
    return Analyzer.open(make_package(tmp_path_factory.mktemp("model")), threads=1)


def test_two_encodings_of_a_film_read_at_once_are_one_film(
    workplace: Workplace, analyzer: Analyzer
) -> None:
    """Both workers have one of them: the second waits for the first, and is the same film again."""
    ds = phantom()
    spool(workplace, "explicit", ds)
    spool(workplace, "rle", ds, RLELossless)
    worker = workplace.analysis_worker(settings_to(workplace.folder, 104), analyzer)
    threads = [
        threading.Thread(target=worker.analyse, args=(f"{name:0>64}",)) for name in ("explicit", "rle")
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    lines = JobList(workplace.ledger).images(5)
    assert sorted(line.same_as is None for line in lines) == [False, True]
    assert sum(len(line.deliveries) for line in lines) == 1
