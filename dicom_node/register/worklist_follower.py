"""Follows the ledger: what changed there is in the worklist half a second later."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from threading import Event

from sqlalchemy import select

from dicom_node.errors import LedgerError
from dicom_node.register.register import Register
from dicom_node.register.study_header import read_study_header
from dicom_node.register.worklist import Worklist
from dicom_node.register.worklist_projection import LedgerStudy, studies_in_ledger
from dicom_node.register.worklist_study import StudyHeader, WorklistStudy
from dicom_node.work.database_watch import DatabaseWatch
from dicom_node.work.ledger import DATABASE_NAME, Ledger
from dicom_node.work.study_changes import StudyChanges
from dicom_node.work.tables import study

_BATCH = 200
_LOOK_SECONDS = 0.1
# A node that reads a film a second must not make every open page fetch at that pace and more.
_PAUSE_SECONDS = 0.5
log = logging.getLogger("dicom_node.register.follower")


@dataclass(frozen=True)
class Followed:
    """What was taken over: up to the ledger's change of that number."""

    number: int
    studies: tuple[str, ...] = ()
    refused: bool = False

    def __bool__(self) -> bool:
        return bool(self.studies) or self.refused


class WorklistFollower:
    """Brings the register's worklist up to the ledger. One at a time."""

    def __init__(self, data: Path, ledger: Ledger, register: Register, batch: int = _BATCH) -> None:
        self._data, self._ledger, self._batch = data, ledger, batch
        self._changes, self._worklist = StudyChanges(ledger), Worklist(register)

    def prepare(self) -> None:
        """Once, before `follow`; a worklist of another ledger is made anew."""
        if self._worklist.last_change() > self._changes.last():
            log.warning("the worklist is of another ledger, and is made anew")
            self._worklist.clear()

    def follow(self, stop: Event | None = None) -> Followed:
        """Takes over all that changed. Killed in between, it goes on where it was."""
        number = self._worklist.last_change()
        studies: dict[str, None] = {}
        refused = False
        while stop is None or not stop.is_set():
            changes = self._changes.after(number, self._batch)
            if changes.number == number:
                break
            removed = self._forgotten() if changes.forgotten else set[str]()
            removed |= self._take_over(changes.studies, removed, changes.number)
            number, refused = changes.number, refused or changes.refused
            studies |= dict.fromkeys((*changes.studies, *sorted(removed)))
        return Followed(number, tuple(studies), refused)

    def run(self, stop: Event, told: Callable[[Followed], None]) -> None:
        """Follows until `stop`, and tells what changed at most twice a second."""
        watch: DatabaseWatch | None = None
        while not stop.is_set():
            try:
                if watch is None:
                    self.prepare()
                    watch = DatabaseWatch(self._data / DATABASE_NAME)
                if followed := self.follow(stop):
                    told(followed)
                stop.wait(_PAUSE_SECONDS)
                while not watch.changed() and not stop.wait(_LOOK_SECONDS):
                    pass
            except LedgerError as error:
                log.warning("the worklist does not follow: %s", error)
                stop.wait(_PAUSE_SECONDS)
            except Exception:
                # The top of the loop: one study that cannot be shown must not end the page.
                log.exception("the worklist does not follow")
                stop.wait(_PAUSE_SECONDS)

    def _take_over(self, uids: tuple[str, ...], removed: set[str], number: int) -> set[str]:
        """Writes one batch; which of its studies the ledger no longer has."""
        with self._ledger.read() as connection:
            found = studies_in_ledger(connection, uids)
        known = self._worklist.headers(uids)
        lines = [self._with_header(one, known) for one in found]
        gone = {*uids} - {one.line.study_instance_uid for one in found}
        self._worklist.write(lines, [*(removed | gone)], number)
        return gone

    def _with_header(
        self, found: LedgerStudy, known: dict[str, tuple[str, StudyHeader]]
    ) -> tuple[WorklistStudy, str]:
        header_of, header = known.get(found.line.study_instance_uid, ("", StudyHeader()))
        if header_of != found.header_of:
            read = read_study_header(self._data / found.spool_path)
            if read is not None:
                header_of, header = found.header_of, read
        return found.with_header(header), header_of

    def _forgotten(self) -> set[str]:
        with self._ledger.read() as connection:
            kept = set(connection.execute(select(study.c.study_instance_uid)).scalars())
        return self._worklist.studies() - kept
