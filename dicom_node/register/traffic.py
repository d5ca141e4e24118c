"""Who came, what was negotiated and what became of it; and how it goes with the destinations."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import ColumnElement, Row, Select, or_, select

from dicom_node.records import DeliveryState, ProposedContext
from dicom_node.settings import Settings
from dicom_node.work.context_list import load_contexts
from dicom_node.work.job_list import JobList, PeerLine
from dicom_node.work.ledger import Ledger
from dicom_node.work.tables import association, association_detail, delivery, negotiation
from dicom_node.work.tallies import Tallied, Tallies
from dicom_node.work.workload import Standing, open_deliveries

# An association that took less is no measure of a line.
_SECONDS_MEASURED = 0.02


@dataclass(frozen=True)
class Negotiation:
    """What was negotiated and how it went on; of associations since this is kept."""

    implementation_class_uid: str
    implementation_version_name: str
    proposed: int
    accepted: int
    is_capped: bool
    ended_at: datetime
    ending: str
    byte_count: int


@dataclass(frozen=True)
class AssociationLine:
    """One association, as shown; `reason` says why it was rejected."""

    id: int
    at: datetime
    calling_ae_title: str
    called_ae_title: str
    address: str
    accepted: bool
    reason: str
    stored: int
    refused: int
    negotiation: Negotiation | None

    @property
    def seconds(self) -> float | None:
        """How long it was open."""
        if self.negotiation is None or not self.accepted:
            return None
        return max(0.0, (self.negotiation.ended_at - self.at).total_seconds())

    @property
    def bytes_per_second(self) -> float | None:
        """Of an association that stored something, waiting included."""
        seconds = self.seconds
        if self.negotiation is None or not self.stored or not seconds or seconds < _SECONDS_MEASURED:
            return None
        return self.negotiation.byte_count / seconds


@dataclass(frozen=True)
class Asked:
    """Which associations: by a part of an AE title, by how the address begins, those with a refusal only."""

    ae_title: str = ""
    address: str = ""
    refused: bool = False


@dataclass(frozen=True)
class DestinationLine:
    """How it goes with a destination, as its deliveries know it; `why` is what was said last of one that waits."""

    name: str
    last_delivered_at: datetime | None
    queued: Standing
    waiting: Standing
    parked: Standing
    why: str


class Traffic:
    """Reads only."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    def associations(
        self, limit: int, *, before: int | None = None, asked: Asked = Asked()
    ) -> list[AssociationLine]:
        """The last associations first, below the number `before`."""
        chosen = (
            select(
                association,
                *(column for column in association_detail.c if column.name != "accepted"),
                association_detail.c.accepted.label("accepted_contexts"),
            )
            .outerjoin(association_detail, association_detail.c.association_id == association.c.id)
            .where(*_conditions(asked, before))
            .order_by(association.c.id.desc())
            .limit(limit)
        )
        with self._ledger.read() as connection:
            return [_line(row) for row in connection.execute(chosen)]

    def association(self, number: int) -> AssociationLine | None:
        """One association; None if it is not known, or no longer."""
        found = self.associations(1, before=number + 1)
        return found[0] if found and found[0].id == number else None

    def contexts(self, number: int) -> tuple[ProposedContext, ...]:
        """The presentation contexts that an association proposed; none where they are not kept."""
        chosen = (
            select(negotiation.c.contexts)
            .join(association_detail, association_detail.c.negotiation_digest == negotiation.c.digest)
            .where(association_detail.c.association_id == number)
        )
        with self._ledger.read() as connection:
            text = connection.execute(chosen).scalar()
        return load_contexts(text) if text else ()

    def peers(self, settings: Settings, strangers: int) -> list[tuple[str, PeerLine | None]]:
        """Each peer of the settings with its last association; then who else came, the last first, so many."""
        seen = {line.calling_ae_title: line for line in JobList(self._ledger).peers()}
        known = [peer.ae_title for peer in settings.peers]
        others = sorted(seen.keys() - known, key=lambda title: seen[title].at, reverse=True)
        return [(title, seen.get(title)) for title in [*known, *others[:strangers]]]

    def destinations(self, names: Sequence[str]) -> list[DestinationLine]:
        """In the order of `names`."""
        last = Tallies.read(self._ledger).of(Tallied.LAST_DELIVERED)
        with self._ledger.read() as connection:
            standing = open_deliveries(connection)
            said = {name: connection.execute(_last_words(name)).scalar() or "" for name in names}
        none = Standing(0, None)
        return [
            DestinationLine(
                name=name,
                last_delivered_at=_moment(last.get(name)),
                queued=standing.get((name, DeliveryState.QUEUED), none),
                waiting=standing.get((name, DeliveryState.WAITING), none),
                parked=standing.get((name, DeliveryState.PARKED), none),
                why=said[name],
            )
            for name in names
        ]


def _conditions(asked: Asked, before: int | None) -> Iterable[ColumnElement[bool]]:
    row = association.c
    if before is not None:
        yield row.id < before
    if asked.ae_title:
        title = asked.ae_title
        yield or_(
            row.calling_ae_title.icontains(title, autoescape=True),
            row.called_ae_title.icontains(title, autoescape=True),
        )
    if asked.address:
        yield row.address.startswith(asked.address, autoescape=True)
    if asked.refused:
        yield or_(row.accepted == 0, row.refused > 0)


def _last_words(name: str) -> Select[str]:
    return (
        select(delivery.c.detail)
        .where(
            delivery.c.destination == name,
            delivery.c.state.in_([DeliveryState.WAITING, DeliveryState.PARKED]),
            delivery.c.detail != "",
        )
        .order_by(
            delivery.c.state.desc(), delivery.c.next_attempt_at.desc(), delivery.c.ended_at.desc()
        )
        .limit(1)
    )


def _line(row: Row[*tuple[Any, ...]]) -> AssociationLine:
    negotiation = None
    if row.association_id is not None:
        negotiation = Negotiation(
            implementation_class_uid=row.implementation_class_uid,
            implementation_version_name=row.implementation_version_name,
            proposed=row.proposed,
            accepted=row.accepted_contexts,
            is_capped=bool(row.is_capped),
            ended_at=datetime.fromtimestamp(row.ended_at, UTC),
            ending=row.ending,
            byte_count=row.byte_count,
        )
    return AssociationLine(
        id=row.id,
        at=datetime.fromtimestamp(row.at, UTC),
        calling_ae_title=row.calling_ae_title,
        called_ae_title=row.called_ae_title,
        address=row.address,
        accepted=bool(row.accepted),
        reason=row.reason,
        stored=row.stored,
        refused=row.refused,
        negotiation=negotiation,
    )


def _moment(seconds: float | None) -> datetime | None:
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC)
