"""The page of a study: its films on a canvas, what was read, what was sent, what people said, and when."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Query
from starlette.requests import Request
from starlette.responses import HTMLResponse

from dicom_node.records import Priority
from dicom_node.register.study_events import KINDS, StudyEvent, study_events
from dicom_node.register.study_record import StudyFilm, StudyRecord, StudyRecords
from dicom_node.register.verdicts import Verdict, Verdicts, Wanted
from dicom_node.web.access import Permission, Person, may
from dicom_node.web.auditing import audit
from dicom_node.web.context import Context, WebContext
from dicom_node.web.header_facts import FILM_FACTS, STUDY_FACTS, facts, read_header
from dicom_node.web.pages import page
from dicom_node.web.problem import ProblemError
from pipeline.findings import ImageFindings, Outcome

router = APIRouter(include_in_schema=False)
Reader = Annotated[Person, Depends(may(Permission.READ))]
# Which film is shown first: what a reader must not miss.
_FIRST = (Outcome.FRACTURE, Outcome.DOUBT, Outcome.NOT_PROCESSED, Outcome.NO_FRACTURE)
_MOST_LISTED = 200


@router.get("/studies/{study_instance_uid}", response_class=HTMLResponse)
def study_page(
    request: Request,
    context: Context,
    person: Reader,
    study_instance_uid: Annotated[str, Path(max_length=64)],
    image: Annotated[str | None, Query(max_length=64)] = None,
) -> HTMLResponse:
    """The study, with one of its films on the canvas."""
    record = StudyRecords(context.ledger).study(study_instance_uid)
    if record is None:
        raise ProblemError(404, "No such study", "It never came, or its retention time is over.")
    film = _chosen(record, image)
    audit(request, person, "saw study", study_instance_uid, film.sop_instance_uid)
    header = read_header(context.settings.node.data / film.spool_path, film.transfer_syntax_uid)
    said = Verdicts(context.register).of_film(film.sop_instance_uid, film.pixel_digest)
    return page(
        request,
        "study.html",
        person,
        record=record,
        film=film,
        film_number=record.films.index(film) + 1,
        film_priority=Priority(film.priority).name.lower(),
        study_facts=facts(header, STUDY_FACTS),
        film_facts=facts(header, FILM_FACTS),
        header_is_there=header is not None,
        numbers={one.id: number for number, one in enumerate(record.films, start=1)},
        kinds=KINDS,
        events=_timed(study_events(record)),
        verdicts=said,
        canvas=_canvas(film, said, person) if header is not None else None,
    )


@router.get("/verdicts", response_class=HTMLResponse)
def verdicts_page(request: Request, context: Context, person: Reader) -> HTMLResponse:
    """The latest verdicts that stand; administrators export them all."""
    audit(request, person, "saw verdicts", "all")
    latest = Verdicts(context.register).latest(Wanted(), _MOST_LISTED)
    known = _still_known(context, latest)
    return page(request, "study_verdicts.html", person, verdicts=latest, known=known, most=_MOST_LISTED)


def _still_known(context: WebContext, verdicts: Sequence[Verdict]) -> frozenset[str]:
    """Which of their images can still be looked at."""
    return StudyRecords(context.ledger).known({one.instance_id for one in verdicts})


def _chosen(record: StudyRecord, wanted: str | None) -> StudyFilm:
    """The film that is asked for, else the one that a reader must not miss.

    Raises:
        ProblemError: 404, it is none of this study.
    """
    if wanted is not None:
        film = record.film(wanted)
        if film is None:
            raise ProblemError(404, "No such image", "This study has no image of that id.")
        return film
    return min(record.standing, key=_urgency)


def _urgency(film: StudyFilm) -> tuple[int, float]:
    findings = film.findings
    if findings is None:
        return len(_FIRST), 0.0
    return _FIRST.index(findings.outcome), -(findings.fracture_probability or 0.0)


def _timed(events: Sequence[StudyEvent]) -> list[tuple[StudyEvent, str, str]]:
    """Each event with the time since the first, and how long it took, in words."""
    if not events:
        return []
    first: datetime = events[0].at
    return [
        (event, span_words((event.at - first).total_seconds()), span_words(event.took))
        for event in events
    ]


def span_words(seconds: float | None) -> str:
    """A length of time as people say it."""
    if seconds is None:
        return ""
    if seconds < 10:
        return f"{max(seconds, 0):.1f} s"
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


def _canvas(film: StudyFilm, said: Sequence[Verdict], person: Person) -> dict[str, Any]:
    """What the canvas's script gets: JSON."""
    findings = film.findings
    mine = next((one for one in said if one.person == person.name and one.stands), None)
    return {
        "job": film.id,
        "film": f"/api/v1/jobs/{film.id}/film",
        "layers": f"/api/v1/jobs/{film.id}/layers",
        "outcome": str(findings.outcome) if findings else "",
        "regions": _regions(findings),
        "said": None if mine is None else {"fracture": str(mine.fracture), "boxes": mine.boxes},
    }


def _regions(findings: ImageFindings | None) -> list[dict[str, Any]]:
    if findings is None:
        return []
    return [
        {
            "box": region.box,
            "probability": region.probability,
            "outcome": str(region.outcome),
            "contour": region.contour,
        }
        for region in findings.visible_regions
    ]
