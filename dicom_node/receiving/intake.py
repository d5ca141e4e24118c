"""What the Storage SCP needs of whoever keeps the ledger."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from typing import Protocol

from dicom_node.records import AssociationRecord, ReceivedInstance
from dicom_node.storage_commitment import CommitmentAnswer


class Intake(Protocol):
    """Takes what was received; called from many threads at once."""

    def register(self, received: ReceivedInstance, /) -> None:
        """Commits the instance and its work in one transaction; the same bytes again are fine.

        Success is answered only after this returned.

        Raises:
            LedgerError: it was not committed; the sender is answered A700 and keeps the instance.
        """

    def take_commitment(
        self, answer: CommitmentAnswer, destinations: Collection[str], at: datetime, /
    ) -> bool:
        """Commits what one of these destinations reports of a request for storage commitment.

        False where no request of theirs has its Transaction UID; the same answer again is fine.

        Raises:
            LedgerError: it was not committed; the archive is answered Processing Failure.
        """

    def note_association(self, record: AssociationRecord, /) -> None:
        """Keeps who came and what came of it: once for every association, at its end."""

    def note_instance(
        self, *, calling_ae_title: str, address: str, at: datetime, status: int, text: str
    ) -> None:
        """Keeps that an instance was refused, or (`status` Success) taken and not kept."""
