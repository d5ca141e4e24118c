"""What happened to a study, in the order of time: received, read, closed, composed, delivered, committed, retired."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from dicom_node.register.study_record import ObjectDelivery, StudyFilm, StudyObject, StudyRecord

KINDS = {
    "sr": "Structured Report",
    "sc": "overlay capture",
    "summary": "summary page",
    "gradcam": "Grad-CAM capture",
    "gsps": "presentation state",
    "seg": "segmentation",
    "kos": "key objects",
    "rejection": "rejection note",
}


@dataclass(frozen=True)
class StudyEvent:
    """One thing that happened. `took`: seconds that it lasted, None for what has no length."""

    at: datetime
    what: str
    about: str
    detail: str = ""
    took: float | None = None


def study_events(record: StudyRecord) -> list[StudyEvent]:
    """All events of a study, the first first."""
    numbers = {film.id: f"image {number}" for number, film in enumerate(record.films, start=1)}
    found = [event for film in record.films for event in _of_film(film, numbers[film.id])]
    found += [
        StudyEvent(one.closed_at, "study closed", f"revision {one.revision}", _closed_words(one.state, one.detail))
        for one in record.revisions
    ]  # fmt: skip
    for made in record.objects:
        of = numbers.get(made.instance_id or "", "study")
        about = f"{KINDS.get(made.kind, made.kind)}, {of}, revision {made.revision}"
        found += _of_object(made, about)
    return sorted(found, key=lambda event: event.at)


def _of_film(film: StudyFilm, about: str) -> Iterator[StudyEvent]:
    yield StudyEvent(film.received_at, "received", about, f"from {film.calling_ae_title}")
    if film.finished_at is None:
        return
    took = None if film.begun_at is None else (film.finished_at - film.begun_at).total_seconds()
    if film.state == "cancelled":
        yield StudyEvent(film.finished_at, "cancelled", about)
    elif film.same_as:
        yield StudyEvent(film.finished_at, "recognised", about, "the same film again", took)
    else:
        words = str(film.findings.outcome) if film.findings else ""
        yield StudyEvent(film.finished_at, "read", about, words, took)


def _closed_words(state: str, detail: str) -> str:
    return ": ".join(word for word in ("" if state == "composed" else state, detail) if word)


def _of_object(made: StudyObject, about: str) -> Iterator[StudyEvent]:
    yield StudyEvent(made.created_at, "composed", about)
    for sent in made.deliveries:
        yield from _of_delivery(sent, about)


def _of_delivery(sent: ObjectDelivery, about: str) -> Iterator[StudyEvent]:
    to = f"{about}, to {sent.destination}"
    if sent.ended_at is not None:
        took = (sent.ended_at - sent.created_at).total_seconds()
        yield StudyEvent(sent.ended_at, sent.state, to, sent.detail, took)
    if sent.commitment_ended_at is not None:
        since = sent.ended_at or sent.created_at
        took = (sent.commitment_ended_at - since).total_seconds()
        yield StudyEvent(sent.commitment_ended_at, sent.commitment, to, sent.commitment_detail, took)
    if sent.retired_at is not None:
        yield StudyEvent(
            sent.retired_at, "retired", to, "the destination was told by a key object note"
        )
