"""Who may associate, what they may send, how urgent it is."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from dicom_node.dimse_status import Rejection
from dicom_node.receiving.admission import (
    RADIOGRAPHS,
    Caller,
    accepted_contexts,
    priority_for,
    recognise,
    within_limits,
)
from dicom_node.receiving.host_names import HostNames
from dicom_node.receiving.transfer_syntaxes import ACCEPTED
from dicom_node.records import Priority
from dicom_node.settings import Settings
from tests.receiving.running_scp import settings_for

NO_NAMES = HostNames(lambda: 0.0, lambda _: frozenset())


def settings(tmp_path: Path, **tables: Any) -> Settings:
    return settings_for(tmp_path, **tables)


def one_peer(tmp_path: Path, **peer: Any) -> Settings:
    return settings(tmp_path, peers=[{"ae_title": "PACS", "hosts": ["192.0.2.7"], **peer}])


def test_without_peers_only_this_machine_may_send(tmp_path: Path) -> None:
    """Nobody configured: loopback is welcome, every other address is an unknown caller."""
    bare = settings(tmp_path)
    for address in ("127.0.0.1", "127.0.0.9", "::1", "::ffff:127.0.0.1"):
        assert recognise(bare, NO_NAMES, Caller("ANY", "FRACTURE", address)) is None
    refusal = recognise(bare, NO_NAMES, Caller("ANY", "FRACTURE", "192.0.2.7"))
    assert refusal is not None
    assert refusal.rejection is Rejection.CALLING_AE_TITLE_NOT_RECOGNISED


@pytest.mark.parametrize(
    ("caller", "rejection"),
    [
        (Caller("PACS", "FRACTURE", "192.0.2.7"), None),
        (Caller("PACS", "fracture", "192.0.2.7"), Rejection.CALLED_AE_TITLE_NOT_RECOGNISED),
        (Caller("pacs", "FRACTURE", "192.0.2.7"), Rejection.CALLING_AE_TITLE_NOT_RECOGNISED),
        (Caller("OTHER", "FRACTURE", "192.0.2.7"), Rejection.CALLING_AE_TITLE_NOT_RECOGNISED),
        (Caller("PACS", "FRACTURE", "192.0.2.8"), Rejection.CALLING_AE_TITLE_NOT_RECOGNISED),
        # With peers, this machine is a stranger like any other.
        (Caller("PACS", "FRACTURE", "127.0.0.1"), Rejection.CALLING_AE_TITLE_NOT_RECOGNISED),
        (Caller("OTHER", "OTHER", "192.0.2.8"), Rejection.CALLED_AE_TITLE_NOT_RECOGNISED),
    ],
)
def test_titles_and_address_must_all_match(
    tmp_path: Path, caller: Caller, rejection: Rejection | None
) -> None:
    """AE titles are compared with their case, and a known title from another address is unknown."""
    refusal = recognise(one_peer(tmp_path), NO_NAMES, caller)
    assert (refusal and refusal.rejection) == rejection


@pytest.mark.parametrize(
    ("host", "address", "expected"),
    [
        ("10.1.0.0/16", "10.1.200.3", True),
        ("10.1.0.0/16", "10.2.0.1", False),
        ("2001:db8::/32", "2001:db8::5", True),
        ("10.1.0.0/16", "2001:db8::5", False),
        ("10.1.0.0/16", "::ffff:10.1.0.9", True),
        ("fe80::1", "fe80::1%eth0", True),
        ("pacs.example", "203.0.113.5", True),
        ("pacs.example", "203.0.113.6", False),
        ("nowhere.example", "203.0.113.5", False),
        ("10.1.0.1", "not an address", False),
    ],
)
def test_hosts_are_addresses_networks_and_names(host: str, address: str, expected: bool) -> None:
    """A peer's hosts may be written in any of the three ways, IPv4 also where it comes inside IPv6."""
    known = {"pacs.example": frozenset({"203.0.113.5"})}
    names = HostNames(lambda: 0.0, lambda name: known.get(name, frozenset()))
    assert names.include([host], address) is expected


def test_a_name_is_looked_up_once_a_minute_and_a_failure_sooner() -> None:
    """The resolver is not asked for every association, and a name that failed is soon tried again."""
    asked: list[str] = []
    now = [0.0]

    def look_up(name: str) -> frozenset[str]:
        asked.append(name)
        return frozenset({"203.0.113.5"}) if name == "good" else frozenset()

    names = HostNames(lambda: now[0], look_up)
    for now[0] in (0.0, 4.0, 59.0):
        assert names.include(["good"], "203.0.113.5")
    assert asked == ["good"]
    now[0] = 61.0
    names.include(["good"], "203.0.113.5")
    assert asked == ["good", "good"]
    names.include(["bad"], "203.0.113.5")
    now[0] = 67.0
    names.include(["bad"], "203.0.113.5")
    assert asked[2:] == ["bad", "bad"]


def test_limits_hold_in_all_and_per_peer(tmp_path: Path) -> None:
    """One peer cannot take every association, and all peers together not more than the node's limit."""
    limited = settings(
        tmp_path,
        node={"max_associations": 3},
        peers=[
            {"ae_title": "PACS", "hosts": ["192.0.2.7"], "max_associations": 2},
            {"ae_title": "OTHER", "hosts": ["192.0.2.8"]},
        ],
    )
    pacs, other = (Caller(title, "FRACTURE", "192.0.2.7") for title in ("PACS", "OTHER"))
    assert within_limits(limited, pacs, ["PACS", "OTHER"]) is None
    refusal = within_limits(limited, pacs, ["PACS", "PACS"])
    assert refusal is not None
    assert refusal.rejection is Rejection.LOCAL_LIMIT_EXCEEDED
    assert within_limits(limited, other, ["PACS", "PACS"]) is None
    assert within_limits(limited, other, ["PACS", "PACS", "OTHER"]) is not None


def test_a_peer_gets_radiographs_and_what_its_settings_ignore(tmp_path: Path) -> None:
    """SC and SR are accepted of the peer whose settings say so, and of no other."""
    plain = accepted_contexts(None)
    assert set(plain) == {"1.2.840.10008.1.1", *RADIOGRAPHS}
    assert all(plain[uid] == ACCEPTED for uid in RADIOGRAPHS)
    peer = one_peer(tmp_path, accept_and_ignore=["sc", "sr", "pr", "ko", "seg"]).peers[0]
    extra = set(accepted_contexts(peer)) - set(plain)
    for uid in ("7", "88.34", "88.22", "88.59", "11.1", "66.4"):
        assert f"1.2.840.10008.5.1.4.1.1.{uid}" in extra
    assert "1.2.840.10008.5.1.4.1.1.2" not in extra


def test_jpeg_extended_is_not_offered_and_explicit_comes_first() -> None:
    """No PACS is made to decompress (Implicit first), nor lured into the syntax that has no decoder."""
    assert ACCEPTED[0] == "1.2.840.10008.1.2.1"
    assert ACCEPTED.index("1.2.840.10008.1.2") > ACCEPTED.index("1.2.840.10008.1.2.5")
    assert "1.2.840.10008.1.2.4.51" not in ACCEPTED
    assert len(set(ACCEPTED)) == len(ACCEPTED)


@pytest.mark.parametrize(
    ("dimse", "expected"),
    [(0, Priority.ROUTINE), (1, Priority.URGENT), (2, Priority.ROUTINE), (None, Priority.ROUTINE)],
)
def test_dimse_priority_counts_where_the_settings_say_nothing(
    tmp_path: Path, dimse: int | None, expected: Priority
) -> None:
    """MEDIUM 0, HIGH 1, LOW 2 (PS3.7 9.1.1.1.4): only HIGH goes first, and the settings outrank it."""
    caller = Caller("PACS", "FRACTURE", "192.0.2.7")
    assert priority_for(one_peer(tmp_path), caller, dimse) is expected
    emergency = one_peer(tmp_path, priority="emergency")
    assert priority_for(emergency, caller, dimse) is Priority.EMERGENCY
