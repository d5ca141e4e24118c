"""What can go wrong while reading a film.

PipelineError
├── ScopeError            the film is not for this model              (permanent)
├── UnreadableError       the pixels cannot be had from the file      (permanent)
├── ModelPackageError     the package is damaged, or not for us       (permanent)
├── EngineUnavailableError  this machine cannot run the engine   (permanent)
├── ExportError           the exported network does not answer alike  (permanent)
├── EvaluationError       scores and labels that cannot be measured   (permanent)
└── EngineError           the engine failed this time                 (transient)
"""

from __future__ import annotations

from pipeline.findings import NotProcessed


class PipelineError(Exception):
    """Base of all errors of this package."""

    transient = False


class ScopeError(PipelineError):
    """The film is out of scope: it ends as "not processed" with this reason."""

    def __init__(self, reason: NotProcessed, detail: str = "") -> None:
        super().__init__(f"{reason.meaning}{': ' if detail else ''}{detail}")
        self.reason, self.detail = reason, detail


class UnreadableError(PipelineError):
    """The pixels cannot be had: the film ends as "not processed" with this reason."""

    def __init__(self, reason: NotProcessed, detail: str = "") -> None:
        super().__init__(f"{reason.meaning}{': ' if detail else ''}{detail}")
        self.reason, self.detail = reason, detail


class ModelPackageError(PipelineError):
    """The model package is refused; the message names the file and the reason."""


class EvaluationError(PipelineError):
    """Scores and labels do not make a figure; the message names the file and the remedy."""


class EngineUnavailableError(PipelineError):
    """The engine that was asked for cannot run here; the message says what it needs."""


class ExportError(PipelineError):
    """A network cannot be exported: the file answers otherwise, or cannot be written."""


class EngineError(PipelineError):
    """The inference engine failed; trying again may help."""

    transient = True
