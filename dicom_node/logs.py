"""Logging of a process: one line an event, as text or JSON, to standard error."""

from __future__ import annotations

import logging
import sys
import warnings

import structlog

from dicom_node.settings import Log


def configure_logs(process: str, settings: Log) -> None:
    """Sets the root logger of this process up; `process` is in every line."""

    def name_process(
        _logger: object, _method: str, event: structlog.typing.EventDict
    ) -> structlog.typing.EventDict:
        event["process"] = process
        return event

    shared: list[structlog.typing.Processor] = [
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        name_process,
    ]
    renderer: structlog.typing.Processor = (
        structlog.processors.JSONRenderer()
        if settings.format == "json"
        else structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty(), pad_event_to=0)
    )
    handler = logging.StreamHandler()
    handler.addFilter(_is_fit_for_people)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.format_exc_info,
                renderer,
            ],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(settings.level.upper())
    quiet_libraries()


def quiet_libraries() -> None:
    """Libraries speak only of what is their own fault: what a peer or a header does is said by us."""
    for library in ("highdicom", "dbos", "PIL", "sqlalchemy", "pylibjpeg", "httpx", "httpcore"):
        logging.getLogger(library).setLevel(logging.WARNING)
    # pydicom quotes invalid header values, in its log and as Python warnings: one could be a name. A filter, for
    # pydicom sets its logger's level anew when it is imported, which may be later.
    if logging.lastResort is not None:
        logging.lastResort.addFilter(_is_fit_for_people)
    warnings.simplefilter("ignore")


def _is_fit_for_people(record: logging.LogRecord) -> bool:
    """False for lines of the DICOM libraries, but when they cannot go on."""
    library = record.name.partition(".")[0]
    return library not in ("pydicom", "pynetdicom") or record.levelno >= logging.CRITICAL
