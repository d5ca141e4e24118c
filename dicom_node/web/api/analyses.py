"""The history of what people gave for reading: kept, listed, shown, forgotten."""

from __future__ import annotations

import re
import uuid
from datetime import UTC, datetime, timedelta
from typing import Annotated

from fastapi import APIRouter, Depends, Path, Query
from pydantic import BaseModel, Field
from starlette.requests import Request
from starlette.responses import FileResponse, Response

from dicom_node.register.analyses import Analyses, Analysis, AnalysisQuery
from dicom_node.web.access import Permission, Person, may
from dicom_node.web.api.predict import read_upload
from dicom_node.web.api.reading_answer import (
    UPLOAD_PROBLEMS,
    ReadingAnswer,
    form_with_file,
    refuse_unreadable,
    said_of,
)
from dicom_node.web.auditing import audit
from dicom_node.web.context import Context, WebContext
from dicom_node.web.problem import ProblemError, problems
from dicom_node.web.reading_room import Picture
from dicom_node.web.uploads import ANY_BODY, ReceivedUpload
from pipeline.findings import Outcome

router = APIRouter(tags=["analyses"])
PLACE = "/api/v1/analyses"
# As an older client knows it.
ALIAS = "/api/analysis"
Reader = Annotated[Person, Depends(may(Permission.PREDICT))]
AnalysisId = Annotated[str, Path(max_length=64, description="the analysis' id")]
_CURSOR = re.compile(r"(\d{1,11}(?:\.\d{1,9})?)_([0-9a-f]{32})")


class AnalysisAnswer(ReadingAnswer):
    """A reading that was kept."""

    id: str
    at: datetime
    person: str = Field(description="who had it read")
    image_name: str
    digest: str = Field(description="sha256 of the file, which itself is not kept")
    byte_count: int
    pictures: dict[Picture, str] = Field(description="where its pictures are")


class AnalysesAnswer(BaseModel):
    """A page of the history, the latest first."""

    analyses: list[AnalysisAnswer]
    next: str | None = Field(description="`cursor` of the next page; null on the last")


@router.post(
    PLACE,
    status_code=201,
    summary="Read a film and keep the reading",
    description="As `POST /api/v1/predict`; findings and pictures stay in the history for [web] keep_analyses_days.",
    responses=problems(*UPLOAD_PROBLEMS),
    openapi_extra=form_with_file(),
    max_body_size=ANY_BODY,
)
@router.post(ALIAS, status_code=201, include_in_schema=False, max_body_size=ANY_BODY)
def add_analysis(
    request: Request, response: Response, context: Context, upload: ReceivedUpload
) -> AnalysisAnswer:
    """The reading with its id; a file from which no film can be had is a problem, and is not kept."""
    kept_as = uuid.uuid4().hex
    reading = read_upload(request, context, upload, frozenset(Picture), kept_as)
    refuse_unreadable(reading.findings)
    analysis = Analysis(
        id=kept_as,
        at=context.clock(),
        person=upload.person.name,
        image_name=upload.name,
        digest=upload.digest,
        byte_count=upload.byte_count,
        findings=reading.findings,
    )
    history = known_analyses(context)
    history.keep(analysis, {str(name): png for name, png in reading.pictures.items()})
    response.headers["Location"] = f"{PLACE}/{kept_as}"
    return _answer(history, analysis)


@router.get(PLACE, summary="The history of readings", responses=problems(422, 503))
@router.get(ALIAS, include_in_schema=False)
def list_analyses(
    request: Request,
    context: Context,
    person: Reader,
    image_name: Annotated[str, Query(max_length=200, description="part of the image's name")] = "",
    since: Annotated[
        datetime | None, Query(alias="from", description="from then on; UTC where no zone is given")
    ] = None,
    until: Annotated[datetime | None, Query(alias="to", description="before then")] = None,
    outcome: Annotated[Outcome | None, Query(description="those with this outcome")] = None,
    limit: Annotated[int, Query(ge=1, le=200, description="so many on a page")] = 50,
    cursor: Annotated[str, Query(max_length=64, description="`next` of the page before")] = "",
) -> AnalysesAnswer:
    """A page of what matches."""
    query = AnalysisQuery(
        image_name, _aware(since), _aware(until), outcome, after_cursor(cursor), limit
    )
    history = known_analyses(context)
    page = history.page(query)
    audit(request, person, "saw analyses", "")
    return AnalysesAnswer(
        analyses=[_answer(history, one) for one in page], next=next_cursor(page, limit)
    )


@router.get(f"{PLACE}/{{analysis}}", summary="One reading", responses=problems(404, 422, 503))
def show_analysis(
    request: Request,
    context: Context,
    person: Reader,
    analysis: AnalysisId,
) -> AnalysisAnswer:
    """What was said, and where its pictures are."""
    history = known_analyses(context)
    found = known_analysis(history, analysis)
    audit(request, person, "saw analysis", found.id)
    return _answer(history, found)


@router.delete(
    f"{PLACE}/{{analysis}}",
    status_code=204,
    summary="Forget a reading",
    description="Whoever had it read may, and an administrator.",
    responses=problems(404, 422, 503),
)
def forget_analysis(
    request: Request,
    context: Context,
    person: Reader,
    analysis: AnalysisId,
) -> None:
    """Findings and pictures are removed."""
    history = known_analyses(context)
    found = known_analysis(history, analysis)
    if found.person != person.name and not person.may(Permission.ADMINISTER):
        raise ProblemError(
            403,
            "Not allowed",
            f"{found.person} had it read, and may forget it; an administrator may too.",
        )
    audit(request, person, "deleted analysis", found.id)
    history.forget(found.id)


@router.get(
    f"{PLACE}/{{analysis}}/{{picture}}.png",
    summary="A picture of a reading",
    description="`overlay`: with boxes; `gradcam`: with Grad-CAM and arrow; `film`: the film alone; `thumbnail`.",
    response_class=Response,
    responses={
        200: {"content": {"image/png": {"schema": {"type": "string", "format": "binary"}}}},
        **problems(404, 422, 503),
    },
)
def show_picture(
    request: Request,
    context: Context,
    person: Reader,
    analysis: AnalysisId,
    picture: Picture,
) -> Response:
    """A PNG; 404 where the film was not read and has none."""
    history = known_analyses(context)
    found = known_analysis(history, analysis)
    path = history.picture(found, picture)
    if path is None:
        raise ProblemError(404, "No such picture", "Of a film that was not read there is only a card.")
    if picture is not Picture.THUMBNAIL:
        audit(request, person, "saw analysis", found.id, picture)
    return FileResponse(path, media_type="image/png")


def known_analyses(context: WebContext) -> Analyses:
    """The history, without what is older than it is kept."""
    history = Analyses(context.register, context.settings.node.data)
    history.forget_before(context.clock() - timedelta(days=context.settings.web.keep_analyses_days))
    return history


def known_analysis(history: Analyses, analysis: str) -> Analysis:
    """Raises ProblemError: 404."""
    found = history.find(analysis)
    if found is None:
        raise ProblemError(404, "No such reading", "It never was, or is forgotten.")
    return found


def next_cursor(page: list[Analysis], limit: int) -> str | None:
    """Where the next page begins; None after a page that is not full."""
    return f"{page[-1].at.timestamp()!r}_{page[-1].id}" if len(page) == limit else None


def after_cursor(cursor: str) -> tuple[float, str] | None:
    """Raises ProblemError: 422."""
    if not cursor:
        return None
    found = _CURSOR.fullmatch(cursor)
    if found is None:
        raise ProblemError(422, "No such page", "`cursor` is what `next` said on the page before.")
    return float(found[1]), found[2]


def _aware(moment: datetime | None) -> datetime | None:
    return moment.replace(tzinfo=UTC) if moment is not None and moment.tzinfo is None else moment


def _answer(history: Analyses, analysis: Analysis) -> AnalysisAnswer:
    return AnalysisAnswer(
        **said_of(analysis.findings),
        id=analysis.id,
        at=analysis.at,
        person=analysis.person,
        image_name=analysis.image_name,
        digest=analysis.digest,
        byte_count=analysis.byte_count,
        pictures={
            Picture(name): f"{PLACE}/{analysis.id}/{name}.png"
            for name in sorted(history.pictures(analysis))
        },
    )
