"""What people gave to the page or the API for reading: the findings, and small pictures; the file itself is not kept."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from sqlalchemy import Row, delete, insert, select, tuple_

from dicom_node.durable_file import write_durably
from dicom_node.register.register import Register
from dicom_node.register.tables import analysis
from pipeline.findings import ImageFindings, Outcome, dump_findings, load_findings

FOLDER = "analyses"


@dataclass(frozen=True)
class Analysis:
    """One reading that was kept. `image_name`: the file's as its sender called it; `digest`: sha256 of its bytes."""

    id: str
    at: datetime
    person: str
    image_name: str
    digest: str
    byte_count: int
    findings: ImageFindings


@dataclass(frozen=True)
class AnalysisQuery:
    """Which are wanted; the latest first.

    `image_name`: part of it, in any case; `since` is in, `until` is not; `after`: the last of the page before.
    """

    image_name: str = ""
    since: datetime | None = None
    until: datetime | None = None
    outcome: Outcome | None = None
    after: tuple[float, str] | None = None
    limit: int = 50


class Analyses:
    """Keeps, finds and forgets. Every method raises LedgerError where the register cannot be had."""

    def __init__(self, register: Register, data: Path) -> None:
        self._register, self._folder = register, data / FOLDER

    def keep(self, kept: Analysis, pictures: Mapping[str, bytes]) -> None:
        """Pictures (name without suffix -> PNG) first, then the row: what is listed is whole.

        Raises:
            SpoolError: the disk did not take them.
        """
        folder = self._place(kept.id)
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        for name, png in pictures.items():
            write_durably(folder / f"{name}.png", png)
        with self._register.transaction() as connection:
            connection.execute(
                insert(analysis).values(
                    id=kept.id,
                    at=kept.at.timestamp(),
                    person=kept.person,
                    image_name=kept.image_name,
                    digest=kept.digest,
                    byte_count=kept.byte_count,
                    outcome=str(kept.findings.outcome),
                    probability=kept.findings.fracture_probability,
                    findings=dump_findings(kept.findings),
                    picture_path=f"{FOLDER}/{kept.id}",
                )
            )

    def find(self, id: str) -> Analysis | None:  # noqa: A002 - the table's word
        """The one of that id."""
        with self._register.read() as connection:
            row = connection.execute(select(analysis).where(analysis.c.id == id)).one_or_none()
        return None if row is None else _analysis(row)

    def page(self, query: AnalysisQuery) -> list[Analysis]:
        """Up to `limit` that match, the latest first."""
        chosen = select(analysis).order_by(analysis.c.at.desc(), analysis.c.id.desc())
        if query.image_name:
            chosen = chosen.where(analysis.c.image_name.icontains(query.image_name, autoescape=True))
        if query.since is not None:
            chosen = chosen.where(analysis.c.at >= query.since.timestamp())
        if query.until is not None:
            chosen = chosen.where(analysis.c.at < query.until.timestamp())
        if query.outcome is not None:
            chosen = chosen.where(analysis.c.outcome == str(query.outcome))
        if query.after is not None:
            chosen = chosen.where(tuple_(analysis.c.at, analysis.c.id) < tuple_(*query.after))
        with self._register.read() as connection:
            return [_analysis(row) for row in connection.execute(chosen.limit(query.limit))]

    def picture(self, kept: Analysis, name: str) -> Path | None:
        """Where a picture lies; None if there is none of that name."""
        path = self._place(kept.id) / f"{name}.png"
        return path if path.is_file() else None

    def pictures(self, kept: Analysis) -> frozenset[str]:
        """The names of the pictures that there are."""
        return frozenset(path.stem for path in self._place(kept.id).glob("*.png"))

    def forget(self, id: str) -> bool:  # noqa: A002
        """Removes one, pictures and all; whether it was there."""
        with self._register.transaction() as connection:
            gone = connection.execute(delete(analysis).where(analysis.c.id == id)).rowcount == 1
        if gone:
            shutil.rmtree(self._place(id), ignore_errors=True)
        return gone

    def forget_before(self, moment: datetime) -> int:
        """Removes what is older; how many they were."""
        with self._register.read() as connection:
            old = connection.execute(
                select(analysis.c.id).where(analysis.c.at < moment.timestamp())
            ).scalars()
            ids = list(old)
        return sum(self.forget(one) for one in ids)

    def remove_orphans(self, moment: datetime) -> None:
        """Removes folders that a kill left without a row before `moment`."""
        if not self._folder.is_dir():
            return
        with self._register.read() as connection:
            known = set(connection.execute(select(analysis.c.id)).scalars())
        for folder in self._folder.iterdir():
            if folder.name not in known and folder.stat().st_mtime < moment.timestamp():
                shutil.rmtree(folder, ignore_errors=True)

    def _place(self, id: str) -> Path:  # noqa: A002
        return self._folder / id


def _analysis(row: Row[tuple[object, ...]]) -> Analysis:
    return Analysis(
        id=row.id,
        at=datetime.fromtimestamp(row.at, UTC),
        person=row.person,
        image_name=row.image_name,
        digest=row.digest,
        byte_count=row.byte_count,
        findings=load_findings(row.findings),
    )
