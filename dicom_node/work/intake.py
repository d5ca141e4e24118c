"""Taking a spooled instance into the ledger: row and work in one transaction, before the sender hears Success."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime

from sqlalchemy import Connection, func, insert, select, update
from sqlalchemy.dialects.sqlite import insert as insert_or_update

from dicom_node.records import AssociationRecord, Priority, ReceivedInstance
from dicom_node.storage_commitment import CommitmentAnswer
from dicom_node.work.commitments import Commitments
from dicom_node.work.deliveries import DeliveryQueue
from dicom_node.work.engine import Queue, Work, WorkEngine
from dicom_node.work.ledger import Ledger
from dicom_node.work.tables import association, instance, notice, study

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
        """Row and work, committed to disk. The same bytes again wake what was not delivered or was cancelled.

        Raises:
            LedgerError: it was not committed; the sender must keep the instance.
        """
        with self._ledger.transaction() as connection:
            known = connection.execute(
                select(instance.c.state).where(instance.c.id == received.id)
            ).first()
            if known and known.state == "cancelled":
                read_again(connection, self._engine, received.id, received.received_at)
                return
            if known:
                self._deliveries.wake(connection, received.id, received.received_at)
                return
            connection.execute(insert(instance).values(**_row(received)))
            _open_study(connection, received)
            self._engine.enqueue(connection, analysis_work(received.id, 1, received.priority))

    def note_association(self, record: AssociationRecord) -> None:
        """Keeps who came, for people."""
        with self._ledger.transaction() as connection:
            connection.execute(
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
    connection.execute(
        update(study)
        .where(study.c.study_instance_uid == row.study_instance_uid)
        .values(
            opened_at=func.coalesce(study.c.opened_at, at.timestamp()),
            last_received_at=at.timestamp(),
        )
    )
    engine.enqueue(connection, analysis_work(instance_id, row.round, row.priority))


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
