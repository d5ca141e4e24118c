"""Asking the destinations with `storage_commitment` to take responsibility for what was delivered."""

from __future__ import annotations

import logging
import random
import uuid
from collections.abc import Callable
from datetime import datetime

from dicom_node.delivering.commitment_scu import ANSWER_SECONDS, ask_for_commitment
from dicom_node.errors import DestinationDownError, ObjectRefusedError
from dicom_node.settings import DicomDestination, Settings
from dicom_node.storage_commitment import CommitmentAnswer
from dicom_node.work.commitments import Commitments

log = logging.getLogger("dicom_node.work.commitment")


class CommitmentWorker:
    """Makes the requests; `chance` makes their Transaction UIDs, so it must never repeat itself."""

    def __init__(
        self,
        settings: Settings,
        commitments: Commitments,
        clock: Callable[[], datetime],
        chance: random.Random,
        answer_seconds: float = ANSWER_SECONDS,
    ) -> None:
        self._settings, self._commitments = settings, commitments
        self._clock, self._chance = clock, chance
        self._answer_seconds = answer_seconds

    @property
    def destinations(self) -> tuple[DicomDestination, ...]:
        """Those that are asked."""
        return self._settings.committing_destinations

    def ask(self, place: DicomDestination) -> bool:
        """Asks a destination for all that is due; false if nothing was."""
        request = self._commitments.claim(
            place.name, place.commitment_within_hours, self._new_uid(), self._now()
        )
        if request is None:
            return False

        def take(answer: CommitmentAnswer) -> bool:
            return self._commitments.answer(answer, (place.name,), self._now())

        try:
            ask_for_commitment(
                place, self._settings.calling_ae_title(place), request, take, self._answer_seconds
            )
        except (DestinationDownError, ObjectRefusedError) as error:
            log.warning("destination=%s: no storage commitment asked: %s", place.name, error)
            self._commitments.not_asked(request.transaction_uid, str(error), self._now())
        else:
            log.info("destination=%s asked for %d objects", place.name, len(request.instances))
        return True

    def _now(self) -> float:
        return self._clock().timestamp()

    def _new_uid(self) -> str:
        """A UID of a random UUID (PS3.5 B.2)."""
        return f"2.25.{uuid.UUID(int=self._chance.getrandbits(128), version=4).int}"
