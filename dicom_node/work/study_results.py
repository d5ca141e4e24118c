"""What closes with a study, for every destination that wants it: report, summary pages, key images."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from pydicom import Dataset

from dicom_node.errors import CompositionError
from dicom_node.records import ResultKind, ResultObject, StudyFindings, StudyImage
from dicom_node.results.composition import (
    REPORT_SOP_CLASSES,
    CompositionContext,
    DestinationProfile,
)
from dicom_node.results.key_objects import compose_key_objects
from dicom_node.results.reduced_film import ReducedFilm, reduce_film
from dicom_node.results.result_instance import unmet_character_set
from dicom_node.results.source_context import header_digest, read_source_header
from dicom_node.results.structured_report import compose_report
from dicom_node.results.study_summary import compose_summary
from dicom_node.results.study_summary_layout import LARGEST_SIDE
from dicom_node.settings import Destination, Settings
from dicom_node.work.deliveries import DeliveryQueue, NewDelivery
from dicom_node.work.outbox import Outbox
from dicom_node.work.presentation_twin import has_presentation_twin
from dicom_node.work.readings import Readings
from dicom_node.work.study_gathering import ClosedStudy, StudyGathering
from pipeline.errors import ScopeError, UnreadableError
from pipeline.film_file import read_dataset
from pipeline.findings import NotProcessed
from pipeline.pixel_conversion import read_radiograph

log = logging.getLogger("dicom_node.work.study_results")
OF_STUDIES = frozenset({"sr", "summary", "kos"})


@dataclass(frozen=True, eq=False)
class ReportableStudy:
    """A closed revision: the images that a report can speak of, with headers and files by SOP Instance UID."""

    closed: ClosedStudy
    images: tuple[StudyImage, ...]
    headers: Mapping[str, Dataset]
    spool_paths: Mapping[str, str]
    places: tuple[Destination, ...]

    @property
    def is_in_scope(self) -> bool:
        """Whether an image was read, or tried in vain: films that were never for the model make no report."""
        reasons = [image.findings.reason for image in self.images]
        return any(reason is None or reason.attempted for reason in reasons)


@dataclass(frozen=True, eq=False)
class _Order:
    """What one destination gets of a revision."""

    place: Destination
    findings: StudyFindings
    objects: tuple[str, ...]
    report_class: str


class StudyResults:
    """Composes per study and destination."""

    def __init__(
        self,
        settings: Settings,
        readings: Readings,
        gathering: StudyGathering,
        deliveries: DeliveryQueue,
        outbox: Outbox,
        context: Callable[[datetime], CompositionContext],
    ) -> None:
        self._settings, self._readings, self._gathering = settings, readings, gathering
        self._deliveries, self._outbox, self._context = deliveries, outbox, context

    def reportable(self, closed: ClosedStudy) -> ReportableStudy:
        """The images that a report speaks of, their headers, and who gets it."""
        found = self._readings.images(closed.instance_ids)
        sources: dict[str, Dataset] = {}
        for image, spool_path, _ in found:
            source = self._source(spool_path)
            if source is not None:
                sources[image.sop_instance_uid] = source
        images = tuple(
            image
            for image, _, _ in found
            if image.sop_instance_uid in sources
            and image.findings.reason is not NotProcessed.OWN_RESULT
            and not _twin_came(image, sources)
        )
        uids = {image.sop_instance_uid for image in images}
        senders = {calling for _, _, calling in found}
        return ReportableStudy(
            closed,
            images,
            {uid: read_source_header(sources[uid]) for uid in uids},
            {image.sop_instance_uid: path for image, path, _ in found},
            tuple(
                place
                for place in self._settings.destinations
                if any(place in self._settings.destinations_for(sender) for sender in senders)
            ),
        )

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

    def report_class(self, destination: str) -> str | None:
        """The first report class that a destination is known to accept; our default if never asked."""
        accepted = self._deliveries.accepted(destination)
        if accepted is None:
            return REPORT_SOP_CLASSES[0]
        return next((uid for uid in REPORT_SOP_CLASSES if uid in accepted), None)

    def compose(self, study: ReportableStudy, places: Sequence[Destination]) -> list[NewDelivery]:
        """What these destinations get of a revision, safe in the outbox.

        Where one takes no report class, summary pages say the same in pictures. However many want summaries, each film
        is decoded once, and kept no larger than a page.

        Raises:
            CompositionError: a source cannot be referenced, or a reading is incomplete.
        """
        orders = [order for place in places if (order := self._order(study, place)) is not None]
        films = self._films(
            study, [one.findings for one in orders if ResultKind.SUMMARY in one.objects]
        )
        return [
            self.delivery(study.closed, one, order.place)
            for order in orders
            for one in self._made(study, order, films)
        ]

    def _order(self, study: ReportableStudy, place: Destination) -> _Order | None:
        """None if a destination is told of no image."""
        findings = self._findings(study, place)
        if findings is None:
            return None
        wanted = [str(name) for name in place.objects if name in OF_STUDIES]
        report_class = self.report_class(place.name)
        if "sr" in wanted and report_class is None:
            log.warning("destination=%s accepts no report class: summary pages go instead", place.name)
            wanted = ["summary", *(name for name in wanted if name not in ("sr", "summary"))]
        return _Order(place, findings, tuple(wanted), report_class or REPORT_SOP_CLASSES[0])

    def _made(
        self, study: ReportableStudy, order: _Order, films: Mapping[str, ReducedFilm]
    ) -> list[ResultObject]:
        findings, headers = order.findings, study.headers
        profile = DestinationProfile.of(order.place, order.report_class)
        context = self._context(study.closed.closed_at)
        made: list[ResultObject | None] = []
        if "sr" in order.objects:
            made.append(compose_report(findings, headers, profile, context))
        if "summary" in order.objects:
            told = {image.sop_instance_uid for image in findings.images}
            shown = {uid: film for uid, film in films.items() if uid in told}
            made += compose_summary(findings, headers, shown, profile, context)
        if "kos" in order.objects:
            made.append(compose_key_objects(findings, headers, profile, context))
        found = [one for one in made if one is not None]
        for one in found:
            if unmet := unmet_character_set(one, profile):
                log.warning("%s", unmet)
        return found

    def _findings(self, study: ReportableStudy, place: Destination) -> StudyFindings | None:
        """What a destination is told; None if it is told of no image."""
        images = tuple(
            image for image in study.images if str(image.findings.outcome) in place.report_for
        )
        if not images:
            return None
        closed = study.closed
        before = self._gathering.last_report(closed.study_instance_uid, place.name, closed.revision)
        return StudyFindings(
            study_instance_uid=closed.study_instance_uid,
            revision=closed.revision,
            closed_at=closed.closed_at,
            images=images,
            predecessors=(before,) if before else (),
        )

    def _films(self, study: ReportableStudy, told: Iterable[StudyFindings]) -> dict[str, ReducedFilm]:
        """The films of the images that were read, one in full size at a time; one that cannot be opened gets a card."""
        read = {
            image.sop_instance_uid: None
            for findings in told
            for image in findings.images
            if image.findings.reason is None
        }
        films = {}
        for uid in read:
            path = self._settings.node.data / study.spool_paths[uid]
            try:
                films[uid] = reduce_film(read_radiograph(read_dataset(path)), LARGEST_SIDE)
            except (ScopeError, UnreadableError, OSError) as error:
                log.warning("no thumbnail: %s", type(error).__name__)
        return films

    def delivery(self, closed: ClosedStudy, result: ResultObject, place: Destination) -> NewDelivery:
        """An object of a study, safe in the outbox, on its way."""
        return NewDelivery(
            result=result,
            stored=self._outbox.store(result),
            destination=place.name,
            revision=closed.revision,
            instance_id=None,
            priority=closed.priority,
        )


def _twin_came(image: StudyImage, sources: Mapping[str, Dataset]) -> bool:
    if image.findings.reason is not NotProcessed.FOR_PROCESSING:
        return False
    return has_presentation_twin(sources[image.sop_instance_uid], list(sources.values()))
