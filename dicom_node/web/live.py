"""Live pages: one follower for the process, one stream of server-sent events for each page that is open."""

from __future__ import annotations

import asyncio
import json
import re
import threading
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated, Any

from fastapi import APIRouter, Depends, FastAPI, Header, Query
from sse_starlette import EventSourceResponse, ServerSentEvent
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request

from dicom_node.register.worklist import Worklist
from dicom_node.register.worklist_follower import Followed, WorklistFollower
from dicom_node.web.access import Permission, Person, may
from dicom_node.web.auditing import audit
from dicom_node.web.context import Context, WebContext
from dicom_node.web.problem import ProblemError
from dicom_node.work.study_changes import Changes, StudyChanges

MOST_STREAMS = 200
# One person cannot take them from all others.
_MOST_OF_ONE = 50
# Above this a page does better to load itself again.
_MOST_STUDIES = 200
_HEARTBEAT_SECONDS = 15
# A stream ends after so long, and the page opens another: whoever lost their rights loses it then.
_STREAM_SECONDS = 600.0
_BEHIND = 32
_NUMBER = re.compile("[0-9]{1,18}")


# What a page is still to be told; None ends it.
Stream = asyncio.Queue[ServerSentEvent | None]


class LiveStudies:
    """Hands what changed to every stream. All but `tell` belongs to the event loop."""

    def __init__(self, most: int = MOST_STREAMS) -> None:
        self._most = most
        self._loop: asyncio.AbstractEventLoop | None = None
        self._streams: dict[Stream, str] = {}
        self._ended = False

    @property
    def streams(self) -> int:
        """How many pages are open."""
        return len(self._streams)

    def tell(self, followed: Followed) -> None:
        """From any thread: this changed."""
        loop = self._loop
        if loop is not None and not loop.is_closed():
            loop.call_soon_threadsafe(self._spread, event_of(followed))

    def end(self) -> None:
        """From any thread: every stream is over, and no other begins."""
        self._ended = True
        loop = self._loop
        if loop is not None and not loop.is_closed():
            loop.call_soon_threadsafe(self._spread, None)

    def refuse_more(self, name: str) -> None:
        """Before a stream is opened.

        Raises:
            ProblemError: 503, too many are open.
        """
        if self._ended:
            raise ProblemError(503, "The node ends", "Come back when it runs again.")
        mine = sum(one == name for one in self._streams.values())
        if len(self._streams) >= self._most or mine >= _MOST_OF_ONE:
            raise ProblemError(
                503, "Too many live pages", "Close some; this one still shows what it has.",
                {"Retry-After": "30"},
            )  # fmt: skip

    def is_watched_by(self, name: str) -> bool:
        """From any thread: whether that person has a page open that listens."""
        return name in tuple(self._streams.values())

    def open(self, name: str) -> Stream:
        """That person's stream's share, from now on."""
        self._loop = asyncio.get_running_loop()
        queue: Stream = asyncio.Queue(_BEHIND)
        self._streams[queue] = name
        return queue

    def close(self, queue: Stream) -> None:
        """The stream is over."""
        self._streams.pop(queue, None)

    def _spread(self, event: ServerSentEvent | None) -> None:
        for queue in self._streams:
            if not queue.full():
                queue.put_nowait(event)
                continue
            # A page that does not keep up is told to load itself again, and costs no memory.
            while not queue.empty():
                queue.get_nowait()
            queue.put_nowait(None if event is None else _load_again(event))


def event_of(followed: Followed) -> ServerSentEvent:
    """What a page is told: the studies that changed, or to load itself again where they are many."""
    many = len(followed.studies) > _MOST_STUDIES
    studies = () if many else followed.studies
    return ServerSentEvent(
        _words(studies, followed.refused, reload=many), event="studies", id=str(followed.number)
    )


def _load_again(event: ServerSentEvent) -> ServerSentEvent:
    return ServerSentEvent(_words((), False, reload=True), event="studies", id=event.id)


def _words(studies: tuple[str, ...], refused: bool, *, reload: bool) -> str:
    return json.dumps({"changed": studies, "refused": refused, "reload": reload})


@asynccontextmanager
async def _following(app: FastAPI) -> AsyncIterator[None]:
    """The follower's thread, while the application lives."""
    context: WebContext = app.state.context
    live = live_studies(app)
    stop = threading.Event()
    follower = WorklistFollower(context.settings.node.data, context.ledger, context.register)
    thread = threading.Thread(
        target=follower.run, args=(stop, live.tell), name="worklist-follower", daemon=True
    )
    thread.start()
    try:
        yield
    finally:
        stop.set()
        await run_in_threadpool(thread.join, 5.0)


router = APIRouter(lifespan=_following)


def live_studies(app: FastAPI) -> LiveStudies:
    """The one of this application."""
    if not hasattr(app.state, "live_studies"):
        app.state.live_studies = LiveStudies()
    live: LiveStudies = app.state.live_studies
    return live


@router.get("/events", include_in_schema=False)
async def events(
    request: Request,
    context: Context,
    person: Annotated[Person, Depends(may(Permission.READ))],
    since: Annotated[int, Query(ge=0, lt=2**63)] = 0,
    last_event_id: Annotated[str, Header()] = "",
) -> EventSourceResponse:
    """What changed since the page was made, then what changes, until the page is closed."""
    number = int(last_event_id) if _NUMBER.fullmatch(last_event_id) else since
    live = live_studies(request.app)
    live.refuse_more(person.name)
    await run_in_threadpool(audit, request, person, "watched worklist", "")
    return EventSourceResponse(
        _stream(live, context, person.name, min(number, 2**62)),
        ping=_HEARTBEAT_SECONDS,
        ping_message_factory=lambda: ServerSentEvent(comment="still here"),
        send_timeout=30,
    )


async def _stream(live: LiveStudies, context: WebContext, name: str, number: int) -> AsyncIterator[Any]:
    until = time.monotonic() + _STREAM_SECONDS
    queue = live.open(name)
    try:
        yield ServerSentEvent("{}", event="open", retry=2000)
        missed = await run_in_threadpool(_missed, context, number)
        if missed.number > number:
            yield event_of(Followed(missed.number, missed.studies, missed.refused))
        while (left := until - time.monotonic()) > 0:
            try:
                event = await asyncio.wait_for(queue.get(), left)
            except TimeoutError:
                return
            if event is None:
                return
            yield event
    finally:
        live.close(queue)


def _missed(context: WebContext, number: int) -> Changes:
    """What the worklist took over since; of what the ledger has beyond that, the follower tells."""
    until = Worklist(context.register).last_change()
    return StudyChanges(context.ledger).after(number, _MOST_STUDIES + 1, until)
