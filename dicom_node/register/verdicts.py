"""What radiologists say of readings: kept for ever, the last of each person on each image stands."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum

from sqlalchemy import RowMapping, Select, insert, select, update

from dicom_node.register.register import Register
from dicom_node.register.tables import verdict
from pipeline.geometry import Box


class FractureWord(StrEnum):
    """What is there, by the radiologist."""

    PRESENT = "present"
    ABSENT = "absent"
    CANNOT_SAY = "cannot say"


@dataclass(frozen=True)
class Verdict:
    """One person's word on one image and its reading.

    Attributes:
        stands: false once the same person said something else of the same image.
        agrees: with the reading, place and all.
        boxes: where, half-open in the film's pixels; none unless a fracture is present.
        comment: for people here; never exported.
        outcome, probability, body_part, model: the reading that was judged.
        group_digest: whose film, without identity. film_path: its pixels, relative to the data folder; "" where
            none may be kept, because words are burned in.
    """

    id: str
    at: datetime
    person: str
    study_instance_uid: str
    instance_id: str
    sop_instance_uid: str
    pixel_digest: str
    agrees: bool
    fracture: FractureWord
    boxes: tuple[Box, ...]
    comment: str
    outcome: str
    probability: float | None
    body_part: str
    model: str
    group_digest: str
    film_path: str
    stands: bool = True


@dataclass(frozen=True)
class Wanted:
    """Which verdicts; None does not choose. `before`: only those given earlier than that one."""

    person: str | None = None
    study_instance_uid: str | None = None
    instance_id: str | None = None
    fracture: FractureWord | None = None
    agrees: bool | None = None
    standing_only: bool = True
    before: str | None = None


class Verdicts:
    """Adds and reads; only `stands` of an older one ever changes."""

    def __init__(self, register: Register) -> None:
        self._register = register

    def give(self, given: Verdict) -> None:
        """Keeps a verdict, on disk when it returns; the same person's older one on the same film stands no more.

        Raises:
            LedgerError: it was not written.
        """
        with self._register.transaction() as connection:
            connection.execute(
                update(verdict)
                .where(
                    verdict.c.person == given.person,
                    verdict.c.sop_instance_uid == given.sop_instance_uid,
                    verdict.c.pixel_digest == given.pixel_digest,
                )
                .values(stands=0)
            )
            connection.execute(insert(verdict).values(**_row(given)))

    def latest(self, wanted: Wanted = Wanted(), limit: int = 1000) -> list[Verdict]:
        """The latest first."""
        chosen = _chosen(wanted).order_by(verdict.c.at.desc(), verdict.c.id.desc()).limit(limit)
        with self._register.read() as connection:
            return [_verdict(row) for row in connection.execute(chosen).mappings()]

    def of_film(self, sop_instance_uid: str, pixel_digest: str) -> list[Verdict]:
        """Every verdict on a film, the latest first, also those that stand no more."""
        chosen = (
            select(verdict)
            .where(
                verdict.c.sop_instance_uid == sop_instance_uid, verdict.c.pixel_digest == pixel_digest
            )
            .order_by(verdict.c.at.desc(), verdict.c.id.desc())
        )
        with self._register.read() as connection:
            return [_verdict(row) for row in connection.execute(chosen).mappings()]

    def standing(self) -> list[Verdict]:
        """All that stand, the latest first: what an export is made from."""
        chosen = select(verdict).where(verdict.c.stands == 1)
        with self._register.read() as connection:
            rows: Sequence[RowMapping] = (
                connection.execute(chosen.order_by(verdict.c.at.desc(), verdict.c.id.desc()))
                .mappings()
                .all()
            )
        return [_verdict(row) for row in rows]


def _chosen(wanted: Wanted) -> Select[tuple[object, ...]]:
    chosen = select(verdict)
    if wanted.standing_only:
        chosen = chosen.where(verdict.c.stands == 1)
    for column, value in (
        (verdict.c.person, wanted.person),
        (verdict.c.study_instance_uid, wanted.study_instance_uid),
        (verdict.c.instance_id, wanted.instance_id),
        (verdict.c.fracture, None if wanted.fracture is None else str(wanted.fracture)),
        (verdict.c.agrees, None if wanted.agrees is None else int(wanted.agrees)),
    ):
        if value is not None:
            chosen = chosen.where(column == value)
    if wanted.before is not None:
        then = select(verdict.c.at).where(verdict.c.id == wanted.before).scalar_subquery()
        earlier = (verdict.c.at == then) & (verdict.c.id < wanted.before)
        chosen = chosen.where((verdict.c.at < then) | earlier)
    return chosen


def _row(given: Verdict) -> dict[str, object]:
    return {
        "id": given.id,
        "at": given.at.timestamp(),
        "person": given.person,
        "study_instance_uid": given.study_instance_uid,
        "instance_id": given.instance_id,
        "sop_instance_uid": given.sop_instance_uid,
        "pixel_digest": given.pixel_digest,
        "stands": int(given.stands),
        "agrees": int(given.agrees),
        "fracture": str(given.fracture),
        "boxes": json.dumps(given.boxes),
        "comment": given.comment,
        "outcome": given.outcome,
        "probability": given.probability,
        "body_part": given.body_part,
        "model": given.model,
        "group_digest": given.group_digest,
        "film_path": given.film_path,
    }


def _verdict(row: RowMapping) -> Verdict:
    return Verdict(
        id=row["id"],
        at=datetime.fromtimestamp(row["at"], UTC),
        person=row["person"],
        study_instance_uid=row["study_instance_uid"],
        instance_id=row["instance_id"],
        sop_instance_uid=row["sop_instance_uid"],
        pixel_digest=row["pixel_digest"],
        agrees=bool(row["agrees"]),
        fracture=FractureWord(row["fracture"]),
        boxes=tuple((box[0], box[1], box[2], box[3]) for box in json.loads(row["boxes"])),
        comment=row["comment"],
        outcome=row["outcome"],
        probability=row["probability"],
        body_part=row["body_part"],
        model=row["model"],
        group_digest=row["group_digest"],
        film_path=row["film_path"],
        stands=bool(row["stands"]),
    )
