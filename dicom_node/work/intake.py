"""Taking a spooled instance into the ledger: row and work in one transaction, before the sender hears Success."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, func, insert, select, update
from sqlalchemy.dialects.sqlite import insert as insert_or_update

from dicom_node.records import AssociationDetail, AssociationRecord, Priority, ReceivedInstance
from dicom_node.storage_commitment import CommitmentAnswer
from dicom_node.work.commitments import Commitments
from dicom_node.work.context_list import dump_contexts
from dicom_node.work.deliveries import DeliveryQueue
from dicom_node.work.engine import Queue, Work, WorkEngine
from dicom_node.work.ledger import Ledger
from dicom_node.work.tables import (
    association,
    association_detail,
    instance,
    negotiation,
    notice,
    study,
)

ANALYSE = "analyse"


def analysis_work(instance_id: str, round_: int, priority: int) -> Work:
    """The reading of an instance."""
    return Work(ANALYSE, instance_id, Queue.ANALYSIS, round_, Priority(priority))


class LedgerIntake:
    """What the Storage SCP tells the ledger."""

    def __init__(self, ledger: Ledger, engine: WorkEngine, deliveries: DeliveryQueue) -> None:
        self._ledger, self._engine, self._deliveries = ledger, engine, deliveries
        self._commitments = Commitments(ledger, deliveries)

    def register(self, received: ReceivedInstance) -> None:
        """Row and work, committed to disk. The same bytes again wake what was not delivered.

        They are read anew where their reading was cancelled, or where another version took their place: what came
        last stands.

        Raises:
            LedgerError: it was not committed; the sender must keep the instance.
        """
        with self._ledger.transaction() as connection:
            known = connection.execute(
                select(instance.c.state, instance.c.is_current, instance.c.same_as).where(
                    instance.c.id == received.id
                )
            ).first()
            if known and (known.state == "cancelled" or _was_replaced(connection, known)):
                connection.execute(
                    update(instance)
                    .where(instance.c.id == received.id)
                    .values(received_at=received.received_at.timestamp())
                )
                read_again(connection, self._engine, received.id, received.received_at)
                return
            if known:
                # What only repeats another version has no objects of its own.
                self._deliveries.wake(connection, known.same_as or received.id, received.received_at)
                return
            connection.execute(insert(instance).values(**_row(received)))
            _open_study(connection, received)
            self._engine.enqueue(connection, analysis_work(received.id, 1, received.priority))

    def note_association(self, record: AssociationRecord) -> None:
        """Keeps who came, for people."""
        with self._ledger.transaction() as connection:
            done = connection.execute(
                insert(association).values(
                    calling_ae_title=record.calling_ae_title,
                    called_ae_title=record.called_ae_title,
                    address=record.address,
                    at=record.at.timestamp(),
                    accepted=int(record.accepted),
                    reason=record.reason,
                    stored=record.stored,
                    refused=record.refused,
                )
            )
            if record.detail is not None and done.inserted_primary_key is not None:
                _note_detail(connection, done.inserted_primary_key[0], record.detail)

    def take_commitment(
        self, answer: CommitmentAnswer, destinations: Collection[str], at: datetime, /
    ) -> bool:
        """Keeps what an archive reports of a request; false if no such request went to these destinations."""
        return self._commitments.answer(answer, destinations, at.timestamp())

    def note_instance(
        self, *, calling_ae_title: str, address: str, at: datetime, status: int, text: str
    ) -> None:
        """Keeps an instance that was refused, or taken and not kept, for people."""
        with self._ledger.transaction() as connection:
            connection.execute(
                insert(notice).values(
                    calling_ae_title=calling_ae_title,
                    address=address,
                    at=at.timestamp(),
                    status=status,
                    text=text,
                )
            )


def read_again(connection: Connection, engine: WorkEngine, instance_id: str, at: datetime) -> None:
    """Puts an image back to be read anew, and reopens its study, as part of the caller's transaction."""
    row = connection.execute(
        update(instance)
        .where(instance.c.id == instance_id)
        .values(state="received", attempts=0, round=instance.c.round + 1, begun_at=None)
        .returning(instance.c.round, instance.c.priority, instance.c.study_instance_uid)
    ).one()
    reopen_studies(connection, [row.study_instance_uid], at)
    engine.enqueue(connection, analysis_work(instance_id, row.round, row.priority))


def reopen_studies(connection: Connection, study_uids: Iterable[str], at: datetime) -> None:
    """Studies whose images changed: they close anew when they are quiet."""
    connection.execute(
        update(study)
        .where(study.c.study_instance_uid.in_(list(study_uids)))
        .values(
            opened_at=func.coalesce(study.c.opened_at, at.timestamp()),
            last_received_at=at.timestamp(),
        )
    )


def _was_replaced(connection: Connection, known: Row[Any, Any, Any]) -> bool:
    """Whether neither these bytes nor those that they only repeat are the version that stands."""
    if known.state != "done" or known.is_current:
        return False
    repeated = select(instance.c.is_current).where(instance.c.id == known.same_as)
    return not connection.execute(repeated).scalar()


def _row(received: ReceivedInstance) -> dict[str, object]:
    return {
        "id": received.id,
        "sop_instance_uid": received.sop_instance_uid,
        "sop_class_uid": received.sop_class_uid,
        "study_instance_uid": received.study_instance_uid,
        "series_instance_uid": received.series_instance_uid,
        "transfer_syntax_uid": received.transfer_syntax_uid,
        "bytes_digest": received.bytes_digest,
        "byte_count": received.byte_count,
        "spool_path": received.spool_path,
        "calling_ae_title": received.calling_ae_title,
        "called_ae_title": received.called_ae_title,
        "address": received.address,
        "priority": int(received.priority),
        "modality": received.modality,
        "received_at": received.received_at.timestamp(),
        "state": "received",
    }


def _note_detail(connection: Connection, association_id: int, detail: AssociationDetail) -> None:
    contexts = dump_contexts(detail.contexts)
    digest = hashlib.sha256(contexts.encode()).hexdigest()
    connection.execute(
        insert_or_update(negotiation).values(digest=digest, contexts=contexts).on_conflict_do_nothing()
    )
    connection.execute(
        insert(association_detail).values(
            association_id=association_id,
            implementation_class_uid=detail.implementation_class_uid,
            implementation_version_name=detail.implementation_version_name,
            negotiation_digest=digest,
            proposed=detail.proposed,
            accepted=detail.accepted,
            is_capped=int(detail.is_capped),
            ended_at=detail.ended_at.timestamp(),
            ending=str(detail.ending),
            byte_count=detail.byte_count,
        )
    )


def _open_study(connection: Connection, received: ReceivedInstance) -> None:
    now = received.received_at.timestamp()
    connection.execute(
        insert_or_update(study)
        .values(
            study_instance_uid=received.study_instance_uid,
            opened_at=now,
            last_received_at=now,
            revision=0,
        )
        .on_conflict_do_update(
            index_elements=[study.c.study_instance_uid], set_={"last_received_at": now}
        )
    )
    connection.execute(
        update(study)
        .where(study.c.study_instance_uid == received.study_instance_uid, study.c.opened_at.is_(None))
        .values(opened_at=now)
    )
