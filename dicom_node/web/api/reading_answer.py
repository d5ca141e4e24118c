"""A reading as the API answers it, and the words for a file that has none."""

from __future__ import annotations

import base64
from typing import Any

from pydantic import BaseModel, Field

from dicom_node.web.reading_room import Picture, TrialReading, unread_problem
from pipeline.findings import RESEARCH_NOTICE, ImageFindings, NotProcessed, Outcome

# What is wrong with the file itself, and how that is answered. All else is an outcome: "not processed".
_REFUSED = {
    NotProcessed.TOO_LARGE: 413,
    NotProcessed.NOT_AN_IMAGE: 415,
    NotProcessed.NO_PIXELS: 422,
    NotProcessed.BAD_GEOMETRY: 422,
    NotProcessed.TRUNCATED: 422,
    NotProcessed.NO_DECODER: 422,
    NotProcessed.UNDECODABLE: 422,
    NotProcessed.READING_FAILED: 422,
}
UPLOAD_PROBLEMS = (400, 408, 413, 415, 422, 429, 503, 507)


class PartAnswer(BaseModel):
    """A body part."""

    name: str = Field(description="hand, leg, hip or shoulder")
    probability: float


class RegionAnswer(BaseModel):
    """Where in the film."""

    box: tuple[float, float, float, float] = Field(
        description="x0, y0, x1, y1 in the film's pixels from the outer corner of the first"
    )
    probability: float
    outcome: Outcome


class TypeAnswer(BaseModel):
    """A further label of the model's; it decides nothing."""

    name: str
    probability: float


class ThresholdsAnswer(BaseModel):
    """The two operating points."""

    fracture: float
    doubt: float


class ModelAnswer(BaseModel):
    """Which model read."""

    name: str
    version: str
    digest: str = Field(description="sha256 of its package")
    engine: str
    profile: str = Field(description="sha256 of the site profile; empty for the package's own")


class ReasonAnswer(BaseModel):
    """Why a film was not processed."""

    code: str
    meaning: str
    detail: str


class ReadingAnswer(BaseModel):
    """What the model says of a film."""

    outcome: Outcome
    fracture_probability: float | None = Field(description="null where the film was not processed")
    body_part: PartAnswer | None
    regions: list[RegionAnswer] = Field(
        description="likeliest first, with up to five below the operating points"
    )
    types: list[TypeAnswer]
    thresholds: ThresholdsAnswer
    model: ModelAnswer
    rows: int
    columns: int
    reason: ReasonAnswer | None = Field(description="why the film was not processed")
    note: str = Field(description="what to know of this reading, e.g. an age that is not in the header")
    notice: str = RESEARCH_NOTICE


def said_of(findings: ImageFindings) -> dict[str, Any]:
    """The fields of a `ReadingAnswer`."""
    part, reason, model = findings.body_part, findings.reason, findings.model
    return {
        "outcome": findings.outcome,
        "fracture_probability": findings.fracture_probability,
        "body_part": part and PartAnswer(name=part.name, probability=part.probability),
        "regions": [
            RegionAnswer(box=region.box, probability=region.probability, outcome=region.outcome)
            for region in findings.regions
        ],
        "types": [TypeAnswer(name=one.name, probability=one.probability) for one in findings.types],
        "thresholds": ThresholdsAnswer(
            fracture=findings.thresholds.fracture, doubt=findings.thresholds.doubt
        ),
        "model": ModelAnswer(
            name=model.name,
            version=model.version,
            digest=model.digest,
            engine=model.engine,
            profile=model.profile,
        ),
        "rows": findings.rows,
        "columns": findings.columns,
        "reason": reason
        and ReasonAnswer(code=reason.value, meaning=reason.meaning, detail=findings.detail),
        "note": "" if reason else findings.detail,
    }


def refuse_unreadable(findings: ImageFindings) -> None:
    """A file from which no film can be had is a problem of the request, not a reading.

    Raises:
        ProblemError: 413, 415 or 422 with the reason's code.
    """
    reason = findings.reason
    if reason in _REFUSED:
        raise unread_problem(_REFUSED[reason], reason, findings.detail)


def in_base64(reading: TrialReading, picture: Picture) -> str | None:
    """A picture as JSON carries it; None where there is none."""
    png = reading.pictures.get(picture)
    return None if png is None else base64.b64encode(png).decode()


def form_with_file(**flags: str) -> dict[str, Any]:
    """The description of a form with a file; `flags` by name, with what each asks for."""
    fields: dict[str, Any] = {
        "file": {"type": "string", "format": "binary", "description": "a DICOM, PNG or JPEG file"}
    }
    fields |= {name: {"type": "boolean", "description": words} for name, words in flags.items()}
    schema = {"type": "object", "required": ["file"], "properties": fields}
    return {"requestBody": {"required": True, "content": {"multipart/form-data": {"schema": schema}}}}
