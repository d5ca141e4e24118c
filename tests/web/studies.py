"""Studies for the pages: phantoms with readings made by hand, put into a node's ledger by its own rooms."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from pydicom.dataset import FileDataset
from sqlalchemy import select

from dicom_node.records import DeliveryState, Priority, ReceivedInstance, StudyImage
from dicom_node.results.composition import CompositionContext
from dicom_node.results.source_context import header_digest
from dicom_node.settings import Study
from dicom_node.work.deliveries import DeliveryQueue
from dicom_node.work.engine import WorkEngine
from dicom_node.work.image_results import ImageResults, ReadImage
from dicom_node.work.intake import LedgerIntake
from dicom_node.work.outbox import Outbox
from dicom_node.work.readings import FinishedReading, Readings
from dicom_node.work.report_worker import ReportWorker
from dicom_node.work.study_gathering import COMPOSE, StudyGathering
from dicom_node.work.study_results import StudyResults
from dicom_node.work.tables import delivery
from pipeline.errors import ScopeError, UnreadableError
from pipeline.findings import ImageFindings
from pipeline.pixel_conversion import read_radiograph
from pipeline.radiograph import Radiograph
from tests.node.running_node import destination

from .conftest import Site

ALL_OBJECTS = ["sr", "sc", "summary", "gsps", "seg", "kos"]
QUIET = Study(quiet_seconds=60, longest_wait_seconds=300)


def archive_for_all() -> dict[str, Any]:
    """A destination that wants every object that needs no network."""
    return destination("archive", 11113, objects=ALL_OBJECTS)


@dataclass
class Walk:
    """What the node's processes would do for a film, one step at a time."""

    site: Site
    deliveries: DeliveryQueue = field(init=False)
    readings: Readings = field(init=False)
    gathering: StudyGathering = field(init=False)
    engine: WorkEngine = field(init=False)

    def __post_init__(self) -> None:
        ledger = self.site.ledger
        self.engine = WorkEngine(ledger)
        self.deliveries = DeliveryQueue(ledger, self.engine)
        self.readings = Readings(ledger, self.engine, self.deliveries)
        self.gathering = StudyGathering(ledger, self.engine, self.deliveries)

    @property
    def data(self) -> Path:
        """The node's data folder."""
        return self.site.settings.node.data

    def context(self, moment: datetime) -> CompositionContext:
        """Who composes, and when."""
        return CompositionContext(self.site.ledger.installation_id(), "0.0.1", moment)

    def receive(self, ds: FileDataset) -> str:
        """Spools and registers a film; returns the job's id."""
        buffer = io.BytesIO()
        ds.save_as(buffer, enforce_file_format=True)
        name = hashlib.sha256(buffer.getvalue()).hexdigest()
        path = self.data / "spool" / name[:2] / f"{name[2:]}.dcm"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(buffer.getvalue())
        LedgerIntake(self.site.ledger, self.engine, self.deliveries).register(
            ReceivedInstance(
                id=name,
                sop_instance_uid=str(ds.SOPInstanceUID),
                sop_class_uid=str(ds.SOPClassUID),
                study_instance_uid=str(ds.StudyInstanceUID),
                series_instance_uid=str(ds.SeriesInstanceUID),
                transfer_syntax_uid=str(ds.file_meta.TransferSyntaxUID),
                bytes_digest=name,
                byte_count=len(buffer.getvalue()),
                spool_path=str(path.relative_to(self.data)),
                calling_ae_title="PACS",
                called_ae_title="FRACTURE",
                address="127.0.0.1",
                priority=Priority.ROUTINE,
                modality=str(ds.Modality),
                received_at=self.site.now,
            )
        )
        return name

    def read(self, job_id: str, ds: FileDataset, findings: ImageFindings) -> None:
        """Finishes a reading, its objects composed."""
        job = self.readings.begin(job_id, self.site.now)
        assert job is not None
        film = _film(ds)
        pixels = film.pixel_digest if film else ""
        image = StudyImage(
            job_id, job.sop_instance_uid, job.sop_class_uid, pixels, header_digest(ds), findings
        )
        results = ImageResults(Outbox(self.data), self.context, None)
        places = self.site.settings.destinations_for(job.calling_ae_title)
        made, _ = results.compose(ReadImage(job, image, ds, film), places)
        self.site.later(seconds=0.5)
        reading = FinishedReading(findings, pixels, image.header_digest, detail=findings.detail)
        self.readings.finish(job, reading, made, self.site.now)

    def close(self) -> None:
        """Closes what is quiet, and composes it."""
        self.site.later(seconds=61)
        self.gathering.close_due(QUIET, self.site.now)
        results = StudyResults(
            self.site.settings, self.readings, self.gathering, self.deliveries, Outbox(self.data),
            self.context,
        )  # fmt: skip
        worker = ReportWorker(self.site.settings, self.gathering, results, lambda: self.site.now)
        for work in sorted(self.engine.live(COMPOSE)):
            worker.compose(work.split(":")[1])

    def deliver(self) -> None:
        """Says of everything that is queued that it arrived."""
        self.site.later(seconds=2)
        with self.site.ledger.read() as connection:
            ids = connection.execute(select(delivery.c.id).where(delivery.c.state == "queued"))
            waiting = list(ids.scalars())
        for one in waiting:
            self.deliveries.end(one, DeliveryState.DELIVERED, self.site.now.timestamp(), 0, "")

    def whole(self, films: Sequence[tuple[FileDataset, ImageFindings]]) -> list[str]:
        """A study from its first film to its last delivery; returns the jobs' ids."""
        jobs = []
        for ds, findings in films:
            jobs.append(self.receive(ds))
            self.site.now += timedelta(seconds=1)
            self.read(jobs[-1], ds, findings)
        self.close()
        self.deliver()
        return jobs


def _film(ds: FileDataset) -> Radiograph | None:
    try:
        return read_radiograph(ds)
    except (ScopeError, UnreadableError):
        return None
