"""Triggers of the database, each version its own."""

from __future__ import annotations

from collections.abc import Mapping

from sqlalchemy import Connection


def set_triggers(connection: Connection, prefix: str, triggers: Mapping[str, str]) -> None:
    """Sets those of that prefix as this version has them: when ("INSERT ON table") -> what, ended by semicolons."""
    statements = {
        f"{prefix}_{number}": f"CREATE TRIGGER {prefix}_{number} AFTER {when} BEGIN {what}END"
        for number, (when, what) in enumerate(triggers.items())
    }
    found = connection.exec_driver_sql(
        "SELECT name, sql FROM sqlite_master WHERE type = 'trigger' AND name LIKE ?", (f"{prefix}_%",)
    )
    known = {row.name: row.sql for row in found}
    if known == statements:
        return
    for name in known:
        connection.exec_driver_sql(f'DROP TRIGGER "{name}"')
    for statement in statements.values():
        connection.exec_driver_sql(statement)
