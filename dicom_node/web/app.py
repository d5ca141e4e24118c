"""The application: guards around, routes within."""

from __future__ import annotations

import logging
from urllib.parse import quote

from fastapi import APIRouter, FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.staticfiles import StaticFiles

from dicom_node import __version__
from dicom_node.errors import NodeError
from dicom_node.web import (
    account_pages,
    health,
    live,
    login_page,
    metrics,
    object_page,
    study_page,
    traffic_page,
    try_page,
    worklist_page,
)
from dicom_node.web.access import Permission, Person
from dicom_node.web.api import (
    analyses,
    associations,
    deliveries,
    destinations,
    films,
    jobs,
    predict,
    studies,
    verdicts,
)
from dicom_node.web.context import WebContext
from dicom_node.web.guards import HEADERS, add_guards
from dicom_node.web.login_limit import LoginLimit
from dicom_node.web.pages import FOLDER, page
from dicom_node.web.problem import ProblemError
from pipeline.findings import RESEARCH_NOTICE

API = "/api/v1"
ROUTERS: tuple[APIRouter, ...] = (
    login_page.router,
    account_pages.router,
    study_page.router,
    object_page.router,
    films.router,
    verdicts.router,
    try_page.router,
    predict.router,
    analyses.router,
    worklist_page.router,
    live.router,
    studies.router,
    jobs.router,
    deliveries.router,
    traffic_page.router,
    associations.router,
    destinations.router,
    metrics.router,
    health.router,
)
_MOST_BODY_BYTES = 1_000_000
log = logging.getLogger("dicom_node.web")


def create_app(context: WebContext) -> FastAPI:
    """The page and the API of one node."""
    app = FastAPI(
        title="Fracture Node",
        version=__version__,
        summary="What became of every radiograph, and what the model saw.",
        description=RESEARCH_NOTICE,
        openapi_url=f"{API}/openapi.json",
        # Their pages load scripts from elsewhere; docs/api.md tells the same.
        docs_url=None,
        redoc_url=None,
        # Forms and JSON are small; routes that take films have a limit of their own.
        max_body_size=_MOST_BODY_BYTES,
    )
    app.state.context = context
    app.state.reading_room = context.reading_room
    app.state.login_limit = LoginLimit()
    _add_handlers(app)
    add_guards(app, context)
    for router in ROUTERS:
        app.include_router(router)
    app.mount("/static", StaticFiles(directory=FOLDER / "static"), name="static")
    return app


def _add_handlers(app: FastAPI) -> None:
    app.add_exception_handler(ProblemError, _answer_problem)
    app.add_exception_handler(HTTPException, _answer_http)
    app.add_exception_handler(RequestValidationError, _answer_invalid)
    app.add_exception_handler(NodeError, _answer_node_error)
    app.add_exception_handler(Exception, _answer_unforeseen)


def _answer_problem(request: Request, error: Exception) -> Response:
    assert isinstance(error, ProblemError)  # noqa: S101 - what it is registered for
    return answer(request, error)


def answer(request: Request, problem: ProblemError) -> Response:
    """A page for a browser's page, problem details for all else."""
    if request.url.path.startswith("/api/") or "text/html" not in request.headers.get("accept", ""):
        return problem.response()
    if problem.status == 401 and request.method == "GET":
        wanted = request.url.path + (f"?{request.url.query}" if request.url.query else "")
        return RedirectResponse(f"/login?next={quote(wanted, safe='/')}", 303)
    person = getattr(request.state, "person", None)
    response = page(request, "error.html", person, status=problem.status, problem=problem)
    response.headers.update(problem.headers)
    return response


def _answer_http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101
    titles = {404: "Not found", 405: "Not possible here"}
    title = titles.get(error.status_code, str(error.detail))
    headers = dict(error.headers or {})
    return answer(request, ProblemError(error.status_code, title, "", headers))


def _answer_invalid(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)  # noqa: S101
    faults = [
        f"{'.'.join(str(step) for step in fault['loc'])}: {fault['msg']}" for fault in error.errors()
    ]
    return answer(request, ProblemError(422, "Not as asked for", "; ".join(faults)))


def _answer_node_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, NodeError)  # noqa: S101
    log.warning(
        "%s %s: %s",
        request.method,
        request.scope["route"].path if "route" in request.scope else "-",
        error,
    )
    status = 503 if error.transient else 500
    # The words may name a file: of use to whoever can mend it, and nobody else's business.
    person: Person | None = getattr(request.state, "person", None)
    mends = person is not None and person.may(Permission.ADMINISTER)
    said = str(error) if mends else "The node's log says why."
    return answer(request, ProblemError(status, "The node could not do it", said))


def _answer_unforeseen(request: Request, _error: Exception) -> Response:
    response = answer(request, ProblemError(500, "Something went wrong", "The node's log says what."))
    # This one is given outside of all guards.
    response.headers.update(HEADERS)
    return response
