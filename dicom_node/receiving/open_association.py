"""An accepted association, as the node keeps count of it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from dicom_node.receiving.admission import Caller
from dicom_node.records import AssociationRecord


@dataclass
class OpenAssociation:
    """What an accepted association has done so far; `destinations` names those that its caller is."""

    caller: Caller
    at: datetime
    ignored: frozenset[str]
    destinations: tuple[str, ...] = ()
    stored: int = 0
    refused: int = 0

    def record(self, how: str) -> AssociationRecord:
        """What is kept of it once it ended."""
        return AssociationRecord(
            calling_ae_title=printable(self.caller.calling_ae_title),
            called_ae_title=printable(self.caller.called_ae_title),
            address=self.caller.address,
            at=self.at,
            accepted=True,
            reason=how,
            stored=self.stored,
            refused=self.refused,
        )


def printable(ae_title: str) -> str:
    """An AE title from the wire as it may stand in a log or a page: no control characters, 16 at most."""
    return "".join(char if char.isprintable() else "?" for char in ae_title[:16])
