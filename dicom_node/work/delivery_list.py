"""Deliveries of all studies, as people read them."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import ColumnElement, literal_column, select

from dicom_node.work.job_list import DeliveryLine, delivery_line
from dicom_node.work.ledger import Ledger
from dicom_node.work.tables import delivery, delivery_commitment, result_object

# SQLite's own number of a row: they grow as deliveries are added.
_NUMBER: ColumnElement[int] = literal_column("delivery.rowid")


@dataclass(frozen=True)
class DeliveryPage:
    """Deliveries, each with its study; `next` is where the page after it begins, None where nothing follows."""

    lines: tuple[tuple[DeliveryLine, str], ...]
    next: int | None


class DeliveryList:
    """Reads only."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    def page(
        self,
        limit: int,
        *,
        state: str | None = None,
        destination: str | None = None,
        before: int | None = None,
    ) -> DeliveryPage:
        """The latest first, below the number `before`."""
        chosen = (
            select(
                delivery,
                _NUMBER.label("number"),
                result_object.c.kind,
                result_object.c.study_instance_uid,
                delivery_commitment.c.state.label("commitment"),
                delivery_commitment.c.detail.label("commitment_detail"),
            )
            .join(result_object, result_object.c.sop_instance_uid == delivery.c.sop_instance_uid)
            .outerjoin(delivery_commitment, delivery_commitment.c.delivery_id == delivery.c.id)
            .order_by(_NUMBER.desc())
            .limit(limit + 1)
        )
        if state is not None:
            chosen = chosen.where(delivery.c.state == state)
        if destination is not None:
            chosen = chosen.where(delivery.c.destination == destination)
        if before is not None:
            chosen = chosen.where(before > _NUMBER)
        with self._ledger.read() as connection:
            rows = connection.execute(chosen).mappings().all()
        shown = rows[:limit]
        return DeliveryPage(
            tuple((delivery_line(row), row["study_instance_uid"]) for row in shown),
            shown[-1]["number"] if len(rows) > limit else None,
        )
