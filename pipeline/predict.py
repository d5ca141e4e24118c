"""Reading a file without a node: every file ends in exactly one outcome."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from pydicom.dataset import Dataset

from pipeline.analysis import Analyzer
from pipeline.errors import ScopeError, UnreadableError
from pipeline.film_file import read_dataset, read_film_file
from pipeline.findings import ImageFindings, NotProcessed
from pipeline.header_values import integer_of
from pipeline.radiograph import Radiograph
from pipeline.scope import unchecked_age


def read_film(
    path: Path, analyzer: Analyzer, *, minimum_age_years: float | None = None
) -> tuple[ImageFindings, Radiograph | None]:
    """The findings of a DICOM, PNG or JPEG file, and its film where there is one.

    `minimum_age_years`: a younger patient's film is not processed; one of unknown age is read, and `detail` says so.

    Raises:
        EngineError: the engine failed this time.
    """
    try:
        radiograph, source = read_film_file(path, minimum_age_years=minimum_age_years)
    except (ScopeError, UnreadableError) as error:
        rows, columns = _matrix(path)
        return analyzer.not_processed(error.reason, rows, columns, error.detail), None
    except OSError as error:
        return analyzer.not_processed(NotProcessed.NOT_AN_IMAGE, 0, 0, error.strerror or ""), None
    findings = analyzer.analyze(radiograph)
    if findings.reason is None:
        # As the node does: an unknown age is no silent pass.
        findings = replace(findings, detail=unchecked_age(source or Dataset(), minimum_age_years))
    return findings, radiograph


def read_and_analyze(path: Path, analyzer: Analyzer) -> ImageFindings:
    """The findings alone; raises as `read_film` does."""
    return read_film(path, analyzer)[0]


def _matrix(path: Path) -> tuple[int, int]:
    """Rows and columns as a DICOM header declares them; 0 where it does not."""
    try:
        header = read_dataset(path)
    except (ScopeError, UnreadableError):
        return 0, 0
    return integer_of(header, "Rows") or 0, integer_of(header, "Columns") or 0
