"""What people may do with a whole study: the same as with one image, for each that stands."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import datetime

from sqlalchemy import select

from dicom_node.records import Priority
from dicom_node.work.deliveries import DeliveryQueue
from dicom_node.work.engine import WorkEngine
from dicom_node.work.job_control import JobControl
from dicom_node.work.ledger import Ledger
from dicom_node.work.resending import Resending
from dicom_node.work.tables import instance, result_object
from dicom_node.work.urgency import Urgency, priority_words


class StudyControl:
    """Acts on a study that the ledger has; each answer says in words what was done."""

    def __init__(self, ledger: Ledger, engine: WorkEngine) -> None:
        self._ledger, self._engine = ledger, engine
        self._deliveries = deliveries = DeliveryQueue(ledger, engine)
        self._jobs = JobControl(ledger, engine)
        self._resending = Resending(ledger, deliveries)
        self._urgency = Urgency(ledger, engine, deliveries)

    def retry(self, study_uid: str, at: datetime, *, read_again: bool = False) -> str:
        """See `JobControl.retry`."""
        return _together(
            self._jobs.retry(one, at, read_again=read_again) for one in self._images(study_uid)
        )

    def cancel(self, study_uid: str, at: datetime) -> str:
        """Takes back its readings and all its deliveries that have not ended."""
        said = _together(self._jobs.cancel(one, at) for one in self._images(study_uid))
        reports = self._cancel_reports(study_uid, at)
        return f"{said}; {reports} deliveries of its reports" if reports else said

    def send_again(self, study_uid: str, at: datetime) -> str:
        """Sends all that stands of it again, byte for byte."""
        return f"{self._resending.of_study(study_uid, at)} deliveries go again"

    def set_priority(self, study_uid: str, priority: Priority) -> str:
        """Changes how urgent its images are, and the place of what waits."""
        readings, deliveries = self._urgency.change(study_uid, self._images(study_uid), priority)
        return priority_words(priority, readings, deliveries)

    def _images(self, study_uid: str) -> Sequence[str]:
        """The images that stand; one whose reading was taken back only where no other version does."""
        chosen = (
            select(instance.c.id, instance.c.sop_instance_uid, instance.c.state, instance.c.is_current)
            .where(instance.c.study_instance_uid == study_uid)
            .order_by(instance.c.received_at)
        )
        with self._ledger.read() as connection:
            rows = connection.execute(chosen).all()
        found: dict[str, str] = {}
        for row in sorted(rows, key=lambda row: row.state != "cancelled"):
            if row.state != "done" or row.is_current:
                found[row.sop_instance_uid] = row.id
        return list(found.values())

    def _cancel_reports(self, study_uid: str, at: datetime) -> int:
        of_study = select(result_object.c.sop_instance_uid).where(
            result_object.c.study_instance_uid == study_uid, result_object.c.instance_id.is_(None)
        )
        with self._ledger.transaction() as connection:
            work = self._deliveries.take_back(connection, of_study, at.timestamp())
        self._engine.cancel(work)
        return len(work)


def _together(said: Iterable[str]) -> str:
    """What was said of each image, the same only once."""
    counted = Counter(said)
    if not counted:
        return "no image left; nothing to do"
    if len(counted) == 1 and counted.total() == 1:
        return next(iter(counted))
    return "; ".join(f"{count} of {counted.total()}: {words}" for words, count in counted.items())
