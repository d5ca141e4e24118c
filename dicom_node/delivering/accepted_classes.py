"""Which SOP classes an archive accepts of those that may go to it, and what to do where it refuses one."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from pynetdicom.presentation import build_context

from dicom_node.delivering.association import Remote, negotiate, nothing_accepted, release
from dicom_node.delivering.dicom_file import EXPLICIT_LITTLE
from dicom_node.delivering.instance_query import STUDY_ROOT_FIND
from dicom_node.delivering.storage_scu import NATIVE, classes_for, proposed_contexts
from dicom_node.settings import Destination, DicomDestination
from dicom_node.storage_commitment import PUSH_MODEL


def accepted_classes(
    destination: DicomDestination, calling_ae_title: str, offers: Sequence[tuple[str, str]] = ()
) -> Mapping[str, frozenset[str]]:
    """The transfer syntaxes that an archive accepts of each SOP class, by its UID; nothing is sent.

    Proposed in one association: all that may go there, with `offers` (SOP Class UID, Transfer Syntax UID), and
    storage commitment and C-FIND where the settings want them. A class that is refused is not among the keys.

    Raises:
        DestinationDownError: no association.
        NothingAcceptedError: an association, but none of these.
    """
    stored = [(uid, EXPLICIT_LITTLE) for uid in classes_for(destination)]
    services = [PUSH_MODEL] if destination.storage_commitment else []
    if destination.ask_before_sending_again:
        services.append(STUDY_ROOT_FIND)
    contexts = proposed_contexts([*stored, *offers])
    contexts += [build_context(uid, list(NATIVE)) for uid in services]
    remote = Remote.of(destination)
    association = negotiate(remote, calling_ae_title, contexts)
    if not association.is_established:
        raise nothing_accepted(remote, calling_ae_title, contexts)
    accepted: dict[str, frozenset[str]] = {}
    for context in association.accepted_contexts:
        known = accepted.get(str(context.abstract_syntax), frozenset())
        accepted[str(context.abstract_syntax)] = known | {str(context.transfer_syntax[0])}
    release(association)
    return accepted


def remedy_for(destination: Destination, kinds: Collection[str]) -> str:
    """What to do where a destination does not accept the class of these kinds of objects."""
    wanted = [name for name in destination.objects if name in kinds]
    # Summary pages that nobody asked for stand in for the report.
    if "summary" in kinds and not wanted and "sr" in destination.objects:
        wanted = ["sr"]
    ways = ["let it accept this class"]
    if wanted:
        left_out = " and ".join(f'"{name}"' for name in wanted)
        ways.append(f"leave {left_out} out of objects of destination {destination.name}")
    if "rejection" in kinds and destination.rejection_note:
        ways.append(f"set rejection_note = false at destination {destination.name}")
    return ", or ".join(ways)
