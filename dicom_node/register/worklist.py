"""The worklist's rows in the register: a copy of ledger and headers, made again at any time."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime

from sqlalchemy import Connection, RowMapping, bindparam, delete, func, select
from sqlalchemy.dialects.sqlite import insert as insert_or_update

from dicom_node.register.register import Register
from dicom_node.register.tables import verdict, worklist, worklist_progress
from dicom_node.register.worklist_study import (
    StudyHeader,
    WorklistStudy,
    delivery_rank,
    outcome_rank,
)

_ONE = 1
# Stands between the parts of what is searched; nobody can type it.
EDGE = "\n"


def search_text(*parts: str) -> str:
    """What a search looks through: the parts between edges, letter case aside."""
    return f"{EDGE}{EDGE.join(part for part in parts if part)}{EDGE}".casefold()


class Worklist:
    """Written by the follower alone."""

    def __init__(self, register: Register) -> None:
        self._register = register

    def last_change(self) -> int:
        """The number of the ledger's last change that is in it."""
        with self._register.read() as connection:
            return connection.execute(select(worklist_progress.c.last_change)).scalar() or 0

    def clear(self) -> None:
        """Forgets all of it, to be made again."""
        with self._register.transaction() as connection:
            connection.execute(delete(worklist))
            connection.execute(delete(worklist_progress))

    def headers(self, study_uids: Sequence[str]) -> dict[str, tuple[str, StudyHeader]]:
        """What is known of these studies' headers, and of which instance it was read."""
        chosen = select(worklist).where(worklist.c.study_instance_uid.in_(study_uids))
        with self._register.read() as connection:
            return {
                row["study_instance_uid"]: (row["header_of"], _header(row))
                for row in connection.execute(chosen).mappings()
            }

    def write(
        self,
        lines: Sequence[tuple[WorklistStudy, str]],
        removed: Sequence[str],
        last_change: int,
    ) -> None:
        """Lines, each with the instance that its header is of, and how far the ledger is followed: at once."""
        with self._register.transaction() as connection:
            if removed:
                # One by one: they may be more than a statement can name.
                connection.execute(
                    delete(worklist).where(worklist.c.study_instance_uid == bindparam("uid")),
                    [{"uid": uid} for uid in removed],
                )
            if lines:
                verdicts = verdicts_of(connection, [line.study_instance_uid for line, _ in lines])
                _upsert(connection, [_values(line, header_of, verdicts) for line, header_of in lines])
            connection.execute(
                insert_or_update(worklist_progress)
                .values(id=_ONE, last_change=last_change)
                .on_conflict_do_update(index_elements=["id"], set_={"last_change": last_change})
            )

    def studies(self) -> set[str]:
        """Every study that it lists."""
        with self._register.read() as connection:
            return set(connection.execute(select(worklist.c.study_instance_uid)).scalars())


def verdicts_of(connection: Connection, study_uids: Iterable[str]) -> dict[str, str]:
    """What people say of studies: "disagrees" as soon as one verdict that stands does."""
    chosen = (
        select(verdict.c.study_instance_uid, func.min(verdict.c.agrees))
        .where(verdict.c.study_instance_uid.in_(list(study_uids)), verdict.c.stands == 1)
        .group_by(verdict.c.study_instance_uid)
    )
    return {uid: "agrees" if agrees else "disagrees" for uid, agrees in connection.execute(chosen)}


def line_of(row: RowMapping) -> WorklistStudy:
    """A row of the table as a line."""
    return WorklistStudy(
        study_instance_uid=row["study_instance_uid"],
        header=_header(row),
        modalities=tuple(row["modalities"].split()),
        calling_ae_title=row["calling_ae_title"],
        images=row["images"],
        unread=row["unread"],
        revision=row["revision"],
        first_received_at=datetime.fromtimestamp(row["first_received_at"], UTC),
        last_received_at=datetime.fromtimestamp(row["last_received_at"], UTC),
        outcome=row["outcome"],
        outcomes=json.loads(row["outcomes"]),
        reasons=row["reasons"],
        body_parts=tuple(row["body_parts"].split()),
        probability=row["probability"],
        priority=row["priority"],
        delivery_state=row["delivery_state"],
        deliveries=json.loads(row["deliveries"]),
        verdict=row["verdict"],
    )


def _header(row: RowMapping) -> StudyHeader:
    return StudyHeader(
        row["patient_name"],
        row["patient_id"],
        row["accession_number"],
        row["study_description"],
        row["study_date"],
    )


def _values(line: WorklistStudy, header_of: str, verdicts: Mapping[str, str]) -> dict[str, object]:
    header = line.header
    return {
        "study_instance_uid": line.study_instance_uid,
        "patient_name": header.patient_name,
        "patient_id": header.patient_id,
        "accession_number": header.accession_number,
        "study_description": header.study_description,
        "study_date": header.study_date,
        "header_of": header_of,
        "modalities": " ".join(line.modalities),
        "calling_ae_title": line.calling_ae_title,
        "images": line.images,
        "unread": line.unread,
        "revision": line.revision,
        "first_received_at": line.first_received_at.timestamp(),
        "last_received_at": line.last_received_at.timestamp(),
        "outcome": line.outcome,
        "outcome_rank": outcome_rank(line.outcome),
        "outcomes": json.dumps(dict(line.outcomes)),
        "reasons": line.reasons,
        "body_parts": " ".join(line.body_parts),
        "probability": line.probability,
        "probability_rank": -1.0 if line.probability is None else line.probability,
        "priority": line.priority,
        "priority_rank": -line.priority,
        "delivery_state": line.delivery_state,
        "delivery_rank": delivery_rank(line.delivery_state),
        "deliveries": json.dumps(dict(line.deliveries)),
        "verdict": verdicts.get(line.study_instance_uid, ""),
        "search": search_text(
            header.patient_name,
            header.patient_name.replace("^", " ").strip(),
            header.patient_id,
            header.accession_number,
            header.study_description,
            line.calling_ae_title,
            line.study_instance_uid,
        ),
    }  # fmt: skip


def _upsert(connection: Connection, rows: list[dict[str, object]]) -> None:
    statement = insert_or_update(worklist)
    changed = {name: statement.excluded[name] for name in rows[0] if name != "study_instance_uid"}
    connection.execute(
        statement.on_conflict_do_update(index_elements=["study_instance_uid"], set_=changed), rows
    )
