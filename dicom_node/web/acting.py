"""Acting on images and studies from the page: the same rooms that the command line uses."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from fastapi import FastAPI

from dicom_node.web.context import WebContext

if TYPE_CHECKING:  # the engine is loaded by the first act, not by every look
    from dicom_node.work.engine import WorkEngine
    from dicom_node.work.job_control import JobControl
    from dicom_node.work.study_control import StudyControl

_MAKING = threading.Lock()


def job_control(app: FastAPI) -> JobControl:
    """What acts on one image."""
    from dicom_node.work.job_control import JobControl

    return JobControl(_context(app).ledger, _engine(app))


def study_control(app: FastAPI) -> StudyControl:
    """What acts on a whole study."""
    from dicom_node.work.study_control import StudyControl

    return StudyControl(_context(app).ledger, _engine(app))


def _engine(app: FastAPI) -> WorkEngine:
    from dicom_node.work.engine import WorkEngine

    with _MAKING:
        if not hasattr(app.state, "engine"):
            app.state.engine = WorkEngine(_context(app).ledger)
        engine: WorkEngine = app.state.engine
        return engine


def _context(app: FastAPI) -> WebContext:
    context: WebContext = app.state.context
    return context
