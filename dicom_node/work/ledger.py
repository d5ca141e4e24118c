"""The ledger's database: one SQLite file, shared with the durable engine, every commit on disk."""

from __future__ import annotations

import uuid
from pathlib import Path
from typing import Self

from sqlalchemy import insert, select

from dicom_node.work.database import Database
from dicom_node.work.study_changes import follow_changes, has_change_log
from dicom_node.work.tables import installation, metadata
from dicom_node.work.tallies import keep_tallies

DATABASE_NAME = "node.sqlite"


class Ledger(Database):
    """Transactions on the node's database. Threads may share one ledger."""

    @classmethod
    def open(cls, data: Path) -> Self:
        """The ledger of a data folder; `create` makes its tables first.

        Raises:
            LedgerError: the file cannot be opened, or the disk does not keep what is committed.
        """
        return cls.open_file(data / DATABASE_NAME)

    def create(self, at: float) -> None:
        """Makes what is missing: tables, triggers, and the identity of this installation."""
        with self.transaction() as connection:
            is_new = not has_change_log(connection)
            metadata.create_all(connection)
            follow_changes(connection, is_new=is_new)
            keep_tallies(connection)
            if connection.execute(select(installation.c.id)).first() is None:
                connection.execute(insert(installation).values(id=str(uuid.uuid4()), created_at=at))

    def installation_id(self) -> uuid.UUID:
        """The identity of this installation: part of every UID that it derives."""
        with self.read() as connection:
            return uuid.UUID(connection.execute(select(installation.c.id)).scalar_one())
