"""Studies in the ledger: open while images come, closed as revision n when it is quiet."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from sqlalchemy import Connection, exists, func, insert, or_, select, update

from dicom_node.records import Priority, SopReference
from dicom_node.settings import Study
from dicom_node.work.deliveries import DeliveryQueue, NewDelivery
from dicom_node.work.engine import Queue, Work, WorkEngine
from dicom_node.work.ledger import Ledger
from dicom_node.work.tables import delivery, instance, result_object, study, study_revision
from pipeline.findings import NotProcessed

COMPOSE = "compose"
_PARTITION = "reports"
_NO_IMAGE_LEFT = "no image left"
# Revisions that say all there is to say: what earlier ones made is replaced, if only by nothing.
SETTLED = ("composed", "nothing in scope", _NO_IMAGE_LEFT)


@dataclass(frozen=True)
class ClosedStudy:
    """What a revision is composed from."""

    study_instance_uid: str
    revision: int
    closed_at: datetime
    instance_ids: tuple[str, ...]
    priority: Priority
    attempts: int


def compose_work(study_instance_uid: str, revision: int, round_: int, priority: int) -> Work:
    """The composing of a study's reports."""
    key = f"{study_instance_uid}/{revision}"
    return Work(COMPOSE, key, Queue.DELIVERY, round_, Priority(priority), _PARTITION)


class StudyGathering:
    """Closes findings and keeps what became of each revision."""

    def __init__(self, ledger: Ledger, engine: WorkEngine, deliveries: DeliveryQueue) -> None:
        self._ledger, self._engine, self._deliveries = ledger, engine, deliveries

    def close_due(self, timing: Study, at: datetime) -> int:
        """Closes every study that is quiet, or has waited long enough, and whose images all have an outcome."""
        now = at.timestamp()
        unread = exists().where(
            instance.c.study_instance_uid == study.c.study_instance_uid,
            instance.c.state == "received",
        )
        due = select(study.c.study_instance_uid).where(
            # A bound and not IS NOT NULL, so that the index is used: this is asked every second.
            study.c.opened_at > 0,
            or_(
                study.c.last_received_at <= now - timing.quiet_seconds,
                study.c.opened_at <= now - timing.longest_wait_seconds,
            ),
            ~unread,
        )
        with self._ledger.read() as connection:
            if connection.execute(due.limit(1)).first() is None:
                return 0
        with self._ledger.transaction() as connection:
            uids = list(connection.execute(due.limit(100)).scalars())
            return sum(self._close(connection, uid, now) for uid in uids)

    def _close(self, connection: Connection, study_uid: str, now: float) -> int:
        # Our own result in a radiograph's clothes is no image of the study: a revision for it would be a loop.
        acquired = func.coalesce(instance.c.reason, "") != str(NotProcessed.OWN_RESULT)
        standing = connection.execute(
            select(instance.c.id, instance.c.round, instance.c.priority)
            .where(instance.c.study_instance_uid == study_uid, instance.c.is_current == 1, acquired)
            .order_by(instance.c.received_at)
        ).all()
        # A reading that was asked for again is new content, though the bytes are the same.
        ids = json.dumps([[row.id, row.round] for row in standing])
        last = connection.execute(
            select(study_revision)
            .where(study_revision.c.study_instance_uid == study_uid)
            .order_by(study_revision.c.revision.desc())
        ).first()
        revision = last.revision + 1 if last else 1
        moved = "" if standing else _moved_words(connection, study_uid)
        changed = bool(standing or moved) if last is None else last.instance_ids != ids
        connection.execute(
            update(study)
            .where(study.c.study_instance_uid == study_uid)
            .values(opened_at=None, revision=revision if changed else study.c.revision)
        )
        if not changed:
            return 0
        connection.execute(
            insert(study_revision).values(
                study_instance_uid=study_uid,
                revision=revision,
                closed_at=now,
                instance_ids=ids,
                state="composing" if standing else _NO_IMAGE_LEFT,
                detail=moved,
            )
        )
        if standing:
            priority = min(row.priority for row in standing)
            self._engine.enqueue(connection, compose_work(study_uid, revision, 1, priority))
        return 1

    def begin(self, key: str) -> ClosedStudy | None:
        """A closed study to compose, its attempt counted; None if it is composed."""
        study_uid, _, revision = key.rpartition("/")
        with self._ledger.transaction() as connection:
            row = connection.execute(
                update(study_revision)
                .where(
                    study_revision.c.study_instance_uid == study_uid,
                    study_revision.c.revision == int(revision),
                    study_revision.c.state == "composing",
                )
                .values(attempts=study_revision.c.attempts + 1)
                .returning(study_revision)
            ).first()
            if row is None:
                return None
            return self._closed(connection, row.study_instance_uid, row.revision)

    def closed(self, study_uid: str, revision: int) -> ClosedStudy:
        """A revision as it was closed."""
        with self._ledger.read() as connection:
            return self._closed(connection, study_uid, revision)

    def newest(self, study_uid: str) -> ClosedStudy | None:
        """The last revision that was closed; None if none was."""
        with self._ledger.read() as connection:
            revision = connection.execute(
                select(func.max(study_revision.c.revision)).where(
                    study_revision.c.study_instance_uid == study_uid
                )
            ).scalar()
            return None if revision is None else self._closed(connection, study_uid, revision)

    def all_read(self, closed: ClosedStudy) -> ClosedStudy:
        """The same revision with every image that was ever read as one of its study."""
        read = select(instance.c.id).where(
            instance.c.study_instance_uid == closed.study_instance_uid, instance.c.state == "done"
        )
        with self._ledger.read() as connection:
            return replace(closed, instance_ids=tuple(connection.execute(read).scalars()))

    @staticmethod
    def _closed(connection: Connection, study_uid: str, revision: int) -> ClosedStudy:
        row = connection.execute(
            select(study_revision).where(
                study_revision.c.study_instance_uid == study_uid,
                study_revision.c.revision == revision,
            )
        ).one()
        ids = tuple(pair[0] for pair in json.loads(row.instance_ids))
        priority = connection.execute(
            select(func.min(instance.c.priority)).where(instance.c.id.in_(ids))
        ).scalar()
        return ClosedStudy(
            study_instance_uid=study_uid,
            revision=revision,
            closed_at=datetime.fromtimestamp(row.closed_at, UTC),
            instance_ids=ids,
            priority=Priority(priority or Priority.ROUTINE),
            attempts=row.attempts,
        )

    def last_report(self, study_uid: str, destination: str, before: int) -> SopReference | None:
        """The report that a new revision replaces at a destination."""
        chosen = (
            select(result_object)
            .join(delivery, delivery.c.sop_instance_uid == result_object.c.sop_instance_uid)
            .where(
                result_object.c.study_instance_uid == study_uid,
                delivery.c.destination == destination,
                result_object.c.kind == "sr",
                result_object.c.revision < before,
            )
            .order_by(result_object.c.revision.desc(), result_object.c.created_at.desc())
        )
        with self._ledger.read() as connection:
            row = connection.execute(chosen.limit(1)).first()
        if row is None:
            return None
        return SopReference(study_uid, row.series_instance_uid, row.sop_class_uid, row.sop_instance_uid)

    def finish(
        self,
        closed: ClosedStudy,
        state: str,
        detail: str,
        results: Sequence[NewDelivery],
        at: datetime,
    ) -> None:
        """The revision's end and its deliveries in one transaction."""
        with self._ledger.transaction() as connection:
            done = connection.execute(
                update(study_revision)
                .where(
                    study_revision.c.study_instance_uid == closed.study_instance_uid,
                    study_revision.c.revision == closed.revision,
                    study_revision.c.state == "composing",
                )
                .values(state=state, detail=detail)
            )
            if done.rowcount:
                for result in results:
                    self._deliveries.add(connection, result, at.timestamp())

    def forgive(self, closed: ClosedStudy) -> None:
        """An attempt that failed for the node's own want (disk, ledger) does not count against the study."""
        with self._ledger.transaction() as connection:
            connection.execute(
                update(study_revision)
                .where(
                    study_revision.c.study_instance_uid == closed.study_instance_uid,
                    study_revision.c.revision == closed.revision,
                    study_revision.c.state == "composing",
                )
                .values(attempts=study_revision.c.attempts - 1)
            )

    def add_result(self, result: NewDelivery, at: datetime) -> None:
        """One more object of a revision that is composed: another SOP class for a destination."""
        with self._ledger.transaction() as connection:
            self._deliveries.add(connection, result, at.timestamp())

    def compose_failed_again(self, study_uid: str) -> bool:
        """Puts the revision that stands back to be composed, if it failed."""
        with self._ledger.transaction() as connection:
            newest = (
                select(func.max(study_revision.c.revision))
                .where(study_revision.c.study_instance_uid == study_uid)
                .scalar_subquery()
            )
            row = connection.execute(
                update(study_revision)
                .where(
                    study_revision.c.study_instance_uid == study_uid,
                    study_revision.c.revision == newest,
                    study_revision.c.state == "failed",
                )
                .values(state="composing", attempts=0, round=study_revision.c.round + 1)
                .returning(study_revision.c.revision, study_revision.c.round)
            ).first()
            if row is None:
                return False
            work = compose_work(study_uid, row.revision, row.round, Priority.ROUTINE)
            self._engine.enqueue(connection, work)
            return True


def _moved_words(connection: Connection, study_uid: str) -> str:
    """Where the images of a study that has none left lie now, for people."""
    own = instance.alias("own")
    now_in = (
        select(instance.c.study_instance_uid)
        .join(own, own.c.sop_instance_uid == instance.c.sop_instance_uid)
        .where(own.c.study_instance_uid == study_uid, instance.c.is_current == 1)
        .distinct()
        .order_by(instance.c.study_instance_uid)
    )
    places = [uid for uid in connection.execute(now_in).scalars() if uid != study_uid]
    return f"moved to study {', '.join(places)}" if places else ""
