"""Try it: a film given by hand, read in place; and the history of such readings."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query
from starlette.requests import Request
from starlette.responses import HTMLResponse

from dicom_node.register.analyses import Analyses, Analysis, AnalysisQuery
from dicom_node.web.access import Permission, Person
from dicom_node.web.api.analyses import (
    PLACE,
    AnalysisId,
    Reader,
    after_cursor,
    known_analyses,
    known_analysis,
    next_cursor,
)
from dicom_node.web.auditing import audit
from dicom_node.web.context import Context
from dicom_node.web.pages import page
from dicom_node.web.reading_room import Picture
from pipeline.findings import Outcome

router = APIRouter(include_in_schema=False)
_SHOWN = 24
# Which pictures can be switched between, and what the switch is called.
_VIEWS = {Picture.OVERLAY: "Boxes", Picture.GRADCAM: "Grad-CAM", Picture.FILM: "Film alone"}


@router.get("/try", response_class=HTMLResponse)
def try_page(
    request: Request,
    context: Context,
    person: Reader,
    image_name: Annotated[str, Query(max_length=200)] = "",
    outcome: Annotated[str, Query(max_length=20)] = "",
    cursor: Annotated[str, Query(max_length=64)] = "",
) -> HTMLResponse:
    """Where films are given, above what was given before; with the header of a script's request the history alone."""
    wanted = Outcome(outcome) if outcome in list(Outcome) else None
    after = after_cursor(cursor)
    query = AnalysisQuery(image_name, outcome=wanted, after=after, limit=_SHOWN)
    history = known_analyses(context)
    listed = history.page(query)
    audit(request, person, "saw analyses", "")
    return page(
        request,
        "try_history.html" if "x-fragment" in request.headers else "try.html",
        person,
        web=context.settings.web,
        place=PLACE,
        listed=listed,
        thumbnails={one.id for one in listed if history.picture(one, Picture.THUMBNAIL)},
        removable={one.id for one in listed if may_forget(person, one)},
        outcomes=list(Outcome),
        image_name=image_name,
        outcome=outcome,
        cursor=cursor,
        next=next_cursor(listed, _SHOWN),
    )


@router.get("/analyses/{analysis}", response_class=HTMLResponse)
def analysis_page(
    request: Request, context: Context, person: Reader, analysis: AnalysisId
) -> HTMLResponse:
    """One reading; with the header of a script's request the reading alone."""
    history = known_analyses(context)
    found = known_analysis(history, analysis)
    audit(request, person, "saw analysis", found.id)
    return page(
        request,
        "analysis_reading.html" if "x-fragment" in request.headers else "analysis.html",
        person,
        analysis=found,
        findings=found.findings,
        place=PLACE,
        views=_views(history, found),
        removable=may_forget(person, found),
    )


def may_forget(person: Person, analysis: Analysis) -> bool:
    """Whether somebody may delete it."""
    return person.name == analysis.person or person.may(Permission.ADMINISTER)


def _views(history: Analyses, analysis: Analysis) -> dict[str, str]:
    there = history.pictures(analysis)
    if Picture.FILM not in there:
        # A card in the film's place says nothing that the page does not.
        return {}
    return {str(name): words for name, words in _VIEWS.items() if name in there}
