"""Reports of storage commitment on an association of the archive's own: from destinations, and nobody else."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydicom.dataset import Dataset
from pynetdicom import AE

from dicom_node.storage_commitment import CommitmentAnswer
from tests.delivering.committing_archive import (
    CR,
    SECONDARY_CAPTURE,
    VERIFICATION,
    Asked,
    CommittingArchive,
    report,
)
from tests.receiving.running_scp import RunningScp, running_scp

ASKED = Asked("2.25.77", ((SECONDARY_CAPTURE, "2.25.1"),))
PEER: dict[str, Any] = {"ae_title": "PACS", "hosts": ["127.0.0.1"]}


def archive_settings(**more: Any) -> dict[str, Any]:
    """A node with one peer, and one destination that commits."""
    place = {"name": "archive", "ae_title": "ARCHIVE", "host": "127.0.0.1", "port": 4242}
    return {"peers": [PEER], "destinations": [{**place, "storage_commitment": True, **more}]}


def reporting(scp: RunningScp, **more: Any) -> int | None:
    scp.intake.transactions.add("2.25.77")
    return CommittingArchive().report_to(scp.port, ASKED, **more)


def test_a_destination_reports_and_is_kept_before_success(tmp_path: Path) -> None:
    """It is no peer: it may report all the same."""
    with running_scp(tmp_path, **archive_settings()) as scp:
        assert reporting(scp) == 0x0000
    expected = CommitmentAnswer("2.25.77", frozenset({"2.25.1"}))
    assert scp.intake.commitments == [(expected, ("archive",))]


def test_a_long_report_comes_whole(tmp_path: Path) -> None:
    """Many instances do not fit into one PDU."""
    many = Asked("2.25.77", tuple((SECONDARY_CAPTURE, f"2.25.{n}") for n in range(1500)))
    with running_scp(tmp_path, node={"max_pdu_bytes": 4096}, **archive_settings()) as scp:
        scp.intake.transactions.add("2.25.77")
        assert CommittingArchive().report_to(scp.port, many) == 0x0000
    ((answer, _),) = scp.intake.commitments
    assert len(answer.committed) == 1500


def test_an_unknown_transaction_is_refused(tmp_path: Path) -> None:
    """Invalid argument value, and nothing else happens."""
    with running_scp(tmp_path, **archive_settings()) as scp:
        assert reporting(scp, transaction_uid="2.25.78") == 0x0115


def test_what_is_no_report_is_refused(tmp_path: Path) -> None:
    """Without a Transaction UID, or of an event that the service has not."""
    with running_scp(tmp_path, **archive_settings()) as scp:
        kind, ds = CommittingArchive().information(ASKED)
        other = Dataset()
        other.ReferencedSOPSequence = ds.ReferencedSOPSequence
        assert report(scp.port, 1, other) == 0x0115
        assert report(scp.port, 3, ds) == 0x0113
    assert kind == 1
    assert scp.intake.commitments == []


@pytest.mark.parametrize(
    "settings",
    [
        archive_settings(host="10.9.9.9"),
        archive_settings(ae_title="OTHER"),
        archive_settings(storage_commitment=False),
        {"peers": [{**PEER, "ae_title": "ARCHIVE"}]},
    ],
    ids=["another host", "another AE title", "not asked", "only a peer"],
)
def test_nobody_else_reports(tmp_path: Path, settings: dict[str, Any]) -> None:
    """AE title and address must be those of a destination that is asked for commitment."""
    with running_scp(tmp_path, **settings) as scp:
        assert reporting(scp) is None
    assert scp.intake.commitments == []


def test_a_destination_that_is_no_peer_may_store_nothing(tmp_path: Path) -> None:
    """It gets Verification and the Push Model, no storage class."""
    with running_scp(tmp_path, **archive_settings()) as scp:
        ae = AE(ae_title="ARCHIVE")
        for uid in (VERIFICATION, CR):
            ae.add_requested_context(uid)
        association = ae.associate("127.0.0.1", scp.port, ae_title="FRACTURE")
        assert [one.abstract_syntax for one in association.accepted_contexts] == [VERIFICATION]
        assert association.send_c_echo().Status == 0
        association.release()


def test_an_archive_that_is_peer_and_destination_may_do_both(tmp_path: Path) -> None:
    """The usual PACS: it sends films, and reports."""
    settings = {**archive_settings(), "peers": [{**PEER, "ae_title": "ARCHIVE"}]}
    with running_scp(tmp_path, **settings) as scp:
        assert reporting(scp) == 0x0000
        ae = AE(ae_title="ARCHIVE")
        ae.add_requested_context(CR)
        association = ae.associate("127.0.0.1", scp.port, ae_title="FRACTURE")
        assert len(association.accepted_contexts) == 1
        association.release()


def test_it_calls_us_as_it_knows_us(tmp_path: Path) -> None:
    """By the AE title under which we called it, though no sender may call that one."""
    with running_scp(tmp_path, **archive_settings(calling_ae_title="FRACTURE_OUT")) as scp:
        assert reporting(scp, called="FRACTURE_OUT") == 0x0000
        assert reporting(scp, called="NOBODY") is None
