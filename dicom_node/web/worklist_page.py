"""The worklist: studies as they arrive, what became of them, and what was refused, in one list."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Annotated, Any, TypeVar

from fastapi import APIRouter, Depends, FastAPI, Query
from pydantic import Field
from starlette.requests import Request
from starlette.responses import HTMLResponse

from dicom_node.records import Priority
from dicom_node.register.worklist import Worklist
from dicom_node.register.worklist_query import (
    CursorError,
    Sort,
    WorklistFilter,
    WorklistPage,
    WorklistPages,
    WorklistQuery,
    read_cursor,
)
from dicom_node.register.worklist_study import DELIVERY_STATES, OUTCOMES, WorklistStudy
from dicom_node.web.access import Permission, Person, may
from dicom_node.web.auditing import audit
from dicom_node.web.context import Context, WebContext
from dicom_node.web.live import live_studies
from dicom_node.web.pages import page
from dicom_node.web.problem import ProblemError
from dicom_node.web.worklist_request import WorklistRequest
from dicom_node.work.refusals import RefusalList, RefusalPage, Refusals

router = APIRouter(include_in_schema=False)
Reader = Annotated[Person, Depends(may(Permission.READ))]
_CHOICES_SECONDS, _COUNTS_SECONDS = 60.0, 5.0
_MOST_ROWS = 100
T = TypeVar("T")


@dataclass(frozen=True)
class Entry:
    """One row: a study, or what was refused. `at` sorts."""

    at: datetime
    study: WorklistStudy | None = None
    refused: Refusals | None = None
    passes: bool = True


class RowsRequest(WorklistRequest):
    """The rows of these studies, and whether the list would show them."""

    uid: list[str] = Field(max_length=_MOST_ROWS)


@router.get("/", response_class=HTMLResponse)
def worklist_page(
    request: Request, context: Context, person: Reader, asked: Annotated[WorklistRequest, Query()]
) -> HTMLResponse:
    """Fifty rows, with what is needed to ask for others."""
    # Read first: what changes while this page is made is told to it as soon as it listens.
    number = Worklist(context.register).last_change()
    query = asked.query()
    entries, follows = _entries(context, asked, query)
    audit(request, person, "saw worklist", "", asked.told)
    return page(
        request,
        "worklist.html",
        person,
        entries=entries,
        next=asked.link(after=follows) if follows else "",
        asked=asked,
        counts=_counts(request.app, context, query.wanted),
        choices=_choices(request.app, context),
        outcomes=(*OUTCOMES, "refused"),
        sorts=tuple(Sort),
        number=number,
        now=context.clock(),
        **_WORDS,
    )


@router.get("/worklist/rows", response_class=HTMLResponse)
def worklist_rows(
    request: Request, context: Context, person: Reader, asked: Annotated[RowsRequest, Query()]
) -> HTMLResponse:
    """The rows of studies that changed, for a page that is open: that it listens stands in the audit trail."""
    if not live_studies(request.app).is_watched_by(person.name):
        audit(request, person, "saw worklist", "", f"{len(asked.uid)} chosen studies")
    found = WorklistPages(context.register).lines(asked.uid, asked.query().wanted)
    refusals_only = asked.outcome == "refused"
    entries = [
        Entry(line.last_received_at, line, passes=passes and not refusals_only)
        for line, passes in found
    ]
    entries.sort(key=lambda one: one.at, reverse=True)
    return page(
        request, "worklist_rows.html", person, entries=entries, now=context.clock(), **_WORDS
    )  # fmt: skip


def listed(context: WebContext, query: WorklistQuery, after: str, size: int) -> WorklistPage:
    """A page of studies.

    Raises:
        ProblemError: 422, a cursor that was not given out.
    """
    try:
        return WorklistPages(context.register).page(query, after, size)
    except CursorError as error:
        raise ProblemError(422, "Not a place in this list", str(error)) from error


def _entries(
    context: WebContext, asked: WorklistRequest, query: WorklistQuery
) -> tuple[list[Entry], str]:
    """The rows of a page, and where the next one begins."""
    if asked.outcome == "refused":
        return _refused_only(context, asked, query)
    found = listed(context, query, asked.after, 50)
    entries = [Entry(study.last_received_at, study) for study in found.studies]
    if asked.asks_for_refusals and query.sort is Sort.RECEIVED:
        since, until = _window(asked, query, found)
        between = _refusals(context, query.wanted, since=since, until=until).refusals
        entries += [Entry(one.last_at, refused=one) for one in between]
        entries.sort(key=lambda one: one.at, reverse=query.downwards)
    return entries, found.next


def _refused_only(
    context: WebContext, asked: WorklistRequest, query: WorklistQuery
) -> tuple[list[Entry], str]:
    wanted = query.wanted
    before = int(asked.after) if asked.after.isascii() and asked.after.isdigit() else None
    found = _refusals(
        context, wanted, since=wanted.received_from, until=wanted.received_until,
        before=None if before is None else min(before, 2**62),
    )  # fmt: skip
    entries = [Entry(one.last_at, refused=one) for one in found.refusals]
    return entries, "" if found.next is None else str(found.next)


def _refusals(
    context: WebContext,
    wanted: WorklistFilter,
    *,
    since: float | None,
    until: float | None,
    before: int | None = None,
) -> RefusalPage:
    return RefusalList(context.ledger).page(
        since=since, until=until, before=before,
        calling_ae_title=wanted.calling_ae_title, search=wanted.search,
    )  # fmt: skip


def _window(
    asked: WorklistRequest, query: WorklistQuery, found: WorklistPage
) -> tuple[float | None, float | None]:
    """From when until when this page's studies came: what was refused then is shown between them."""
    begin = float(read_cursor(query, asked.after)[0]) if asked.after else None
    end = found.studies[-1].last_received_at.timestamp() if found.next else None
    newest, oldest = (begin, end) if query.downwards else (end, begin)
    wanted = query.wanted
    return (
        wanted.received_from if oldest is None else oldest,
        wanted.received_until if newest is None else newest,
    )


def _counts(app: FastAPI, context: WebContext, wanted: WorklistFilter) -> dict[str, int] | None:
    """How many there are of each outcome, whichever is chosen; of all studies, looked up every few seconds."""
    wanted = replace(wanted, outcome="")
    counts = WorklistPages(context.register).counts
    if wanted.count:
        return counts(wanted)
    return _kept(app, context, "worklist_counts", _COUNTS_SECONDS, lambda: counts(wanted))


def _choices(app: FastAPI, context: WebContext) -> dict[str, list[str]]:
    """What filters offer; looked up once a minute."""
    look = WorklistPages(context.register).choices
    return _kept(app, context, "worklist_choices", _CHOICES_SECONDS, look)


def _kept(app: FastAPI, context: WebContext, name: str, seconds: float, look: Callable[[], T]) -> T:
    """What `look` said at most so long ago."""
    now = context.clock().timestamp()
    kept: tuple[float, T] | None = getattr(app.state, name, None)
    if kept is None or not 0 <= now - kept[0] < seconds:
        kept = (now, look())
        setattr(app.state, name, kept)
    return kept[1]


def _person_words(name: str) -> str:
    """A DICOM name as people write it: family, given; a second group (ideographic) beside it (PS3.5 6.2.1)."""
    groups = []
    for group in name.split("=")[:2]:
        family, _, given = group.partition("^")
        words = ", ".join(part for part in (family.strip(), " ".join(given.split("^")).strip()) if part)
        if words:
            groups.append(words)
    return " · ".join(groups)


def _age_words(at: datetime, now: datetime) -> str:
    """How long ago, in one unit."""
    seconds = max(0, int((now - at).total_seconds()))
    for unit, length in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= length:
            return f"{seconds // length} {unit}"
    return f"{seconds} s"


def priority_word(priority: int) -> str:
    """As settings and people say it."""
    return Priority(priority).name.lower() if priority in list(Priority) else str(priority)


def _date_words(date: str) -> str:
    """A DA as ISO 8601 writes it."""
    return f"{date[:4]}-{date[4:6]}-{date[6:8]}" if len(date) == 8 and date.isdigit() else date


_WORDS: dict[str, Any] = {
    "person_words": _person_words,
    "age_words": _age_words,
    "priority_word": priority_word,
    "date_words": _date_words,
    "delivery_states": DELIVERY_STATES,
}
