"""Who may associate, what they may send, how urgent it is: decisions, without a socket."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from dicom_node.dimse_status import Rejection
from dicom_node.receiving.host_names import HostNames, parse_address
from dicom_node.receiving.transfer_syntaxes import ACCEPTED
from dicom_node.records import Priority
from dicom_node.settings import AcceptedAndIgnored, Peer, Settings

VERIFICATION: Final = "1.2.840.10008.1.1"
# PS3.4 B.5. DX FOR PROCESSING is taken, and ends as "not processed".
RADIOGRAPHS: Final[tuple[str, ...]] = (
    "1.2.840.10008.5.1.4.1.1.1",  # Computed Radiography Image
    "1.2.840.10008.5.1.4.1.1.1.1",  # Digital X-Ray Image, for presentation
    "1.2.840.10008.5.1.4.1.1.1.1.1",  # Digital X-Ray Image, for processing
)
_CLASS = "1.2.840.10008.5.1.4.1.1"
IGNORED_CLASSES: Final[dict[AcceptedAndIgnored, tuple[str, ...]]] = {
    # Secondary Capture, and its four multi-frame kinds.
    "sc": tuple(f"{_CLASS}.7{kind}" for kind in ("", ".1", ".2", ".3", ".4")),
    # Basic Text, Enhanced, Comprehensive, Comprehensive 3D, Extensible, Procedure Log, Mammography CAD,
    # Chest CAD, X-Ray Dose, Radiopharmaceutical Dose, Colon CAD, Implantation Plan, Acquisition Context,
    # Simplified Adult Echo, Patient Radiation Dose.
    "sr": tuple(
        f"{_CLASS}.88.{kind}" for kind in (11, 22, 33, 34, 35, 40, 50, 65, 67, 68, 69, 70, 71, 72, 73)
    ),
    # Grayscale, Color, Pseudo-Color and Blending Softcopy Presentation States.
    "pr": tuple(f"{_CLASS}.11.{kind}" for kind in (1, 2, 3, 4)),
    "ko": (f"{_CLASS}.88.59",),
    # Segmentation, Surface Segmentation.
    "seg": (f"{_CLASS}.66.4", f"{_CLASS}.66.5"),
}
_NATIVE = ("1.2.840.10008.1.2.1", "1.2.840.10008.1.2")
# PS3.7 9.1.1.1.4: LOW, MEDIUM and HIGH of a C-STORE-RQ (tag 0000,0700).
_DIMSE_HIGH = 1


@dataclass(frozen=True)
class Caller:
    """Who asks for an association; AE titles without padding, compared case-sensitively."""

    calling_ae_title: str
    called_ae_title: str
    address: str


@dataclass(frozen=True)
class Refusal:
    """An association that is not accepted, and why, in words for our own people."""

    rejection: Rejection
    reason: str


def recognise(settings: Settings, names: HostNames, caller: Caller) -> Refusal | None:
    """Whether these AE titles may come from this address; None if so.

    Without any peer in the settings, whoever sits on this machine may.
    """
    if caller.called_ae_title not in settings.node.called:
        return Refusal(Rejection.CALLED_AE_TITLE_NOT_RECOGNISED, "called AE title is not ours")
    unknown = Rejection.CALLING_AE_TITLE_NOT_RECOGNISED
    if not settings.peers:
        address = parse_address(caller.address)
        if address is None or not address.is_loopback:
            return Refusal(unknown, "no peers are set: only this machine may send")
        return None
    peer = settings.peer(caller.calling_ae_title)
    if peer is None:
        return Refusal(unknown, "calling AE title is no peer")
    if not names.include(peer.hosts, caller.address):
        return Refusal(unknown, "address is none of the peer's hosts")
    return None


def committing_destinations(settings: Settings, names: HostNames, caller: Caller) -> tuple[str, ...]:
    """The destinations with storage commitment that this caller is: by AE title and address, called as they know us."""
    return tuple(
        place.name
        for place in settings.committing_destinations
        if place.ae_title == caller.calling_ae_title
        and caller.called_ae_title in (settings.calling_ae_title(place), *settings.node.called)
        and names.include((place.host,), caller.address)
    )


def within_limits(settings: Settings, caller: Caller, open_now: Iterable[str]) -> Refusal | None:
    """Whether one more association may open beside those of `open_now` (calling AE titles); None if so."""
    titles = list(open_now)
    limit = settings.node.max_associations
    if len(titles) >= limit:
        return Refusal(Rejection.LOCAL_LIMIT_EXCEEDED, f"node.max_associations = {limit} are open")
    peer = settings.peer(caller.calling_ae_title)
    if peer and titles.count(peer.ae_title) >= peer.max_associations:
        return Refusal(
            Rejection.LOCAL_LIMIT_EXCEEDED,
            f"max_associations = {peer.max_associations} of this peer are open",
        )
    return None


def ignored_classes(peer: Peer | None) -> frozenset[str]:
    """The SOP classes that are answered Success and not kept."""
    kinds = peer.accept_and_ignore if peer else ()
    return frozenset(uid for kind in kinds for uid in IGNORED_CLASSES[kind])


def accepted_contexts(peer: Peer | None) -> dict[str, tuple[str, ...]]:
    """The abstract syntaxes that a peer may propose, each with its transfer syntaxes, best first."""
    contexts: dict[str, tuple[str, ...]] = {VERIFICATION: _NATIVE}
    contexts.update(dict.fromkeys(RADIOGRAPHS, ACCEPTED))
    contexts.update(dict.fromkeys(sorted(ignored_classes(peer)), ACCEPTED))
    return contexts


def destination_contexts() -> dict[str, tuple[str, ...]]:
    """What a destination may propose that may store nothing here."""
    return {VERIFICATION: _NATIVE}


def priority_for(settings: Settings, caller: Caller, dimse_priority: int | None) -> Priority:
    """The settings' word for this peer, else what the C-STORE-RQ asks for: HIGH is urgent, the rest routine."""
    configured = settings.configured_priority(caller.calling_ae_title, caller.called_ae_title)
    if configured is not None:
        return configured
    return Priority.URGENT if dimse_priority == _DIMSE_HIGH else Priority.ROUTINE
