"""The page of one object that was made: its header, its content, its picture, and the file itself."""

from __future__ import annotations

from pathlib import Path as FilePath
from typing import Annotated

import cv2
import numpy as np
import pydicom
from fastapi import APIRouter, Depends, Path, Response
from pydicom.dataset import Dataset
from starlette.requests import Request
from starlette.responses import FileResponse, HTMLResponse, JSONResponse

from dicom_node.register.study_events import KINDS
from dicom_node.register.study_record import StudyObject, StudyRecords
from dicom_node.web.access import Permission, Person, may
from dicom_node.web.auditing import audit
from dicom_node.web.context import Context, WebContext
from dicom_node.web.header_facts import header_lines
from dicom_node.web.object_content import content_tree, summary_lines
from dicom_node.web.pages import page
from dicom_node.web.problem import ProblemError, problems

router = APIRouter()
Reader = Annotated[Person, Depends(may(Permission.READ))]
Uid = Annotated[str, Path(pattern="^[0-9.]{1,64}$", description="SOP Instance UID")]
_CAPTURES = ("sc", "summary", "gradcam")


@router.get("/objects/{sop_instance_uid}", response_class=HTMLResponse, include_in_schema=False)
def object_page(
    request: Request, context: Context, person: Reader, sop_instance_uid: Uid
) -> HTMLResponse:
    """The object, as far as it can be shown."""
    made = _known(context, sop_instance_uid)
    audit(request, person, "saw object", sop_instance_uid)
    ds = _read(context, made)
    return page(
        request,
        "object.html",
        person,
        made=made,
        kind=KINDS.get(made.kind, made.kind),
        has_picture=made.kind in _CAPTURES,
        tree=content_tree(ds) if "ContentSequence" in ds else None,
        summary=list(summary_lines(ds)),
        lines=list(header_lines(ds)),
    )


@router.get(
    "/api/v1/objects/{sop_instance_uid}/file",
    tags=["objects"],
    summary="The DICOM file, as it is sent",
    response_class=FileResponse,
    responses={
        200: {"content": {"application/dicom": {"schema": {"type": "string", "format": "binary"}}}},
        **problems(404, 422),
    },
)
def object_file(
    request: Request, context: Context, person: Reader, sop_instance_uid: Uid
) -> FileResponse:
    """An attachment; its name is made of the kind and the digest of the bytes."""
    made = _known(context, sop_instance_uid)
    audit(request, person, "downloaded object", sop_instance_uid)
    name = f"{made.kind}-{made.digest[:16]}.dcm"
    return FileResponse(_file(context, made), media_type="application/dicom", filename=name)


@router.get(
    "/api/v1/objects/{sop_instance_uid}/header",
    tags=["objects"],
    summary="The header in the DICOM JSON model (PS3.18 F)",
    description="Without pixel data.",
    response_class=JSONResponse,
    responses=problems(404, 422),
)
def object_header(
    request: Request, context: Context, person: Reader, sop_instance_uid: Uid
) -> JSONResponse:
    """Every element but the pixels."""
    made = _known(context, sop_instance_uid)
    audit(request, person, "saw object", sop_instance_uid, "header")
    ds = _read(context, made)
    return JSONResponse(ds.to_json_dict(), media_type="application/dicom+json")


@router.get(
    "/api/v1/objects/{sop_instance_uid}/picture",
    tags=["objects"],
    summary="A capture as PNG",
    response_class=Response,
    responses={
        200: {"content": {"image/png": {"schema": {"type": "string", "format": "binary"}}}},
        304: {"description": "As the browser has it"},
        **problems(404, 409, 422),
    },
)
def object_picture(
    request: Request, context: Context, person: Reader, sop_instance_uid: Uid
) -> Response:
    """The pixels of a capture, whatever its transfer syntax."""
    made = _known(context, sop_instance_uid)
    if made.kind not in _CAPTURES:
        raise ProblemError(409, "No picture", "Only captures are pictures.")
    audit(request, person, "saw object", sop_instance_uid, "picture")
    headers = {"Cache-Control": "private, no-cache", "ETag": f'"{made.digest[:32]}"'}
    if request.headers.get("if-none-match") == headers["ETag"]:
        return Response(status_code=304, headers=headers)
    pixels = pydicom.dcmread(_file(context, made)).pixel_array
    if pixels.ndim == 3:
        pixels = cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR)
    _, data = cv2.imencode(".png", np.ascontiguousarray(pixels), [cv2.IMWRITE_PNG_COMPRESSION, 1])
    return Response(data.tobytes(), headers=headers, media_type="image/png")


def _known(context: WebContext, sop_instance_uid: str) -> StudyObject:
    made = StudyRecords(context.ledger).object(sop_instance_uid)
    if made is None:
        raise ProblemError(404, "No such object", "It was never made, or its retention time is over.")
    return made


def _file(context: WebContext, made: StudyObject) -> FilePath:
    """Where its bytes lie: the ledger's path is made of digests only."""
    path = context.settings.node.data / made.path
    if not path.is_file():
        raise ProblemError(404, "The object is gone", "Its file is no longer kept.")
    return path


def _read(context: WebContext, made: StudyObject) -> Dataset:
    """The object without its pixels. It is one of ours, so it can be parsed."""
    return pydicom.dcmread(_file(context, made), stop_before_pixels=True)
