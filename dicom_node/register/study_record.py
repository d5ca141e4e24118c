"""A study as its page tells it: films, readings, objects, deliveries, and when each thing happened."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime

from sqlalchemy import ColumnElement, Connection, RowMapping, select

from dicom_node.work.ledger import Ledger
from dicom_node.work.tables import (
    delivery,
    delivery_commitment,
    instance,
    rejection,
    result_object,
    study_revision,
)
from pipeline.findings import ImageFindings, load_findings


@dataclass(frozen=True)
class StudyFilm:
    """One version of one image. `is_current`: its reading is the one that stands."""

    id: str
    sop_instance_uid: str
    sop_class_uid: str
    study_instance_uid: str
    series_instance_uid: str
    transfer_syntax_uid: str
    modality: str
    calling_ae_title: str
    called_ae_title: str
    address: str
    byte_count: int
    priority: int
    state: str
    revision: int | None
    is_current: bool
    same_as: str | None
    pixel_digest: str
    spool_path: str
    findings: ImageFindings | None
    detail: str
    received_at: datetime
    begun_at: datetime | None
    finished_at: datetime | None


@dataclass(frozen=True)
class ObjectDelivery:
    """One object to one destination; `commitment` is "" where none was asked for."""

    id: str
    destination: str
    state: str
    attempts: int
    detail: str
    created_at: datetime
    next_attempt_at: datetime | None
    ended_at: datetime | None
    commitment: str
    commitment_detail: str
    commitment_ended_at: datetime | None
    retired_at: datetime | None


@dataclass(frozen=True)
class StudyObject:
    """One object that was made of a study; `instance_id` is None for those of the whole study."""

    sop_instance_uid: str
    kind: str
    sop_class_uid: str
    series_instance_uid: str
    study_instance_uid: str
    transfer_syntax_uid: str
    instance_id: str | None
    revision: int
    path: str
    digest: str
    byte_count: int
    created_at: datetime
    deliveries: tuple[ObjectDelivery, ...]


@dataclass(frozen=True)
class StudyRevision:
    """The findings of the study, closed once."""

    revision: int
    closed_at: datetime
    state: str
    detail: str


@dataclass(frozen=True)
class StudyRecord:
    """All of a study, in the order of arrival."""

    study_instance_uid: str
    films: tuple[StudyFilm, ...]
    objects: tuple[StudyObject, ...]
    revisions: tuple[StudyRevision, ...]

    def film(self, instance_id: str) -> StudyFilm | None:
        """One of its films."""
        return next((film for film in self.films if film.id == instance_id), None)

    @property
    def standing(self) -> tuple[StudyFilm, ...]:
        """What the study consists of now: neither replaced nor a repetition; all of it where nothing is read yet."""
        now = tuple(film for film in self.films if film.is_current or film.state == "received")
        return now or self.films


class StudyRecords:
    """Reads the ledger only."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    def study(self, study_instance_uid: str) -> StudyRecord | None:
        """A study; None where nothing of it is known (any more)."""
        of_study = instance.c.study_instance_uid == study_instance_uid
        chosen = select(instance).where(of_study).order_by(instance.c.received_at)
        closed = (
            select(study_revision)
            .where(study_revision.c.study_instance_uid == study_instance_uid)
            .order_by(study_revision.c.revision)
        )
        with self._ledger.read() as connection:
            films = tuple(_film(row) for row in connection.execute(chosen).mappings())
            if not films:
                return None
            revisions = tuple(
                StudyRevision(row.revision, _time(row.closed_at), row.state, row.detail)
                for row in connection.execute(closed)
            )
            objects = _objects(connection, result_object.c.study_instance_uid == study_instance_uid)
        return StudyRecord(study_instance_uid, films, objects, revisions)

    def film(self, instance_id: str) -> StudyFilm | None:
        """One image, by its job's id."""
        chosen = select(instance).where(instance.c.id == instance_id)
        with self._ledger.read() as connection:
            row = connection.execute(chosen).mappings().first()
        return None if row is None else _film(row)

    def known(self, instance_ids: Collection[str]) -> frozenset[str]:
        """Which of these images the ledger still has."""
        chosen = select(instance.c.id).where(instance.c.id.in_(instance_ids))
        with self._ledger.read() as connection:
            return frozenset(connection.execute(chosen).scalars())

    def object(self, sop_instance_uid: str) -> StudyObject | None:
        """One object, by its SOP Instance UID."""
        with self._ledger.read() as connection:
            found = _objects(connection, result_object.c.sop_instance_uid == sop_instance_uid)
        return found[0] if found else None


def _objects(connection: Connection, which: ColumnElement[bool]) -> tuple[StudyObject, ...]:
    """Objects with their deliveries, as they were made: two queries however many there are."""
    chosen = select(result_object).where(which).order_by(result_object.c.created_at)
    sent = (
        select(
            delivery,
            delivery_commitment.c.state.label("commitment"),
            delivery_commitment.c.detail.label("commitment_detail"),
            delivery_commitment.c.ended_at.label("commitment_ended_at"),
            rejection.c.at.label("retired_at"),
        )
        .join(result_object, result_object.c.sop_instance_uid == delivery.c.sop_instance_uid)
        .outerjoin(delivery_commitment, delivery_commitment.c.delivery_id == delivery.c.id)
        .outerjoin(
            rejection,
            (rejection.c.sop_instance_uid == delivery.c.sop_instance_uid)
            & (rejection.c.destination == delivery.c.destination),
        )
        .where(which)
        .order_by(delivery.c.created_at, delivery.c.destination)
    )
    deliveries: dict[str, list[ObjectDelivery]] = defaultdict(list)
    for row in connection.execute(sent).mappings():
        deliveries[row["sop_instance_uid"]].append(_delivery(row))
    rows: Iterable[RowMapping] = connection.execute(chosen).mappings()
    return tuple(_object(row, deliveries[row["sop_instance_uid"]]) for row in rows)


def _object(row: RowMapping, deliveries: list[ObjectDelivery]) -> StudyObject:
    return StudyObject(
        sop_instance_uid=row["sop_instance_uid"],
        kind=row["kind"],
        sop_class_uid=row["sop_class_uid"],
        series_instance_uid=row["series_instance_uid"],
        study_instance_uid=row["study_instance_uid"],
        transfer_syntax_uid=row["transfer_syntax_uid"],
        instance_id=row["instance_id"],
        revision=row["revision"],
        path=row["path"],
        digest=row["digest"],
        byte_count=row["byte_count"],
        created_at=_time(row["created_at"]),
        deliveries=tuple(deliveries),
    )


def _delivery(row: RowMapping) -> ObjectDelivery:
    return ObjectDelivery(
        id=row["id"],
        destination=row["destination"],
        state=row["state"],
        attempts=row["attempts"],
        detail=row["detail"],
        created_at=_time(row["created_at"]),
        next_attempt_at=_maybe(row["next_attempt_at"]),
        ended_at=_maybe(row["ended_at"]),
        commitment=row["commitment"] or "",
        commitment_detail=row["commitment_detail"] or "",
        commitment_ended_at=_maybe(row["commitment_ended_at"]),
        retired_at=_maybe(row["retired_at"]),
    )


def _film(row: RowMapping) -> StudyFilm:
    return StudyFilm(
        id=row["id"],
        sop_instance_uid=row["sop_instance_uid"],
        sop_class_uid=row["sop_class_uid"],
        study_instance_uid=row["study_instance_uid"],
        series_instance_uid=row["series_instance_uid"],
        transfer_syntax_uid=row["transfer_syntax_uid"],
        modality=row["modality"],
        calling_ae_title=row["calling_ae_title"],
        called_ae_title=row["called_ae_title"],
        address=row["address"],
        byte_count=row["byte_count"],
        priority=row["priority"],
        state=row["state"],
        revision=row["revision"],
        is_current=bool(row["is_current"]),
        same_as=row["same_as"],
        pixel_digest=row["pixel_digest"] or "",
        spool_path=row["spool_path"],
        findings=load_findings(row["findings"]) if row["findings"] else None,
        detail=row["detail"],
        received_at=_time(row["received_at"]),
        begun_at=_maybe(row["begun_at"]),
        finished_at=_maybe(row["finished_at"]),
    )


def _maybe(seconds: float | None) -> datetime | None:
    return None if seconds is None else _time(seconds)


def _time(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
