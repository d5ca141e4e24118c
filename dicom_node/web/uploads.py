"""Files that are given for reading: streamed to disk, counted, told by their first bytes; removed once answered.

Nothing is decoded here, and a file's name names nothing.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import anyio
from fastapi import Depends
from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect, Request

from dicom_node.settings import Settings
from dicom_node.web.access import Permission, Person, Way, may
from dicom_node.web.context import Context
from dicom_node.web.problem import ProblemError
from dicom_node.web.upload_form import UploadForm, too_large
from pipeline.file_kind import FileKind

FOLDER = "uploads"
# For routes that take an upload, in place of the application's limit: what holds is counted here, by the settings.
ANY_BODY = 1 << 62
# Of a form beside its file: boundaries, headers and flags.
_FORM_BYTES = 64 << 10
# Written to disk so many at a time; the next piece is not waited for longer than so.
_PIECE, _STALLED_SECONDS = 1 << 20, 30


@dataclass(frozen=True)
class Upload:
    """A file on disk, as long as its request lasts. `name`: as its sender calls it, fit to be shown."""

    path: Path
    name: str
    kind: FileKind
    byte_count: int
    digest: str
    fields: dict[str, str]
    person: Person


def empty_uploads(data: Path) -> None:
    """Makes the folder, and removes what a process that was killed left in it."""
    shutil.rmtree(data / FOLDER, ignore_errors=True)
    _folder(data)


async def received_upload(request: Request, context: Context) -> AsyncIterator[Upload]:
    """A route's dependency: the file in the form's field `file`, from somebody who may have it read.

    Raises:
        ProblemError: 401, 403; 400 no form that can be read, 408 it stalls, 413 it is too large, 415 neither DICOM,
            PNG nor JPEG, 422 no file or an empty one, 429 too many at once, 507 the disk is too full.
    """
    limit = context.settings.web.upload_limit_mb * 1_000_000
    with ExitStack() as held:
        with _answering_closed():
            _refuse_unsigned(request)
            person = await may(Permission.PREDICT)(request)
            held.enter_context(context.reading_room.admitted())
            declared = request.headers.get("content-length", "")
            if declared.isdecimal() and int(declared) > limit + _FORM_BYTES:
                raise too_large(limit)
            _refuse_full_disk(context.settings)
            path = held.enter_context(_temporary(context.settings.node.data))
            form = UploadForm(request.headers.get("content-type", ""), limit)
            digest = await _received(request, form, path, limit + _FORM_BYTES)
        assert form.kind is not None  # noqa: S101 - a finished form has a file, and a file a kind
        yield Upload(path, form.name, form.kind, form.byte_count, digest, form.fields, person)


ReceivedUpload = Annotated[Upload, Depends(received_upload)]


async def _received(request: Request, form: UploadForm, path: Path, body_limit: int) -> str:
    """Writes the file as it comes; its sha256."""
    digest, pending, total = hashlib.sha256(), bytearray(), 0
    with path.open("wb") as file:

        def write() -> None:
            digest.update(pending)
            file.write(pending)
            pending.clear()

        async for piece in _pieces(request):
            total += len(piece)
            if total > body_limit:
                raise too_large(body_limit - _FORM_BYTES)
            pending += form.feed(piece)
            if len(pending) >= _PIECE:
                await run_in_threadpool(write)
        form.finish()
        await run_in_threadpool(write)
    return digest.hexdigest()


async def _pieces(request: Request) -> AsyncIterator[bytes]:
    """The body as it comes.

    Raises:
        ProblemError: 408, nothing came for too long.
    """
    stream = aiter(request.stream())
    while True:
        try:
            with anyio.fail_after(_STALLED_SECONDS):
                piece = await anext(stream)
        except StopAsyncIteration:
            return
        except TimeoutError as error:
            raise ProblemError(
                408, "Nothing came", f"for {_STALLED_SECONDS} s; send it again."
            ) from error
        yield piece


@contextmanager
def _answering_closed() -> Iterator[None]:
    """Whatever is refused before all of it came: the rest is not listened to."""
    try:
        yield
    except ProblemError as problem:
        problem.headers.setdefault("Connection", "close")
        raise
    except ClientDisconnect as error:
        raise ProblemError(400, "Broken off", "The connection ended before the file did.") from error


def _refuse_unsigned(request: Request) -> None:
    """A session's token must be in the header: to look for it in the form would be to take the form in first."""
    person: Person | None = request.state.person
    if person is not None and person.way is Way.SESSION and "x-csrf-token" not in request.headers:
        raise ProblemError(403, "Not signed", "Send the session's token as X-CSRF-Token.")


def _refuse_full_disk(settings: Settings) -> None:
    free = shutil.disk_usage(settings.node.data).free
    wanted = settings.retention.minimum_free_gb * 1e9 + settings.web.upload_limit_mb * 1e6
    if free < wanted:
        raise ProblemError(
            507, "The disk is too full", "Less is free than [retention] minimum_free_gb asks for."
        )


@contextmanager
def _temporary(data: Path) -> Iterator[Path]:
    """An empty file that nobody else reads, with a name by chance; removed in the end."""
    descriptor, name = tempfile.mkstemp(prefix="upload-", dir=_folder(data))
    os.close(descriptor)
    path = Path(name)
    try:
        yield path
    finally:
        path.unlink(missing_ok=True)


def _folder(data: Path) -> Path:
    folder = data / FOLDER
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    return folder
