"""Pages of the worklist: filtered, searched, sorted, each found without counting what lies before it.

What is wanted is found by its number in an index that holds all that filters ask for; only then are fifty rows read.
"""

from __future__ import annotations

import base64
import binascii
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from enum import StrEnum
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    UnaryExpression,
    and_,
    bindparam,
    func,
    or_,
    select,
    text,
    true,
    tuple_,
)
from sqlalchemy.sql.operators import custom_op

from dicom_node.errors import NodeError
from dicom_node.register.register import Register
from dicom_node.register.tables import worklist
from dicom_node.register.worklist import EDGE, line_of
from dicom_node.register.worklist_study import (
    OUTCOMES,
    WorklistStudy,
    delivery_rank,
    outcome_rank,
)

PAGE = 50
# From so many hits on, a search is common: fifty are found by looking through the newest rows.
_COMMON = 2000
# The search's index knows three letters in a row.
_LETTERS = 3
_row = worklist.c


class Sort(StrEnum):
    """By what; of equals the one received last comes first (by patient and body part: last)."""

    RECEIVED = "received"
    OUTCOME = "outcome"
    PROBABILITY = "probability"
    PRIORITY = "priority"
    DELIVERIES = "deliveries"
    PATIENT = "patient"
    BODY_PART = "body part"


_COLUMNS: dict[Sort, ColumnElement[Any]] = {
    Sort.OUTCOME: _row.outcome_rank,
    Sort.PROBABILITY: _row.probability_rank,
    Sort.PRIORITY: _row.priority_rank,
    Sort.DELIVERIES: _row.delivery_rank,
    Sort.PATIENT: _row.patient_name,
    Sort.BODY_PART: _row.body_parts,
}
_UPWARDS = (Sort.PATIENT, Sort.BODY_PART)


class CursorError(NodeError):
    """A cursor that this sort did not give out."""


@dataclass(frozen=True)
class WorklistFilter:
    """Which studies; "" and None are all. Moments are seconds since the epoch, from inclusive, until exclusive."""

    outcome: str = ""
    delivery: str = ""
    priority: int | None = None
    body_part: str = ""
    calling_ae_title: str = ""
    modality: str = ""
    verdict: str = ""
    received_from: float | None = None
    received_until: float | None = None
    search: str = ""

    @property
    def count(self) -> int:
        """How many conditions it has."""
        return sum(getattr(self, one.name) not in ("", None) for one in fields(self))


@dataclass(frozen=True)
class WorklistPage:
    """Up to `PAGE` lines; `next` asks for what follows them, "" where nothing does."""

    studies: tuple[WorklistStudy, ...]
    next: str


@dataclass(frozen=True)
class WorklistQuery:
    """What is asked for."""

    wanted: WorklistFilter = field(default_factory=WorklistFilter)
    sort: Sort = Sort.RECEIVED
    reverse: bool = False

    @property
    def downwards(self) -> bool:
        """Whether the greatest comes first."""
        return (self.sort not in _UPWARDS) != self.reverse

    @property
    def keys(self) -> tuple[ColumnElement[Any], ...]:
        """What sorts; together they are unlike in any two rows."""
        first = (_COLUMNS[self.sort],) if self.sort in _COLUMNS else ()
        return (*first, _row.last_received_at, _row.study_instance_uid)


class WorklistPages:
    """Reads only."""

    def __init__(self, register: Register) -> None:
        self._register = register

    def page(self, query: WorklistQuery, after: str = "", size: int = PAGE) -> WorklistPage:
        """The page that follows the cursor `after`; "" is the first.

        Raises:
            CursorError: no cursor of this sort.
        """
        values = read_cursor(query, after) if after else None
        with self._register.read() as connection:
            ids = self._ids(connection, query, values, size + 1)
            chosen = select(worklist).where(_row.id.in_(ids))
            found = {row["id"]: row for row in connection.execute(chosen).mappings()}
        rows = [found[one] for one in ids if one in found]
        more = len(ids) > size
        keys = [key.name for key in query.keys]
        follows = _cursor([rows[size - 1][name] for name in keys]) if more and len(rows) >= size else ""
        return WorklistPage(tuple(line_of(row) for row in rows[:size]), follows)

    def lines(
        self, study_uids: Sequence[str], wanted: WorklistFilter
    ) -> list[tuple[WorklistStudy, bool]]:
        """These studies as far as they are listed, and whether the filter lets them through."""
        with self._register.read() as connection:
            search = _Search.of(connection, wanted.search)
            passes = and_(true(), *_conditions(wanted), *search.conditions)
            chosen = select(worklist, passes.label("passes")).where(
                _row.study_instance_uid.in_(study_uids)
            )
            return [
                (line_of(row), bool(row["passes"])) for row in connection.execute(chosen).mappings()
            ]

    def counts(self, wanted: WorklistFilter) -> dict[str, int] | None:
        """How many studies of each outcome pass; None where every row would have to be looked at."""
        with self._register.read() as connection:
            search = _Search.of(connection, wanted.search)
            days = (wanted.received_from, wanted.received_until)
            few = wanted.search or any(day is not None for day in days)
            if not search.by_number or (wanted.count and not few):
                return None
            chosen = select(_row.outcome_rank, func.count()).group_by(_row.outcome_rank)
            rows = connection.execute(chosen.where(*_conditions(wanted), *search.conditions)).all()
        by_rank = {outcome_rank(outcome): outcome for outcome in OUTCOMES}
        return {by_rank[rank]: count for rank, count in rows}

    def choices(self) -> dict[str, list[str]]:
        """What there is to choose from: senders, modalities, body parts."""
        names = ("calling_ae_title", "modalities", "body_parts")
        chosen = select(*(_row[name] for name in names)).distinct()
        with self._register.read() as connection:
            rows = connection.execute(chosen).all()
        return {
            "senders": sorted({row[0] for row in rows} - {""}),
            "modalities": sorted({one for row in rows for one in row[1].split()}),
            "body_parts": sorted({one for row in rows for one in row[2].split()}),
        }

    @staticmethod
    def _ids(
        connection: Connection, query: WorklistQuery, after: Sequence[Any] | None, most: int
    ) -> list[int]:
        search = _Search.of(connection, query.wanted.search)
        conditions = [*_conditions(query.wanted), *search.conditions]
        # Where a filter leaves few, the sort's own index would be walked in vain, row by row of the table.
        sifting = query.wanted.count > bool(query.wanted.search) and query.sort in _COLUMNS
        keys = [_unindexed(key) for key in query.keys] if sifting else list(query.keys)
        if after is not None:
            place = tuple_(*keys)
            bound = tuple_(*(bindparam(None, value) for value in after))
            conditions.append(place < bound if query.downwards else place > bound)
        order = [key.desc() if query.downwards else key.asc() for key in keys]
        chosen = select(_row.id).where(*conditions).order_by(*order).limit(most)
        return list(connection.execute(chosen).scalars())


def _conditions(wanted: WorklistFilter) -> list[ColumnElement[bool]]:
    """All but the search. One alone may use its own index; of several none is worth it."""
    alone = wanted.count == 1
    ranks: list[tuple[ColumnElement[Any], Any]] = []
    if wanted.outcome:
        ranks.append((_row.outcome_rank, outcome_rank(wanted.outcome)))
    if wanted.delivery:
        ranks.append((_row.delivery_rank, delivery_rank(wanted.delivery)))
    if wanted.priority is not None:
        ranks.append((_row.priority_rank, -wanted.priority))
    found = [(column if alone else _unindexed(column)) == value for column, value in ranks]
    if wanted.calling_ae_title:
        found.append(_row.calling_ae_title == wanted.calling_ae_title)
    if wanted.verdict:
        found.append(_row.verdict == wanted.verdict)
    if wanted.modality:
        found.append(_has_word(_row.modalities, wanted.modality))
    if wanted.body_part:
        found.append(_has_word(_row.body_parts, wanted.body_part))
    if wanted.received_from is not None:
        found.append(_row.last_received_at >= wanted.received_from)
    if wanted.received_until is not None:
        found.append(_row.last_received_at < wanted.received_until)
    return found


def _unindexed(column: ColumnElement[Any]) -> ColumnElement[Any]:
    """The column as SQLite looks for no index of it (its unary plus)."""
    return UnaryExpression(column, operator=custom_op("+"), type_=column.type)


def _has_word(column: ColumnElement[str], word: str) -> ColumnElement[bool]:
    return func.instr(" " + column + " ", f" {word} ") > 0


@dataclass(frozen=True)
class _Search:
    """The rows that hold some words as they stand. `by_number`: they are few, and known."""

    conditions: tuple[ColumnElement[bool], ...] = ()
    by_number: bool = True

    @classmethod
    def of(cls, connection: Connection, words: str) -> _Search:
        """Looks the words up."""
        needle = "".join(letter for letter in words if letter.isprintable()).strip().casefold()
        if not needle:
            return cls()
        if len(needle) < _LETTERS:
            return cls((_is_short(connection, needle),), by_number=False)
        ids = _looked_up(connection, needle)
        if len(ids) == _COMMON:
            return cls((func.instr(_row.search, needle) > 0,), by_number=False)
        return cls((_is_one_of(ids),))


def _is_short(connection: Connection, needle: str) -> ColumnElement[bool]:
    """Words too short for the search's index: part of a name, which filters' index holds, or all of another field."""
    in_name = func.instr(func.lower(_row.patient_name), needle) > 0
    return or_(in_name, _is_one_of(_looked_up(connection, f"{EDGE}{needle}{EDGE}")))


def _looked_up(connection: Connection, needle: str) -> list[int]:
    """The numbers of rows that hold these letters; of many the first."""
    phrase = '"' + needle.replace('"', '""') + '"'
    found = text("SELECT rowid FROM worklist_search WHERE worklist_search MATCH :phrase LIMIT :most")
    return list(connection.execute(found, {"phrase": phrase, "most": _COMMON}).scalars())


def _is_one_of(ids: Sequence[int]) -> ColumnElement[bool]:
    known = func.json_each(json.dumps(list(ids))).table_valued("value").c.value
    return _row.id.in_(select(known))


def _cursor(values: Sequence[Any]) -> str:
    return base64.urlsafe_b64encode(json.dumps(values).encode()).decode().rstrip("=")


def read_cursor(query: WorklistQuery, cursor: str) -> list[Any]:
    """The values of a cursor that `page` gave out.

    Raises:
        CursorError: no cursor of this sort.
    """
    try:
        values = json.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
    except (ValueError, binascii.Error, RecursionError) as error:
        raise CursorError("no cursor of this list; begin at its first page") from error
    kinds = [str if key.type.python_type is str else float for key in query.keys]
    if not isinstance(values, list) or len(values) != len(kinds):
        raise CursorError("no cursor of this sort; begin at its first page")
    for value, kind in zip(values, kinds, strict=True):
        number = isinstance(value, int | float) and not isinstance(value, bool)
        if not (
            isinstance(value, str)
            if kind is str
            else number and abs(value) < 2**53 and math.isfinite(value)
        ):
            raise CursorError("no cursor of this sort; begin at its first page")
    return values
