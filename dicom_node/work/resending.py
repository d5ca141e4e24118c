"""Sending again what was sent before: the same bytes under the same UIDs."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import ColumnElement, and_, delete, or_, select, update

from dicom_node.records import DeliveryState
from dicom_node.work.commitments import CommitmentState
from dicom_node.work.deliveries import DeliveryQueue
from dicom_node.work.ledger import Ledger
from dicom_node.work.standing import stands
from dicom_node.work.tables import delivery, delivery_commitment, instance, result_object, sending

_AGAIN = (
    DeliveryState.DELIVERED,
    DeliveryState.PARKED,
    DeliveryState.WAITING,
    DeliveryState.CANCELLED,
)


class Resending:
    """What stands of an image or a study goes to its destinations again; what was replaced does not."""

    def __init__(self, ledger: Ledger, deliveries: DeliveryQueue) -> None:
        self._ledger, self._deliveries = ledger, deliveries

    def of_image(self, instance_id: str, at: datetime) -> int:
        """What was made of an image, and of its study as a whole; returns how many deliveries."""
        study_uid = (
            select(instance.c.study_instance_uid).where(instance.c.id == instance_id).scalar_subquery()
        )
        of_study = and_(
            result_object.c.study_instance_uid == study_uid, result_object.c.instance_id.is_(None)
        )
        return self._send(or_(result_object.c.instance_id == instance_id, of_study), at)

    def of_study(self, study_uid: str, at: datetime) -> int:
        """All that was made of a study; returns how many deliveries."""
        return self._send(result_object.c.study_instance_uid == study_uid, at)

    def _send(self, concerned: ColumnElement[bool], at: datetime) -> int:
        chosen = (
            select(delivery.c.id)
            .join(result_object, result_object.c.sop_instance_uid == delivery.c.sop_instance_uid)
            .where(concerned, stands(), delivery.c.state.in_(_AGAIN))
            .order_by(delivery.c.created_at)
        )
        now = at.timestamp()
        with self._ledger.transaction() as connection:
            ids = list(connection.execute(chosen).scalars())
            # Whoever asks for it means the bytes: the archive is not asked first whether it has them.
            connection.execute(delete(sending).where(sending.c.delivery_id.in_(ids)))
            connection.execute(
                update(delivery_commitment)
                .where(
                    delivery_commitment.c.delivery_id.in_(ids),
                    delivery_commitment.c.state.in_(
                        [CommitmentState.NOT_COMMITTED, CommitmentState.NEVER_COMMITTED]
                    ),
                )
                .values(state=CommitmentState.SENT_AGAIN, ended_at=now)
            )
            return self._deliveries.requeue(connection, ids, anew_at=now)
