"""Keeping house: closing quiet studies, waking due deliveries, unfinished rows without work, what is old."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from threading import Event, Thread

from dicom_node.delivering.reachability import reach
from dicom_node.errors import LedgerError
from dicom_node.settings import Settings
from dicom_node.work.commitment_worker import CommitmentWorker
from dicom_node.work.deliveries import DeliveryQueue
from dicom_node.work.engine import WorkEngine
from dicom_node.work.reconciling import Reconciler
from dicom_node.work.retention import Retention
from dicom_node.work.retirement import Retirement
from dicom_node.work.study_gathering import StudyGathering

Chore = tuple[str, float, Callable[[], object]]
log = logging.getLogger("dicom_node.work.housekeeping")


@dataclass(frozen=True)
class Intervals:
    """Seconds between two rounds of each chore."""

    close: float = 1.0
    wake: float = 1.0
    probe: float = 15.0
    reconcile: float = 30.0
    retire: float = 5.0
    retain: float = 3600.0
    commit: float = 2.0


class Housekeeping:
    """A loop of chores in the delivery process; each chore is safe to do again."""

    def __init__(
        self,
        settings: Settings,
        engine: WorkEngine,
        gathering: StudyGathering,
        deliveries: DeliveryQueue,
        reconciler: Reconciler,
        retention: Retention,
        retirement: Retirement,
        commitments: CommitmentWorker,
        clock: Callable[[], datetime],
        intervals: Intervals = Intervals(),
    ) -> None:
        self._settings, self._engine = settings, engine
        self._gathering, self._deliveries = gathering, deliveries
        self._reconciler, self._retention, self._clock = reconciler, retention, clock
        self._quick: list[Chore] = [
            ("close studies", intervals.close, self._close),
            ("wake deliveries", intervals.wake, self._wake),
            ("revive", intervals.reconcile, engine.revive),
            ("reconcile", intervals.reconcile, reconciler.sweep),
            ("retire", intervals.retire, retirement.sweep),
        ]
        # These wait for peers and disks: they must not hold a study back.
        self._slow: list[Chore] = [
            ("probe destinations", intervals.probe, self._probe),
            ("retain", intervals.retain, self._retain),
        ]
        self._commit: list[Chore] = [
            (f"commitment of {place.name}", intervals.commit, partial(commitments.ask, place))
            for place in commitments.destinations
        ]

    def run(self, stop: Event) -> None:
        """Does each chore when its time has come, until `stop`."""
        slow = Thread(target=self._loop, args=(self._slow, stop), name="slow-chores", daemon=True)
        slow.start()
        # A thread each: an archive that does not answer must not hold another back.
        for chore in self._commit:
            Thread(target=self._loop, args=([chore], stop), name=chore[0], daemon=True).start()
        self._loop(self._quick, stop)
        slow.join(1.0)

    @staticmethod
    def _loop(chores: list[Chore], stop: Event) -> None:
        due = {name: 0.0 for name, _, _ in chores}
        while not stop.wait(0.25):
            for name, every, chore in chores:
                now = time.monotonic()
                if now < due[name] or stop.is_set():
                    continue
                due[name] = now + every
                try:
                    chore()
                except LedgerError as error:
                    log.warning("%s: %s", name, error)
                except Exception:
                    # The top of the loop: one chore must not stop the others.
                    log.exception("%s failed", name)

    def _close(self) -> None:
        closed = self._gathering.close_due(self._settings.study, self._clock())
        if closed:
            log.info("closed the findings of %d studies", closed)

    def _wake(self) -> None:
        self._deliveries.requeue_due(self._clock().timestamp())

    def _probe(self) -> None:
        """Asks the destinations that something waits for; one that answers gets it now."""
        for name in sorted(self._deliveries.down_destinations()):
            place = self._settings.destination(name)
            if place is None:
                continue
            calling = self._settings.calling_ae_title(place)
            if reach(place, calling).answered:
                count = self._deliveries.hurry(name)
                log.info("destination=%s answers again; %d deliveries go now", name, count)

    def _retain(self) -> None:
        now = self._clock()
        self._retention.sweep(now)
        while self._engine.forget_before(now - timedelta(days=self._settings.retention.keep_days)):
            pass
