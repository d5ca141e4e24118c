"""The ledger's database: one SQLite file, shared with the durable engine, every commit on disk."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event, insert, select, text
from sqlalchemy.exc import SQLAlchemyError

from dicom_node.errors import LedgerError
from dicom_node.work.tables import installation, metadata

DATABASE_NAME = "node.sqlite"


class Ledger:
    """Transactions on the node's database. Threads may share one ledger."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine

    @classmethod
    def open(cls, data: Path) -> Ledger:
        """The ledger of a data folder; `create` makes its tables first.

        Raises:
            LedgerError: the file cannot be opened, or the disk does not keep what is committed.
        """
        engine = create_engine(f"sqlite:///{data / DATABASE_NAME}", pool_size=8, pool_timeout=30)
        event.listen(engine, "connect", _set_pragmas)
        try:
            with engine.connect() as connection:
                journal = connection.execute(text("PRAGMA journal_mode")).scalar_one()
                synchronous = connection.execute(text("PRAGMA synchronous")).scalar_one()
        except SQLAlchemyError as error:
            raise LedgerError(f"{data / DATABASE_NAME}: cannot be opened: {error}") from error
        if (journal, synchronous) != ("wal", 2):
            raise LedgerError(
                f"{data / DATABASE_NAME}: needs journal_mode WAL and synchronous FULL, "
                f"has {journal!r} and {synchronous}; use a local disk"
            )
        return cls(engine)

    def create(self, at: float) -> None:
        """Makes what is missing: tables, and the identity of this installation."""
        with self.transaction() as connection:
            metadata.create_all(connection)
            if connection.execute(select(installation.c.id)).first() is None:
                connection.execute(insert(installation).values(id=str(uuid.uuid4()), created_at=at))

    def installation_id(self) -> uuid.UUID:
        """The identity of this installation: part of every UID that it derives."""
        with self.read() as connection:
            return uuid.UUID(connection.execute(select(installation.c.id)).scalar_one())

    @contextmanager
    def transaction(self) -> Iterator[Connection]:
        """One transaction that holds the write lock from its first statement.

        Raises:
            LedgerError: it was not committed; trying again may help.
        """
        try:
            with self.engine.begin() as connection:
                # pysqlite would begin only at the first write: what was read before could change.
                connection.execute(text("BEGIN IMMEDIATE"))
                yield connection
        except SQLAlchemyError as error:
            raise LedgerError(f"the ledger did not take it: {error}") from error

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """A connection for reading."""
        try:
            with self.engine.connect() as connection:
                yield connection
        except SQLAlchemyError as error:
            raise LedgerError(f"the ledger cannot be read: {error}") from error

    def close(self) -> None:
        """Closes every connection."""
        self.engine.dispose()


def _set_pragmas(connection: Any, _record: Any) -> None:
    connection.isolation_level = "IMMEDIATE"
    for pragma in ("busy_timeout=30000", "foreign_keys=ON", "journal_mode=WAL", "synchronous=FULL"):
        connection.execute(f"PRAGMA {pragma}")
