"""Jobs: each image that came, what became of it, and what to do about it."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from fastapi import APIRouter, Depends, Query
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field
from starlette.requests import Request

from dicom_node.records import Priority
from dicom_node.register.study_record import StudyFilm
from dicom_node.web.access import Permission, Person, may
from dicom_node.web.acting import job_control
from dicom_node.web.api.deliveries import DeliveryAnswer
from dicom_node.web.api.films import JobId, Reader, known_film
from dicom_node.web.auditing import audit
from dicom_node.web.context import Context
from dicom_node.web.problem import ProblemError, problems
from dicom_node.web.worklist_request import PriorityWord
from dicom_node.work.job_list import ImageLine, JobList

router = APIRouter(prefix="/api/v1/jobs", tags=["jobs"])
Actor = Annotated[Person, Depends(may(Permission.ACT))]
JobState = Literal[
    "received", "done", "cancelled",
    "fracture", "doubt", "no fracture", "not processed",
    "queued", "waiting", "delivered", "parked",
    "asked", "committed", "not committed", "never committed",
]  # fmt: skip


class JobAnswer(BaseModel):
    """One image that came."""

    job: str
    sop_instance_uid: str
    study_instance_uid: str
    received_at: datetime
    finished_at: datetime | None
    sender: str = Field(description="calling AE title")
    address: str
    modality: str
    byte_count: int
    priority: str
    state: str = Field(description="received, done or cancelled")
    revision: int | None = Field(description="how often this image was read")
    same_as: str | None = Field(description="the job that this one only repeats")
    outcome: str | None
    reason: str | None = Field(description="why it was not processed")
    detail: str
    fracture_probability: float | None
    body_part: str | None
    model: str | None = Field(description="name and version")
    model_digest: str | None
    deliveries: list[DeliveryAnswer]

    @classmethod
    def of(cls, line: ImageLine) -> JobAnswer:
        """The ledger's line."""
        found = line.findings
        return cls(
            job=line.id,
            sop_instance_uid=line.sop_instance_uid,
            study_instance_uid=line.study_instance_uid,
            received_at=line.received_at,
            finished_at=line.finished_at,
            sender=line.calling_ae_title,
            address=line.address,
            modality=line.modality,
            byte_count=line.byte_count,
            priority=Priority(line.priority).name.lower(),
            state=line.state,
            revision=line.revision,
            same_as=line.same_as,
            outcome=str(found.outcome) if found else None,
            reason=line.reason.meaning if line.reason else None,
            detail=line.detail,
            fracture_probability=found.fracture_probability if found else None,
            body_part=found.body_part.name if found and found.body_part else None,
            model=f"{found.model.name} {found.model.version}" if found else None,
            model_digest=found.model.digest if found else None,
            deliveries=[DeliveryAnswer.of(one, line.study_instance_uid) for one in line.deliveries],
        )


class PriorityForm(BaseModel):
    """How urgent from now on."""

    model_config = ConfigDict(extra="forbid")

    priority: PriorityWord

    @property
    def record(self) -> Priority:
        """As the records have it."""
        return Priority[self.priority.upper()]


class Done(BaseModel):
    """What was done, in words."""

    message: str


@router.get("", summary="Images that came, the latest first", responses=problems(422, 503))
def list_jobs(
    request: Request,
    context: Context,
    person: Reader,
    state: Annotated[
        JobState | None,
        Query(description="the image's state, its outcome, or the state of one of its deliveries"),
    ] = None,
    before: Annotated[
        AwareDatetime | None, Query(description="received before; `received_at` of the last one seen")
    ] = None,
    limit: Annotated[int, Query(ge=1, le=500)] = 50,
) -> list[JobAnswer]:
    """With their deliveries."""
    audit(request, person, "saw jobs", state or "all")
    found = JobList(context.ledger).images(limit, state=state, before=before)
    return [JobAnswer.of(line) for line in found]


@router.get("/{job}", summary="One image", responses=problems(404, 422, 503))
def show_job(request: Request, context: Context, person: Reader, job: JobId) -> JobAnswer:
    """With its reading in short, and its deliveries."""
    film = known_film(context, job)
    audit(request, person, "saw job", film.sop_instance_uid)
    found = JobList(context.ledger).image(film.id)
    if found is None:
        raise ProblemError(404, "No such job", "Its retention time has just ended.")
    return JobAnswer.of(found)


@router.post(
    "/{job}/retry",
    summary="Try again what failed",
    description="Sends what did not arrive; reads or composes anew what failed or was cancelled.",
    responses=problems(404, 422, 503),
)
def retry_job(request: Request, context: Context, person: Actor, job: JobId) -> Done:
    """As `dicom-node jobs retry`."""
    film = _acted(request, context, person, job, "retried image")
    return Done(message=job_control(request.app).retry(film.id, context.clock()))


@router.post(
    "/{job}/read-again",
    summary="Read the film anew, whatever was said of it",
    responses=problems(404, 422, 503),
)
def read_job_again(request: Request, context: Context, person: Actor, job: JobId) -> Done:
    """As `dicom-node jobs retry --read-again`."""
    film = _acted(request, context, person, job, "read image again")
    control = job_control(request.app)
    return Done(message=control.retry(film.id, context.clock(), read_again=True))


@router.post(
    "/{job}/cancel",
    summary="Take back its reading and its own deliveries that have not ended",
    responses=problems(404, 422, 503),
)
def cancel_job(request: Request, context: Context, person: Actor, job: JobId) -> Done:
    """As `dicom-node jobs cancel`."""
    film = _acted(request, context, person, job, "cancelled image")
    return Done(message=job_control(request.app).cancel(film.id, context.clock()))


@router.post(
    "/{job}/send-again",
    summary="Send all that stands of it again, byte for byte",
    description="Also what stands of its study as a whole, and what had arrived.",
    responses=problems(404, 422, 503),
)
def send_job_again(request: Request, context: Context, person: Actor, job: JobId) -> Done:
    """The archive is not asked first whether it has it."""
    film = _acted(request, context, person, job, "sent image again")
    return Done(message=job_control(request.app).send_again(film.id, context.clock()))


@router.post(
    "/{job}/priority", summary="Change how urgent it is", responses=problems(400, 404, 422, 503)
)
def set_job_priority(
    request: Request, context: Context, person: Actor, job: JobId, form: PriorityForm
) -> Done:
    """What waits changes its place; what runs goes on."""
    film = _acted(request, context, person, job, "set priority of image", form.priority)
    return Done(message=job_control(request.app).set_priority(film.id, form.record))


def _acted(
    request: Request, context: Context, person: Person, job: str, act: str, detail: str = ""
) -> StudyFilm:
    """The image of a job, once the act is in the audit trail."""
    film = known_film(context, job)
    audit(request, person, act, film.sop_instance_uid, detail)
    return film
