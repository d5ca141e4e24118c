"""The processes of a node: receiver; analysis; delivery and housekeeping; the page.

Each imports only what it needs: torch is held by the analysis alone.
"""

from __future__ import annotations

import logging
import random
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from dicom_node import __version__
from dicom_node.errors import NodeError
from dicom_node.logs import configure_logs
from dicom_node.process_lock import hold_lock
from dicom_node.settings import Settings, read_settings
from dicom_node.stop_signal import stop_event
from dicom_node.work.deliveries import DELIVER, DeliveryQueue
from dicom_node.work.engine import Queue, WorkEngine
from dicom_node.work.intake import ANALYSE, LedgerIntake
from dicom_node.work.ledger import Ledger

if TYPE_CHECKING:
    from dicom_node.results.composition import CompositionContext
    from dicom_node.work.image_results import Explain

# The supervisor waits 10 s for all of them; the engine needs a second or two of its own to close.
DRAIN_SECONDS = 6.0
_REVIVE_SECONDS = 30.0
log = logging.getLogger("dicom_node.processes")


def now() -> datetime:
    """The clock that every room gets as an argument."""
    return datetime.now(UTC)


def run_receiver(settings: Settings) -> None:
    """Takes radiographs in until it is told to end."""
    from dicom_node.receiving.spool import Spool
    from dicom_node.receiving.storage_scp import StorageScp

    stop = stop_event(watch_parent=True)
    lock = hold_lock(settings.node.data / "locks" / "receiver.lock")
    ledger = Ledger.open(settings.node.data)
    engine = WorkEngine(ledger)
    intake = LedgerIntake(ledger, engine, DeliveryQueue(ledger, engine))
    room = int(settings.retention.minimum_free_gb * 1e9)
    scp = StorageScp(settings, Spool(settings.node.data, room), intake, now)
    scp.start()
    stop.wait()
    scp.stop(DRAIN_SECONDS)
    lock.close()


def run_analysis(settings: Settings) -> None:
    """Reads what was received until it is told to end."""
    from dicom_node.work.analysis_worker import AnalysisWorker
    from dicom_node.work.image_results import ImageResults
    from dicom_node.work.outbox import Outbox
    from dicom_node.work.readings import Readings
    from pipeline.analysis import Analyzer
    from pipeline.engines.choice import EngineMemory

    stop = stop_event(watch_parent=True)
    analyzer = Analyzer.open(
        settings.model.path,
        profile=settings.model.profile,
        fracture_threshold=settings.model.fracture_threshold,
        doubt_threshold=settings.model.doubt_threshold,
        threads=settings.model.threads,
        engine=settings.model.engine,
        memory=EngineMemory(settings.engines_folder, time.perf_counter),
        said=lambda line: log.info("engine: %s", line),
    )
    log.info(
        "model %s %s, %s", analyzer.identity.name, analyzer.identity.version, analyzer.identity.engine
    )
    ledger = Ledger.open(settings.node.data)
    engine = WorkEngine(ledger)
    context = _context(settings, ledger)
    worker = AnalysisWorker(
        settings,
        Readings(ledger, engine, DeliveryQueue(ledger, engine)),
        ImageResults(Outbox(settings.node.data), context, _explain(settings)),
        analyzer,
        context,
        now,
    )
    engine.serve(Queue.ANALYSIS, {ANALYSE: worker.analyse}, settings.node.data / "locks")
    while not stop.wait(_REVIVE_SECONDS):
        _revive(engine)
    engine.stop(DRAIN_SECONDS)


def _explain(settings: Settings) -> Explain | None:
    """Grad-CAM, where a destination wants it: it holds a second copy of the network."""
    if not any("gradcam" in place.objects for place in settings.destinations):
        return None
    from pipeline.explanation import Explainer

    return Explainer.open(settings.model.path).explain


def _revive(engine: WorkEngine) -> None:
    try:
        engine.revive()
    except Exception:
        # The top of the loop: a disk that is still full is no reason to end.
        log.exception("could not look for stranded work")


def run_delivery(settings: Settings) -> None:
    """Closes studies, composes reports, sends, keeps house, until it is told to end."""
    from dicom_node.work.commitment_worker import CommitmentWorker
    from dicom_node.work.commitments import Commitments
    from dicom_node.work.delivery_lookup import DeliveryLookup
    from dicom_node.work.delivery_worker import DeliveryWorker
    from dicom_node.work.housekeeping import Housekeeping
    from dicom_node.work.outbox import Outbox
    from dicom_node.work.readings import Readings
    from dicom_node.work.reconciling import Reconciler
    from dicom_node.work.report_worker import ReportWorker
    from dicom_node.work.retention import Retention
    from dicom_node.work.retirement import Retirement
    from dicom_node.work.study_gathering import COMPOSE, StudyGathering
    from dicom_node.work.study_results import StudyResults

    stop = stop_event(watch_parent=True)
    ledger = Ledger.open(settings.node.data)
    engine = WorkEngine(ledger)
    deliveries = DeliveryQueue(ledger, engine)
    gathering = StudyGathering(ledger, engine, deliveries)
    outbox = Outbox(settings.node.data)
    readings = Readings(ledger, engine, deliveries)
    context = _context(settings, ledger)
    results = StudyResults(settings, readings, gathering, deliveries, outbox, context)
    reports = ReportWorker(settings, gathering, results, now)
    sender = DeliveryWorker(
        settings, deliveries, DeliveryLookup(ledger), reports, outbox, now, random.Random()  # noqa: S311 - jitter
    )  # fmt: skip
    handlers = {COMPOSE: reports.compose, DELIVER: sender.deliver}
    engine.serve(Queue.DELIVERY, handlers, settings.node.data / "locks")
    Housekeeping(
        settings,
        engine,
        gathering,
        deliveries,
        Reconciler(ledger, engine, deliveries),
        Retention(settings, ledger),
        Retirement(settings, ledger, deliveries, gathering, results, context, now),
        CommitmentWorker(settings, Commitments(ledger, deliveries), now, random.SystemRandom()),
        now,
    ).run(stop)
    engine.stop(DRAIN_SECONDS)


def run_web(settings: Settings) -> None:
    """Serves the page and the API until it is told to end."""
    from dicom_node.web.server import serve_web

    serve_web(settings, now, stop_event(watch_parent=True))


def _context(settings: Settings, ledger: Ledger) -> Callable[[datetime], CompositionContext]:
    from dicom_node.results.composition import CompositionContext

    installation_id = ledger.installation_id()

    def at(moment: datetime) -> CompositionContext:
        return CompositionContext(
            installation_id=installation_id,
            software_version=__version__,
            composed_at=moment,
            node_timezone=settings.node.timezone,
        )

    return at


PROCESSES: dict[str, Callable[[Settings], None]] = {
    "receiver": run_receiver,
    "analysis": run_analysis,
    "delivery": run_delivery,
    "web": run_web,
}


def main() -> None:
    """`python -m dicom_node.processes NAME SETTINGS`: what the supervisor starts."""
    name, path = sys.argv[1:]
    settings = read_settings(Path(path))
    configure_logs(name, settings.log)
    try:
        PROCESSES[name](settings)
    except Exception as error:
        # The top of a process: what is wrong with settings, model or disk is said without a traceback.
        if not _is_ours(error):
            raise
        log.error("%s cannot run: %s", name, error)
        sys.exit(1)
    log.info("%s ended", name)


def _is_ours(error: Exception) -> bool:
    from pipeline.errors import PipelineError

    return isinstance(error, NodeError | PipelineError)


if __name__ == "__main__":
    main()
