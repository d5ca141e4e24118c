"""Readings in the ledger: begun, compared with earlier ones of the same SOP Instance, finished."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from sqlalchemy import Connection, RowMapping, func, select, update

from dicom_node.records import Priority, StudyImage
from dicom_node.work.deliveries import DeliveryQueue, NewDelivery
from dicom_node.work.engine import WorkEngine
from dicom_node.work.intake import read_again, reopen_studies
from dicom_node.work.ledger import Ledger
from dicom_node.work.tables import instance
from pipeline.findings import ImageFindings, dump_findings, load_findings


@dataclass(frozen=True)
class Job:
    """One instance to read. `revision` counts the readings of its SOP Instance, `ordinal` its place in the study.

    `begun_at` is kept from the first attempt, so that doing it again makes the same objects.
    """

    instance_id: str
    sop_instance_uid: str
    sop_class_uid: str
    study_instance_uid: str
    spool_path: str
    calling_ae_title: str
    priority: Priority
    attempts: int
    revision: int
    ordinal: int
    begun_at: datetime


@dataclass(frozen=True)
class EarlierReading:
    """The reading that stands of a SOP Instance."""

    instance_id: str
    study_instance_uid: str
    pixel_digest: str
    header_digest: str
    model: str
    findings: ImageFindings


@dataclass(frozen=True)
class FinishedReading:
    """What the ledger keeps of a reading; `same_as` names the reading that it only repeats."""

    findings: ImageFindings
    pixel_digest: str
    header_digest: str
    same_as: str | None = None
    detail: str = ""


class Readings:
    """The ledger's rows of instances, as the analysis sees them."""

    def __init__(self, ledger: Ledger, engine: WorkEngine, deliveries: DeliveryQueue) -> None:
        self._ledger, self._engine, self._deliveries = ledger, engine, deliveries

    def begin(self, instance_id: str, at: datetime) -> Job | None:
        """The job, its attempt counted before anything can go wrong; None if nothing is left to do."""
        with self._ledger.transaction() as connection:
            row = (
                connection.execute(
                    update(instance)
                    .where(instance.c.id == instance_id, instance.c.state == "received")
                    .values(
                        attempts=instance.c.attempts + 1,
                        begun_at=func.coalesce(instance.c.begun_at, at.timestamp()),
                    )
                    .returning(instance)
                )
                .mappings()
                .first()
            )
            return None if row is None else self._job(connection, row)

    @staticmethod
    def _job(connection: Connection, row: RowMapping) -> Job:
        before = select(func.max(instance.c.revision)).where(
            instance.c.sop_instance_uid == row["sop_instance_uid"]
        )
        place = select(func.count()).where(
            instance.c.study_instance_uid == row["study_instance_uid"],
            instance.c.received_at <= row["received_at"],
        )
        return Job(
            instance_id=row["id"],
            sop_instance_uid=row["sop_instance_uid"],
            sop_class_uid=row["sop_class_uid"],
            study_instance_uid=row["study_instance_uid"],
            spool_path=row["spool_path"],
            calling_ae_title=row["calling_ae_title"],
            priority=Priority(row["priority"]),
            attempts=row["attempts"],
            revision=1 + (connection.execute(before).scalar() or 0),
            ordinal=int(connection.execute(place).scalar_one()),
            begun_at=datetime.fromtimestamp(row["begun_at"], UTC),
        )

    def sop_instance_uid(self, instance_id: str) -> str | None:
        """Of which SOP Instance these bytes are; None if they are gone."""
        chosen = select(instance.c.sop_instance_uid).where(instance.c.id == instance_id)
        with self._ledger.read() as connection:
            return connection.execute(chosen).scalar()

    def standing(self, sop_instance_uid: str) -> EarlierReading | None:
        """The reading that stands of a SOP Instance, if there is one."""
        chosen = select(instance).where(
            instance.c.sop_instance_uid == sop_instance_uid, instance.c.is_current == 1
        )
        with self._ledger.read() as connection:
            row = connection.execute(chosen).mappings().first()
        if row is None:
            return None
        return EarlierReading(
            instance_id=row["id"],
            study_instance_uid=row["study_instance_uid"],
            pixel_digest=row["pixel_digest"],
            header_digest=row["header_digest"],
            model=row["model"],
            findings=load_findings(row["findings"]),
        )

    def finish(
        self, job: Job, reading: FinishedReading, results: Sequence[NewDelivery], at: datetime
    ) -> None:
        """Reading, objects and deliveries in one transaction; nothing if it was finished or cancelled before.

        A study that the image lay in before is opened again: its next revision is without it.
        """
        now = at.timestamp()
        with self._ledger.transaction() as connection:
            outdated = reading.same_as is None and _is_outdated(connection, job)
            done = connection.execute(
                update(instance)
                .where(instance.c.id == job.instance_id, instance.c.state == "received")
                .values(**_outcome_values(job, reading, now, outdated=outdated))
                .returning(instance.c.priority)
            ).first()
            if done is None or outdated:
                return
            if reading.same_as is not None:
                self._deliveries.wake(connection, reading.same_as, at)
                return
            before = connection.execute(
                update(instance)
                .where(
                    instance.c.sop_instance_uid == job.sop_instance_uid,
                    instance.c.id != job.instance_id,
                    instance.c.is_current == 1,
                )
                .values(is_current=0)
                .returning(instance.c.study_instance_uid)
            ).scalars()
            reopen_studies(connection, {*before} - {job.study_instance_uid}, at)
            # Not the job's: it may have become more urgent while it was read.
            priority = Priority(done.priority)
            for result in results:
                self._deliveries.add(connection, replace(result, priority=priority), now)

    def read_again(self, instance_id: str, at: datetime) -> None:
        """Puts an image back to be read anew, and reopens its study."""
        with self._ledger.transaction() as connection:
            read_again(connection, self._engine, instance_id, at)

    def forgive(self, job: Job) -> None:
        """An attempt that failed for the node's own want (disk, ledger) does not count against the film."""
        with self._ledger.transaction() as connection:
            connection.execute(
                update(instance)
                .where(instance.c.id == job.instance_id, instance.c.state == "received")
                .values(attempts=instance.c.attempts - 1)
            )

    def images(self, instance_ids: Sequence[str]) -> list[tuple[StudyImage, str, str]]:
        """Finished images with their spool path and calling AE title, in the order of arrival."""
        chosen = (
            select(instance).where(instance.c.id.in_(instance_ids)).order_by(instance.c.received_at)
        )
        with self._ledger.read() as connection:
            rows = connection.execute(chosen).mappings().all()
        return [(_study_image(row), row["spool_path"], row["calling_ae_title"]) for row in rows]


def _is_outdated(connection: Connection, job: Job) -> bool:
    """Whether a version of the same SOP Instance that came later was read first: that one stands."""
    came = select(instance.c.received_at).where(instance.c.id == job.instance_id).scalar_subquery()
    later = select(instance.c.id).where(
        instance.c.sop_instance_uid == job.sop_instance_uid,
        instance.c.id != job.instance_id,
        instance.c.is_current == 1,
        instance.c.received_at > came,
    )
    return connection.execute(later.limit(1)).first() is not None


def _outcome_values(
    job: Job, reading: FinishedReading, now: float, *, outdated: bool
) -> dict[str, object]:
    findings = reading.findings
    detail = "a version of this image that came later stands" if outdated else reading.detail
    return {
        "state": "done",
        "revision": job.revision,
        "is_current": int(reading.same_as is None and not outdated),
        "same_as": reading.same_as,
        "pixel_digest": reading.pixel_digest,
        "header_digest": reading.header_digest,
        "findings": dump_findings(findings),
        "outcome": str(findings.outcome),
        "reason": str(findings.reason) if findings.reason else None,
        "model": findings.model.digest,
        "detail": detail or findings.detail,
        "finished_at": now,
    }


def _study_image(row: RowMapping) -> StudyImage:
    return StudyImage(
        instance_id=row["id"],
        sop_instance_uid=row["sop_instance_uid"],
        sop_class_uid=row["sop_class_uid"],
        pixel_digest=row["pixel_digest"],
        header_digest=row["header_digest"],
        findings=load_findings(row["findings"]),
    )
