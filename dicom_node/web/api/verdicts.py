"""Verdicts: given by radiologists, listed, and exported as a labelled data set."""

from __future__ import annotations

import io
import secrets
import uuid
import zipfile
from collections.abc import Iterator
from datetime import datetime
from typing import Annotated, Literal

from fastapi import APIRouter, Depends, Query
from pydantic import BaseModel, ConfigDict, Field
from starlette.requests import Request
from starlette.responses import StreamingResponse

from dicom_node.register.study_record import StudyFilm
from dicom_node.register.verdict_export import Export, choose_films, exported_files
from dicom_node.register.verdict_films import VerdictFilms
from dicom_node.register.verdicts import FractureWord, Verdict, Verdicts, Wanted
from dicom_node.register.worklist import Worklist
from dicom_node.register.worklist_follower import Followed
from dicom_node.web.access import Permission, Person, may
from dicom_node.web.api.films import JobId, Reader, decoded, known_film
from dicom_node.web.auditing import audit
from dicom_node.web.context import Context, WebContext
from dicom_node.web.header_facts import read_header, value_words
from dicom_node.web.live import live_studies
from dicom_node.web.problem import ProblemError, problems
from pipeline.findings import ImageFindings, Outcome

router = APIRouter(prefix="/api/v1", tags=["verdicts"])
Judge = Annotated[Person, Depends(may(Permission.JUDGE))]
Administrator = Annotated[Person, Depends(may(Permission.ADMINISTER))]
Edge = Annotated[float, Field(allow_inf_nan=False, ge=0, le=1_000_000)]
_MOST_BOXES = 50
_LEAST_SIDE = 2.0
# The dates of a zip's members; the real ones would tell when the export was made, which is nobody's business.
_NO_DATE = (1980, 1, 1, 0, 0, 0)


class VerdictForm(BaseModel):
    """What a radiologist says of the reading of one image."""

    model_config = ConfigDict(extra="forbid")

    outcome: Outcome = Field(description="the outcome that is judged, as it was shown")
    agrees: bool = Field(description="with the reading, its place included")
    fracture: FractureWord = Field(description="whether a fracture is there")
    boxes: list[tuple[Edge, Edge, Edge, Edge]] = Field(
        default_factory=list,
        max_length=_MOST_BOXES,
        description="x0, y0, x1, y1 in film pixels, only where a fracture is present",
    )
    comment: str = Field("", max_length=2000, description="kept here, never exported; no names")


class VerdictAnswer(BaseModel):
    """A verdict as it is kept."""

    id: str
    at: datetime
    person: str
    study_instance_uid: str
    job: str
    sop_instance_uid: str
    stands: bool = Field(description="false once the same person said something else of the same image")
    agrees: bool
    fracture: FractureWord
    boxes: list[tuple[float, float, float, float]]
    comment: str
    outcome: str = Field(description="of the reading that was judged")
    probability: float | None
    body_part: str
    model_digest: str
    exported: bool = Field(description="false where words are burned into the film, by its header")

    @classmethod
    def of(cls, verdict: Verdict) -> VerdictAnswer:
        """The register's verdict."""
        return cls(
            id=verdict.id,
            at=verdict.at,
            person=verdict.person,
            study_instance_uid=verdict.study_instance_uid,
            job=verdict.instance_id,
            sop_instance_uid=verdict.sop_instance_uid,
            stands=verdict.stands,
            agrees=verdict.agrees,
            fracture=verdict.fracture,
            boxes=list(verdict.boxes),
            comment=verdict.comment,
            outcome=verdict.outcome,
            probability=verdict.probability,
            body_part=verdict.body_part,
            model_digest=verdict.model,
            exported=bool(verdict.film_path),
        )


@router.post(
    "/jobs/{job}/verdict",
    status_code=201,
    summary="Say what is right",
    description="A later verdict of the same person on the same image stands in the place of the earlier, which stays. "
    "With the verdict a copy of the film's pixels is kept, without a header, for the export.",
    responses=problems(400, 404, 409, 422, 429, 503),
)
def give_verdict(
    request: Request, context: Context, person: Judge, job: JobId, form: VerdictForm
) -> VerdictAnswer:
    """Keeps the verdict and the film's pixels."""
    film = known_film(context, job)
    findings = film.findings
    if findings is None or findings.reason is not None or not film.pixel_digest:
        raise ProblemError(409, "Not read", "There is no reading that could be judged.")
    if findings.outcome is not form.outcome:
        raise ProblemError(
            409, "Read anew", f"The reading says {findings.outcome} by now; load the page again."
        )
    _refuse_contradiction(form)
    boxes = tuple(_within(box, findings) for box in form.boxes)
    audit(request, person, "judged image", film.sop_instance_uid, form.fracture)
    given = _verdict(context, film, findings, form, person.name, boxes)
    Verdicts(context.register).give(given)
    # The ledger does not change by it: the open pages are told here.
    number = Worklist(context.register).last_change()
    live_studies(request.app).tell(Followed(number, (film.study_instance_uid,)))
    return VerdictAnswer.of(given)


@router.get(
    "/jobs/{job}/verdicts",
    summary="What was said of an image, the latest first",
    responses=problems(404, 422),
)
def verdicts_of_job(
    request: Request, context: Context, person: Reader, job: JobId
) -> list[VerdictAnswer]:
    """Also those that stand no more."""
    film = known_film(context, job)
    audit(request, person, "saw verdicts", film.sop_instance_uid)
    found = Verdicts(context.register).of_film(film.sop_instance_uid, film.pixel_digest)
    return [VerdictAnswer.of(one) for one in found]


@router.get("/verdicts", summary="Verdicts, the latest first", responses=problems(422))
def list_verdicts(
    request: Request,
    context: Context,
    person: Reader,
    of_person: Annotated[str | None, Query(alias="person", max_length=200)] = None,
    study: Annotated[str | None, Query(max_length=64, description="Study Instance UID")] = None,
    fracture: FractureWord | None = None,
    agrees: bool | None = None,
    standing: Annotated[bool, Query(description="only those that stand")] = True,
    before: Annotated[
        str | None, Query(max_length=64, description="the id of the last one seen, for the next page")
    ] = None,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
) -> list[VerdictAnswer]:
    """Those that fit all that is asked for."""
    audit(request, person, "saw verdicts", study or "all")
    wanted = Wanted(
        person=of_person, study_instance_uid=study, fracture=fracture, agrees=agrees,
        standing_only=standing, before=before,
    )  # fmt: skip
    return [VerdictAnswer.of(one) for one in Verdicts(context.register).latest(wanted, limit)]


@router.get(
    "/verdicts/export",
    summary="The verdicts as a labelled data set, zipped",
    description="De-identified, in the layout fracatlas that `dicom-node train` reads. Words that are burned into a "
    "film's pixels are not removed.",
    response_class=StreamingResponse,
    responses={
        200: {"content": {"application/zip": {"schema": {"type": "string", "format": "binary"}}}},
        **problems(),
    },
)
def export_verdicts(request: Request, context: Context, person: Administrator) -> StreamingResponse:
    """Streamed: a film at a time is in memory."""
    kept = verdict_films(context)
    export = choose_films(Verdicts(context.register).standing(), kept)
    audit(request, person, "exported verdicts", f"{export.counts.films} films")
    headers = {"Content-Disposition": 'attachment; filename="verdicts.zip"'}
    return StreamingResponse(_zipped(export, kept), headers=headers, media_type="application/zip")


def verdict_films(context: WebContext) -> VerdictFilms:
    """Where judged films are kept."""
    return VerdictFilms(context.settings.node.data, secrets.token_bytes)


def _refuse_contradiction(form: VerdictForm) -> None:
    opposite: dict[Outcome, Literal[FractureWord.PRESENT, FractureWord.ABSENT]] = {
        Outcome.FRACTURE: FractureWord.ABSENT,
        Outcome.NO_FRACTURE: FractureWord.PRESENT,
    }
    if form.agrees and opposite.get(form.outcome) is form.fracture:
        raise ProblemError(
            422, "A contradiction", f"You agree with {form.outcome!s}, and say {form.fracture!s}."
        )
    if form.boxes and form.fracture is not FractureWord.PRESENT:
        raise ProblemError(422, "A contradiction", "Boxes are where a fracture is present.")


def _within(
    box: tuple[float, float, float, float], findings: ImageFindings
) -> tuple[float, float, float, float]:
    """The box clipped to the film.

    Raises:
        ProblemError: 422, hardly anything of it lies in the film.
    """
    (x0, x1), (y0, y1) = sorted((box[0], box[2])), sorted((box[1], box[3]))
    x0, x1 = min(x0, findings.columns), min(x1, findings.columns)
    y0, y1 = min(y0, findings.rows), min(y1, findings.rows)
    if x1 - x0 < _LEAST_SIDE or y1 - y0 < _LEAST_SIDE:
        raise ProblemError(
            422, "Not a box", f"A box has sides of at least {_LEAST_SIDE:g} film pixels."
        )
    return x0, y0, x1, y1


def _verdict(
    context: WebContext,
    film: StudyFilm,
    findings: ImageFindings,
    form: VerdictForm,
    person: str,
    boxes: tuple[tuple[float, float, float, float], ...],
) -> Verdict:
    """The verdict with what an export needs of the film, which goes with its retention time."""
    path = context.settings.node.data / film.spool_path
    header, kept = read_header(path, film.transfer_syntax_uid), verdict_films(context)
    if header is None:
        raise ProblemError(404, "The film is gone", "Its file is no longer kept.")
    burned_in = value_words(header, "BurnedInAnnotation").upper() == "YES"
    film_path = "" if burned_in else kept.keep(film.pixel_digest, decoded(context, film).png())
    patient = value_words(header, "PatientID")
    whose = (
        ("patient", patient, value_words(header, "IssuerOfPatientID"))
        if patient
        else ("study", film.study_instance_uid)
    )
    return Verdict(
        id=uuid.uuid4().hex,
        at=context.clock(),
        person=person,
        study_instance_uid=film.study_instance_uid,
        instance_id=film.id,
        sop_instance_uid=film.sop_instance_uid,
        pixel_digest=film.pixel_digest,
        agrees=form.agrees,
        fracture=form.fracture,
        boxes=boxes,
        comment=form.comment,
        outcome=str(findings.outcome),
        probability=findings.fracture_probability,
        body_part=findings.body_part.name if findings.body_part else "",
        model=findings.model.digest,
        group_digest=kept.keyed_digest(*whose),
        film_path=film_path,
    )


class _Unsent(io.RawIOBase):
    """What a zip file wrote since it was last asked."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []

    def writable(self) -> bool:
        """A zip file writes to it and cannot go back."""
        return True

    def write(self, data: bytes) -> int:  # type: ignore[override]
        """Keeps a part."""
        self._parts.append(bytes(data))
        return len(data)

    def take(self) -> bytes:
        """All parts."""
        taken = b"".join(self._parts)
        self._parts.clear()
        return taken


def _zipped(export: Export, kept: VerdictFilms) -> Iterator[bytes]:
    unsent = _Unsent()
    with zipfile.ZipFile(unsent, "w") as archive:
        for name, data in exported_files(export, kept):
            # PNGs are compressed already.
            way = zipfile.ZIP_STORED if name.endswith(".png") else zipfile.ZIP_DEFLATED
            archive.writestr(zipfile.ZipInfo(f"verdicts/{name}", _NO_DATE), data, way)
            yield unsent.take()
    yield unsent.take()
