"""A file read and answered at once; nothing of it is kept."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import APIRouter, Query
from pydantic import BaseModel, Field
from starlette.requests import Request

from dicom_node.web.api.reading_answer import (
    UPLOAD_PROBLEMS,
    ReadingAnswer,
    form_with_file,
    in_base64,
    refuse_unreadable,
    said_of,
)
from dicom_node.web.auditing import audit
from dicom_node.web.context import Context, WebContext
from dicom_node.web.problem import ProblemError, problems
from dicom_node.web.reading_room import Picture, TrialReading
from dicom_node.web.uploads import ANY_BODY, ReceivedUpload, Upload
from pipeline.findings import ImageFindings, Outcome

router = APIRouter(tags=["predict"], max_body_size=ANY_BODY)
_YES = ("1", "true", "on", "yes")
_ON_REQUEST = {
    "overlay": "also the film with its boxes, as PNG in base64",
    "gradcam": "also the film with its Grad-CAM and arrow, as PNG in base64",
}


class Prediction(ReadingAnswer):
    """A reading with the pictures that were asked for."""

    overlay: str | None = Field(None, description="PNG in base64, with boxes, where it was asked for")
    gradcam: str | None = Field(
        None, description="PNG in base64, with Grad-CAM, where it was asked for and the film was read"
    )


class AliasAnswer(BaseModel):
    """The short answer of `POST /predict`."""

    prediction: Literal["Fracture", "Doubt", "No fracture", "Not processed"]
    confidence: str = Field(
        description='how likely that is, e.g. "94.3%": of a doubt how likely a fracture is; empty where not processed'
    )
    image_base64: str = Field(
        description="PNG: the film with Grad-CAM and arrow; a card where it was not processed"
    )


@router.post(
    "/api/v1/predict",
    summary="Read a film",
    description="Reads a DICOM, PNG or JPEG file and answers; nothing of it is kept, and nothing sent anywhere.",
    responses=problems(*UPLOAD_PROBLEMS),
    openapi_extra=form_with_file(**_ON_REQUEST),
)
def predict(
    request: Request,
    context: Context,
    upload: ReceivedUpload,
    overlay: Annotated[bool, Query(description=_ON_REQUEST["overlay"])] = False,
    gradcam: Annotated[bool, Query(description=_ON_REQUEST["gradcam"])] = False,
) -> Prediction:
    """The reading; a file from which no film can be had is a problem."""
    asked = {Picture.OVERLAY: overlay, Picture.GRADCAM: gradcam}
    wanted = frozenset(one for one, flag in asked.items() if flag or _is_set(upload, one))
    reading = read_upload(request, context, upload, wanted)
    refuse_unreadable(reading.findings)
    return Prediction(
        **said_of(reading.findings),
        overlay=in_base64(reading, Picture.OVERLAY),
        gradcam=in_base64(reading, Picture.GRADCAM),
    )


@router.post(
    "/predict",
    summary="Read a film (short answer)",
    description="The same as `POST /api/v1/predict` with the answer that older clients know.",
    responses=problems(*UPLOAD_PROBLEMS),
    openapi_extra=form_with_file(),
)
def predict_briefly(request: Request, context: Context, upload: ReceivedUpload) -> AliasAnswer:
    """The outcome in a word, how sure, and a picture."""
    wanted = frozenset((Picture.GRADCAM, Picture.OVERLAY))
    reading = read_upload(request, context, upload, wanted)
    refuse_unreadable(reading.findings)
    picture = in_base64(reading, Picture.GRADCAM) or in_base64(reading, Picture.OVERLAY)
    return AliasAnswer(
        prediction=_PREDICTIONS[reading.findings.outcome],
        confidence=_confidence(reading.findings),
        image_base64=picture or "",
    )


def read_upload(
    request: Request, context: WebContext, upload: Upload, wanted: frozenset[Picture], about: str = ""
) -> TrialReading:
    """Reads what was given, and writes down who gave it; `about`: the id under which it will be kept.

    Raises:
        ProblemError: as `ReadingRoom.read` does.
    """
    about = about or f"sha256 {upload.digest[:16]}"
    try:
        reading = context.reading_room.read(upload.path, wanted)
    except ProblemError as problem:
        audit(request, upload.person, "read upload", about, f"{problem.status} {problem.title}")
        raise
    reason = reading.findings.reason
    said = f"{reading.findings.outcome}{f' {reason.value}' if reason else ''}"
    audit(request, upload.person, "read upload", about, said)
    return reading


def _is_set(upload: Upload, picture: Picture) -> bool:
    return upload.fields.get(picture.value, "").strip().lower() in _YES


_PREDICTIONS: dict[Outcome, Literal["Fracture", "Doubt", "No fracture", "Not processed"]] = {
    Outcome.FRACTURE: "Fracture",
    Outcome.DOUBT: "Doubt",
    Outcome.NO_FRACTURE: "No fracture",
    Outcome.NOT_PROCESSED: "Not processed",
}


def _confidence(findings: ImageFindings) -> str:
    """How likely the prediction is, as older clients show it."""
    chance = findings.fracture_probability
    if chance is None:
        return ""
    return f"{1 - chance if findings.outcome is Outcome.NO_FRACTURE else chance:.1%}"
