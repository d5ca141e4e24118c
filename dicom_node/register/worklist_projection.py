"""What the ledger says of studies, as one line each."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from sqlalchemy import Connection, RowMapping, func, select

from dicom_node.register.worklist_study import (
    DELIVERY_STATES,
    OUTCOMES,
    StudyHeader,
    WorklistStudy,
)
from dicom_node.work.tables import (
    delivery,
    delivery_commitment,
    instance,
    result_object,
    study_revision,
)
from pipeline.findings import NotProcessed

_CANCELLED = "Reading cancelled"
_MOST_REASON = 300


@dataclass(frozen=True)
class LedgerStudy:
    """A line without what only a film's header tells, and the film that is to tell it."""

    line: WorklistStudy
    header_of: str
    spool_path: str

    def with_header(self, header: StudyHeader) -> WorklistStudy:
        """The whole line."""
        return replace(self.line, header=header)


def studies_in_ledger(connection: Connection, study_uids: Sequence[str]) -> list[LedgerStudy]:
    """Those of these studies that the ledger has images of."""
    images = _images(connection, study_uids)
    deliveries = _deliveries(connection, study_uids)
    revisions = _revisions(connection, study_uids)
    return [
        _study(uid, images[uid], deliveries[uid], revisions.get(uid))
        for uid in study_uids
        if uid in images
    ]


def _images(connection: Connection, uids: Sequence[str]) -> dict[str, list[RowMapping]]:
    kept = instance.c
    chosen = (
        select(
            kept.id, kept.sop_instance_uid, kept.study_instance_uid, kept.spool_path,
            kept.calling_ae_title, kept.priority, kept.modality, kept.received_at, kept.state,
            kept.is_current, kept.outcome, kept.reason, kept.detail,
            func.json_extract(kept.findings, "$.fracture_probability").label("probability"),
            func.json_extract(kept.findings, "$.body_part.name").label("body_part"),
        )
        .where(kept.study_instance_uid.in_(uids))
        .order_by(kept.received_at, kept.id)
    )  # fmt: skip
    found: dict[str, list[RowMapping]] = defaultdict(list)
    for row in connection.execute(chosen).mappings():
        found[row["study_instance_uid"]].append(row)
    return found


def _deliveries(connection: Connection, uids: Sequence[str]) -> dict[str, Counter[str]]:
    chosen = (
        select(
            result_object.c.study_instance_uid,
            delivery.c.state,
            delivery_commitment.c.state.label("commitment"),
            func.count().label("count"),
        )
        .join(delivery, delivery.c.sop_instance_uid == result_object.c.sop_instance_uid)
        .outerjoin(delivery_commitment, delivery_commitment.c.delivery_id == delivery.c.id)
        .where(result_object.c.study_instance_uid.in_(uids), delivery.c.state != "replaced")
        .group_by(result_object.c.study_instance_uid, delivery.c.state, delivery_commitment.c.state)
    )
    found: dict[str, Counter[str]] = defaultdict(Counter)
    for row in connection.execute(chosen).mappings():
        found[row["study_instance_uid"]][_delivery_state(row)] += row["count"]
    return found


def _delivery_state(row: RowMapping) -> str:
    if row["state"] == "delivered" and row["commitment"] == "committed":
        return "committed"
    if row["state"] == "delivered" and row["commitment"] in ("not committed", "never committed"):
        return "not committed"
    return str(row["state"])


def _revisions(connection: Connection, uids: Sequence[str]) -> dict[str, RowMapping]:
    chosen = (
        select(study_revision)
        .where(study_revision.c.study_instance_uid.in_(uids))
        .order_by(study_revision.c.revision)
    )
    return {row["study_instance_uid"]: row for row in connection.execute(chosen).mappings()}


def _study(
    uid: str, rows: list[RowMapping], deliveries: Counter[str], revision: RowMapping | None
) -> LedgerStudy:
    standing = _standing(rows)
    shown = standing or rows
    outcomes = Counter(_outcome(row) for row in standing)
    outcome = next((one for one in OUTCOMES if one in outcomes), "no image left")
    failed = revision is not None and revision["state"] == "failed"
    if failed:
        deliveries = deliveries + Counter({"not composed": 1})
    last = max(shown, key=lambda row: (row["is_current"], row["received_at"]))
    line = WorklistStudy(
        study_instance_uid=uid,
        header=StudyHeader(),
        modalities=tuple(sorted({row["modality"] for row in shown if row["modality"]})),
        calling_ae_title=last["calling_ae_title"],
        images=len(standing),
        unread=outcomes["being read"],
        revision=revision["revision"] if revision else 0,
        first_received_at=_time(min(row["received_at"] for row in rows)),
        last_received_at=_time(max(row["received_at"] for row in rows)),
        outcome=outcome,
        outcomes=dict(outcomes),
        reasons=_reasons(standing, revision),
        body_parts=tuple(sorted({row["body_part"] for row in standing if row["body_part"]})),
        probability=max(
            (row["probability"] for row in standing if row["probability"] is not None), default=None
        ),
        priority=min(row["priority"] for row in shown),
        delivery_state=next((one for one in DELIVERY_STATES if one in deliveries), "none"),
        deliveries=dict(deliveries),
    )
    return LedgerStudy(line, last["id"], last["spool_path"])


def _standing(rows: Iterable[RowMapping]) -> list[RowMapping]:
    """The version that counts of each image. Results that came back count only where there is nothing else."""
    found: dict[str, RowMapping] = {}
    # A version whose reading was taken back counts only where there is no other.
    for row in sorted(rows, key=lambda row: row["state"] != "cancelled"):
        if row["state"] != "done" or row["is_current"]:
            found[row["sop_instance_uid"]] = row
    own = str(NotProcessed.OWN_RESULT)
    return [row for row in found.values() if row["reason"] != own] or list(found.values())


def _outcome(row: RowMapping) -> str:
    if row["state"] == "received":
        return "being read"
    return "not processed" if row["state"] == "cancelled" else str(row["outcome"])


def _reasons(standing: Iterable[RowMapping], revision: Mapping[str, str] | RowMapping | None) -> str:
    """Why something was not read or not composed; each reason once."""
    words: dict[str, None] = {}
    for row in standing:
        if row["state"] == "cancelled":
            words[_CANCELLED] = None
        elif row["state"] == "done" and row["reason"]:
            meaning = NotProcessed.of_code(row["reason"]).meaning
            words[f"{meaning}: {row['detail']}" if row["detail"] else meaning] = None
    if revision is not None and revision["state"] in ("failed", "no image left"):
        what = "No report" if revision["state"] == "failed" else "No image left"
        words[f"{what}: {revision['detail']}" if revision["detail"] else what] = None
    return "; ".join(words)[:_MOST_REASON]


def _time(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
