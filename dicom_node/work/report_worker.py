"""Composing a study's reports: closed findings -> one SR per destination -> the outbox -> the ledger."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from datetime import datetime

from pydicom import Dataset

from dicom_node.errors import CompositionError, NodeError
from dicom_node.records import Delivery, StudyFindings, StudyImage
from dicom_node.results.composition import CompositionContext, DestinationProfile
from dicom_node.results.source_context import header_digest, read_source_header
from dicom_node.results.structured_report import REPORT_SOP_CLASSES, compose_report
from dicom_node.settings import Destination, Settings
from dicom_node.work.deliveries import DeliveryQueue, NewDelivery
from dicom_node.work.outbox import Outbox
from dicom_node.work.presentation_twin import has_presentation_twin
from dicom_node.work.readings import Readings
from dicom_node.work.study_gathering import ClosedStudy, StudyGathering
from pipeline.errors import ScopeError, UnreadableError
from pipeline.film_file import read_dataset
from pipeline.findings import NotProcessed

MOST_ATTEMPTS = 3
log = logging.getLogger("dicom_node.work.report")


class ReportWorker:
    """Composes what closes with a study."""

    def __init__(
        self,
        settings: Settings,
        readings: Readings,
        gathering: StudyGathering,
        deliveries: DeliveryQueue,
        outbox: Outbox,
        context: Callable[[datetime], CompositionContext],
        clock: Callable[[], datetime],
    ) -> None:
        self._settings, self._readings, self._gathering = settings, readings, gathering
        self._deliveries, self._outbox = deliveries, outbox
        self._context, self._clock = context, clock

    def compose(self, key: str) -> None:
        """Composes a closed revision for every destination of its images; nothing if that was done."""
        closed = self._gathering.begin(key)
        if closed is None:
            return
        if closed.attempts > MOST_ATTEMPTS:
            detail = f"composing ended the process {MOST_ATTEMPTS} times"
            self._gathering.finish(closed, "failed", detail, (), self._clock())
            return
        try:
            self._compose(closed)
        except NodeError as error:
            if error.transient:
                self._gathering.forgive(closed)
            raise

    def _compose(self, closed: ClosedStudy) -> None:
        images, headers, places = self._reportable(closed)
        if not any(_in_scope(image) for image in images):
            self._gathering.finish(closed, "nothing in scope", "", (), self._clock())
            return
        try:
            reports = [self._report(closed, images, headers, place) for place in places]
        except CompositionError as error:
            log.warning("no report revision=%d: %s", closed.revision, error)
            self._gathering.finish(closed, "failed", str(error), (), self._clock())
            return
        self._gathering.finish(closed, "composed", "", reports, self._clock())

    def recompose(self, study_uid: str, revision: int, delivery: Delivery) -> bool:
        """Another report in a class that the destination accepts; false if it accepts none that differs."""
        place = self._settings.destination(delivery.destination)
        if place is None or self._report_class(place.name) in (None, delivery.sop_class_uid):
            return False
        closed = self._gathering.closed(study_uid, revision)
        images, headers, _ = self._reportable(closed)
        report = self._report(closed, images, headers, place)
        self._gathering.add_report(report, self._clock())
        return True

    def _reportable(
        self, closed: ClosedStudy
    ) -> tuple[list[StudyImage], dict[str, Dataset], list[Destination]]:
        """The images that a report speaks of, their headers, and who gets it."""
        found = self._readings.images(closed.instance_ids)
        sources: dict[str, Dataset] = {}
        for image, spool_path, _ in found:
            source = self._source(spool_path)
            if source is not None:
                sources[image.sop_instance_uid] = source
        images = [
            image
            for image, _, _ in found
            if image.sop_instance_uid in sources
            and image.findings.reason is not NotProcessed.OWN_RESULT
            and not _twin_came(image, sources)
        ]
        senders = {calling for _, _, calling in found}
        places = [
            place
            for place in self._settings.destinations
            if "sr" in place.objects
            and any(place in self._settings.destinations_for(sender) for sender in senders)
        ]
        headers = {
            image.sop_instance_uid: read_source_header(sources[image.sop_instance_uid])
            for image in images
        }
        return images, headers, places

    def _source(self, spool_path: str) -> Dataset | None:
        """An image's header; None where no report can refer to it: `jobs` alone shows that one."""
        try:
            source = read_dataset(self._settings.node.data / spool_path)
            header_digest(source)
        except (ScopeError, UnreadableError, CompositionError, OSError) as error:
            log.warning("an image is left out of its report: %s", type(error).__name__)
            return None
        if "PixelData" in source:
            del source.PixelData
        return source

    def _report_class(self, destination: str) -> str | None:
        """The first report class that a destination is known to accept; our default if never asked."""
        accepted = self._deliveries.accepted(destination)
        if accepted is None:
            return REPORT_SOP_CLASSES[0]
        return next((uid for uid in REPORT_SOP_CLASSES if uid in accepted), None)

    def _report(
        self,
        closed: ClosedStudy,
        images: list[StudyImage],
        headers: Mapping[str, Dataset],
        place: Destination,
    ) -> NewDelivery:
        before = self._gathering.last_report(closed.study_instance_uid, place.name, closed.revision)
        findings = StudyFindings(
            study_instance_uid=closed.study_instance_uid,
            revision=closed.revision,
            closed_at=closed.closed_at,
            images=tuple(images),
            predecessors=(before,) if before else (),
        )
        report_class = self._report_class(place.name) or REPORT_SOP_CLASSES[0]
        profile = DestinationProfile.of(place, report_class)
        result = compose_report(findings, headers, profile, self._context(closed.closed_at))
        return NewDelivery(
            result=result,
            stored=self._outbox.store(result),
            destination=place.name,
            revision=closed.revision,
            instance_id=None,
            priority=closed.priority,
        )


def _in_scope(image: StudyImage) -> bool:
    """Read, or tried in vain: a film that was never for the model makes no report by itself."""
    reason = image.findings.reason
    return reason is None or reason.attempted


def _twin_came(image: StudyImage, sources: Mapping[str, Dataset]) -> bool:
    if image.findings.reason is not NotProcessed.FOR_PROCESSING:
        return False
    return has_presentation_twin(sources[image.sop_instance_uid], list(sources.values()))
