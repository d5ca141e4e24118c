"""The page of the traffic: who came and what became of it, and how it goes with the destinations."""

from __future__ import annotations

from urllib.parse import urlencode

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from dicom_node.register.traffic import Asked, Traffic
from dicom_node.web.api.associations import (
    Before,
    Number,
    OnlyRefused,
    PartOfAddress,
    PartOfTitle,
    Reader,
    context_answer,
    known_association,
)
from dicom_node.web.context import Context
from dicom_node.web.pages import page
from dicom_node.web.remedies import remedy_for_association

router = APIRouter(include_in_schema=False)
_LINES = 50
_STRANGERS = 10


@router.get("/traffic")
def show_traffic(
    request: Request,
    context: Context,
    person: Reader,
    ae: PartOfTitle = "",
    address: PartOfAddress = "",
    refused: OnlyRefused = False,
    before: Before = None,
) -> Response:
    """The last associations, the peers, the destinations."""
    settings, traffic = context.settings, Traffic(context.ledger)
    asked = Asked(ae, address, refused)
    lines = traffic.associations(_LINES + 1, before=before, asked=asked)
    query = {"ae": ae, "address": address, "refused": "true" if refused else ""}
    if len(lines) > _LINES:
        query["before"] = str(lines[_LINES - 1].id)
    destinations = traffic.destinations([place.name for place in settings.destinations])
    return page(
        request, "traffic.html", person,
        lines=[(line, remedy_for_association(line, settings)) for line in lines[:_LINES]],
        older=urlencode({key: word for key, word in query.items() if word}) if "before" in query else "",
        asked=asked, before=before, peers=traffic.peers(settings, _STRANGERS),
        known=frozenset(peer.ae_title for peer in settings.peers),
        destinations=list(zip(settings.destinations, destinations, strict=True)),
        node=settings.node,
    )  # fmt: skip


@router.get("/traffic/{number}")
def show_association(request: Request, context: Context, person: Reader, number: Number) -> Response:
    """One association with every context that was proposed, and the answer."""
    traffic = Traffic(context.ledger)
    line = known_association(traffic, number)
    return page(
        request, "association.html", person, line=line, kept=line.negotiation,
        remedy=remedy_for_association(line, context.settings),
        contexts=[context_answer(one) for one in traffic.contexts(number)],
    )  # fmt: skip
