"""Asking for storage commitment: what goes out, and an answer that comes while we wait."""

from __future__ import annotations

import time

import pytest

from dicom_node.delivering.commitment_scu import ask_for_commitment
from dicom_node.delivering.storage_scu import SECONDARY_CAPTURE
from dicom_node.errors import DestinationDownError, LedgerError, ObjectRefusedError
from dicom_node.storage_commitment import PUSH_MODEL, CommitmentAnswer, CommitmentRequest
from tests.delivering.committing_archive import CommittingArchive, committing_archive
from tests.delivering.peers import destination, free_port

REQUEST = CommitmentRequest(
    "2.25.77", ((SECONDARY_CAPTURE, "2.25.1"), ("1.2.840.10008.5.1.4.1.1.88.34", "2.25.2"))
)


def ask(archive: CommittingArchive, seconds: float = 5, known: bool = True) -> list[CommitmentAnswer]:
    """What is answered within so many seconds."""
    taken: list[CommitmentAnswer] = []

    def take(answer: CommitmentAnswer) -> bool:
        taken.append(answer)
        return known

    ask_for_commitment(destination(archive.port), "FRACTURE", REQUEST, take, seconds)
    return taken


@pytest.mark.parametrize("first", [False, True], ids=["after", "before the response"])
def test_an_answer_on_the_same_association_is_taken(first: bool) -> None:
    """Whichever comes first, report or response; the wait ends with it."""
    with committing_archive(CommittingArchive(first=first)) as archive:
        began = time.monotonic()
        assert ask(archive, 60) == [CommitmentAnswer("2.25.77", frozenset({"2.25.1", "2.25.2"}))]
        assert time.monotonic() - began < 50
        assert archive.statuses == [0]
    assert archive.asked[0].transaction_uid == "2.25.77"
    assert archive.asked[0].instances == REQUEST.instances


def test_failures_come_with_their_reasons() -> None:
    """What is not kept is told apart from what is."""
    with committing_archive(CommittingArchive(failures={"2.25.2": 0x0112})) as archive:
        (answer,) = ask(archive)
    assert answer.committed == {"2.25.1"}
    assert answer.failed == (("2.25.2", 0x0112),)


def test_no_answer_is_no_error() -> None:
    """It may come later, on an association of the archive's own."""
    with committing_archive(CommittingArchive(at_once=False)) as archive:
        assert ask(archive, 0.3) == []
    assert len(archive.asked) == 1


def test_an_unknown_transaction_is_answered_so() -> None:
    """Invalid argument value: the archive must not think that we know."""
    with committing_archive() as archive:
        ask(archive, 0.5, known=False)
        archive.reported.wait(5)
        assert archive.statuses == [0x0115]


def test_what_cannot_be_kept_is_not_acknowledged() -> None:
    """The archive hears Processing Failure and can report again."""

    def take(_: CommitmentAnswer) -> bool:
        raise LedgerError("disk full")

    with committing_archive() as archive:
        ask_for_commitment(destination(archive.port), "FRACTURE", REQUEST, take, 0.5)
        archive.reported.wait(5)
        assert archive.statuses == [0x0110]


def test_a_refused_request_is_said_with_its_status() -> None:
    """The caller asks anew later."""
    with (
        committing_archive(CommittingArchive(action_status=0x0213)) as archive,
        pytest.raises(ObjectRefusedError, match="status 0x0213") as caught,
    ):
        ask(archive)
    assert caught.value.status == 0x0213


def test_an_archive_without_the_service_is_said_in_words() -> None:
    """And so is one that is not there."""
    with (
        committing_archive(without=[PUSH_MODEL]) as archive,
        pytest.raises(DestinationDownError, match="does not accept Storage Commitment Push Model"),
    ):
        ask(archive)
    with pytest.raises(DestinationDownError, match="connection refused"):
        ask(CommittingArchive(port=free_port()))
