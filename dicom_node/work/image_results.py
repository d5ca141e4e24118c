"""What belongs to one image, for every destination that wants it: overlay, Grad-CAM, presentation state, segmentation."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from threading import Lock

from pydicom import Dataset

from dicom_node.errors import CompositionError
from dicom_node.records import ResultObject, StudyImage
from dicom_node.results.composition import CompositionContext, DestinationProfile
from dicom_node.results.explanation_capture import compose_explanation
from dicom_node.results.presentation_state import compose_presentation_state
from dicom_node.results.result_instance import unmet_character_set
from dicom_node.results.secondary_capture import compose_overlay
from dicom_node.results.segmentation import compose_segmentation
from dicom_node.results.source_context import read_source_header
from dicom_node.settings import Destination, ObjectName
from dicom_node.work.deliveries import NewDelivery
from dicom_node.work.outbox import Outbox, StoredObject
from dicom_node.work.readings import Job
from pipeline.activation_map import Explanation
from pipeline.radiograph import Radiograph

log = logging.getLogger("dicom_node.work.image_results")
Explain = Callable[[Radiograph], Explanation]


@dataclass(frozen=True, eq=False)
class ReadImage:
    """An image whose reading is finished: what its objects are made from. `radiograph`: None where it was refused."""

    job: Job
    image: StudyImage
    source: Dataset
    radiograph: Radiograph | None


@dataclass(frozen=True)
class _Kept:
    """An object and where its bytes lie."""

    result: ResultObject
    stored: StoredObject


class ImageResults:
    """Composes per image; destinations that want the same get the same object."""

    def __init__(
        self,
        outbox: Outbox,
        context: Callable[[datetime], CompositionContext],
        explain: Explain | None,
    ) -> None:
        self._outbox, self._context, self._explain = outbox, context, explain
        # Its network keeps the activations of one film at a time.
        self._explaining = Lock()

    def compose(self, read: ReadImage, places: Sequence[Destination]) -> tuple[list[NewDelivery], str]:
        """The objects, safe in the outbox, and what could not be made, in words (empty: all could).

        An outcome stands and is shown even where its picture could not be made.
        """
        made: dict[tuple[ObjectName, DestinationProfile], _Kept | None] = {}
        found: list[NewDelivery] = []
        complaints: dict[str, None] = {}
        if not places:
            return [], ""
        try:
            header = read_source_header(read.source)
        except CompositionError as error:
            log.warning("no objects image=%s: %s", read.job.instance_id[:12], error)
            return [], str(error)
        for place in places:
            for name in _wanted(place, read):
                profile = DestinationProfile.of(place)
                key = (name, replace(profile, name=""))
                try:
                    if key not in made:
                        made[key] = self._kept(self._compose(name, read, header, profile), profile)
                except CompositionError as error:
                    log.warning("no %s image=%s: %s", name, read.job.instance_id[:12], error)
                    complaints[f"no {name}: {error}"] = None
                    made[key] = None
                kept = made[key]
                if kept is not None:
                    found.append(_delivery(read.job, kept, place))
        return found, "; ".join(complaints)

    def _kept(self, result: ResultObject | None, profile: DestinationProfile) -> _Kept | None:
        """An object safe in the outbox, written once however many destinations get it."""
        if result is None:
            return None
        if unmet := unmet_character_set(result, profile):
            log.warning("%s", unmet)
        return _Kept(result, self._outbox.store(result))

    def _compose(
        self, name: ObjectName, read: ReadImage, header: Dataset, profile: DestinationProfile
    ) -> ResultObject | None:
        """One object; None where this image has nothing for it."""
        job, image, film = read.job, read.image, read.radiograph
        context = self._context(job.begun_at)
        place = {"revision": job.revision, "instance_number": job.ordinal}
        if name == "sc":
            return compose_overlay(image, header, film, profile, context, **place)
        if film is None:
            return None
        if name == "gsps":
            return compose_presentation_state(image, header, film, profile, context, **place)
        if name == "seg":
            return compose_segmentation(image, header, film, profile, context, **place)
        return compose_explanation(
            image, header, film, self._explained(film), profile, context, **place
        )

    def _explained(self, film: Radiograph) -> Explanation:
        if self._explain is None:
            raise CompositionError("no network is loaded that could explain a film")
        with self._explaining:
            return self._explain(film)


def _delivery(job: Job, kept: _Kept, place: Destination) -> NewDelivery:
    return NewDelivery(
        result=kept.result,
        stored=kept.stored,
        destination=place.name,
        revision=job.revision,
        instance_id=job.instance_id,
        priority=job.priority,
    )


def _wanted(place: Destination, read: ReadImage) -> list[ObjectName]:
    """Which of a destination's objects this image gets; marks and masks only where there is something to mark."""
    findings = read.image.findings
    if str(findings.outcome) not in place.overlay_for:
        return []
    wanted: list[ObjectName] = [name for name in place.objects if name in ("sc", "gsps")]
    if findings.reason is None:
        wanted += [name for name in place.objects if name == "gradcam"]
    if findings.visible_regions:
        wanted += [name for name in place.objects if name == "seg"]
    return wanted
