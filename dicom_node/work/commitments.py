"""Storage commitment in the ledger: what is to be asked, under which transaction, and what was answered."""

from __future__ import annotations

import json
from collections.abc import Collection
from enum import StrEnum
from typing import Any

from sqlalchemy import Connection, and_, exists, insert, or_, select, update
from sqlalchemy.dialects.sqlite import insert as insert_or_update

from dicom_node.records import DeliveryState
from dicom_node.storage_commitment import (
    CommitmentAnswer,
    CommitmentFailure,
    CommitmentRequest,
    failure_words,
)
from dicom_node.work.deliveries import DeliveryQueue
from dicom_node.work.ledger import Ledger
from dicom_node.work.tables import commitment, delivery, delivery_commitment, result_object

_MOST_IN_ONE_REQUEST = 100
# Some archives answer at once, others after their nightly run: not asked again at every turn.
_FIRST_ANSWER_SECONDS, _LONGEST_ANSWER_SECONDS = 600.0, 4 * 3600.0
_FIRST_WAIT_SECONDS, _LONGEST_WAIT_SECONDS = 15.0, 900.0
# An archive that loses what it gets is not fed for ever.
_MOST_SENT_AGAIN = 3


class CommitmentState(StrEnum):
    """Where the commitment of a delivery stands; `DUE` and `ASKED` still go on by themselves."""

    DUE = "due"
    ASKED = "asked"
    COMMITTED = "committed"
    SENT_AGAIN = "sent again"
    NOT_COMMITTED = "not committed"
    NEVER_COMMITTED = "never committed"


GOES_ON = (CommitmentState.DUE, CommitmentState.ASKED)
_row = delivery_commitment.c


class Commitments:
    """Requests and answers of the ledger. `at` is seconds since the epoch everywhere."""

    def __init__(self, ledger: Ledger, deliveries: DeliveryQueue) -> None:
        self._ledger, self._deliveries = ledger, deliveries

    def claim(
        self, destination: str, within_hours: float, transaction_uid: str, at: float
    ) -> CommitmentRequest | None:
        """Writes down, before it is sent, what a destination is asked now; None if nothing is due.

        What was delivered longer ago than `within_hours` is not begun to be asked; what was asked in vain for so
        long ends as never committed.
        """
        since = at - 3600 * within_hours
        due = _due(destination, since, at)
        over = (_row.destination == destination) & _row.state.in_(GOES_ON) & (_row.since <= since)
        with self._ledger.read() as connection:
            anything = select(or_(exists(due), exists(select(_row.delivery_id).where(over))))
            if not connection.execute(anything).scalar_one():
                return None
        with self._ledger.transaction() as connection:
            connection.execute(
                update(delivery_commitment)
                .where(over)
                .values(state=CommitmentState.NEVER_COMMITTED, ended_at=at, next_ask_at=None)
            )
            rows = connection.execute(due.limit(_MOST_IN_ONE_REQUEST)).mappings().all()
            if not rows:
                return None
            self._write_down(connection, destination, transaction_uid, [dict(row) for row in rows], at)
        return CommitmentRequest(
            transaction_uid, tuple((row["sop_class_uid"], row["sop_instance_uid"]) for row in rows)
        )

    @staticmethod
    def _write_down(
        connection: Connection,
        destination: str,
        transaction_uid: str,
        rows: list[dict[str, Any]],
        at: float,
    ) -> None:
        connection.execute(
            insert(commitment).values(
                transaction_uid=transaction_uid,
                destination=destination,
                state=CommitmentState.ASKED,
                asked_at=at,
                attempts=1 + max(row["attempts"] or 0 for row in rows),
                delivery_ids=json.dumps([row["id"] for row in rows]),
            )
        )
        for row in rows:
            attempts = (row["attempts"] or 0) + 1
            asked: dict[str, Any] = {
                "transaction_uid": transaction_uid,
                "state": CommitmentState.ASKED,
                "attempts": attempts,
                "next_ask_at": at + _pause(attempts, _FIRST_ANSWER_SECONDS, _LONGEST_ANSWER_SECONDS),
                "ended_at": None,
            }
            if row["state"] == CommitmentState.SENT_AGAIN:
                asked["since"] = row["ended_at"]
            connection.execute(
                insert_or_update(delivery_commitment)
                .values(
                    **{"since": row["ended_at"], **asked},
                    delivery_id=row["id"],
                    destination=destination,
                )
                .on_conflict_do_update(index_elements=[_row.delivery_id], set_=asked)
            )

    def not_asked(self, transaction_uid: str, detail: str, at: float) -> None:
        """The request could not be made, or was refused: asked anew later. An answer that comes still counts."""
        with self._ledger.transaction() as connection:
            connection.execute(
                update(commitment)
                .where(commitment.c.transaction_uid == transaction_uid)
                .values(state="not asked", detail=detail)
            )
            concerned = (_row.transaction_uid == transaction_uid) & (
                _row.state == CommitmentState.ASKED
            )
            for row in connection.execute(select(delivery_commitment).where(concerned)).all():
                pause = _pause(row.attempts, _FIRST_WAIT_SECONDS, _LONGEST_WAIT_SECONDS)
                connection.execute(
                    update(delivery_commitment)
                    .where(_row.delivery_id == row.delivery_id)
                    .values(state=CommitmentState.DUE, next_ask_at=at + pause, detail=detail)
                )

    def answer(self, answer: CommitmentAnswer, destinations: Collection[str], at: float) -> bool:
        """Keeps an answer of one of `destinations`; false if none of them was asked under its Transaction UID.

        The same answer again changes nothing. What the archive does not have is sent again, the same bytes.
        """
        with self._ledger.transaction() as connection:
            asked = connection.execute(
                select(commitment).where(
                    commitment.c.transaction_uid == answer.transaction_uid,
                    commitment.c.destination.in_(destinations),
                )
            ).first()
            if asked is None:
                return False
            connection.execute(
                update(commitment)
                .where(commitment.c.transaction_uid == answer.transaction_uid)
                .values(state="answered", answered_at=at)
            )
            ids = _delivery_ids(connection, json.loads(asked.delivery_ids))
            for uid in answer.committed & ids.keys():
                _end(connection, ids[uid], CommitmentState.COMMITTED, at, None)
            for uid, reason in answer.failed:
                if uid in ids:
                    self._fail(connection, ids[uid], answer.transaction_uid, reason, at)
        return True

    def _fail(
        self, connection: Connection, delivery_id: str, transaction_uid: str, reason: int, at: float
    ) -> None:
        """Only what the last request is told of counts, and only once: an older "no" may be out of date."""
        row = connection.execute(
            select(delivery_commitment, delivery.c.state.label("delivered"))
            .join(delivery, delivery.c.id == _row.delivery_id)
            .where(_row.delivery_id == delivery_id, _row.transaction_uid == transaction_uid)
        ).first()
        open_states = (*GOES_ON, CommitmentState.NEVER_COMMITTED)
        if row is None or row.state not in open_states:
            return
        lost = reason == CommitmentFailure.NO_SUCH_OBJECT_INSTANCE
        if not lost or row.sent_again >= _MOST_SENT_AGAIN or row.delivered != DeliveryState.DELIVERED:
            _end(connection, delivery_id, CommitmentState.NOT_COMMITTED, at, reason)
            return
        _end(connection, delivery_id, CommitmentState.SENT_AGAIN, at, reason)
        connection.execute(
            update(delivery_commitment)
            .where(_row.delivery_id == delivery_id)
            .values(sent_again=_row.sent_again + 1)
        )
        self._deliveries.requeue(connection, [delivery_id], anew_at=at)


def _due(destination: str, since: float, at: float) -> Any:
    """Delivered and not asked for yet, or asked in vain and time again, or lost and delivered again."""
    ask_again = and_(_row.state.in_(GOES_ON), _row.next_ask_at <= at, _row.since > since)
    arrived_again = and_(_row.state == CommitmentState.SENT_AGAIN, delivery.c.ended_at >= _row.ended_at)
    return (
        select(
            delivery.c.id,
            delivery.c.ended_at,
            delivery.c.sop_instance_uid,
            result_object.c.sop_class_uid,
            _row.attempts,
            _row.state,
        )
        .join(result_object, result_object.c.sop_instance_uid == delivery.c.sop_instance_uid)
        .outerjoin(delivery_commitment, _row.delivery_id == delivery.c.id)
        .where(
            delivery.c.destination == destination,
            delivery.c.state == DeliveryState.DELIVERED,
            or_(
                and_(_row.delivery_id.is_(None), delivery.c.ended_at > since), ask_again, arrived_again
            ),
        )
        .order_by(delivery.c.ended_at)
    )


def _pause(attempts: int, first: float, longest: float) -> float:
    return min(longest, first * 2.0 ** min(attempts - 1, 16))


def _delivery_ids(connection: Connection, ids: list[str]) -> dict[str, str]:
    """The deliveries of a request by SOP Instance UID."""
    found = select(delivery.c.id, delivery.c.sop_instance_uid).where(delivery.c.id.in_(ids))
    return {row.sop_instance_uid: row.id for row in connection.execute(found)}


def _end(
    connection: Connection, delivery_id: str, state: CommitmentState, at: float, reason: int | None
) -> None:
    connection.execute(
        update(delivery_commitment)
        .where(_row.delivery_id == delivery_id, _row.state != CommitmentState.COMMITTED)
        .values(
            state=state,
            ended_at=at,
            next_ask_at=None,
            reason=reason,
            detail="" if reason is None else failure_words(reason),
        )
    )
