"""N-EVENT-REPORT of Storage Commitment (PS3.4 J.3.3) from an archive that opens an association to us.

There the archive is the SCP of the service and we are its SCU, although it is the one that calls.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import datetime
from io import BytesIO
from typing import Any, Final

from pynetdicom.presentation import PresentationContext, build_context

from dicom_node.receiving.intake import Intake
from dicom_node.receiving.open_association import OpenAssociation, printable
from dicom_node.storage_commitment import (
    PUSH_MODEL,
    CommitmentAnswer,
    EventStatus,
    take_report,
)

# Some hundred bytes an instance; a request of ours names a hundred instances.
_MOST_BYTES: Final = 1024 * 1024
_NATIVE = ["1.2.840.10008.1.2.1", "1.2.840.10008.1.2"]


def commitment_context() -> PresentationContext:
    """The Push Model, with the roles that an archive proposes which reports (PS3.7 D.3.3.4): it is SCP."""
    context = build_context(PUSH_MODEL, _NATIVE)
    context.scu_role, context.scp_role = False, True
    return context


class EventInformation(BytesIO):
    """The data set of an N-EVENT-REPORT as it comes in; what is too long to be one is dropped."""

    def write(self, part: Any, /) -> int:
        """Appends `part` (bytes-like)."""
        if self.tell() + len(part) <= _MOST_BYTES:
            super().write(part)
        return len(part)


class CommitmentService:
    """Answers N-EVENT-REPORT requests; called from the threads of many associations at once."""

    def __init__(self, intake: Intake, clock: Callable[[], datetime], log: logging.Logger) -> None:
        self._intake, self._clock, self._log = intake, clock, log

    def answer(self, event: Any, association: OpenAssociation) -> tuple[int, None]:
        """The status of the response to the N-EVENT-REPORT-RQ of a pynetdicom event."""

        def take(answer: CommitmentAnswer) -> bool:
            return self._intake.take_commitment(answer, association.destinations, self._clock())

        status = take_report(event, take)
        if status is EventStatus.SUCCESS:
            self._log.info("storage commitment reported by %s", ", ".join(association.destinations))
        else:
            self._log.warning(
                "refused a storage commitment report of %s with %04X",
                printable(association.caller.calling_ae_title), status,
            )  # fmt: skip
        return int(status), None
