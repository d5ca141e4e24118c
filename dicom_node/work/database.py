"""One SQLite file of the node, every commit on disk."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, Self

from sqlalchemy import Connection, Engine, create_engine, event, text
from sqlalchemy.exc import SQLAlchemyError, StatementError

from dicom_node.errors import LedgerError


class Database:
    """Transactions on one file. Threads may share one database."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine

    @classmethod
    def open_file(cls, path: Path, *pragmas: str) -> Self:
        """The database of that file, made if it is missing; its tables are the caller's to make.

        `pragmas`: more of them, for every connection.

        Raises:
            LedgerError: the file cannot be opened, or the disk does not keep what is committed.
        """
        # What is written may be a name: no error repeats it.
        engine = create_engine(f"sqlite:///{path}", pool_size=8, pool_timeout=30, hide_parameters=True)
        event.listen(engine, "connect", partial(_set_pragmas, pragmas))
        try:
            with engine.connect() as connection:
                journal = connection.execute(text("PRAGMA journal_mode")).scalar_one()
                synchronous = connection.execute(text("PRAGMA synchronous")).scalar_one()
        except SQLAlchemyError as error:
            raise LedgerError(f"{path}: cannot be opened: {_said(error)}") from error
        if (journal, synchronous) != ("wal", 2):
            raise LedgerError(
                f"{path}: needs journal_mode WAL and synchronous FULL, "
                f"has {journal!r} and {synchronous}; use a local disk"
            )
        return cls(engine)

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
            raise LedgerError(f"the ledger did not take it: {_said(error)}") from error

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """A connection for reading."""
        try:
            with self.engine.connect() as connection:
                yield connection
        except SQLAlchemyError as error:
            raise LedgerError(f"the ledger cannot be read: {_said(error)}") from error

    def close(self) -> None:
        """Closes every connection."""
        self.engine.dispose()


def _said(error: SQLAlchemyError) -> str:
    """SQLite's own words, without the statement and what was to be written."""
    return str(error.orig) if isinstance(error, StatementError) else str(error)


def _set_pragmas(more: tuple[str, ...], connection: Any, _record: Any) -> None:
    connection.isolation_level = "IMMEDIATE"
    for pragma in (
        "busy_timeout=30000",
        "foreign_keys=ON",
        "journal_mode=WAL",
        "synchronous=FULL",
        *more,
    ):
        connection.execute(f"PRAGMA {pragma}")
