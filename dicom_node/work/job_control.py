"""What people may do with a job: try again, or take it back."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import select, update

from dicom_node.records import Priority
from dicom_node.work.deliveries import DeliveryQueue
from dicom_node.work.engine import WorkEngine
from dicom_node.work.intake import ANALYSE
from dicom_node.work.ledger import Ledger
from dicom_node.work.readings import Readings
from dicom_node.work.resending import Resending
from dicom_node.work.study_gathering import StudyGathering
from dicom_node.work.tables import instance, result_object
from dicom_node.work.urgency import Urgency, priority_words
from pipeline.findings import NotProcessed


class JobControl:
    """Acts on one image and everything that was made of it."""

    def __init__(self, ledger: Ledger, engine: WorkEngine) -> None:
        self._ledger, self._engine = ledger, engine
        self._deliveries = DeliveryQueue(ledger, engine)
        self._readings = Readings(ledger, engine, self._deliveries)
        self._gathering = StudyGathering(ledger, engine, self._deliveries)
        self._resending = Resending(ledger, self._deliveries)
        self._urgency = Urgency(ledger, engine, self._deliveries)

    def retry(self, instance_id: str, at: datetime, *, read_again: bool = False) -> str:
        """Reads anew what could not be read or was cancelled, composes anew a report that failed, else sends
        anew what did not arrive. With `read_again`, reads anew whatever it said."""
        with self._ledger.read() as connection:
            row = connection.execute(
                select(instance.c.state, instance.c.reason, instance.c.study_instance_uid).where(
                    instance.c.id == instance_id
                )
            ).one()
        if row.state == "received":
            return "still in work; nothing to retry"
        failed = row.reason is not None and NotProcessed.of_code(row.reason).attempted
        if read_again or failed or row.state == "cancelled":
            self._readings.read_again(instance_id, at)
            return "read again"
        composed = self._gathering.compose_failed_again(row.study_instance_uid)
        with self._ledger.transaction() as connection:
            count = self._deliveries.wake(connection, instance_id, at)
        if not count and not composed:
            return "everything arrived; nothing to retry"
        return f"{count} deliveries go again" + (", the report is composed again" if composed else "")

    def cancel(self, instance_id: str, at: datetime) -> str:
        """Takes back an image's reading and the deliveries made of it alone that have not ended."""
        now = at.timestamp()
        with self._ledger.transaction() as connection:
            reading = connection.execute(
                update(instance)
                .where(instance.c.id == instance_id, instance.c.state == "received")
                .values(state="cancelled", finished_at=now, detail="cancelled")
                .returning(instance.c.round)
            ).first()
            own = select(result_object.c.sop_instance_uid).where(
                result_object.c.instance_id == instance_id
            )
            sending = self._deliveries.take_back(connection, own, now)
        work = [] if reading is None else [f"{ANALYSE}:{instance_id}:{reading.round}"]
        self._engine.cancel([*sending, *work])
        if not sending and not work:
            return "nothing left to cancel"
        return f"cancelled: {'reading, ' if reading else ''}{len(sending)} deliveries"

    def send_again(self, instance_id: str, at: datetime) -> str:
        """Sends what stands of an image and of its study again, byte for byte."""
        return f"{self._resending.of_image(instance_id, at)} deliveries go again"

    def set_priority(self, instance_id: str, priority: Priority) -> str:
        """Changes how urgent an image is, and the place of what waits."""
        chosen = select(instance.c.study_instance_uid).where(instance.c.id == instance_id)
        with self._ledger.read() as connection:
            study_uid = connection.execute(chosen).scalar_one()
        moved = self._urgency.change(study_uid, [instance_id], priority)
        return priority_words(priority, *moved)
