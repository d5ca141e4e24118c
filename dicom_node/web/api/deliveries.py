"""Deliveries: each object to each destination."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from fastapi import APIRouter, Depends, Query
from pydantic import BaseModel, Field
from starlette.requests import Request

from dicom_node.web.access import Permission, Person, may
from dicom_node.web.auditing import audit
from dicom_node.web.context import Context
from dicom_node.web.problem import problems
from dicom_node.work.delivery_list import DeliveryList
from dicom_node.work.job_list import DeliveryLine

router = APIRouter(prefix="/api/v1/deliveries", tags=["deliveries"])
Reader = Annotated[Person, Depends(may(Permission.READ))]
State = Literal["queued", "waiting", "delivered", "parked", "cancelled", "replaced"]


class DeliveryAnswer(BaseModel):
    """One object to one destination."""

    id: str
    study_instance_uid: str
    sop_instance_uid: str = Field(description="of the object that is sent")
    kind: str
    destination: str
    state: str
    attempts: int
    status: int | None = Field(description="the destination's last answer")
    detail: str
    next_attempt_at: datetime | None
    commitment: str | None = Field(
        description="state of its storage commitment; null where none is asked for"
    )
    commitment_detail: str

    @classmethod
    def of(cls, line: DeliveryLine, study_instance_uid: str) -> DeliveryAnswer:
        """The ledger's line."""
        return cls(
            id=line.id,
            study_instance_uid=study_instance_uid,
            sop_instance_uid=line.sop_instance_uid,
            kind=line.kind,
            destination=line.destination,
            state=line.state,
            attempts=line.attempts,
            status=line.status,
            detail=line.detail,
            next_attempt_at=line.next_attempt_at,
            commitment=line.commitment or None,
            commitment_detail=line.commitment_detail,
        )


class DeliveriesAnswer(BaseModel):
    """A page of deliveries."""

    deliveries: list[DeliveryAnswer]
    next: int | None = Field(description="`before` of the next page; null where nothing follows")


@router.get("", summary="Deliveries, the latest first", responses=problems(422, 503))
def list_deliveries(
    request: Request,
    context: Context,
    person: Reader,
    state: State | None = None,
    destination: Annotated[str | None, Query(max_length=64)] = None,
    before: Annotated[
        int | None, Query(ge=0, lt=2**63, description="`next` of the page before")
    ] = None,
    limit: Annotated[int, Query(ge=1, le=500)] = 100,
) -> DeliveriesAnswer:
    """Those that fit all that is asked for."""
    audit(request, person, "saw deliveries", state or "all")
    found = DeliveryList(context.ledger).page(
        limit, state=state, destination=destination, before=before
    )
    return DeliveriesAnswer(
        deliveries=[DeliveryAnswer.of(line, uid) for line, uid in found.lines], next=found.next
    )
