"""What a delivery is of: its destination, its study's revision."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import select

from dicom_node.records import SopReference
from dicom_node.work.ledger import Ledger
from dicom_node.work.tables import delivery, result_object, sending


class DeliveryLookup:
    """Questions about one delivery."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    def destination_of(self, delivery_id: str) -> str | None:
        """The destination's name; None if the delivery is gone."""
        with self._ledger.read() as connection:
            found = select(delivery.c.destination).where(delivery.c.id == delivery_id)
            return connection.execute(found).scalar()

    def begun(self, delivery_ids: Sequence[str]) -> dict[str, SopReference]:
        """Those of these deliveries whose sending was begun before, by their id: the destination may have them."""
        with self._ledger.read() as connection:
            found = (
                select(delivery.c.id, result_object)
                .join(sending, sending.c.delivery_id == delivery.c.id)
                .join(result_object, result_object.c.sop_instance_uid == delivery.c.sop_instance_uid)
                .where(delivery.c.id.in_(delivery_ids))
            )
            return {
                row.id: SopReference(
                    row.study_instance_uid,
                    row.series_instance_uid,
                    row.sop_class_uid,
                    row.sop_instance_uid,
                )
                for row in connection.execute(found)
            }

    def kind_of(self, sop_instance_uid: str) -> str:
        """The object's kind, in the settings' words; "" if it is gone."""
        with self._ledger.read() as connection:
            found = select(result_object.c.kind).where(
                result_object.c.sop_instance_uid == sop_instance_uid
            )
            return connection.execute(found).scalar() or ""

    def report_of(self, sop_instance_uid: str) -> tuple[str, int] | None:
        """Study and revision of a report; None if the object is no report."""
        with self._ledger.read() as connection:
            found = select(result_object).where(
                result_object.c.sop_instance_uid == sop_instance_uid, result_object.c.kind == "sr"
            )
            row = connection.execute(found).first()
        return None if row is None else (row.study_instance_uid, row.revision)
