"""Retiring what a new revision replaces: a Key Object note, once the new objects are where they belong (IHE IOCM)."""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import datetime
from itertools import islice

from sqlalchemy import ColumnElement, Select, and_, exists, insert, or_, select

from dicom_node.errors import CompositionError
from dicom_node.records import DeliveryState, SopReference
from dicom_node.results.composition import CompositionContext, DestinationProfile
from dicom_node.results.rejection_note import compose_rejection
from dicom_node.results.source_context import newest_header
from dicom_node.settings import AnyDestination, DicomDestination, Settings
from dicom_node.work.commitments import CommitmentState
from dicom_node.work.deliveries import DeliveryQueue
from dicom_node.work.ledger import Ledger
from dicom_node.work.study_gathering import SETTLED, ClosedStudy, StudyGathering
from dicom_node.work.study_results import OF_STUDIES, ReportableStudy, StudyResults
from dicom_node.work.tables import (
    delivery,
    delivery_commitment,
    instance,
    rejection,
    result_object,
    study,
    study_revision,
)

_MOST_STUDIES = 50
_REJECTION = "rejection"
log = logging.getLogger("dicom_node.work.retirement")


class Retirement:
    """For destinations with `rejection_note`: finds what is replaced and delivered, and says so, once."""

    def __init__(
        self,
        settings: Settings,
        ledger: Ledger,
        deliveries: DeliveryQueue,
        gathering: StudyGathering,
        results: StudyResults,
        context: Callable[[datetime], CompositionContext],
        clock: Callable[[], datetime],
    ) -> None:
        self._settings, self._ledger, self._deliveries = settings, ledger, deliveries
        self._gathering, self._results = gathering, results
        self._context, self._clock = context, clock

    def sweep(self) -> int:
        """Composes a note for every study that has something to retire; returns how many notes."""
        count = 0
        for place in self._settings.destinations:
            if not place.rejection_note:
                continue
            for study_uid in self._due(place):
                count += self._retire(study_uid, place)
        return count

    def _due(self, place: AnyDestination) -> list[str]:
        with self._ledger.read() as connection:
            chosen = _replaced(place.name).with_only_columns(result_object.c.study_instance_uid)
            rows = connection.execute(chosen.distinct()).scalars().all()
        # Those that must wait take nobody's turn.
        ready = (uid for uid in rows if not self._goes_on(uid, place))
        return list(islice(ready, _MOST_STUDIES))

    def _goes_on(self, study_uid: str, place: AnyDestination) -> bool:
        """Whether a new object is still to be made, on its way, or was not taken: the old one stays until it is there."""
        composing = select(study_revision.c.revision).where(
            study_revision.c.study_instance_uid == study_uid, study_revision.c.state == "composing"
        )
        gathering = select(study.c.opened_at).where(
            study.c.study_instance_uid == study_uid, study.c.opened_at.is_not(None)
        )
        standing = (
            select(delivery.c.id)
            .join(result_object, result_object.c.sop_instance_uid == delivery.c.sop_instance_uid)
            .where(
                result_object.c.study_instance_uid == study_uid,
                delivery.c.destination == place.name,
                result_object.c.kind != _REJECTION,
                ~_is_replaced(),
                _is_not_there(
                    committing=isinstance(place, DicomDestination) and place.storage_commitment
                ),
            )
        )
        with self._ledger.read() as connection:
            return any(
                connection.execute(one.limit(1)).first() is not None
                for one in (standing, composing, gathering)
            )

    def _retire(self, study_uid: str, place: AnyDestination) -> int:
        with self._ledger.read() as connection:
            of_study = _replaced(place.name).where(result_object.c.study_instance_uid == study_uid)
            rows = connection.execute(of_study).mappings().all()
        newest = self._gathering.newest(study_uid)
        if not rows or newest is None:
            return 0
        told = self._images(newest)
        if not told.images:
            return 0
        rejected = [
            SopReference(
                study_uid, row["series_instance_uid"], row["sop_class_uid"], row["sop_instance_uid"]
            )
            for row in rows
        ]
        at = self._clock()
        try:
            note = compose_rejection(
                rejected,
                newest_header(told.headers.values()),
                [image.findings for image in told.images],
                DestinationProfile.of(place),
                self._context(at),
                revision=newest.revision,
            )
        except CompositionError as error:
            log.warning("destination=%s: no rejection note: %s", place.name, error)
            return 0
        new = self._results.delivery(newest, note, place)
        with self._ledger.transaction() as connection:
            self._deliveries.add(connection, new, at.timestamp())
            connection.execute(
                insert(rejection),
                [
                    {
                        "sop_instance_uid": one.sop_instance_uid,
                        "destination": place.name,
                        "note_uid": note.sop_instance_uid,
                        "at": at.timestamp(),
                    }
                    for one in rejected
                ],
            )
        log.info("destination=%s: %d replaced objects are retired", place.name, len(rejected))
        return 1

    def _images(self, newest: ClosedStudy) -> ReportableStudy:
        """Who a note speaks for: the images of the revision; of a study that has none left, those it had."""
        told = self._results.reportable(newest)
        return told if told.images else self._results.reportable(self._gathering.all_read(newest))


def _is_not_there(*, committing: bool) -> ColumnElement[bool]:
    """A delivery that is on its way or parked; where the archive is asked for it, one that is not committed."""
    on_its_way = delivery.c.state.in_(
        [DeliveryState.QUEUED, DeliveryState.WAITING, DeliveryState.PARKED]
    )
    if not committing:
        return on_its_way
    committed = exists().where(
        delivery_commitment.c.delivery_id == delivery.c.id,
        delivery_commitment.c.state == CommitmentState.COMMITTED,
    )
    return or_(on_its_way, and_(delivery.c.state == DeliveryState.DELIVERED, ~committed))


def _replaced(destination: str) -> Select[tuple[str]]:
    """Objects that are at a destination, are replaced, and of which no note has spoken."""
    told = exists().where(
        rejection.c.sop_instance_uid == result_object.c.sop_instance_uid,
        rejection.c.destination == destination,
    )
    return (
        select(result_object)
        .join(delivery, delivery.c.sop_instance_uid == result_object.c.sop_instance_uid)
        .where(
            delivery.c.destination == destination,
            delivery.c.state == DeliveryState.DELIVERED,
            result_object.c.kind != _REJECTION,
            _is_replaced(),
            ~told,
        )
        .order_by(result_object.c.created_at)
    )


def _is_replaced() -> ColumnElement[bool]:
    """A study's object by a later revision that is settled; an image's by a newer reading of its SOP Instance."""
    of_study = result_object.c.kind.in_(sorted(OF_STUDIES))
    later = exists().where(
        study_revision.c.study_instance_uid == result_object.c.study_instance_uid,
        study_revision.c.revision > result_object.c.revision,
        study_revision.c.state.in_(SETTLED),
    )
    own, newer = instance.alias("own"), instance.alias("newer")
    read_anew = exists().where(
        own.c.id == result_object.c.instance_id,
        newer.c.sop_instance_uid == own.c.sop_instance_uid,
        newer.c.is_current == 1,
        newer.c.state == "done",
        newer.c.revision > result_object.c.revision,
    )
    return or_(and_(of_study, later), and_(~of_study, read_anew))
