"""What can be known of a destination before a film comes: is it there, what will it take, can its words be written."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from pydicom.uid import UID

from dicom_node.delivering.accepted_classes import accepted_classes, remedy_for
from dicom_node.delivering.association import Remote
from dicom_node.delivering.instance_query import STUDY_ROOT_FIND
from dicom_node.delivering.reachability import reach
from dicom_node.delivering.storage_scu import (
    CLASSES_OF,
    KEY_OBJECT_SELECTION,
    REPORT_CLASSES,
    SECONDARY_CAPTURE,
)
from dicom_node.errors import DestinationDownError, NodeError
from dicom_node.operating.examined import Examined, Verdict
from dicom_node.settings import AnyDestination, DicomDestination, Settings
from dicom_node.storage_commitment import PUSH_MODEL

# Transfer syntaxes that an archive accepts, by SOP class; a class that is not among the keys is refused.
Accepted = Mapping[str, frozenset[str]]
_CAPTURES = frozenset(name for name, uids in CLASSES_OF.items() if SECONDARY_CAPTURE in uids)


def examine_destination(settings: Settings, place: AnyDestination) -> Iterator[Examined]:
    """Reached, what its archive accepts of what it shall get, and how that looks."""
    calling = settings.calling_ae_title(place)
    answer = reach(place, calling)
    what = f"destination {place.name}"
    if not answer.answered:
        yield Examined(what, Verdict.FAILED, _sentence(answer.reason, answer.remedy))
    elif answer.milliseconds is None:
        yield Examined(what, Verdict.GOOD, f"{place.where} can be written to")
    else:
        yield Examined(what, Verdict.GOOD, f"{place.where} answers in {answer.milliseconds:.0f} ms")
    if answer.answered and isinstance(place, DicomDestination):
        yield from _objects(place, calling)
    yield _appearance(place)


def _objects(place: DicomDestination, calling_ae_title: str) -> Iterator[Examined]:
    """What will arrive and what will not, as the archive says in an association that sends nothing."""
    compressed = wished_for_captures(place)
    offers = [(SECONDARY_CAPTURE, compressed)] if compressed else []
    try:
        accepted = accepted_classes(place, calling_ae_title, offers)
    except DestinationDownError as error:
        yield Examined(f"objects at {place.name}", Verdict.FAILED, _sentence(str(error), error.remedy))
        return
    yield from judge_accepted(place, accepted, compressed)


def wished_for_captures(place: DicomDestination) -> str | None:
    """The compressed transfer syntax that captures shall go in; None where there are none, or uncompressed ones."""
    from dicom_node.results.composition import TRANSFER_SYNTAXES

    compressed = place.transfer_syntax != "uncompressed" and _CAPTURES.intersection(place.objects)
    return TRANSFER_SYNTAXES[place.transfer_syntax] if compressed else None


def judge_accepted(
    place: DicomDestination, accepted: Accepted, compressed: str | None
) -> Iterator[Examined]:
    """What that means for the objects that shall go there; `compressed`: the transfer syntax wished for captures."""
    what = f"objects at {place.name}"
    if taken := _taken(place, accepted):
        yield Examined(what, Verdict.GOOD, f"will arrive: {', '.join(taken)}")
    for said in _refused(place, accepted):
        yield Examined(what, Verdict.FAILED, said)
    if "sr" in place.objects and not _report_class(accepted) and SECONDARY_CAPTURE in accepted:
        yield Examined(
            what, Verdict.NOTE, f"{Remote.of(place)} accepts no report class: summary pages go in place of sr"
        )  # fmt: skip
    if compressed and compressed not in accepted.get(SECONDARY_CAPTURE, {compressed}):
        yield Examined(
            what, Verdict.NOTE, f"{Remote.of(place)} does not accept {UID(compressed).name}: captures go uncompressed"
        )  # fmt: skip
    if place.ask_before_sending_again and STUDY_ROOT_FIND not in accepted:
        yield Examined(
            what, Verdict.NOTE,
            f"{Remote.of(place)} does not accept {_named(STUDY_ROOT_FIND)}: what it may have is sent again; let it "
            f"accept this class, or set ask_before_sending_again = false at destination {place.name}",
        )  # fmt: skip


def _report_class(accepted: Accepted) -> str | None:
    return next((uid for uid in REPORT_CLASSES if uid in accepted), None)


def _taken(place: DicomDestination, accepted: Accepted) -> list[str]:
    """What will arrive, in the settings' words, the report with its class."""
    found = []
    for name in place.objects:
        uid = next((uid for uid in CLASSES_OF[name] if uid in accepted), None)
        if uid is not None:
            found.append(f"sr as {UID(uid).name}" if name == "sr" else name)
    if "sr" in place.objects and not _report_class(accepted) and SECONDARY_CAPTURE in accepted:
        found += [] if "summary" in place.objects else ["summary"]
    if place.rejection_note and KEY_OBJECT_SELECTION in accepted:
        found.append("rejection notes")
    if place.storage_commitment and PUSH_MODEL in accepted:
        found.append("storage commitment can be asked")
    return found


def _refused(place: DicomDestination, accepted: Accepted) -> Iterator[str]:
    """What will not arrive: one sentence for each class that is refused, with the remedy."""
    lost: dict[str, list[str]] = {}
    for name in place.objects:
        # A report may go as summary pages.
        uids = (*CLASSES_OF[name], SECONDARY_CAPTURE) if name == "sr" else CLASSES_OF[name]
        if not accepted.keys() & set(uids):
            lost.setdefault(CLASSES_OF[name][0], []).append(name)
    if place.rejection_note and KEY_OBJECT_SELECTION not in accepted:
        lost.setdefault(KEY_OBJECT_SELECTION, []).append("rejection")
    for uid, kinds in lost.items():
        words = "any report class, nor captures for summary pages" if "sr" in kinds else _named(uid)
        shown = ", ".join("rejection notes" if kind == "rejection" else kind for kind in kinds)
        yield (
            f"{Remote.of(place)} does not accept {words}: {shown} will not arrive; {remedy_for(place, kinds)}"
        )
    if place.storage_commitment and PUSH_MODEL not in accepted:
        yield (
            f"{Remote.of(place)} does not accept {_named(PUSH_MODEL)}: it will not be asked; let it accept this "
            f"class, or set storage_commitment = false at destination {place.name}"
        )


def _named(uid: str) -> str:
    return f"{UID(uid).name} ({uid})"


def _sentence(reason: str, remedy: str) -> str:
    return f"{reason}; {remedy}" if remedy else reason


def _appearance(place: AnyDestination) -> Examined:
    """Language, font and character set of what it gets."""
    from dicom_node.results.site_check import check_appearance

    what = f"appearance at {place.name}"
    try:
        note = check_appearance(place)
    except NodeError as error:
        return Examined(what, Verdict.FAILED, str(error))
    if note:
        return Examined(what, Verdict.NOTE, note)
    return Examined(
        what, Verdict.GOOD, f"{place.catalogue or place.language}, every letter has its glyph"
    )
