"""Composing what closes with a study: closed findings -> objects per destination -> the outbox -> the ledger."""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import datetime

from dicom_node.errors import CompositionError, NodeError
from dicom_node.records import Delivery
from dicom_node.settings import Settings
from dicom_node.work.study_gathering import ClosedStudy, StudyGathering
from dicom_node.work.study_results import StudyResults

MOST_ATTEMPTS = 3
log = logging.getLogger("dicom_node.work.report")


class ReportWorker:
    """Composes what closes with a study."""

    def __init__(
        self,
        settings: Settings,
        gathering: StudyGathering,
        results: StudyResults,
        clock: Callable[[], datetime],
    ) -> None:
        self._settings, self._gathering = settings, gathering
        self._results, self._clock = results, clock

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
        study = self._results.reportable(closed)
        if not study.images:
            detail = "no image of it can be referenced; `jobs` shows each with its outcome"
            self._gathering.finish(closed, "failed", detail, (), self._clock())
            return
        if not study.is_in_scope:
            self._gathering.finish(closed, "nothing in scope", "", (), self._clock())
            return
        try:
            made = self._results.compose(study, study.places)
        except CompositionError as error:
            log.warning("no report revision=%d: %s", closed.revision, error)
            self._gathering.finish(closed, "failed", str(error), (), self._clock())
            return
        self._gathering.finish(closed, "composed", "", made, self._clock())

    def recompose(self, study_uid: str, revision: int, delivery: Delivery) -> bool:
        """What goes in a report's place, now that the destination said what it takes; false if it differs in nothing.

        Another report class, or summary pages where it takes none.
        """
        place = self._settings.destination(delivery.destination)
        if place is None or self._results.report_class(place.name) == delivery.sop_class_uid:
            return False
        study = self._results.reportable(self._gathering.closed(study_uid, revision))
        made = self._results.compose(study, (place,))
        for one in made:
            self._gathering.add_result(one, self._clock())
        return bool(made)
