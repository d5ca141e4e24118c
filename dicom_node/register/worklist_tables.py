"""What the worklist's table has beside its columns: a search for any three letters, and who keeps it right."""

from __future__ import annotations

from sqlalchemy import Connection, delete, inspect, text

from dicom_node.register.tables import metadata, worklist, worklist_progress

# Finds any three letters in a row at once, wherever they stand (SQLite, FTS5 trigram).
_SEARCH = """
CREATE VIRTUAL TABLE IF NOT EXISTS worklist_search USING fts5(
    search, content='worklist', content_rowid='id', tokenize='trigram case_sensitive 1'
)
"""
_TAKE_OUT = (
    "INSERT INTO worklist_search(worklist_search, rowid, search) VALUES ('delete', OLD.id, OLD.search);"
)
_PUT_IN = "INSERT INTO worklist_search(rowid, search) VALUES (NEW.id, NEW.search);"
_TRIGGERS = (
    f"CREATE TRIGGER IF NOT EXISTS worklist_added AFTER INSERT ON worklist BEGIN {_PUT_IN} END",
    f"CREATE TRIGGER IF NOT EXISTS worklist_removed AFTER DELETE ON worklist BEGIN {_TAKE_OUT} END",
    "CREATE TRIGGER IF NOT EXISTS worklist_renamed AFTER UPDATE OF search ON worklist "
    f"WHEN OLD.search IS NOT NEW.search BEGIN {_TAKE_OUT} {_PUT_IN} END",
)
# Whoever keeps a verdict need not know of the worklist.
_SAY = (
    "UPDATE worklist SET verdict = coalesce((SELECT CASE min(agrees) WHEN 1 THEN 'agrees' WHEN 0 THEN 'disagrees' END "
    "FROM verdict WHERE study_instance_uid = NEW.study_instance_uid AND stands = 1), '') "
    "WHERE study_instance_uid = NEW.study_instance_uid;"
)
_VERDICT_TRIGGERS = tuple(
    f"CREATE TRIGGER IF NOT EXISTS verdict_{name} AFTER {when} ON verdict BEGIN {_SAY} END"
    for name, when in (("given", "INSERT"), ("changed", "UPDATE OF stands, agrees"))
)


def prepare_worklist(connection: Connection) -> None:
    """Makes what is missing; rows of another version's shape are thrown away, for the follower to make again."""
    there = {column["name"] for column in inspect(connection).get_columns(worklist.name)}
    if there != {column.name for column in worklist.columns}:
        connection.execute(text("DROP TABLE IF EXISTS worklist_search"))
        worklist.drop(connection)
        connection.execute(delete(worklist_progress))
        metadata.create_all(connection)
    for statement in (_SEARCH, *_TRIGGERS, *_VERDICT_TRIGGERS):
        connection.execute(text(statement))
