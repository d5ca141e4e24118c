"""A real ledger and engine in a folder of their own."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from dicom_node.records import Priority, ReceivedInstance
from dicom_node.results.composition import CompositionContext
from dicom_node.settings import Settings
from dicom_node.work.analysis_worker import AnalysisWorker
from dicom_node.work.deliveries import DeliveryQueue
from dicom_node.work.engine import WorkEngine
from dicom_node.work.image_results import Explain, ImageResults
from dicom_node.work.intake import LedgerIntake
from dicom_node.work.ledger import Ledger
from dicom_node.work.outbox import Outbox
from dicom_node.work.readings import Readings
from dicom_node.work.report_worker import ReportWorker
from dicom_node.work.retirement import Retirement
from dicom_node.work.study_gathering import StudyGathering
from dicom_node.work.study_results import StudyResults
from pipeline.analysis import Analyzer

START = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


@dataclass
class Workplace:
    """Ledger, engine and the rooms on them, with a clock that tests set."""

    folder: Path
    ledger: Ledger
    engine: WorkEngine
    deliveries: DeliveryQueue = field(init=False)
    intake: LedgerIntake = field(init=False)
    readings: Readings = field(init=False)
    gathering: StudyGathering = field(init=False)
    now: datetime = START

    def __post_init__(self) -> None:
        self.deliveries = DeliveryQueue(self.ledger, self.engine)
        self.intake = LedgerIntake(self.ledger, self.engine, self.deliveries)
        self.readings = Readings(self.ledger, self.engine, self.deliveries)
        self.gathering = StudyGathering(self.ledger, self.engine, self.deliveries)

    def later(self, seconds: float) -> datetime:
        """Moves the clock."""
        self.now += timedelta(seconds=seconds)
        return self.now

    def context(self, moment: datetime) -> CompositionContext:
        """Who composes, and when."""
        return CompositionContext(self.ledger.installation_id(), "0.0.1", moment)

    @property
    def outbox(self) -> Outbox:
        """Where composed objects lie."""
        return Outbox(self.folder)

    def study_results(self, settings: Settings) -> StudyResults:
        """What composes per study."""
        return StudyResults(
            settings, self.readings, self.gathering, self.deliveries, self.outbox, self.context
        )

    def report_worker(self, settings: Settings) -> ReportWorker:
        """What composes a closed study."""
        return ReportWorker(settings, self.gathering, self.study_results(settings), lambda: self.now)

    def analysis_worker(
        self, settings: Settings, analyzer: Analyzer, explain: Explain | None = None
    ) -> AnalysisWorker:
        """What reads an image."""
        results = ImageResults(self.outbox, self.context, explain)
        return AnalysisWorker(
            settings, self.readings, results, analyzer, self.context, lambda: self.now
        )

    def retirement(self, settings: Settings) -> Retirement:
        """What retires replaced objects."""
        return Retirement(
            settings, self.ledger, self.deliveries, self.gathering, self.study_results(settings),
            self.context, lambda: self.now,
        )  # fmt: skip

    def receive(
        self,
        name: str,
        study: str = "1.2.3",
        sop: str | None = None,
        priority: Priority = Priority.ROUTINE,
    ) -> ReceivedInstance:
        """Registers an instance as the Storage SCP would."""
        instance = ReceivedInstance(
            id=f"{name:0>64}",
            sop_instance_uid=sop or f"1.2.3.{sum(name.encode())}",
            sop_class_uid="1.2.840.10008.5.1.4.1.1.1.1",
            study_instance_uid=study,
            series_instance_uid=f"{study}.1",
            transfer_syntax_uid="1.2.840.10008.1.2.1",
            bytes_digest=f"{name:0>64}",
            byte_count=10,
            spool_path=f"spool/00/{name}.dcm",
            calling_ae_title="PACS",
            called_ae_title="FRACTURE",
            address="127.0.0.1",
            priority=priority,
            modality="DX",
            received_at=self.now,
        )
        self.intake.register(instance)
        return instance


@pytest.fixture
def workplace(tmp_path: Path) -> Iterator[Workplace]:
    """An empty ledger with its engine prepared."""
    ledger = Ledger.open(tmp_path)
    ledger.create(START.timestamp())
    WorkEngine.prepare(ledger, 1)
    yield Workplace(tmp_path, ledger, WorkEngine(ledger))
    ledger.close()
