"""A study as the worklist shows it: one line, and what of it a reader must not miss."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

# The first that one of the images has is the study's.
OUTCOMES = ("fracture", "doubt", "not processed", "being read", "no fracture", "no image left")
# The first that one of the deliveries has is the study's.
DELIVERY_STATES = (
    "not composed",
    "parked",
    "not committed",
    "waiting",
    "queued",
    "delivered",
    "committed",
    "cancelled",
    "none",
)
VERDICTS = ("agrees", "disagrees")


def outcome_rank(outcome: str) -> int:
    """Greater sorts first."""
    return len(OUTCOMES) - OUTCOMES.index(outcome)


def delivery_rank(state: str) -> int:
    """Greater sorts first."""
    return len(DELIVERY_STATES) - DELIVERY_STATES.index(state)


@dataclass(frozen=True)
class StudyHeader:
    """Whose study it is, as the header of one of its films says, decoded; each may be empty."""

    patient_name: str = ""
    patient_id: str = ""
    accession_number: str = ""
    study_description: str = ""
    study_date: str = ""


@dataclass(frozen=True)
class WorklistStudy:
    """One line. `outcomes` and `deliveries` count images and deliveries by what they show.

    `images` are those that stand: neither replaced nor a repetition. `probability` is the greatest of a film.
    """

    study_instance_uid: str
    header: StudyHeader
    modalities: tuple[str, ...]
    calling_ae_title: str
    images: int
    unread: int
    revision: int
    first_received_at: datetime
    last_received_at: datetime
    outcome: str
    outcomes: Mapping[str, int]
    reasons: str
    body_parts: tuple[str, ...]
    probability: float | None
    priority: int
    delivery_state: str
    deliveries: Mapping[str, int]
    verdict: str = ""
