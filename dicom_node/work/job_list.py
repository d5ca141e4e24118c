"""What became of every image and study: the ledger as people read it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from sqlalchemy import ColumnElement, Connection, RowMapping, exists, func, or_, select

from dicom_node.work.ledger import Ledger
from dicom_node.work.tables import (
    association,
    delivery,
    delivery_commitment,
    instance,
    notice,
    result_object,
    study,
    study_revision,
)
from pipeline.findings import ImageFindings, NotProcessed, load_findings


@dataclass(frozen=True)
class DeliveryLine:
    """One object to one destination, as shown; `commitment` is "" where none was asked for."""

    id: str
    kind: str
    destination: str
    state: str
    attempts: int
    status: int | None
    detail: str
    sop_instance_uid: str
    next_attempt_at: datetime | None
    commitment: str = ""
    commitment_detail: str = ""


@dataclass(frozen=True)
class ImageLine:
    """One received image, as shown."""

    id: str
    sop_instance_uid: str
    study_instance_uid: str
    calling_ae_title: str
    address: str
    modality: str
    byte_count: int
    priority: int
    received_at: datetime
    finished_at: datetime | None
    state: str
    revision: int | None
    same_as: str | None
    findings: ImageFindings | None
    detail: str
    deliveries: tuple[DeliveryLine, ...]

    @property
    def reason(self) -> NotProcessed | None:
        """Why it was not processed, if it was not."""
        return self.findings.reason if self.findings else None


@dataclass(frozen=True)
class StudyLine:
    """One closed revision of a study, as shown."""

    study_instance_uid: str
    revision: int
    closed_at: datetime
    images: int
    state: str
    detail: str
    deliveries: tuple[DeliveryLine, ...]


@dataclass(frozen=True)
class NoticeLine:
    """An instance that was refused, or taken and not kept."""

    at: datetime
    calling_ae_title: str
    address: str
    status: int
    text: str


@dataclass(frozen=True)
class PeerLine:
    """A peer's last association."""

    calling_ae_title: str
    address: str
    at: datetime
    accepted: bool
    reason: str
    stored: int
    refused: int


class JobList:
    """Reads only."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    def images(
        self,
        limit: int,
        *,
        state: str | None = None,
        prefix: str = "",
        study: str | None = None,
        before: datetime | None = None,
    ) -> list[ImageLine]:
        """The latest images first; `state` is one of the instance's or an outcome or a delivery's state."""
        chosen = select(instance).order_by(instance.c.received_at.desc()).limit(limit)
        if prefix:
            chosen = chosen.where(instance.c.id.startswith(prefix, autoescape=True))
        if study is not None:
            chosen = chosen.where(instance.c.study_instance_uid == study)
        if before is not None:
            chosen = chosen.where(instance.c.received_at < before.timestamp())
        if state:
            with_delivery = (
                select(result_object.c.instance_id)
                .join(delivery, delivery.c.sop_instance_uid == result_object.c.sop_instance_uid)
                .where(_delivery_is(state), result_object.c.instance_id.is_not(None))
            )
            chosen = chosen.where(
                or_(
                    instance.c.state == state,
                    instance.c.outcome == state,
                    instance.c.id.in_(with_delivery),
                )
            )
        with self._ledger.read() as connection:
            rows = connection.execute(chosen).mappings().all()
            return [_image_line(connection, row) for row in rows]

    def image(self, instance_id: str) -> ImageLine | None:
        """One image, by its whole id."""
        with self._ledger.read() as connection:
            chosen = select(instance).where(instance.c.id == instance_id)
            row = connection.execute(chosen).mappings().first()
            return None if row is None else _image_line(connection, row)

    def studies(
        self, limit: int, *, uid: str | None = None, state: str | None = None
    ) -> list[StudyLine]:
        """The latest closed revisions first; `state` is the revision's, or that of one of its deliveries."""
        chosen = select(study_revision).order_by(study_revision.c.closed_at.desc()).limit(limit)
        if uid is not None:
            chosen = chosen.where(study_revision.c.study_instance_uid == uid)
        if state is not None:
            with_delivery = (
                exists()
                .where(result_object.c.study_instance_uid == study_revision.c.study_instance_uid)
                .where(result_object.c.revision == study_revision.c.revision)
                .where(result_object.c.instance_id.is_(None))
                .where(delivery.c.sop_instance_uid == result_object.c.sop_instance_uid)
                .where(_delivery_is(state))
            )
            chosen = chosen.where(or_(study_revision.c.state == state, with_delivery))
        with self._ledger.read() as connection:
            rows = connection.execute(chosen).mappings().all()
            return [_study_line(connection, row) for row in rows]

    def notices(self, limit: int) -> list[NoticeLine]:
        """The latest refusals first."""
        chosen = select(notice).order_by(notice.c.at.desc()).limit(limit)
        with self._ledger.read() as connection:
            return [
                NoticeLine(_time(row.at), row.calling_ae_title, row.address, row.status, row.text)
                for row in connection.execute(chosen)
            ]

    def peers(self) -> list[PeerLine]:
        """The last association of each calling AE title."""
        last = select(func.max(association.c.id)).group_by(association.c.calling_ae_title)
        chosen = select(association).where(association.c.id.in_(last))
        with self._ledger.read() as connection:
            return [
                PeerLine(
                    row.calling_ae_title, row.address, _time(row.at), bool(row.accepted),
                    row.reason, row.stored, row.refused,
                )
                for row in connection.execute(chosen)
            ]  # fmt: skip

    def parked(self) -> int:
        """How many deliveries wait for somebody to look."""
        chosen = select(func.count()).select_from(delivery).where(delivery.c.state == "parked")
        with self._ledger.read() as connection:
            return int(connection.execute(chosen).scalar_one())

    def uncommitted(self) -> int:
        """How many deliveries their destination took no responsibility for, although it was asked."""
        chosen = (
            select(func.count())
            .select_from(delivery_commitment)
            .where(delivery_commitment.c.state.in_(["not committed", "never committed"]))
        )
        with self._ledger.read() as connection:
            return int(connection.execute(chosen).scalar_one())

    def awaiting_commitment(self) -> int:
        """How many deliveries arrived, and their destination's word that it keeps them is still to come."""
        chosen = (
            select(func.count())
            .select_from(delivery_commitment)
            .join(delivery, delivery.c.id == delivery_commitment.c.delivery_id)
            .where(
                delivery.c.state == "delivered",
                delivery_commitment.c.state.in_(["due", "asked", "sent again"]),
            )
        )
        with self._ledger.read() as connection:
            return int(connection.execute(chosen).scalar_one())

    def unfinished(self) -> int:
        """How much still goes on by itself: readings, open studies, deliveries queued or waiting.

        Not storage commitment, which an archive may answer at night: `awaiting_commitment` counts that.
        """
        counts = (
            select(func.count()).select_from(instance).where(instance.c.state == "received"),
            select(func.count()).select_from(study).where(study.c.opened_at.is_not(None)),
            select(func.count())
            .select_from(study_revision)
            .where(study_revision.c.state == "composing"),
            select(func.count())
            .select_from(delivery)
            .where(delivery.c.state.in_(["queued", "waiting"])),
        )
        with self._ledger.read() as connection:
            return sum(int(connection.execute(count).scalar_one()) for count in counts)


def _time(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


def _delivery_is(state: str) -> ColumnElement[bool]:
    """Whether a delivery, or its storage commitment, is in that state."""
    committed = select(delivery_commitment.c.delivery_id).where(delivery_commitment.c.state == state)
    return or_(delivery.c.state == state, delivery.c.id.in_(committed))


def _image_line(connection: Connection, row: RowMapping) -> ImageLine:
    return ImageLine(
        id=row["id"],
        sop_instance_uid=row["sop_instance_uid"],
        study_instance_uid=row["study_instance_uid"],
        calling_ae_title=row["calling_ae_title"],
        address=row["address"],
        modality=row["modality"],
        byte_count=row["byte_count"],
        priority=row["priority"],
        received_at=_time(row["received_at"]),
        finished_at=_time(row["finished_at"]) if row["finished_at"] else None,
        state=row["state"],
        revision=row["revision"],
        same_as=row["same_as"],
        findings=load_findings(row["findings"]) if row["findings"] else None,
        detail=row["detail"],
        deliveries=_deliveries(connection, result_object.c.instance_id == row["id"]),
    )


def _study_line(connection: Connection, row: RowMapping) -> StudyLine:
    of_revision = (
        (result_object.c.study_instance_uid == row["study_instance_uid"])
        & (result_object.c.revision == row["revision"])
        & result_object.c.instance_id.is_(None)
    )
    return StudyLine(
        study_instance_uid=row["study_instance_uid"],
        revision=row["revision"],
        closed_at=_time(row["closed_at"]),
        images=row["instance_ids"].count("[") - 1,
        state=row["state"],
        detail=row["detail"],
        deliveries=_deliveries(connection, of_revision),
    )


def _deliveries(connection: Connection, where: ColumnElement[bool]) -> tuple[DeliveryLine, ...]:
    chosen = (
        select(
            delivery,
            result_object.c.kind,
            delivery_commitment.c.state.label("commitment"),
            delivery_commitment.c.detail.label("commitment_detail"),
        )
        .join(result_object, result_object.c.sop_instance_uid == delivery.c.sop_instance_uid)
        .outerjoin(delivery_commitment, delivery_commitment.c.delivery_id == delivery.c.id)
        .where(where)
        .order_by(delivery.c.created_at)
    )
    rows: Sequence[RowMapping] = connection.execute(chosen).mappings().all()
    return tuple(delivery_line(row) for row in rows)


def delivery_line(row: RowMapping) -> DeliveryLine:
    """A row of a delivery with its object's kind and its commitment's state and detail."""
    return DeliveryLine(
        id=row["id"],
        kind=row["kind"],
        destination=row["destination"],
        state=row["state"],
        attempts=row["attempts"],
        status=row["status"],
        detail=row["detail"],
        sop_instance_uid=row["sop_instance_uid"],
        next_attempt_at=_time(row["next_attempt_at"]) if row["next_attempt_at"] else None,
        commitment=row["commitment"] or "",
        commitment_detail=row["commitment_detail"] or "",
    )
