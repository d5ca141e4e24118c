"""How much stands in the node's queues now, and since when: for figures, not for the work itself."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from sqlalchemy import Connection, Executable, func, select, text

from dicom_node.records import DeliveryState
from dicom_node.work.database import Database
from dicom_node.work.tables import (
    delivery,
    delivery_commitment,
    instance,
    study,
    study_revision,
)
from pipeline.findings import ModelIdentity, load_findings

# What somebody may still want to look at; what was delivered or taken back is counted, not listed.
OPEN_STATES = (DeliveryState.QUEUED, DeliveryState.WAITING, DeliveryState.PARKED)
# "due" and "asked" go on by themselves, "sent again" waits for the object's second delivery.
COMMITMENT_STATES = ("due", "asked", "sent again", "not committed", "never committed")


@dataclass(frozen=True)
class Standing:
    """How many wait, and since when the first of them."""

    count: int
    since: datetime | None


@dataclass(frozen=True)
class Workload:
    """One moment. Deliveries by destination and state, commitments by destination and state."""

    images: Standing
    studies: Standing
    reports: Standing
    deliveries: Mapping[tuple[str, str], Standing]
    down: frozenset[str]
    commitments: Mapping[tuple[str, str], int]
    last_received_at: datetime | None
    model: ModelIdentity | None

    @classmethod
    def read(cls, ledger: Database, committing: Collection[str] = ()) -> Workload:
        """Reads only; `committing` names the destinations whose storage commitments are counted.

        Raises:
            LedgerError: the ledger cannot be read.
        """
        unread = instance.c.state == "received"
        unclosed = study.c.opened_at.is_not(None)
        # The words themselves, not a parameter: the small index is used for nothing else.
        composing = text("state = 'composing'")
        with ledger.read() as connection:
            last = connection.execute(select(func.max(instance.c.received_at))).scalar()
            return cls(
                images=_standing(connection, select(func.count(), func.min(instance.c.received_at)).where(unread)),
                studies=_standing(connection, select(func.count(), func.min(study.c.opened_at)).where(unclosed)),
                reports=_standing(
                    connection,
                    select(func.count(), func.min(study_revision.c.closed_at))
                    .select_from(study_revision)
                    .where(composing),
                ),
                deliveries=open_deliveries(connection),
                down=_down(connection),
                commitments=_commitments(connection, committing),
                last_received_at=_moment(last),
                model=_last_model(connection),
            )  # fmt: skip


def open_deliveries(connection: Connection) -> dict[tuple[str, str], Standing]:
    """What is not delivered yet or parked, by destination and state."""
    chosen = (
        select(
            delivery.c.destination,
            delivery.c.state,
            func.count().label("number"),
            func.min(delivery.c.trying_since).label("since"),
        )
        .where(delivery.c.state.in_(OPEN_STATES))
        .group_by(delivery.c.destination, delivery.c.state)
    )
    return {
        (row.destination, row.state): Standing(row.number, _moment(row.since))
        for row in connection.execute(chosen)
    }


def _standing(connection: Connection, counted: Executable) -> Standing:
    count, since = connection.execute(counted).one()
    return Standing(int(count), _moment(since))


def _down(connection: Connection) -> frozenset[str]:
    """Destinations that could not be reached when something was to be sent, as the delivery queue knows them."""
    chosen = (
        select(delivery.c.destination)
        .where(
            delivery.c.state == DeliveryState.WAITING,
            delivery.c.status.is_(None),
            delivery.c.refusals == 0,
        )
        .distinct()
    )
    return frozenset(connection.execute(chosen).scalars())


def _commitments(connection: Connection, committing: Collection[str]) -> dict[tuple[str, str], int]:
    row = delivery_commitment.c
    found = {(place, state): 0 for place in committing for state in COMMITMENT_STATES}
    for place in committing:
        chosen = (
            select(row.state, func.count().label("number"))
            .where(row.destination == place, row.state.in_(COMMITMENT_STATES))
            .group_by(row.state)
        )
        found |= {(place, one.state): int(one.number) for one in connection.execute(chosen)}
    return found


def _last_model(connection: Connection) -> ModelIdentity | None:
    """What read the film that was received last of those that are read."""
    chosen = (
        select(instance.c.findings)
        # Not by state: the index of the times ends the search at the first row that was read.
        .where(instance.c.findings.is_not(None))
        .order_by(instance.c.received_at.desc())
        .limit(1)
    )
    found = connection.execute(chosen).scalar()
    return load_findings(found).model if found else None


def _moment(seconds: float | None) -> datetime | None:
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC)
