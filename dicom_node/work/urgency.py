"""Changing how urgent images are while they wait: the row, and its place in the queue."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import ColumnElement, Connection, RowMapping, and_, or_, select, update

from dicom_node.records import Priority
from dicom_node.work.deliveries import DELIVER, OPEN, DeliveryQueue
from dicom_node.work.engine import WorkEngine
from dicom_node.work.intake import ANALYSE, analysis_work
from dicom_node.work.ledger import Ledger
from dicom_node.work.tables import delivery, instance, result_object


class Urgency:
    """Work that waits is enqueued anew under the new priority, and its old place given up; what runs goes on."""

    def __init__(self, ledger: Ledger, engine: WorkEngine, deliveries: DeliveryQueue) -> None:
        self._ledger, self._engine, self._deliveries = ledger, engine, deliveries

    def change(
        self, study_uid: str, instance_ids: Sequence[str], priority: Priority
    ) -> tuple[int, int]:
        """Of these images of a study and what is made of them; how many readings and deliveries change place."""
        unread = and_(
            instance.c.id.in_(instance_ids),
            instance.c.state == "received",
            instance.c.priority != priority,
        )
        unsent = _unsent(study_uid, instance_ids, priority)
        with self._ledger.read() as connection:
            work = [f"{ANALYSE}:{row['id']}:{row['round']}" for row in _rows(connection, unread)]
            work += [f"{DELIVER}:{row['id']}:{row['round']}" for row in _deliveries(connection, unsent)]
        waiting = self._engine.waiting(work)
        given_up: list[str] = []
        with self._ledger.transaction() as connection:
            reading = self._readings(connection, unread, priority, waiting, given_up)
            sending = self._sendings(connection, unsent, priority, waiting, given_up)
            connection.execute(
                update(instance)
                .where(instance.c.id.in_(instance_ids), instance.c.priority != priority)
                .values(priority=int(priority))
            )
        self._engine.cancel(given_up)
        return reading, sending

    def _readings(
        self,
        connection: Connection,
        unread: ColumnElement[bool],
        priority: Priority,
        waiting: set[str],
        given_up: list[str],
    ) -> int:
        rows = _rows(connection, unread)
        moved = [row for row in rows if f"{ANALYSE}:{row['id']}:{row['round']}" in waiting]
        for row in moved:
            connection.execute(
                update(instance).where(instance.c.id == row["id"]).values(round=instance.c.round + 1)
            )
            self._engine.enqueue(connection, analysis_work(row["id"], row["round"] + 1, priority))
            given_up.append(f"{ANALYSE}:{row['id']}:{row['round']}")
        return len(moved)

    def _sendings(
        self,
        connection: Connection,
        unsent: ColumnElement[bool],
        priority: Priority,
        waiting: set[str],
        given_up: list[str],
    ) -> int:
        rows = _deliveries(connection, unsent)
        moved = [row for row in rows if f"{DELIVER}:{row['id']}:{row['round']}" in waiting]
        connection.execute(
            update(delivery)
            .where(delivery.c.id.in_([row["id"] for row in rows]))
            .values(priority=int(priority))
        )
        self._deliveries.requeue(connection, [row["id"] for row in moved])
        given_up += [f"{DELIVER}:{row['id']}:{row['round']}" for row in moved]
        return len(rows)


def priority_words(priority: Priority, readings: int, deliveries: int) -> str:
    """What changed its place."""
    return f"{priority.name.lower()} now; {readings} readings and {deliveries} deliveries change place"


def _rows(connection: Connection, where: ColumnElement[bool]) -> Sequence[RowMapping]:
    return connection.execute(select(instance.c.id, instance.c.round).where(where)).mappings().all()


def _deliveries(connection: Connection, where: ColumnElement[bool]) -> Sequence[RowMapping]:
    chosen = (
        select(delivery.c.id, delivery.c.round)
        .join(result_object, result_object.c.sop_instance_uid == delivery.c.sop_instance_uid)
        .where(where)
    )
    return connection.execute(chosen).mappings().all()


def _unsent(study_uid: str, instance_ids: Sequence[str], priority: Priority) -> ColumnElement[bool]:
    """Open deliveries of the images' own objects and of their study's."""
    return and_(
        delivery.c.state.in_(OPEN),
        delivery.c.priority != priority,
        result_object.c.study_instance_uid == study_uid,
        or_(result_object.c.instance_id.in_(instance_ids), result_object.c.instance_id.is_(None)),
    )
