"""Which studies changed: a number a study, given by triggers in the transaction that changed it.

One row a study, however often it changes and whether or not anybody follows. Numbers only grow.
"""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Connection, func, inspect, select, text

from dicom_node.work.database import Database
from dicom_node.work.tables import study_change
from dicom_node.work.triggers import set_triggers

# Keys beside the studies' UIDs, which are digits and dots: a study was deleted; an instance was refused.
FORGOTTEN, REFUSED = "-forgotten", "-refused"

_NEXT = "(SELECT coalesce(max(number), 0) + 1 FROM study_change)"
_RENEW = "ON CONFLICT (study_instance_uid) DO UPDATE SET number = excluded.number"


def _mark(key: str) -> str:
    return f"INSERT INTO study_change VALUES ({key}, {_NEXT}) {_RENEW}"  # noqa: S608 - ours


def _mark_study_of(found: str) -> str:
    return f"INSERT INTO study_change SELECT study_instance_uid, {_NEXT} FROM {found} {_RENEW}"  # noqa: S608


_OF_DELIVERY = "result_object WHERE sop_instance_uid = {row}.sop_instance_uid"
_OF_COMMITMENT = (
    "result_object WHERE sop_instance_uid = "
    "(SELECT sop_instance_uid FROM delivery WHERE id = NEW.delivery_id)"
)
# In this order: the greatest number must never go, or it would be given twice.
_MARK_FORGOTTEN = _mark(f"'{FORGOTTEN}'")
_REMOVE = "DELETE FROM study_change WHERE study_instance_uid = OLD.study_instance_uid"
# When -> what. An attempt that is only counted is no change that anybody sees.
_TRIGGERS = {
    "INSERT ON instance": _mark("NEW.study_instance_uid"),
    "UPDATE OF state, received_at, is_current, same_as, priority, detail ON instance": _mark(
        "NEW.study_instance_uid"
    ),
    "DELETE ON instance": _mark("OLD.study_instance_uid"),
    "UPDATE OF opened_at, revision ON study": _mark("NEW.study_instance_uid"),
    "DELETE ON study": f"{_MARK_FORGOTTEN}; {_REMOVE}",
    "INSERT ON study_revision": _mark("NEW.study_instance_uid"),
    "UPDATE OF state, detail ON study_revision": _mark("NEW.study_instance_uid"),
    "INSERT ON delivery": _mark_study_of(_OF_DELIVERY.format(row="NEW")),
    "UPDATE OF state, priority, detail ON delivery": _mark_study_of(_OF_DELIVERY.format(row="NEW")),
    "DELETE ON delivery": _mark_study_of(_OF_DELIVERY.format(row="OLD")),
    "INSERT ON delivery_commitment": _mark_study_of(_OF_COMMITMENT),
    "UPDATE OF state, detail ON delivery_commitment": _mark_study_of(_OF_COMMITMENT),
    "INSERT ON notice": _mark(f"'{REFUSED}'"),
}


@dataclass(frozen=True)
class Changes:
    """What changed up to and with `number`, the oldest change first."""

    studies: tuple[str, ...]
    number: int
    forgotten: bool = False
    refused: bool = False


class StudyChanges:
    """Reads only."""

    def __init__(self, ledger: Database) -> None:
        self._ledger = ledger

    def last(self) -> int:
        """The number of the last change; 0 where nothing ever changed."""
        with self._ledger.read() as connection:
            return connection.execute(select(func.max(study_change.c.number))).scalar() or 0

    def after(self, number: int, most: int, until: int | None = None) -> Changes:
        """What changed after the change of that number, up to and with that of `until`; at most so much of it."""
        chosen = (
            select(study_change)
            .where(study_change.c.number > number)
            .order_by(study_change.c.number)
            .limit(most)
        )
        if until is not None:
            chosen = chosen.where(study_change.c.number <= until)
        with self._ledger.read() as connection:
            rows = connection.execute(chosen).all()
        keys = [row.study_instance_uid for row in rows]
        return Changes(
            studies=tuple(key for key in keys if key not in (FORGOTTEN, REFUSED)),
            number=rows[-1].number if rows else number,
            forgotten=FORGOTTEN in keys,
            refused=REFUSED in keys,
        )


def has_change_log(connection: Connection) -> bool:
    """Whether this database already numbers its changes."""
    return inspect(connection).has_table(study_change.name)


def follow_changes(connection: Connection, *, is_new: bool) -> None:
    """Sets the triggers as this version has them; in a database that had none, every study counts as changed."""
    set_triggers(connection, "study_change", {when: f"{what}; " for when, what in _TRIGGERS.items()})
    if is_new:
        connection.execute(
            text(
                "INSERT INTO study_change SELECT study_instance_uid, "
                "row_number() OVER (ORDER BY last_received_at, study_instance_uid) FROM study"
            )
        )
