"""A node's ledger with objects for one archive, and the workers that deliver them and ask for commitment."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import Any

from pydicom.uid import ExplicitVRLittleEndian

from dicom_node.records import Priority, ResultKind, ResultObject
from dicom_node.settings import Settings
from dicom_node.storage_commitment import CommitmentAnswer
from dicom_node.work.commitment_worker import CommitmentWorker
from dicom_node.work.commitments import Commitments
from dicom_node.work.deliveries import NewDelivery
from dicom_node.work.delivery_lookup import DeliveryLookup
from dicom_node.work.delivery_worker import DeliveryWorker
from dicom_node.work.job_list import DeliveryLine, JobList
from dicom_node.work.outbox import Outbox
from dicom_node.work.readings import FinishedReading
from tests.delivering.committing_archive import SECONDARY_CAPTURE, CommittingArchive
from tests.phantoms import encode, phantom
from tests.receiving.running_scp import free_port
from tests.results.hand_made import NEGATIVE

from .conftest import Workplace


class NoReports:
    """No object is composed in another class here."""

    def recompose(self, *_: Any) -> bool:
        """Never."""
        return False


def made(uid: str) -> ResultObject:
    """A capture of this UID, as bytes that an archive takes."""
    ds = phantom()
    ds.SOPClassUID = ds.file_meta.MediaStorageSOPClassUID = SECONDARY_CAPTURE
    ds.SOPInstanceUID = ds.file_meta.MediaStorageSOPInstanceUID = uid
    return ResultObject(
        ResultKind.OVERLAY, SECONDARY_CAPTURE, uid, ds.SeriesInstanceUID, "1.2.3", ExplicitVRLittleEndian,
        encode(ds, ExplicitVRLittleEndian),
    )  # fmt: skip


@dataclass
class Site:
    """A node's ledger with objects for one archive, and the workers that deliver and ask."""

    place: Workplace
    archive: CommittingArchive
    uids: tuple[str, ...]
    more: dict[str, Any] = field(default_factory=dict)
    answer_seconds: float = 5.0

    def __post_init__(self) -> None:
        """An image, read, with an overlay of each UID."""
        self.place.receive("a")
        job = self.place.readings.begin(f"{'a':0>64}", self.place.now)
        assert job is not None
        outbox = Outbox(self.place.folder)
        results = [
            NewDelivery(one, outbox.store(one), "archive", 1, f"{'a':0>64}", Priority.ROUTINE)
            for one in map(made, self.uids)
        ]
        self.place.readings.finish(job, FinishedReading(NEGATIVE, "p", "h"), results, self.place.now)
        self.chance = random.Random(7)

    @property
    def settings(self) -> Settings:
        """One archive that is asked."""
        archive = {
            "name": "archive", "ae_title": self.archive.ae_title, "host": "127.0.0.1", "port": self.archive.port,
            "timeout_seconds": 5, "storage_commitment": True, **self.more,
        }  # fmt: skip
        node = {"data": self.place.folder, "port": free_port()}
        return Settings.model_validate({"node": node, "destinations": [archive]})

    def deliver(self) -> None:
        """Sends what is queued, after what waits was queued again."""
        self.place.deliveries.requeue_due(self.place.now.timestamp())
        worker = DeliveryWorker(
            self.settings, self.place.deliveries, DeliveryLookup(self.place.ledger), NoReports(),  # type: ignore[arg-type]
            Outbox(self.place.folder), lambda: self.place.now, random.Random(1),
        )  # fmt: skip
        for line in self.lines.values():
            worker.deliver(line.id)

    def ask(self) -> bool:
        """One round of asking."""
        worker = CommitmentWorker(
            self.settings, self.commitments, lambda: self.place.now, self.chance, self.answer_seconds
        )
        (place,) = worker.destinations
        return worker.ask(place)

    @property
    def commitments(self) -> Commitments:
        """On the ledger."""
        return Commitments(self.place.ledger, self.place.deliveries)

    @property
    def lines(self) -> dict[str, DeliveryLine]:
        """What people see, by SOP Instance UID."""
        (image,) = JobList(self.place.ledger).images(5)
        return {line.sop_instance_uid: line for line in image.deliveries}

    def states(self) -> list[tuple[str, str]]:
        """Delivery and commitment of each object, in the order of `uids`."""
        lines = self.lines
        return [(lines[uid].state, lines[uid].commitment) for uid in self.uids]

    def answer(self, uids: tuple[str, ...], at: int = -1) -> bool:
        """The archive's good word on the request that it got at that place."""
        said = CommitmentAnswer(self.archive.asked[at].transaction_uid, frozenset(uids))
        return self.commitments.answer(said, ("archive",), self.place.now.timestamp())
