"""Reading one image: spooled bytes -> findings -> its objects in the outbox -> the ledger."""

from __future__ import annotations

import logging
import zlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from threading import Lock

from pydicom import Dataset

from dicom_node.errors import CompositionError, NodeError
from dicom_node.records import StudyImage
from dicom_node.results.composition import CompositionContext
from dicom_node.results.loop_guard import is_own_result
from dicom_node.results.source_context import header_digest
from dicom_node.settings import Settings
from dicom_node.work.deliveries import NewDelivery
from dicom_node.work.image_results import ImageResults, ReadImage
from dicom_node.work.readings import EarlierReading, FinishedReading, Job, Readings
from pipeline.analysis import Analyzer
from pipeline.errors import ScopeError, UnreadableError
from pipeline.film_file import read_dataset
from pipeline.findings import ImageFindings, NotProcessed
from pipeline.pixel_conversion import read_radiograph
from pipeline.radiograph import Radiograph
from pipeline.scope import refuse_out_of_scope, unchecked_age

# A film that ended the process so often is not tried again: its outcome says so.
MOST_ATTEMPTS = 3
log = logging.getLogger("dicom_node.work.analysis")


@dataclass(frozen=True, eq=False)
class _Film:
    """A film as far as it could be opened; `refusal` says why there is no radiograph."""

    source: Dataset | None
    header_digest: str
    radiograph: Radiograph | None
    refusal: tuple[NotProcessed, str] | None


class AnalysisWorker:
    """The analysis process's one task."""

    def __init__(
        self,
        settings: Settings,
        readings: Readings,
        image_results: ImageResults,
        analyzer: Analyzer,
        context: Callable[[datetime], CompositionContext],
        clock: Callable[[], datetime],
    ) -> None:
        self._settings, self._readings, self._image_results = settings, readings, image_results
        self._analyzer, self._context, self._clock = analyzer, context, clock
        self._turns = [Lock() for _ in range(64)]

    def analyse(self, instance_id: str) -> None:
        """Reads an instance to its one outcome; nothing if that was done or cancelled.

        Two byte versions of one SOP Instance take turns: the second is compared with the first.
        """
        sop_instance_uid = self._readings.sop_instance_uid(instance_id)
        if sop_instance_uid is not None:
            with self._turns[zlib.crc32(sop_instance_uid.encode()) % len(self._turns)]:
                self._analyse(instance_id)

    def _analyse(self, instance_id: str) -> None:
        job = self._readings.begin(instance_id, self._clock())
        if job is None:
            return
        try:
            self._read(job)
        except NodeError as error:
            if error.transient:
                self._readings.forgive(job)
            raise

    def _read(self, job: Job) -> None:
        film = self._open(job)
        earlier = self._readings.standing(job.sop_instance_uid)
        if earlier and earlier.instance_id != job.instance_id and self._repeats(job, film, earlier):
            reading = FinishedReading(
                earlier.findings,
                earlier.pixel_digest,
                film.header_digest,
                same_as=earlier.instance_id,
                detail="the same film again",
            )
            self._readings.finish(job, reading, (), self._clock())
            return
        findings = self._findings(film, earlier)
        if findings.reason is None:
            findings = replace(findings, detail=self._unchecked_age(film))
        reading = FinishedReading(findings, _pixel_digest(film), film.header_digest)
        results, complaint = self._results(job, film, findings)
        if complaint:
            reading = replace(reading, detail=complaint)
        self._readings.finish(job, reading, results, self._clock())
        log.info(
            "read image=%s outcome=%s reason=%s objects=%d",
            job.instance_id[:12], findings.outcome, findings.reason or "-", len(results),
        )  # fmt: skip

    def _open(self, job: Job) -> _Film:
        if job.attempts > MOST_ATTEMPTS:
            detail = f"reading ended the process {MOST_ATTEMPTS} times"
            return _Film(None, "", None, (NotProcessed.READING_FAILED, detail))
        try:
            source = read_dataset(self._settings.node.data / job.spool_path)
        except (ScopeError, UnreadableError) as error:
            return _Film(None, "", None, (error.reason, error.detail))
        except OSError as error:
            return _Film(None, "", None, (NotProcessed.UNDECODABLE, f"the spool: {error.strerror}"))
        try:
            digest = header_digest(source)
        except CompositionError as error:
            return _Film(source, "", None, (NotProcessed.READING_FAILED, str(error)))
        if is_own_result(source, self._context(job.begun_at).device_uid):
            return _Film(source, digest, None, (NotProcessed.OWN_RESULT, ""))
        try:
            refuse_out_of_scope(source, minimum_age_years=self._settings.model.minimum_age_years)
            return _Film(source, digest, read_radiograph(source), None)
        except (ScopeError, UnreadableError) as error:
            return _Film(source, digest, None, (error.reason, error.detail))

    def _repeats(self, job: Job, film: _Film, earlier: EarlierReading) -> bool:
        same_film = film.radiograph is not None and _pixel_digest(film) == earlier.pixel_digest
        return (
            same_film
            and film.header_digest == earlier.header_digest
            and job.study_instance_uid == earlier.study_instance_uid
            and earlier.model == self._analyzer.identity.digest
        )

    def _findings(self, film: _Film, earlier: EarlierReading | None) -> ImageFindings:
        if film.radiograph is None:
            reason, detail = film.refusal or (NotProcessed.READING_FAILED, "")
            rows, columns = _matrix(film.source)
            return self._analyzer.not_processed(reason, rows, columns, detail)
        known = (
            earlier is not None
            and earlier.model == self._analyzer.identity.digest
            and earlier.findings.thresholds == self._analyzer.thresholds
            and earlier.findings.model.profile == self._analyzer.identity.profile
        )
        if earlier and known and earlier.pixel_digest == film.radiograph.pixel_digest:
            return earlier.findings
        return self._analyzer.analyze(film.radiograph)

    def _unchecked_age(self, film: _Film) -> str:
        least = self._settings.model.minimum_age_years
        return "" if film.source is None else unchecked_age(film.source, least)

    def _results(self, job: Job, film: _Film, findings: ImageFindings) -> tuple[list[NewDelivery], str]:
        if film.source is None or findings.reason is NotProcessed.OWN_RESULT:
            return [], ""
        image = StudyImage(
            instance_id=job.instance_id,
            sop_instance_uid=job.sop_instance_uid,
            sop_class_uid=job.sop_class_uid,
            pixel_digest=_pixel_digest(film),
            header_digest=film.header_digest,
            findings=findings,
        )
        places = self._settings.destinations_for(job.calling_ae_title)
        read = ReadImage(job, image, film.source, film.radiograph)
        return self._image_results.compose(read, places)


def _pixel_digest(film: _Film) -> str:
    return film.radiograph.pixel_digest if film.radiograph is not None else ""


def _matrix(source: Dataset | None) -> tuple[int, int]:
    """Rows and columns as the header declares them; 0 where it does not."""
    if source is None:
        return 0, 0
    try:
        return int(source.get("Rows") or 0), int(source.get("Columns") or 0)
    except (TypeError, ValueError):
        return 0, 0
