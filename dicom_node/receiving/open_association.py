"""An accepted association, as the node keeps count of it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from dicom_node.receiving.acceptor import Acceptor
from dicom_node.receiving.admission import Caller, Refusal
from dicom_node.receiving.proposed_contexts import KEPT_OF_REJECTED, kept_contexts
from dicom_node.records import AssociationDetail, AssociationEnding, AssociationRecord


@dataclass
class OpenAssociation:
    """What an accepted association has done so far; `destinations` names those that its caller is."""

    caller: Caller
    at: datetime
    ignored: frozenset[str]
    destinations: tuple[str, ...] = ()
    stored: int = 0
    refused: int = 0

    def record(self, how: str, acceptor: Acceptor, ended_at: datetime) -> AssociationRecord:
        """What is kept of it once it ended."""
        kept, is_capped = kept_contexts(acceptor)
        accepted = acceptor.accepted_contexts
        return AssociationRecord(
            calling_ae_title=printable(self.caller.calling_ae_title),
            called_ae_title=printable(self.caller.called_ae_title),
            address=self.caller.address,
            at=self.at,
            accepted=True,
            reason=how,
            stored=self.stored,
            refused=self.refused,
            detail=AssociationDetail(
                *_implementation(acceptor),
                contexts=kept,
                proposed=len(accepted) + len(acceptor.rejected_contexts),
                accepted=len(accepted),
                is_capped=is_capped,
                ended_at=ended_at,
                ending=acceptor.how_it_ended(),
                byte_count=acceptor.byte_count,
            ),
        )


def rejected_association(
    acceptor: Acceptor, caller: Caller, refusal: Refusal, at: datetime
) -> AssociationRecord:
    """What is kept of one that is rejected now."""
    kept, is_capped = kept_contexts(acceptor, KEPT_OF_REJECTED)
    return AssociationRecord(
        calling_ae_title=printable(caller.calling_ae_title),
        called_ae_title=printable(caller.called_ae_title),
        address=caller.address,
        at=at,
        accepted=False,
        reason=refusal.reason,
        detail=AssociationDetail(
            *_implementation(acceptor),
            contexts=kept,
            proposed=len(acceptor.requestor.primitive.presentation_context_definition_list),
            accepted=0,
            is_capped=is_capped,
            ended_at=at,
            ending=AssociationEnding.REJECTED,
            byte_count=acceptor.byte_count,
        ),
    )


def _implementation(acceptor: Acceptor) -> tuple[str, str]:
    """Implementation Class UID and Version Name of the peer (PS3.7 D.3.3.2)."""
    peer = acceptor.requestor
    return (
        printable(str(peer.implementation_class_uid or ""), 64),
        printable(str(peer.implementation_version_name or "")),
    )


def printable(word: str, most: int = 16) -> str:
    """An AE title or the like from the wire as it may stand in a log or a page: no control characters, 16 at most."""
    return "".join(char if char.isprintable() else "?" for char in word[:most])
