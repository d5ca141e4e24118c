"""What was refused before it became a study: the ledger's notices, the same ones together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Row, func, select

from dicom_node.work.ledger import Ledger
from dicom_node.work.tables import notice

# A sender that is refused goes on sending: so many are looked at for one page.
_MOST = 1000


@dataclass(frozen=True)
class Refusals:
    """The same sender, status and reason, `count` times from `first_at` to `last_at`."""

    first_at: datetime
    last_at: datetime
    calling_ae_title: str
    address: str
    status: int
    text: str
    count: int


@dataclass(frozen=True)
class RefusalPage:
    """The latest first; `next` is where the page after it begins, None where nothing follows."""

    refusals: tuple[Refusals, ...]
    next: int | None


class RefusalList:
    """Reads only."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    def page(
        self,
        *,
        since: float | None = None,
        until: float | None = None,
        before: int | None = None,
        calling_ae_title: str = "",
        search: str = "",
    ) -> RefusalPage:
        """Those of a time (seconds since the epoch, `since` inclusive), of a sender, that hold some words.

        Of more than a thousand the latest thousand.
        """
        kept = notice.c
        chosen = select(notice).order_by(kept.at.desc(), kept.id.desc()).limit(_MOST)
        if since is not None:
            chosen = chosen.where(kept.at >= since)
        if until is not None:
            chosen = chosen.where(kept.at < until)
        if before is not None:
            chosen = chosen.where(kept.id < before)
        if calling_ae_title:
            chosen = chosen.where(kept.calling_ae_title == calling_ae_title)
        if search:
            shown = func.lower(kept.calling_ae_title + " " + kept.address + " " + kept.text)
            chosen = chosen.where(func.instr(shown, search.lower()) > 0)
        with self._ledger.read() as connection:
            rows = connection.execute(chosen).all()
        return RefusalPage(_grouped(rows), rows[-1].id if len(rows) == _MOST else None)


def _grouped(rows: Sequence[Row[Any]]) -> tuple[Refusals, ...]:
    groups: dict[tuple[object, ...], list[Row[Any]]] = {}
    for row in rows:
        key = (row.calling_ae_title, row.address, row.status, row.text)
        groups.setdefault(key, []).append(row)
    return tuple(
        Refusals(
            first_at=datetime.fromtimestamp(group[-1].at, UTC),
            last_at=datetime.fromtimestamp(group[0].at, UTC),
            calling_ae_title=group[0].calling_ae_title,
            address=group[0].address,
            status=group[0].status,
            text=group[0].text,
            count=len(group),
        )
        for group in groups.values()
    )
