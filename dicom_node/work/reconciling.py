"""Unfinished rows that no work stands behind are enqueued again: the ledger is the truth, not the engine."""

from __future__ import annotations

import logging

from sqlalchemy import Connection, select, update

from dicom_node.records import DeliveryState
from dicom_node.work.deliveries import DELIVER, DeliveryQueue
from dicom_node.work.engine import WorkEngine
from dicom_node.work.intake import ANALYSE, analysis_work
from dicom_node.work.ledger import Ledger
from dicom_node.work.study_gathering import COMPOSE, compose_work
from dicom_node.work.tables import delivery, instance, study_revision

log = logging.getLogger("dicom_node.work.reconciling")


class Reconciler:
    """Compares the ledger with the engine's live work."""

    def __init__(self, ledger: Ledger, engine: WorkEngine, deliveries: DeliveryQueue) -> None:
        self._ledger, self._engine, self._deliveries = ledger, engine, deliveries
        self._suspects: set[str] = set()

    def sweep(self) -> int:
        """Enqueues what was found without work twice in a row; returns how many."""
        orphans = self._orphans()
        sure = [ids for ids in orphans if ids[0] in self._suspects]
        self._suspects = {ids[0] for ids in orphans} - {ids[0] for ids in sure}
        again = [workflow_id for workflow_id, task, key in sure if self._enqueue(task, key)]
        for workflow_id in again:
            log.warning("unfinished without work, enqueued again: %s", workflow_id)
        return len(again)

    def _orphans(self) -> list[tuple[str, str, str]]:
        unread = select(instance.c.id, instance.c.round).where(instance.c.state == "received")
        closing = select(study_revision).where(study_revision.c.state == "composing")
        queued = select(delivery.c.id, delivery.c.round).where(delivery.c.state == DeliveryState.QUEUED)
        with self._ledger.read() as connection:
            rows = [(ANALYSE, row.id, row.round) for row in connection.execute(unread)]
            rows += [
                (COMPOSE, f"{row.study_instance_uid}/{row.revision}", row.round)
                for row in connection.execute(closing)
            ]
            rows += [(DELIVER, row.id, row.round) for row in connection.execute(queued)]
        found = [(f"{task}:{key}:{turn}", task, key) for task, key, turn in rows]
        if not found:
            return []
        live = self._engine.live(ANALYSE) | self._engine.live(COMPOSE) | self._engine.live(DELIVER)
        return [one for one in found if one[0] not in live]

    def _enqueue(self, task: str, key: str) -> bool:
        """False where it ended since it was looked at: what was delivered or taken back must not come back."""
        with self._ledger.transaction() as connection:
            if task == DELIVER:
                return self._deliver(connection, key)
            if task == ANALYSE:
                return self._analyse(connection, key)
            return self._compose(connection, key)

    def _deliver(self, connection: Connection, key: str) -> bool:
        queued = select(delivery.c.id).where(
            delivery.c.id == key, delivery.c.state == DeliveryState.QUEUED
        )
        return bool(self._deliveries.requeue(connection, list(connection.execute(queued).scalars())))

    def _analyse(self, connection: Connection, key: str) -> bool:
        row = connection.execute(
            update(instance)
            .where(instance.c.id == key, instance.c.state == "received")
            .values(round=instance.c.round + 1)
            .returning(instance.c.round, instance.c.priority)
        ).first()
        if row is not None:
            self._engine.enqueue(connection, analysis_work(key, row.round, row.priority))
        return row is not None

    def _compose(self, connection: Connection, key: str) -> bool:
        study_uid, _, revision = key.rpartition("/")
        turn = connection.execute(
            update(study_revision)
            .where(
                study_revision.c.study_instance_uid == study_uid,
                study_revision.c.revision == int(revision),
                study_revision.c.state == "composing",
            )
            .values(round=study_revision.c.round + 1)
            .returning(study_revision.c.round)
        ).scalar()
        if turn is not None:
            self._engine.enqueue(connection, compose_work(study_uid, int(revision), turn, 10))
        return turn is not None
