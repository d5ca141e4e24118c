"""Running counts of what happened, kept by triggers in the transaction in which it happens.

They outlive the rows that they count: retention deletes rows, a count only grows.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from sqlalchemy import Connection, select

from dicom_node.work.database import Database
from dicom_node.work.tables import study_revision, tally
from dicom_node.work.triggers import set_triggers

# AE titles beyond so many are counted as one: without peers in the settings, anybody on this machine may send.
_MOST_TITLES = 500
OTHER_TITLE = "*"
BETWEEN = "|"


class Tallied(StrEnum):
    """What is counted. Labels in brackets; where there are two, `BETWEEN` stands between them."""

    ASSOCIATIONS = "associations"  # ["accepted" or "rejected" | how it ended or why]
    RECEIVED = "received"  # [calling AE title]
    RECEIVED_BYTES = "received bytes"  # [calling AE title]
    REFUSED = "refused"  # [status of the C-STORE response, decimal; 0: taken and not kept]
    OUTCOMES = "outcomes"  # [outcome]
    NOT_PROCESSED = "not processed"  # [reason]
    DELIVERIES = "deliveries"  # [destination | state in which it ended]
    LAST_DELIVERED = "last delivered"  # [destination]: seconds since the epoch, not a count
    COMMITMENTS = "commitments"  # [destination | state in which it ended]
    STAGES = "stages"  # [stage]
    STAGE_SECONDS = "stage seconds"  # [stage]


class Stage(StrEnum):
    """What takes time, in the order of the walk; each is counted when it is over."""

    WAITING = "waiting"
    READING = "reading"
    GATHERING = "gathering"
    COMPOSING = "composing"
    DELIVERY = "delivery"
    COMMITMENT = "commitment"


def _count(name: Tallied, label: str, value: str = "1", where: str = "true") -> str:
    """SQL that adds `value`; nothing where it or the label is NULL, for a count must never undo what it counts."""
    return (
        f"INSERT INTO tally SELECT '{name}', {label}, {value} "
        f"WHERE ({where}) AND ({label}) IS NOT NULL AND ({value}) IS NOT NULL "
        "ON CONFLICT (name, label) DO UPDATE SET value = value + excluded.value; "
    )


def _time(stage: Stage, seconds: str, where: str = "true") -> str:
    known = f"({where}) AND ({seconds}) IS NOT NULL"
    return _count(Tallied.STAGES, f"'{stage}'", "1", known) + _count(
        Tallied.STAGE_SECONDS, f"'{stage}'", f"max(0.0, {seconds})", known
    )


def _pair(first: str, second: str) -> str:
    return f"{first} || '{BETWEEN}' || {second}"


# The settings' numbers stand in some reasons: a label is one of few words.
_REASON = """CASE
WHEN NEW.accepted AND NEW.reason = 'released' THEN 'released'
WHEN NEW.accepted THEN 'aborted'
WHEN NEW.reason LIKE 'called AE title%' THEN 'called AE title'
WHEN NEW.reason LIKE 'calling AE title%' THEN 'calling AE title'
WHEN NEW.reason LIKE 'address%' THEN 'address'
WHEN NEW.reason LIKE 'no peers%' THEN 'no peers'
WHEN NEW.reason LIKE '%max_associations%' THEN 'limit'
ELSE 'other' END"""
_TITLE = f"""CASE
WHEN EXISTS (SELECT 1 FROM tally WHERE name = '{Tallied.RECEIVED}' AND label = NEW.calling_ae_title)
OR (SELECT count(*) FROM tally WHERE name = '{Tallied.RECEIVED}') < {_MOST_TITLES}
THEN NEW.calling_ae_title ELSE '{OTHER_TITLE}' END"""  # noqa: S608 - ours
_ENDED = "'delivered', 'parked', 'cancelled', 'replaced'"
_COMMITMENT_ENDED = "'committed', 'sent again', 'not committed', 'never committed'"
# The first image since the revision before closed its study's findings.
_FIRST_IMAGE = """(SELECT min(received_at) FROM instance
WHERE study_instance_uid = NEW.study_instance_uid AND received_at > coalesce(
(SELECT max(closed_at) FROM study_revision WHERE study_instance_uid = NEW.study_instance_uid
AND revision < NEW.revision), 0))"""
_CLOSED = """(SELECT closed_at FROM study_revision
WHERE study_instance_uid = NEW.study_instance_uid AND revision = NEW.revision)"""
_IS_FIRST_OF_REVISION = """NOT EXISTS (SELECT 1 FROM result_object
WHERE study_instance_uid = NEW.study_instance_uid AND revision = NEW.revision
AND instance_id IS NULL AND sop_instance_uid <> NEW.sop_instance_uid)"""

# When -> what.
_TRIGGERS = {
    "INSERT ON association": _count(
        Tallied.ASSOCIATIONS,
        _pair("CASE WHEN NEW.accepted THEN 'accepted' ELSE 'rejected' END", _REASON),
    ),
    "INSERT ON notice": _count(Tallied.REFUSED, "NEW.status"),
    # The bytes first: which titles are known is asked of the other.
    "INSERT ON instance": _count(Tallied.RECEIVED_BYTES, _TITLE, "NEW.byte_count")
    + _count(Tallied.RECEIVED, _TITLE),
    "UPDATE OF state ON instance WHEN NEW.state = 'done' AND OLD.state <> 'done'": (
        _count(Tallied.OUTCOMES, "NEW.outcome")
        + _count(Tallied.NOT_PROCESSED, "NEW.reason")
        # A film that is read again has not waited since it came.
        + _time(Stage.WAITING, "NEW.begun_at - NEW.received_at", "NEW.round = 1")
        + _time(Stage.READING, "NEW.finished_at - NEW.begun_at")
    ),
    "INSERT ON study_revision": _time(Stage.GATHERING, f"NEW.closed_at - {_FIRST_IMAGE}"),
    "INSERT ON result_object WHEN NEW.instance_id IS NULL AND NEW.kind <> 'rejection'": _time(
        Stage.COMPOSING, f"NEW.created_at - {_CLOSED}", _IS_FIRST_OF_REVISION
    ),
    f"UPDATE OF state ON delivery WHEN NEW.state IN ({_ENDED}) AND NEW.state <> OLD.state": (
        _count(Tallied.DELIVERIES, _pair("NEW.destination", "NEW.state"))
        + _time(Stage.DELIVERY, "NEW.ended_at - NEW.trying_since", "NEW.state = 'delivered'")
        + f"INSERT INTO tally SELECT '{Tallied.LAST_DELIVERED}', NEW.destination, NEW.ended_at "
        "WHERE NEW.state = 'delivered' AND NEW.ended_at IS NOT NULL "
        "ON CONFLICT (name, label) DO UPDATE SET value = max(value, excluded.value); "
    ),
    "UPDATE OF state ON delivery_commitment "
    f"WHEN NEW.state IN ({_COMMITMENT_ENDED}) AND NEW.state <> OLD.state": (
        _count(Tallied.COMMITMENTS, _pair("NEW.destination", "NEW.state"))
        + _time(Stage.COMMITMENT, "NEW.ended_at - NEW.since", "NEW.state = 'committed'")
    ),
}


def keep_tallies(connection: Connection) -> None:
    """Sets the triggers as this version has them; what was counted stays."""
    for index in study_revision.indexes:
        index.create(connection, checkfirst=True)
    set_triggers(connection, "tally", _TRIGGERS)


@dataclass(frozen=True)
class Tallies:
    """All counts at one moment."""

    values: Mapping[str, Mapping[str, float]]

    @classmethod
    def read(cls, ledger: Database) -> Tallies:
        """Reads only.

        Raises:
            LedgerError: the ledger cannot be read.
        """
        values: dict[str, dict[str, float]] = defaultdict(dict)
        with ledger.read() as connection:
            for row in connection.execute(select(tally)):
                values[row.name][row.label] = row.value
        return cls(values)

    def of(self, name: Tallied) -> Mapping[str, float]:
        """Value by label."""
        return self.values.get(name, {})

    def pairs(self, name: Tallied) -> dict[tuple[str, str], float]:
        """Value by both labels."""
        found = {}
        for label, value in self.of(name).items():
            first, _, second = label.partition(BETWEEN)
            found[first, second] = value
        return found
