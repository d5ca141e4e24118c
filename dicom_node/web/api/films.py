"""A job's film: its pixels for the canvas, a thumbnail, and where the model looked."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from contextlib import contextmanager
from threading import BoundedSemaphore
from typing import Annotated

from fastapi import APIRouter, Depends, Path, Response
from pydantic import BaseModel, Field
from pydicom.uid import UID
from starlette.requests import Request

from dicom_node.register.study_record import StudyFilm, StudyRecords
from dicom_node.web.access import Permission, Person, may
from dicom_node.web.auditing import audit
from dicom_node.web.context import Context, WebContext
from dicom_node.web.film_pixels import FilmPixels, read_film_pixels
from dicom_node.web.problem import ProblemError, problems
from pipeline.errors import ScopeError, UnreadableError
from pipeline.findings import NotProcessed

router = APIRouter(prefix="/api/v1/jobs", tags=["films"])
JobId = Annotated[str, Path(pattern="^[0-9A-Za-z]{1,64}$", description="The job's id.")]
Reader = Annotated[Person, Depends(may(Permission.READ))]
_THUMBNAIL_SIDE = 192
# A film in full size takes up to 700 MB while it is decoded, and every browser of the house may ask at once.
_DECODING, _WAIT_SECONDS = BoundedSemaphore(2), 20.0
# Changes with what is made of the same bytes.
_FORM = "1"


class LayersAnswer(BaseModel):
    """Where the model looked; pictures only where it is the model that made the reading."""

    same_model: bool = Field(description="whether the model that is active now made the reading")
    model_digest: str = Field(description="of the model that is active now")
    heat: str = Field(
        "", description="8-bit grey PNG in base64: how likely a fracture is at each place"
    )
    activation: str = Field("", description="8-bit grey PNG in base64: Grad-CAM")
    arrow: tuple[float, float, float, float] | None = Field(
        None, description="x0, y0, x1, y1 in film pixels: from the tail to the head"
    )


def known_film(context: WebContext, job: str) -> StudyFilm:
    """The image of a job.

    Raises:
        ProblemError: 404.
    """
    film = StudyRecords(context.ledger).film(job)
    if film is None:
        raise ProblemError(404, "No such job", "It never was, or its retention time is over.")
    return film


def decoded(context: WebContext, film: StudyFilm) -> FilmPixels:
    """The film's pixels; only so many are decoded at a time.

    A decoder may end the process that a damaged film is given to. Compressed films are decoded here only after the
    analysis has done it.

    Raises:
        ProblemError: 404 where the file is gone, 409 where no film can be had from it, 429 where too many wait.
    """
    reason = film.findings.reason if film.findings else None
    if reason is NotProcessed.READING_FAILED or not (film.pixel_digest or _is_plain(film)):
        raise ProblemError(
            409, "The film cannot be shown", reason.meaning if reason else "It is not read yet."
        )
    try:
        with _one_of_two():
            return read_film_pixels(context.settings.node.data / film.spool_path)
    except OSError as error:
        raise ProblemError(404, "The film is gone", "Its file is no longer kept.") from error
    except (ScopeError, UnreadableError) as error:
        raise ProblemError(409, "The film cannot be shown", error.reason.meaning) from error


@router.get(
    "/{job}/film",
    summary="The film's pixels for a canvas",
    description="Little-endian uint16, row by row, not compressed: on a line of 250 Mbit/s or more, compressing takes "
    "longer than it saves. The header `Film-Description` is JSON: rows, columns, aspect (height of a pixel over its "
    "width), slope and intercept to the units of the window, window, VOI LUT Function, and whether it is inverted.",
    response_class=Response,
    responses={
        200: {
            "content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}},
            "headers": {"Film-Description": {"schema": {"type": "string"}}},
        },
        304: {"description": "As the browser has it"},
        **problems(404, 409, 422, 429),
    },
)
def film_pixels(request: Request, context: Context, person: Reader, job: JobId) -> Response:
    """The pixels; a browser that has them is told so, for the bytes of a job never change."""
    film = known_film(context, job)
    audit(request, person, "saw film", film.sop_instance_uid)
    headers = _kept(film, "film")
    if request.headers.get("if-none-match") == headers["ETag"]:
        return Response(status_code=304, headers=headers)
    pixels = decoded(context, film)
    headers["Film-Description"] = pixels.description()
    return Response(pixels.little_endian(), headers=headers, media_type="application/octet-stream")


@router.get(
    "/{job}/thumbnail",
    summary="The film, small, as JPEG",
    response_class=Response,
    responses={
        200: {"content": {"image/jpeg": {"schema": {"type": "string", "format": "binary"}}}},
        304: {"description": "As the browser has it"},
        **problems(404, 409, 422, 429),
    },
)
def thumbnail(request: Request, context: Context, person: Reader, job: JobId) -> Response:
    """The film as its header's window shows it."""
    film = known_film(context, job)
    audit(request, person, "saw film", film.sop_instance_uid, "thumbnail")
    headers = _kept(film, "thumbnail")
    if request.headers.get("if-none-match") == headers["ETag"]:
        return Response(status_code=304, headers=headers)
    data = decoded(context, film).thumbnail(_THUMBNAIL_SIDE)
    return Response(data, headers=headers, media_type="image/jpeg")


@router.get(
    "/{job}/layers",
    summary="Where the model looked",
    description="Heat and Grad-CAM are made anew by the model that is active now. Where another one made the reading "
    "there are no pictures: they would explain a reading that nobody got.",
    responses=problems(404, 409, 422, 429, 503),
)
def layers(request: Request, context: Context, person: Reader, job: JobId) -> LayersAnswer:
    """The layers of a film that was read."""
    film = known_film(context, job)
    if film.findings is None or film.findings.reason is not None:
        raise ProblemError(409, "Not read", "There is no reading that could be explained.")
    audit(request, person, "saw layers", film.sop_instance_uid)
    path = context.settings.node.data / film.spool_path
    if not path.is_file():
        raise ProblemError(404, "The film is gone", "Its file is no longer kept.")
    found = context.reading_room.explain(path)
    if found.model_digest != film.findings.model.digest:
        return LayersAnswer(same_model=False, model_digest=found.model_digest)
    return LayersAnswer(
        same_model=True,
        model_digest=found.model_digest,
        heat=base64.b64encode(found.heat).decode(),
        activation=base64.b64encode(found.activation).decode(),
        arrow=found.arrow,
    )


@contextmanager
def _one_of_two() -> Iterator[None]:
    """Whoever waits holds one of the threads that answer everybody."""
    if not _DECODING.acquire(timeout=_WAIT_SECONDS):
        raise ProblemError(
            429, "Too many films at once", "Ask again in a few seconds.", {"Retry-After": "5"}
        )
    try:
        yield
    finally:
        _DECODING.release()


def _is_plain(film: StudyFilm) -> bool:
    syntax = UID(film.transfer_syntax_uid)
    return syntax.is_transfer_syntax and not syntax.is_compressed


def _kept(film: StudyFilm, form: str) -> dict[str, str]:
    """A job names bytes: what is made of them may lie in this browser, and in no cache on the way.

    It asks before each sight, by the ETag: somebody else may sit there by now, and every sight is audited.
    """
    return {
        "ETag": f'"{form}-{_FORM}-{(film.pixel_digest or film.id)[:32]}"',
        "Cache-Control": "private, no-cache",
    }
