"""Asking an archive what it has."""

from __future__ import annotations

import pytest

from dicom_node.delivering.instance_query import STUDY_ROOT_FIND, instances_there
from dicom_node.errors import DestinationDownError
from dicom_node.records import SopReference
from tests.delivering.committing_archive import SECONDARY_CAPTURE, CommittingArchive, committing_archive
from tests.delivering.peers import destination, free_port

WANTED = [SopReference("2.25.10", "2.25.20", SECONDARY_CAPTURE, f"2.25.{n}") for n in (1, 2, 3)]


def test_what_is_there_is_found() -> None:
    """Each instance is asked for by its own UID."""
    with committing_archive(CommittingArchive(stored=["2.25.1", "2.25.3"])) as archive:
        assert instances_there(destination(archive.port), "FRACTURE", WANTED) == {"2.25.1", "2.25.3"}
    assert archive.queried == ["2.25.1", "2.25.2", "2.25.3"]


def test_an_archive_that_cannot_be_asked_is_no_answer() -> None:
    """Neither there nor not there: the caller decides."""
    with (
        committing_archive(without=[STUDY_ROOT_FIND]) as archive,
        pytest.raises(DestinationDownError, match="does not accept Study Root"),
    ):
        instances_there(destination(archive.port), "FRACTURE", WANTED)
    with pytest.raises(DestinationDownError, match="connection refused"):
        instances_there(destination(free_port()), "FRACTURE", WANTED)
