"""The last associations: who came, what was negotiated, what became of it."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Depends, Path, Query
from pydantic import BaseModel, Field

from dicom_node.records import ProposedContext
from dicom_node.register.traffic import Asked, AssociationLine, Traffic
from dicom_node.settings import Settings
from dicom_node.web.access import Permission, Person, may
from dicom_node.web.context import Context
from dicom_node.web.problem import ProblemError, problems
from dicom_node.web.remedies import (
    remedy_for_association,
    remedy_for_context,
    result_words,
    uid_name,
)

router = APIRouter(prefix="/api/v1", tags=["traffic"])
Reader = Annotated[Person, Depends(may(Permission.READ))]
# SQLite's largest row number, less the one that is added to it.
Number = Annotated[int, Path(ge=1, lt=2**63 - 1, description="the association's number")]
Before = Annotated[
    int | None, Query(ge=1, lt=2**63 - 1, description="only those with a smaller number")
]
PartOfTitle = Annotated[
    str, Query(alias="ae", max_length=16, description="a part of an AE title, calling or called")
]
PartOfAddress = Annotated[str, Query(max_length=45, description="how the address begins, e.g. 10.1.")]
OnlyRefused = Annotated[bool, Query(description="only what was rejected, or had an instance refused")]


class NamedUid(BaseModel):
    """A UID and its name in the standard; the UID again where it has none."""

    uid: str
    name: str


class ContextAnswer(BaseModel):
    """A presentation context that was proposed, and the answer (PS3.8 9.3.3.2)."""

    id: int
    abstract_syntax: NamedUid
    transfer_syntaxes: list[NamedUid]
    accepted: NamedUid | None = Field(
        description="the transfer syntax that was chosen; null if refused"
    )
    result: str = Field(description='"accepted", or why not')
    remedy: str


class AssociationAnswer(BaseModel):
    """One association. What is null was not kept yet when it came."""

    id: int
    at: datetime
    calling_ae_title: str
    called_ae_title: str
    address: str
    accepted: bool
    reason: str = Field(description="why it was rejected, else how it ended")
    remedy: str
    stored: int = Field(description="instances that were answered Success and kept")
    refused: int
    implementation_class_uid: str | None
    implementation_version_name: str | None
    contexts_proposed: int | None
    contexts_accepted: int | None
    ended_at: datetime | None
    ending: str | None
    byte_count: int | None = Field(description="all that came over the connection")
    bytes_per_second: float | None


class AssociationWithContexts(AssociationAnswer):
    """One association with its presentation contexts."""

    contexts: list[ContextAnswer]
    is_capped: bool = Field(description="whether more was proposed than is kept")


class AssociationsAnswer(BaseModel):
    """A page of associations, the last first."""

    associations: list[AssociationAnswer]
    next: int | None = Field(description="`before` of the next page; null on the last")


@router.get(
    "/associations",
    summary="List associations",
    description="The last associations first, those that were rejected too.",
    responses=problems(422),
)
def list_associations(
    context: Context,
    _person: Reader,
    ae: PartOfTitle = "",
    address: PartOfAddress = "",
    refused: OnlyRefused = False,
    before: Before = None,
    limit: Annotated[int, Query(ge=1, le=500)] = 100,
) -> AssociationsAnswer:
    """A page of them."""
    asked = Asked(ae, address, refused)
    found = Traffic(context.ledger).associations(limit + 1, before=before, asked=asked)
    return AssociationsAnswer(
        associations=[AssociationAnswer(**_said_of(line, context.settings)) for line in found[:limit]],
        next=found[limit - 1].id if len(found) > limit else None,
    )


@router.get(
    "/associations/{number}",
    summary="Show an association",
    description="One association with every presentation context that was proposed and the answer to it.",
    responses=problems(404, 422),
)
def show_association(context: Context, _person: Reader, number: Number) -> AssociationWithContexts:
    """One with its contexts."""
    traffic = Traffic(context.ledger)
    line = known_association(traffic, number)
    return AssociationWithContexts(
        **_said_of(line, context.settings),
        contexts=[context_answer(one) for one in traffic.contexts(number)],
        is_capped=line.negotiation is not None and line.negotiation.is_capped,
    )


def known_association(traffic: Traffic, number: int) -> AssociationLine:
    """Raises:
    ProblemError: 404.
    """
    line = traffic.association(number)
    if line is None:
        raise ProblemError(404, "Not found", "This association is not known, or is deleted by age.")
    return line


def named(uid: str) -> NamedUid:
    """A UID with its name."""
    return NamedUid(uid=uid, name=uid_name(uid))


def context_answer(context: ProposedContext) -> ContextAnswer:
    """A context with the names of its UIDs, and what to do about a refusal."""
    return ContextAnswer(
        id=context.id,
        abstract_syntax=named(context.abstract_syntax),
        transfer_syntaxes=[named(uid) for uid in context.transfer_syntaxes],
        accepted=named(context.accepted) if context.accepted else None,
        result=result_words(context),
        remedy=remedy_for_context(context),
    )


def _said_of(line: AssociationLine, settings: Settings) -> dict[str, object]:
    kept = line.negotiation
    return {
        "id": line.id,
        "at": line.at,
        "calling_ae_title": line.calling_ae_title,
        "called_ae_title": line.called_ae_title,
        "address": line.address,
        "accepted": line.accepted,
        "reason": line.reason,
        "remedy": remedy_for_association(line, settings),
        "stored": line.stored,
        "refused": line.refused,
        "implementation_class_uid": kept.implementation_class_uid if kept else None,
        "implementation_version_name": kept.implementation_version_name if kept else None,
        "contexts_proposed": kept.proposed if kept else None,
        "contexts_accepted": kept.accepted if kept else None,
        "ended_at": kept.ended_at if kept else None,
        "ending": kept.ending if kept else None,
        "byte_count": kept.byte_count if kept else None,
        "bytes_per_second": line.bytes_per_second,
    }
