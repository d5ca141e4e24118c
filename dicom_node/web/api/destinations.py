"""Destinations: how it goes with each, C-ECHO, and what each accepts. Nothing here sends an image or a result."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from threading import BoundedSemaphore
from typing import Annotated

from fastapi import APIRouter, Depends, Path
from pydantic import BaseModel, Field
from starlette.requests import Request

from dicom_node.delivering.acceptance_probe import Acceptance, probe_acceptance
from dicom_node.delivering.association import Remote
from dicom_node.delivering.instance_query import STUDY_ROOT_FIND
from dicom_node.delivering.reachability import reach
from dicom_node.delivering.storage_scu import CLASSES_OF, NATIVE
from dicom_node.delivering.verification import VERIFICATION
from dicom_node.dimse_status import ContextResult
from dicom_node.errors import DestinationDownError
from dicom_node.operating.destination_check import judge_accepted, wished_for_captures
from dicom_node.operating.examined import Verdict
from dicom_node.register.traffic import DestinationLine, Traffic
from dicom_node.settings import AnyDestination, DicomDestination
from dicom_node.storage_commitment import PUSH_MODEL
from dicom_node.web.access import Permission, Person, may
from dicom_node.web.api.associations import NamedUid, Reader, named
from dicom_node.web.auditing import audit
from dicom_node.web.context import Context, WebContext
from dicom_node.web.problem import ProblemError, problems

router = APIRouter(prefix="/api/v1", tags=["traffic"])
Actor = Annotated[Person, Depends(may(Permission.ACT))]
DestinationName = Annotated[
    str, Path(max_length=32, description="its name in the settings", examples=["archive"])
]
# Somebody waits for the answer; a destination's own timeout may be longer.
_LONGEST_SECONDS = 10.0
_AT_A_TIME, _WAIT_SECONDS = 2, 5.0
_asking = BoundedSemaphore(_AT_A_TIME)
_SERVICES = (VERIFICATION, PUSH_MODEL, STUDY_ROOT_FIND)


class DestinationAnswer(BaseModel):
    """A destination of the settings, and how it goes with it."""

    name: str
    kind: str = Field(description="dicom, dicomweb or folder")
    where: str
    objects: list[str]
    language: str
    transfer_syntax: str
    storage_commitment: bool
    rejection_note: bool
    last_delivered_at: datetime | None
    queued: int
    waiting: int = Field(description="tried, and tried again by itself")
    parked: int = Field(description="given up, until somebody starts them again")
    waiting_since: datetime | None
    why: str = Field(description="what was said last of one that waits or is parked")


class DestinationsAnswer(BaseModel):
    """All destinations, in the order of the settings."""

    destinations: list[DestinationAnswer]


class EchoAnswer(BaseModel):
    """Whether a destination is there, and lets us in."""

    destination: str
    answered: bool
    milliseconds: float | None = Field(description="of the round trip; null for a folder")
    reason: str
    remedy: str


class PairAnswer(BaseModel):
    """One pair that was proposed."""

    sop_class: str
    transfer_syntax: str
    accepted: bool
    result: str = Field(description="the words of PS3.8 table 9-18")


class Judged(BaseModel):
    """What the answers mean for the objects that are set for this destination."""

    verdict: Verdict
    said: str


class ProbeAnswer(BaseModel):
    """What an archive accepts, SOP class by transfer syntax."""

    destination: str
    answered: bool = Field(description="whether it accepted an association, if nothing on it")
    milliseconds: float | None = None
    reason: str = Field("", description="why there was none")
    remedy: str = ""
    sop_classes: list[NamedUid]
    transfer_syntaxes: list[NamedUid]
    services: list[NamedUid] = Field(description="proposed with the first two transfer syntaxes")
    pairs: list[PairAnswer] = []
    judged: list[Judged] = []


@router.get(
    "/destinations",
    summary="List destinations",
    description="What each destination gets, and how its deliveries stand. Nobody is asked anything.",
    responses=problems(),
)
def list_destinations(context: Context, _person: Reader) -> DestinationsAnswer:
    """All of them."""
    places = context.settings.destinations
    lines = Traffic(context.ledger).destinations([place.name for place in places])
    return DestinationsAnswer(
        destinations=[_said_of(place, line) for place, line in zip(places, lines, strict=True)]
    )


@router.post(
    "/destinations/{name}/echo",
    summary="Ask whether a destination is there",
    description="C-ECHO for DICOM, a question for a study that nobody has for DICOMweb, a look for a folder.",
    responses=problems(404, 422, 429),
)
def echo(request: Request, context: Context, person: Actor, name: DestinationName) -> EchoAnswer:
    """The answer, or why there is none."""
    place = _hurried(_known(context, name))
    with _one_of_two():
        audit(request, person, "asked destination whether it is there", name)
        answer = reach(place, context.settings.calling_ae_title(place))
    return EchoAnswer(
        destination=name,
        answered=answer.answered,
        milliseconds=answer.milliseconds,
        reason=answer.reason,
        remedy=answer.remedy,
    )


_PROBE_PROBLEMS = problems(404, 409, 422, 429)
_PROBE_PROBLEMS[409]["description"] = "Not a DICOM destination"


@router.post(
    "/destinations/{name}/probe",
    summary="Ask what a destination accepts",
    description="Associates, proposing each SOP class of ours with each transfer syntax that we could send in a "
    "context of its own, and releases. Nothing is sent.",
    responses=_PROBE_PROBLEMS,
)
def probe(request: Request, context: Context, person: Actor, name: DestinationName) -> ProbeAnswer:
    """The matrix, and what it means for the objects of the settings."""
    place = _hurried(_known(context, name))
    if not isinstance(place, DicomDestination):
        raise ProblemError(
            409,
            "Not a DICOM destination",
            f"{name} is reached by {place.kind}, which negotiates nothing.",
        )
    with _one_of_two():
        audit(request, person, "asked destination what it accepts", name)
        return _probed(place, context.settings.calling_ae_title(place))


def _probed(place: DicomDestination, calling_ae_title: str) -> ProbeAnswer:
    classes, syntaxes, pairs = _proposal()
    proposed = {
        "destination": place.name,
        "sop_classes": [named(uid) for uid in classes],
        "transfer_syntaxes": [named(uid) for uid in syntaxes],
        "services": [named(uid) for uid in _SERVICES],
    }
    try:
        found = probe_acceptance(Remote.of(place), calling_ae_title, pairs)
    except DestinationDownError as error:
        return ProbeAnswer(**proposed, answered=False, reason=str(error), remedy=error.remedy)
    answers = [
        PairAnswer(
            sop_class=sop_class,
            transfer_syntax=syntax,
            accepted=result is ContextResult.ACCEPTANCE,
            result=result.words,
        )
        for (sop_class, syntax), result in found.results.items()
    ]
    return ProbeAnswer(
        **proposed,
        answered=True,
        milliseconds=found.milliseconds,
        pairs=answers,
        judged=_judged(place, found),
    )


def _proposal() -> tuple[list[str], list[str], list[tuple[str, str]]]:
    """Our SOP classes, the transfer syntaxes that we could send, and every pair that is worth a question."""
    from dicom_node.results.composition import TRANSFER_SYNTAXES

    classes = list(dict.fromkeys(uid for uids in CLASSES_OF.values() for uid in uids))
    syntaxes = list(dict.fromkeys([*NATIVE, *TRANSFER_SYNTAXES.values()]))
    pairs = [(uid, syntax) for uid in classes for syntax in syntaxes]
    return classes, syntaxes, pairs + [(uid, syntax) for uid in _SERVICES for syntax in NATIVE]


def _judged(place: DicomDestination, found: Acceptance) -> list[Judged]:
    compressed = wished_for_captures(place)
    accepted = found.accepted([*NATIVE, *([compressed] if compressed else [])])
    return [
        Judged(verdict=one.verdict, said=one.said)
        for one in judge_accepted(place, accepted, compressed)
    ]


def _known(context: WebContext, name: str) -> AnyDestination:
    place = context.settings.destination(name)
    if place is None:
        raise ProblemError(404, "Not found", "The settings have no destination of that name.")
    return place


def _hurried(place: AnyDestination) -> AnyDestination:
    seconds = min(place.timeout_seconds, _LONGEST_SECONDS)
    return place.model_copy(update={"timeout_seconds": seconds})


@contextmanager
def _one_of_two() -> Iterator[None]:
    """Each answer holds a thread for as long as a destination is silent."""
    if not _asking.acquire(timeout=_WAIT_SECONDS):
        raise ProblemError(
            429, "Two destinations are being asked", "Ask again in a few seconds.", {"Retry-After": "5"}
        )
    try:
        yield
    finally:
        _asking.release()


def _said_of(place: AnyDestination, line: DestinationLine) -> DestinationAnswer:
    return DestinationAnswer(
        name=place.name,
        kind=place.kind,
        where=place.where,
        objects=list(place.objects),
        language=place.language,
        transfer_syntax=place.transfer_syntax,
        storage_commitment=isinstance(place, DicomDestination) and place.storage_commitment,
        rejection_note=place.rejection_note,
        last_delivered_at=line.last_delivered_at,
        queued=line.queued.count,
        waiting=line.waiting.count,
        parked=line.parked.count,
        waiting_since=line.waiting.since,
        why=line.why,
    )
