"""Studies: the worklist as programs read it, what was refused, and acts on whole studies."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Path, Query
from pydantic import BaseModel, Field
from starlette.requests import Request

from dicom_node.register.worklist_projection import studies_in_ledger
from dicom_node.register.worklist_query import PAGE, WorklistFilter, WorklistPages
from dicom_node.register.worklist_study import WorklistStudy
from dicom_node.web.access import Person
from dicom_node.web.acting import study_control
from dicom_node.web.api.films import Reader
from dicom_node.web.api.jobs import Actor, Done, JobAnswer, PriorityForm
from dicom_node.web.auditing import audit
from dicom_node.web.context import Context, WebContext
from dicom_node.web.problem import ProblemError, problems
from dicom_node.web.worklist_page import listed, priority_word
from dicom_node.web.worklist_request import WorklistRequest
from dicom_node.work.job_list import JobList
from dicom_node.work.refusals import RefusalList, Refusals

router = APIRouter(prefix="/api/v1", tags=["studies"])
StudyUid = Annotated[
    str, Path(pattern=r"^[0-9]+(\.[0-9]+)*$", max_length=64, description="Study Instance UID")
]


class StudiesRequest(WorklistRequest):
    """The worklist's words, and how many lines."""

    limit: int = Field(PAGE, ge=1, le=500)


class StudyAnswer(BaseModel):
    """A line of the worklist."""

    study_instance_uid: str
    patient_name: str = Field(description="as DICOM writes it")
    patient_id: str
    accession_number: str
    study_description: str
    study_date: str
    modalities: list[str]
    sender: str = Field(description="calling AE title of the image that came last")
    images: int = Field(description="that stand: neither replaced nor a repetition")
    unread: int
    revision: int = Field(description="how often its findings were closed")
    first_received_at: datetime
    last_received_at: datetime
    outcome: str = Field(description="the one of its images that a reader must not miss")
    outcomes: dict[str, int] = Field(description="images by outcome")
    reasons: str = Field(description="why something was not processed or not composed")
    body_parts: list[str]
    fracture_probability: float | None = Field(description="the greatest of an image")
    priority: str
    delivery_state: str = Field(description="the state of a delivery that needs somebody most")
    deliveries: dict[str, int] = Field(description="deliveries by state")
    verdict: str = Field(description="agrees, disagrees, or empty")

    @classmethod
    def of(cls, line: WorklistStudy) -> StudyAnswer:
        """The worklist's line."""
        header = line.header
        return cls(
            study_instance_uid=line.study_instance_uid,
            patient_name=header.patient_name,
            patient_id=header.patient_id,
            accession_number=header.accession_number,
            study_description=header.study_description,
            study_date=header.study_date,
            modalities=list(line.modalities),
            sender=line.calling_ae_title,
            images=line.images,
            unread=line.unread,
            revision=line.revision,
            first_received_at=line.first_received_at,
            last_received_at=line.last_received_at,
            outcome=line.outcome,
            outcomes=dict(line.outcomes),
            reasons=line.reasons,
            body_parts=list(line.body_parts),
            fracture_probability=line.probability,
            priority=priority_word(line.priority),
            delivery_state=line.delivery_state,
            deliveries=dict(line.deliveries),
            verdict=line.verdict,
        )


class StudiesAnswer(BaseModel):
    """A page of the worklist."""

    studies: list[StudyAnswer]
    next: str = Field(description="`after` of the next page; empty where nothing follows")


class WholeStudyAnswer(BaseModel):
    """A study with all its images."""

    study: StudyAnswer
    jobs: list[JobAnswer] = Field(description="every version of every image, the latest first")


class RefusalAnswer(BaseModel):
    """What one sender was refused, for one reason."""

    first_at: datetime
    last_at: datetime
    sender: str
    address: str
    status: int = Field(description="the C-STORE response")
    reason: str
    count: int

    @classmethod
    def of(cls, refused: Refusals) -> RefusalAnswer:
        """The ledger's notices."""
        return cls(
            first_at=refused.first_at,
            last_at=refused.last_at,
            sender=refused.calling_ae_title,
            address=refused.address,
            status=refused.status,
            reason=refused.text,
            count=refused.count,
        )


class RefusalsAnswer(BaseModel):
    """What was refused before it became a study."""

    refusals: list[RefusalAnswer]
    next: int | None = Field(description="`before` of the next page; null where nothing follows")


@router.get("/studies", summary="The worklist", responses=problems(422, 503))
def list_studies(
    request: Request, context: Context, person: Reader, asked: Annotated[StudiesRequest, Query()]
) -> StudiesAnswer:
    """Filtered, searched and sorted as the page's."""
    if asked.outcome == "refused":
        raise ProblemError(422, "No study", "What was refused is listed at /api/v1/refusals.")
    audit(request, person, "saw worklist", "", asked.told)
    found = listed(context, asked.query(), asked.after, asked.limit)
    return StudiesAnswer(studies=[StudyAnswer.of(line) for line in found.studies], next=found.next)


@router.get("/studies/{study}", summary="One study", responses=problems(404, 422, 503))
def show_study(request: Request, context: Context, person: Reader, study: StudyUid) -> WholeStudyAnswer:
    """Its line of the worklist, and its images with their deliveries."""
    line = _line(context, study)
    audit(request, person, "saw study", study)
    jobs = JobList(context.ledger).images(1000, study=study)
    return WholeStudyAnswer(study=StudyAnswer.of(line), jobs=[JobAnswer.of(one) for one in jobs])


@router.get("/refusals", summary="What was refused, the latest first", responses=problems(422, 503))
def list_refusals(
    request: Request,
    context: Context,
    person: Reader,
    sender: Annotated[str, Query(max_length=16)] = "",
    before: Annotated[
        int | None, Query(ge=0, lt=2**63, description="`next` of the page before")
    ] = None,
) -> RefusalsAnswer:
    """Images that got an error, or were taken and not kept; the same ones together."""
    audit(request, person, "saw refusals", "")
    found = RefusalList(context.ledger).page(calling_ae_title=sender, before=before)
    return RefusalsAnswer(refusals=[RefusalAnswer.of(one) for one in found.refusals], next=found.next)


@router.post(
    "/studies/{study}/retry",
    summary="Try again what failed",
    description="Sends what did not arrive; reads or composes anew what failed or was cancelled.",
    responses=problems(404, 422, 503),
)
def retry_study(request: Request, context: Context, person: Actor, study: StudyUid) -> Done:
    """Each of its images."""
    _acted(request, context, person, study, "retried study")
    return Done(message=study_control(request.app).retry(study, context.clock()))


@router.post(
    "/studies/{study}/read-again",
    summary="Read all its films anew, whatever was said of them",
    responses=problems(404, 422, 503),
)
def read_study_again(request: Request, context: Context, person: Actor, study: StudyUid) -> Done:
    """Each of its images."""
    _acted(request, context, person, study, "read study again")
    control = study_control(request.app)
    return Done(message=control.retry(study, context.clock(), read_again=True))


@router.post(
    "/studies/{study}/cancel",
    summary="Take back its readings and deliveries that have not ended",
    responses=problems(404, 422, 503),
)
def cancel_study(request: Request, context: Context, person: Actor, study: StudyUid) -> Done:
    """Each of its images, and its reports."""
    _acted(request, context, person, study, "cancelled study")
    return Done(message=study_control(request.app).cancel(study, context.clock()))


@router.post(
    "/studies/{study}/send-again",
    summary="Send all that stands of it again, byte for byte",
    responses=problems(404, 422, 503),
)
def send_study_again(request: Request, context: Context, person: Actor, study: StudyUid) -> Done:
    """Also what had arrived."""
    _acted(request, context, person, study, "sent study again")
    return Done(message=study_control(request.app).send_again(study, context.clock()))


@router.post(
    "/studies/{study}/priority",
    summary="Change how urgent it is",
    responses=problems(400, 404, 422, 503),
)
def set_study_priority(
    request: Request, context: Context, person: Actor, study: StudyUid, form: PriorityForm
) -> Done:
    """What waits changes its place; what runs goes on."""
    _acted(request, context, person, study, "set priority of study", form.priority)
    return Done(message=study_control(request.app).set_priority(study, form.record))


def _line(context: WebContext, study: str) -> WorklistStudy:
    """A study's line; where the worklist does not have it yet, without what headers say.

    Raises:
        ProblemError: 404.
    """
    listed_already = WorklistPages(context.register).lines([study], WorklistFilter())
    if listed_already:
        return listed_already[0][0]
    with context.ledger.read() as connection:
        found = studies_in_ledger(connection, [study])
    if not found:
        raise ProblemError(404, "No such study", "It never was, or its retention time is over.")
    return found[0].line


def _acted(
    request: Request, context: WebContext, person: Person, study: str, act: str, detail: str = ""
) -> None:
    """Puts the act into the audit trail, if there is such a study."""
    _line(context, study)
    audit(request, person, act, study, detail)
