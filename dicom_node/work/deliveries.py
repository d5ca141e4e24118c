"""Deliveries in the ledger: added with their object, taken by the destination, waiting, parked."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from sqlalchemy import Connection, Select, and_, insert, or_, select, update
from sqlalchemy.dialects.sqlite import insert as insert_or_update

from dicom_node.identifiers import digest_of
from dicom_node.records import Delivery, DeliveryState, Priority, ResultKind, ResultObject
from dicom_node.work.engine import Queue, Work, WorkEngine
from dicom_node.work.ledger import Ledger
from dicom_node.work.outbox import StoredObject
from dicom_node.work.standing import stands
from dicom_node.work.tables import delivery, destination_capability, instance, result_object, sending

DELIVER = "deliver"
OPEN = (DeliveryState.QUEUED, DeliveryState.WAITING)
_CANCELLABLE = (*OPEN, DeliveryState.PARKED)
# Waiting without a status: there was no association. One that said no is not asked more often.
_DOWN = and_(
    delivery.c.state == DeliveryState.WAITING, delivery.c.status.is_(None), delivery.c.refusals == 0
)


@dataclass(frozen=True)
class NewDelivery:
    """An object that is safe in the outbox, and to whom it goes."""

    result: ResultObject
    stored: StoredObject
    destination: str
    revision: int
    instance_id: str | None
    priority: Priority


def deliver_work(delivery_id: str, round_: int, destination: str, priority: int) -> Work:
    """The sending of one delivery, in its destination's partition."""
    return Work(DELIVER, delivery_id, Queue.DELIVERY, round_, Priority(priority), destination)


class DeliveryQueue:
    """The deliveries of the ledger and their work in the engine, always changed together."""

    def __init__(self, ledger: Ledger, engine: WorkEngine) -> None:
        self._ledger, self._engine = ledger, engine

    def add(self, connection: Connection, new: NewDelivery, at: float) -> None:
        """Object row, delivery row and work, as part of the caller's transaction."""
        result = new.result
        delivery_id = digest_of([new.destination, result.sop_instance_uid])[:32]
        known = select(delivery.c.id).where(delivery.c.id == delivery_id)
        if connection.execute(known).first():
            return
        connection.execute(
            insert_or_update(result_object)
            .values(
                sop_instance_uid=result.sop_instance_uid,
                kind=str(result.kind),
                sop_class_uid=result.sop_class_uid,
                series_instance_uid=result.series_instance_uid,
                study_instance_uid=result.study_instance_uid,
                transfer_syntax_uid=result.transfer_syntax_uid,
                instance_id=new.instance_id,
                revision=new.revision,
                path=new.stored.path,
                digest=new.stored.digest,
                byte_count=new.stored.byte_count,
                created_at=at,
            )
            .on_conflict_do_nothing()
        )
        connection.execute(
            insert(delivery).values(
                id=delivery_id,
                sop_instance_uid=result.sop_instance_uid,
                destination=new.destination,
                priority=int(new.priority),
                state=DeliveryState.QUEUED,
                created_at=at,
                trying_since=at,
            )
        )
        self._engine.enqueue(connection, deliver_work(delivery_id, 1, new.destination, new.priority))

    def wake(self, connection: Connection, instance_id: str, at: datetime) -> int:
        """Tries at once what is waiting or parked of an image: its overlays and its study's reports."""
        study_uid = (
            select(instance.c.study_instance_uid).where(instance.c.id == instance_id).scalar_subquery()
        )
        concerned = (
            select(delivery.c.id)
            .join(result_object, result_object.c.sop_instance_uid == delivery.c.sop_instance_uid)
            .where(
                delivery.c.state.in_([DeliveryState.WAITING, DeliveryState.PARKED]),
                or_(
                    result_object.c.instance_id == instance_id,
                    (result_object.c.study_instance_uid == study_uid)
                    & result_object.c.instance_id.is_(None),
                ),
            )
        )
        ids = [row.id for row in connection.execute(concerned)]
        return self.requeue(connection, ids, anew_at=at.timestamp())

    def requeue(
        self, connection: Connection, delivery_ids: Sequence[str], anew_at: float | None = None
    ) -> int:
        """Puts deliveries back into the queue; with `anew_at`, tries and hours are counted anew from there."""
        anew = {} if anew_at is None else {"trying_since": anew_at, "attempts": 0, "refusals": 0}
        for delivery_id in delivery_ids:
            row = connection.execute(
                update(delivery)
                .where(delivery.c.id == delivery_id)
                .values(
                    state=DeliveryState.QUEUED,
                    round=delivery.c.round + 1,
                    next_attempt_at=None,
                    ended_at=None,
                    **anew,
                )
                .returning(delivery.c.round, delivery.c.destination, delivery.c.priority)
            ).one()
            work = deliver_work(delivery_id, row.round, row.destination, row.priority)
            self._engine.enqueue(connection, work)
        return len(delivery_ids)

    def take_back(self, connection: Connection, objects: Select[tuple[str]], at: float) -> list[str]:
        """Cancels what has not ended of these objects' deliveries; returns their work, for the engine to cancel."""
        rows = connection.execute(
            update(delivery)
            .where(delivery.c.sop_instance_uid.in_(objects), delivery.c.state.in_(_CANCELLABLE))
            .values(
                state=DeliveryState.CANCELLED,
                ended_at=at,
                next_attempt_at=None,
                detail="cancelled",
            )
            .returning(delivery.c.id, delivery.c.round)
        ).all()
        return [f"{DELIVER}:{row.id}:{row.round}" for row in rows]

    def requeue_due(self, at: float) -> int:
        """Queues every waiting delivery whose time has come."""
        due = select(delivery.c.id).where(
            delivery.c.state == DeliveryState.WAITING, delivery.c.next_attempt_at <= at
        )
        with self._ledger.read() as connection:
            if connection.execute(due.limit(1)).first() is None:
                return 0
        with self._ledger.transaction() as connection:
            # Looked for anew: meanwhile somebody may have taken one back.
            ids = [row.id for row in connection.execute(due.limit(500))]
            return self.requeue(connection, ids)

    def hurry(self, destination: str) -> int:
        """A destination that answers again gets now what waited for it to come up."""
        waiting = select(delivery.c.id).where(_DOWN, delivery.c.destination == destination)
        with self._ledger.transaction() as connection:
            ids = [row.id for row in connection.execute(waiting)]
            return self.requeue(connection, ids)

    def down_destinations(self) -> set[str]:
        """Destinations that could not be reached when something was to be sent."""
        with self._ledger.read() as connection:
            found = select(delivery.c.destination).where(_DOWN)
            return set(connection.execute(found.distinct()).scalars())

    def queued(self, destination: str, first: str, most: int) -> list[Delivery]:
        """What can go in one association: the delivery that is asked for, then others by urgency."""
        chosen = (
            select(delivery, result_object)
            .join(result_object, result_object.c.sop_instance_uid == delivery.c.sop_instance_uid)
            .where(delivery.c.destination == destination, delivery.c.state == DeliveryState.QUEUED)
            .order_by(delivery.c.priority, delivery.c.created_at, result_object.c.revision)
        )
        with self._ledger.read() as connection:
            rows = connection.execute(chosen.limit(most)).mappings().all()
        found = [
            Delivery(
                id=row["id"],
                sop_instance_uid=row["sop_instance_uid"],
                sop_class_uid=row["sop_class_uid"],
                transfer_syntax_uid=row["transfer_syntax_uid"],
                destination=destination,
                object_path=row["path"],
                state=DeliveryState(row["state"]),
                attempts=row["attempts"],
                trying_since=datetime.fromtimestamp(row["trying_since"], UTC),
            )
            for row in rows
        ]
        return found if any(one.id == first for one in found) or len(found) == most else []

    def begin_sending(self, delivery_id: str, at: float) -> None:
        """Written down before an object goes: whatever happens then, its destination may have it."""
        with self._ledger.transaction() as connection:
            connection.execute(
                insert_or_update(sending)
                .values(delivery_id=delivery_id, at=at)
                .on_conflict_do_nothing()
            )

    def end(
        self, delivery_id: str, state: DeliveryState, at: float, status: int | None, detail: str
    ) -> None:
        """Delivered, parked, replaced or cancelled. What arrived did, though it was cancelled on its way."""
        arrived = [DeliveryState.CANCELLED] if state is DeliveryState.DELIVERED else []
        with self._ledger.transaction() as connection:
            connection.execute(
                update(delivery)
                .where(delivery.c.id == delivery_id, delivery.c.state.in_([*OPEN, *arrived]))
                .values(
                    state=state,
                    ended_at=at,
                    next_attempt_at=None,
                    status=status,
                    detail=detail,
                    attempts=delivery.c.attempts + 1,
                )
            )

    def wait(
        self, delivery_id: str, until: float, status: int | None, detail: str, refused: bool
    ) -> None:
        """Not this time: tried again at `until`."""
        with self._ledger.transaction() as connection:
            connection.execute(
                update(delivery)
                .where(delivery.c.id == delivery_id, delivery.c.state.in_(OPEN))
                .values(
                    state=DeliveryState.WAITING,
                    next_attempt_at=until,
                    status=status,
                    detail=detail,
                    attempts=delivery.c.attempts + 1,
                    refusals=delivery.c.refusals + int(refused),
                )
            )

    def refusals(self, delivery_id: str) -> int:
        """How often the destination said no to this object."""
        with self._ledger.read() as connection:
            found = select(delivery.c.refusals).where(delivery.c.id == delivery_id)
            return int(connection.execute(found).scalar_one())

    def learn(self, destination: str, accepted: frozenset[str], at: float) -> int:
        """Keeps what a destination accepted in negotiation; nothing is written where that is known.

        What was parked for want of a class that it accepts from now on goes again, where it was not replaced
        meanwhile; returns how much that is.
        """
        before = self.accepted(destination)
        if before == accepted:
            return 0
        text = json.dumps(sorted(accepted))
        with self._ledger.transaction() as connection:
            connection.execute(
                insert_or_update(destination_capability)
                .values(destination=destination, accepted=text, at=at)
                .on_conflict_do_update(
                    index_elements=[destination_capability.c.destination],
                    set_={"accepted": text, "at": at},
                )
            )
            if before is None:
                return 0
            wanted = (
                select(delivery.c.id)
                .join(result_object, result_object.c.sop_instance_uid == delivery.c.sop_instance_uid)
                .where(
                    delivery.c.destination == destination,
                    delivery.c.state == DeliveryState.PARKED,
                    # With a status, the archive refused the object itself.
                    delivery.c.status.is_(None),
                    result_object.c.sop_class_uid.in_(accepted - before),
                    or_(stands(), result_object.c.kind == str(ResultKind.REJECTION)),
                )
            )
            ids = [row.id for row in connection.execute(wanted)]
            return self.requeue(connection, ids, anew_at=at)

    def accepted(self, destination: str) -> frozenset[str] | None:
        """What a destination accepted when last asked; None if it never was."""
        with self._ledger.read() as connection:
            found = select(destination_capability.c.accepted).where(
                destination_capability.c.destination == destination
            )
            text = connection.execute(found).scalar()
        return None if text is None else frozenset(json.loads(text))
