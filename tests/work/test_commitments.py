"""Storage commitment from the delivery to the archive's word, whatever way and however late that comes."""

from __future__ import annotations

import pytest
from sqlalchemy import select

from dicom_node.receiving.spool import Spool
from dicom_node.receiving.storage_scp import StorageScp
from dicom_node.storage_commitment import CommitmentAnswer
from dicom_node.work.deliveries import DeliveryQueue
from dicom_node.work.engine import WorkEngine
from dicom_node.work.intake import LedgerIntake
from dicom_node.work.job_list import JobList
from dicom_node.work.ledger import Ledger
from dicom_node.work.retention import Retention
from dicom_node.work.tables import commitment, delivery, delivery_commitment, metadata, sending
from tests.delivering.committing_archive import (
    SECONDARY_CAPTURE,
    CommittingArchive,
    committing_archive,
)
from tests.work.test_studies_and_deliveries import compose_closed

from .commitment_site import Site
from .conftest import START, Workplace

HOUR = 3600.0


def test_an_answer_on_the_association_of_the_request(workplace: Workplace) -> None:
    """Delivered, then committed; one request for both, never asked again."""
    with committing_archive() as archive:
        site = Site(workplace, archive, ("2.25.1", "2.25.2"))
        assert not site.ask(), "nothing is delivered yet"
        site.deliver()
        assert site.states() == [("delivered", "")] * 2
        assert site.ask()
        assert site.states() == [("delivered", "committed")] * 2
        workplace.later(20 * HOUR)
        assert not site.ask()
    assert len(archive.asked) == 1


def test_a_request_is_in_the_ledger_before_it_is_sent(workplace: Workplace) -> None:
    """With its Transaction UID and what it is for: a kill in between loses no answer."""
    known: list[str] = []

    def look() -> None:
        with workplace.ledger.read() as connection:
            known.extend(connection.execute(select(commitment.c.transaction_uid)).scalars())

    with committing_archive(CommittingArchive(on_asked=look)) as archive:
        site = Site(workplace, archive, ("2.25.1",))
        site.deliver()
        site.ask()
    assert known == [archive.asked[0].transaction_uid]


def test_an_answer_on_an_association_of_the_archives_own_after_a_restart(workplace: Workplace) -> None:
    """The receiver of another process and another day finds the request by its Transaction UID."""
    with committing_archive(CommittingArchive(at_once=False)) as archive:
        site = Site(workplace, archive, ("2.25.1", "2.25.2"), answer_seconds=0.1)
        site.deliver()
        site.ask()
        assert site.states() == [("delivered", "asked")] * 2
        jobs = JobList(workplace.ledger)
        assert (jobs.awaiting_commitment(), jobs.unfinished()) == (2, 1)  # the study is open
        ledger = Ledger.open(workplace.folder)
        engine = WorkEngine(ledger)
        intake = LedgerIntake(ledger, engine, DeliveryQueue(ledger, engine))
        spool = Spool(workplace.folder, 0)
        scp = StorageScp(site.settings, spool, intake, lambda: workplace.now)
        scp.start()
        try:
            (asked,) = archive.asked
            assert archive.report_to(scp.port, asked, transaction_uid="2.25.5") == 0x0115
            assert site.states() == [("delivered", "asked")] * 2
            assert archive.report_to(scp.port, asked) == 0x0000
            assert archive.report_to(scp.port, asked) == 0x0000
        finally:
            scp.stop(0)
            ledger.close()
        assert site.states() == [("delivered", "committed")] * 2
        assert jobs.awaiting_commitment() == 0


def test_an_unanswered_request_is_asked_again_under_a_new_transaction(workplace: Workplace) -> None:
    """Not at every round; and an answer to the old one still counts."""
    with committing_archive(CommittingArchive(at_once=False)) as archive:
        site = Site(workplace, archive, ("2.25.1",), answer_seconds=0.1)
        site.deliver()
        assert site.ask()
        workplace.later(9 * 60)
        assert not site.ask()
        workplace.later(60)
        assert site.ask()
        first, second = archive.asked
        assert first.transaction_uid != second.transaction_uid
        assert site.answer(("2.25.1",), at=0)
    assert site.states() == [("delivered", "committed")]


def test_without_an_answer_it_ends_as_never_committed(workplace: Workplace) -> None:
    """After `commitment_within_hours`, with ever longer pauses between; a very late word still counts."""
    with committing_archive(CommittingArchive(at_once=False)) as archive:
        site = Site(workplace, archive, ("2.25.1",), answer_seconds=0.1)
        site.deliver()
        for _ in range(24 * 6):
            site.ask()
            workplace.later(600)
        assert site.states() == [("delivered", "asked")]
        workplace.later(1)
        assert not site.ask()
        assert site.states() == [("delivered", "never committed")]
        assert JobList(workplace.ledger).uncommitted() == 1
        assert 5 <= len(archive.asked) <= 15
        site.answer(("2.25.1",))
    assert site.states() == [("delivered", "committed")]


def test_what_the_archive_does_not_have_is_sent_again(workplace: Workplace) -> None:
    """0112: the same bytes once more, then a new request. The same report twice sends once."""
    archive = CommittingArchive(failures={"2.25.2": 0x0112})
    with committing_archive(archive):
        site = Site(workplace, archive, ("2.25.1", "2.25.2"))
        site.deliver()
        site.ask()
        assert site.states() == [("delivered", "committed"), ("queued", "sent again")]
        said = CommitmentAnswer(archive.asked[0].transaction_uid, frozenset(), (("2.25.2", 0x0112),))
        site.commitments.answer(said, ("archive",), workplace.now.timestamp())
        archive.failures = {}
        workplace.later(5)
        site.deliver()
        site.commitments.answer(said, ("archive",), workplace.now.timestamp())
        assert site.states()[1] == ("delivered", "sent again")
        assert site.ask()
    assert site.states() == [("delivered", "committed")] * 2
    assert archive.stored == ["2.25.1", "2.25.2", "2.25.2"]
    assert archive.asked[1].instances == ((SECONDARY_CAPTURE, "2.25.2"),)


def test_an_archive_that_always_loses_it_is_not_fed_for_ever(workplace: Workplace) -> None:
    """After three times the reason is shown."""
    archive = CommittingArchive(failures={"2.25.1": 0x0112})
    with committing_archive(archive):
        site = Site(workplace, archive, ("2.25.1",))
        for _ in range(6):
            site.deliver()
            site.ask()
            workplace.later(5)
    assert site.states() == [("delivered", "not committed")]
    assert archive.stored == ["2.25.1"] * 4


@pytest.mark.parametrize("reason", [0x0110, 0x0122, 0x0131])
def test_any_other_failure_is_shown_with_its_reason(workplace: Workplace, reason: int) -> None:
    """Nothing is sent again."""
    archive = CommittingArchive(failures={"2.25.1": reason})
    with committing_archive(archive):
        site = Site(workplace, archive, ("2.25.1", "2.25.2"))
        site.deliver()
        site.ask()
    assert site.states() == [("delivered", "not committed"), ("delivered", "committed")]
    assert f"0x{reason:04X}" in site.lines["2.25.1"].commitment_detail
    assert archive.stored == ["2.25.1", "2.25.2"]


def test_an_old_no_does_not_count_against_a_new_request(workplace: Workplace) -> None:
    """The archive may have got it in between."""
    with committing_archive(CommittingArchive(at_once=False)) as archive:
        site = Site(workplace, archive, ("2.25.1",), answer_seconds=0.1)
        site.deliver()
        site.ask()
        workplace.later(600)
        site.ask()
        old = CommitmentAnswer(archive.asked[0].transaction_uid, frozenset(), (("2.25.1", 0x0110),))
        assert site.commitments.answer(old, ("archive",), workplace.now.timestamp())
    assert site.states() == [("delivered", "asked")]


def test_the_word_of_another_archive_is_not_taken(workplace: Workplace) -> None:
    """A Transaction UID is matched together with who was asked."""
    with committing_archive(CommittingArchive(at_once=False)) as archive:
        site = Site(workplace, archive, ("2.25.1",), answer_seconds=0.1)
        site.deliver()
        site.ask()
        said = CommitmentAnswer(archive.asked[0].transaction_uid, frozenset({"2.25.1"}))
        assert not site.commitments.answer(said, ("other",), workplace.now.timestamp())
    assert site.states() == [("delivered", "asked")]


def test_what_an_answer_does_not_name_is_asked_again(workplace: Workplace) -> None:
    """Silence is no commitment."""
    with committing_archive(CommittingArchive(at_once=False)) as archive:
        site = Site(workplace, archive, ("2.25.1", "2.25.2"), answer_seconds=0.1)
        site.deliver()
        site.ask()
        site.answer(("2.25.1",))
        workplace.later(600)
        site.ask()
    assert archive.asked[1].instances == ((SECONDARY_CAPTURE, "2.25.2"),)


def test_an_archive_that_cannot_be_asked_is_asked_soon_again(workplace: Workplace) -> None:
    """Down or refusing: sooner than one that has not answered yet; the reason is shown."""
    archive = CommittingArchive(action_status=0x0213)
    with committing_archive(archive):
        site = Site(workplace, archive, ("2.25.1",))
        site.deliver()
        site.ask()
        assert site.states() == [("delivered", "due")]
        assert "status 0x0213" in site.lines["2.25.1"].commitment_detail
        assert not site.ask()
        archive.action_status = 0
        workplace.later(60)
        site.ask()
    assert site.states() == [("delivered", "committed")]


def test_what_an_archive_still_has_to_answer_for_is_kept(workplace: Workplace) -> None:
    """Object, film and request stay until the commitment ended `keep_days` ago; then all of it goes."""
    with committing_archive(CommittingArchive(at_once=False)) as archive:
        site = Site(workplace, archive, ("2.25.1",), answer_seconds=0.1)
        site.deliver()
        site.ask()
        compose_closed(workplace)
        retaining = Retention(site.settings, workplace.ledger)
        retaining.sweep(workplace.later(30 * 24 * HOUR))
        assert site.states() == [("delivered", "asked")]
        assert site.answer(("2.25.1",))
    retaining.sweep(workplace.later(30 * 24 * HOUR))
    with workplace.ledger.read() as connection:
        for table in (delivery_commitment, commitment, delivery):
            assert connection.execute(select(table)).all() == []


def test_an_earlier_ledger_gets_the_tables(workplace: Workplace) -> None:
    """A node that is brought up to date goes on with its database."""
    tables = [commitment, delivery_commitment, sending]
    metadata.drop_all(workplace.ledger.engine, tables=tables)
    workplace.ledger.create(START.timestamp())
    with committing_archive() as archive:
        site = Site(workplace, archive, ("2.25.1",))
        site.deliver()
        site.ask()
    assert site.states() == [("delivered", "committed")]


# Asking before sending again


@pytest.mark.parametrize("asks", [True, False])
def test_what_came_in_spite_of_a_broken_association_is_not_sent_again(
    workplace: Workplace, asks: bool
) -> None:
    """The archive stored it and aborted: asked by C-FIND, it says so. Without the setting it gets it twice."""
    archive = CommittingArchive(abort_after_store=True)
    with committing_archive(archive):
        site = Site(workplace, archive, ("2.25.1",), {"ask_before_sending_again": asks})
        site.deliver()
        assert site.states() == [("waiting", "")]
        archive.abort_after_store = False
        workplace.later(60)
        site.deliver()
    assert site.states() == [("delivered", "")]
    assert archive.stored == ["2.25.1"] * (1 if asks else 2)
    assert archive.queried == (["2.25.1"] if asks else [])


def test_what_did_not_come_is_sent_after_it_was_asked_for(workplace: Workplace) -> None:
    """And what was never begun is not asked for at all."""
    archive = CommittingArchive(abort_after_store=True)
    with committing_archive(archive):
        site = Site(workplace, archive, ("2.25.1",), {"ask_before_sending_again": True})
        site.deliver()
        assert archive.queried == []
        archive.abort_after_store, archive.stored = False, []
        workplace.later(60)
        site.deliver()
    assert archive.queried == ["2.25.1"]
    assert archive.stored == ["2.25.1"]
    assert site.states() == [("delivered", "")]
