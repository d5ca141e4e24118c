"""The traffic: what is kept of real associations, how it is shown, and what destinations are asked."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from pydicom.uid import UID, ExplicitVRLittleEndian, ImplicitVRLittleEndian, JPEGExtended12Bit
from pynetdicom import AE
from pynetdicom.association import Association
from pynetdicom.presentation import PresentationContext, build_context
from sqlalchemy import func, select

from dicom_node.dimse_status import ContextResult
from dicom_node.receiving.spool import Spool
from dicom_node.receiving.storage_scp import StorageScp
from dicom_node.register.traffic import AssociationLine, Traffic
from dicom_node.web.api import destinations
from dicom_node.work.deliveries import DeliveryQueue
from dicom_node.work.engine import WorkEngine
from dicom_node.work.intake import LedgerIntake
from dicom_node.work.retention import Retention
from dicom_node.work.tables import association_detail, negotiation
from tests.delivering.peers import storescp
from tests.node.running_node import destination
from tests.phantoms import encode, phantom
from tests.receiving.running_scp import echoscu, free_port, storescu

from .conftest import Site, csrf_token, make_site

CR, CT = "1.2.840.10008.5.1.4.1.1.1", "1.2.840.10008.5.1.4.1.1.2"
VERIFICATION = "1.2.840.10008.1.1"
PEERS = [
    {"ae_title": "MODALITY", "hosts": ["127.0.0.1"]},
    {"ae_title": "ELSEWHERE", "hosts": ["192.0.2.7"]},
    {"ae_title": "NEVER", "hosts": ["192.0.2.8"]},
]


@dataclass
class Receiving:
    """A site whose receiver listens."""

    site: Site
    scp: StorageScp

    def last(self, count: int = 1) -> AssociationLine:
        """The last association, once there are so many."""
        traffic = Traffic(self.site.ledger)
        eventually(lambda: len(traffic.associations(count)) == count)
        return traffic.associations(1)[0]

    def associate(self, *contexts: PresentationContext, calling: str = "MODALITY") -> Association:
        """An association of pynetdicom's."""
        ae = AE(ae_title=calling)
        ae.acse_timeout = ae.dimse_timeout = 10
        return ae.associate("127.0.0.1", self.scp.port, list(contexts), ae_title="FRACTURE")


def eventually(condition: Callable[[], bool], seconds: float = 20) -> None:
    """Waits until it comes true."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.fixture
def receiving(tmp_path: Path) -> Iterator[Receiving]:
    """A receiver on a real ledger, and the page beside it."""
    for site in make_site(tmp_path, peers=PEERS):
        engine = WorkEngine(site.ledger)
        intake = LedgerIntake(site.ledger, engine, DeliveryQueue(site.ledger, engine))
        spool = Spool(site.settings.node.data, 0)
        scp = StorageScp(site.settings, spool, intake, lambda: datetime.now(UTC))
        scp.start()
        try:
            yield Receiving(site, scp)
        finally:
            scp.stop(0)


# What is kept of an association


def test_what_dcmtk_negotiated_and_sent_is_kept(receiving: Receiving, tmp_path: Path) -> None:
    """Who, with which software, what was proposed and answered, how much came, and how it ended."""
    film = tmp_path / "film.dcm"
    film.write_bytes(encode(phantom(), ExplicitVRLittleEndian))
    assert storescu(receiving.scp.port, film).returncode == 0
    line = receiving.last()
    kept = line.negotiation
    assert kept is not None
    assert (line.accepted, line.stored, line.refused) == (True, 1, 0)
    assert (line.calling_ae_title, line.address) == ("MODALITY", "127.0.0.1")
    assert kept.implementation_version_name.startswith("OFFIS_DCMTK")
    assert kept.ending == "released"
    assert kept.ended_at > line.at
    # The data set, and some hundreds of bytes around it.
    assert kept.byte_count > len(phantom().PixelData)
    assert line.bytes_per_second is None or line.bytes_per_second > 0
    contexts = Traffic(receiving.site.ledger).contexts(line.id)
    assert len(contexts) == kept.proposed
    assert sum(one.result == ContextResult.ACCEPTANCE for one in contexts) == kept.accepted


def test_each_context_has_the_answer_that_the_peer_got(receiving: Receiving) -> None:
    """Accepted with its transfer syntax, or why not: the peer's own account agrees."""
    proposed = [
        build_context(CR, [ImplicitVRLittleEndian, ExplicitVRLittleEndian]),
        build_context(CR, JPEGExtended12Bit),
        build_context(CT, ExplicitVRLittleEndian),
    ]
    opened = receiving.associate(*proposed)
    told = {
        one.context_id: (one.result, one.transfer_syntax[0] if one.result == 0 else "")
        for one in (*opened.accepted_contexts, *opened.rejected_contexts)
    }
    opened.release()
    contexts = Traffic(receiving.site.ledger).contexts(receiving.last().id)
    assert {one.id: (one.result, one.accepted) for one in contexts} == told
    assert [one.abstract_syntax for one in contexts] == [CR, CR, CT]
    assert contexts[0].transfer_syntaxes == (ImplicitVRLittleEndian, ExplicitVRLittleEndian)
    assert [one.result for one in contexts] == [
        ContextResult.ACCEPTANCE,
        ContextResult.TRANSFER_SYNTAXES_NOT_SUPPORTED,
        ContextResult.ABSTRACT_SYNTAX_NOT_SUPPORTED,
    ]


@pytest.mark.parametrize(
    ("titles", "remedy"),
    [
        ({"called": "WRONG"}, "add that title to [node] ae_titles"),
        ({"calling": "STRANGER"}, "[[peers]] with ae_title = 'STRANGER'"),
        ({"calling": "ELSEWHERE"}, "add '127.0.0.1' to hosts"),
    ],
    ids=["called", "calling", "address"],
)
def test_a_rejection_comes_with_what_to_do(
    receiving: Receiving, titles: dict[str, str], remedy: str
) -> None:
    """The line names the cause, and the setting that would change it; the proposal is kept unanswered."""
    assert echoscu(receiving.scp.port, **titles).returncode != 0
    line = receiving.last()
    assert not line.accepted
    answer = receiving.site.program().get(f"/api/v1/associations/{line.id}").json()
    assert remedy in answer["remedy"]
    assert answer["ending"] == "rejected"
    assert [one["abstract_syntax"]["uid"] for one in answer["contexts"]] == [VERIFICATION]
    assert "rejected" in answer["contexts"][0]["result"]


def _release(opened: Association, _: Receiving) -> None:
    opened.release()


def _abort(opened: Association, _: Receiving) -> None:
    opened.abort()


def _cut(opened: Association, _: Receiving) -> None:
    opened.dul.socket.socket.shutdown(2)


def _garbage(opened: Association, _: Receiving) -> None:
    opened.dul.socket.socket.sendall(b"\x99\x00\x00\x00\x00\x04abcd")


def _stop(_: Association, receiving: Receiving) -> None:
    receiving.scp.stop(0)


@pytest.mark.parametrize(
    ("end", "ending"),
    [
        (_release, "released"),
        (_abort, "aborted by the peer"),
        (_cut, "connection lost"),
        (_garbage, "the peer broke the protocol"),
        (_stop, "ended by this node"),
    ],
    ids=["release", "abort", "cut", "garbage", "stop"],
)
def test_how_it_ended_is_told(
    receiving: Receiving, end: Callable[[Association, Receiving], None], ending: str
) -> None:
    """Each way in which an association can end has its own words."""
    opened = receiving.associate(build_context(VERIFICATION))
    assert opened.is_established
    end(opened, receiving)
    kept = receiving.last().negotiation
    assert kept is not None
    assert kept.ending == ending


def test_a_peer_that_says_nothing_times_out(receiving: Receiving) -> None:
    """An idle association is aborted after its time, and that is what is said of it."""
    receiving.scp._server.ae.network_timeout = 0.2
    opened = receiving.associate(build_context(VERIFICATION))
    kept = receiving.last().negotiation
    assert kept is not None
    assert kept.ending == "timed out"
    eventually(lambda: opened.is_aborted)


def _much() -> list[PresentationContext]:
    """128 contexts with 60 transfer syntaxes each, every UID another."""
    return [
        build_context(f"1.2.3.{number}", [f"1.2.3.{number}.{one}" for one in range(60)])
        for number in range(128)
    ]


@pytest.mark.parametrize(("calling", "most"), [("MODALITY", 40_000), ("STRANGER", 4_000)])
def test_what_is_kept_is_bounded_and_says_so(receiving: Receiving, calling: str, most: int) -> None:
    """A proposal as large as the standard allows keeps some kilobytes; a stranger's less."""
    receiving.associate(*_much(), calling=calling)
    line = receiving.last()
    assert line.negotiation is not None
    assert line.negotiation.proposed == 128
    assert line.negotiation.is_capped
    with receiving.site.ledger.read() as connection:
        assert connection.execute(select(func.max(func.length(negotiation.c.contexts)))).scalar() < most
    text = receiving.site.browser().get(f"/traffic/{line.id}").text
    assert "More was proposed than is kept" in text


def test_the_same_proposal_is_kept_once_and_goes_with_its_last_association(
    receiving: Receiving,
) -> None:
    """Two equal associations share what they proposed; retention leaves nothing of either."""
    for _ in range(2):
        receiving.associate(build_context(CR), build_context(CT)).release()
    receiving.last(2)
    ledger = receiving.site.ledger

    def rows(table: Any) -> int:
        with ledger.read() as connection:
            return int(connection.execute(select(func.count()).select_from(table)).scalar_one())

    assert (rows(association_detail), rows(negotiation)) == (2, 1)
    Retention(receiving.site.settings, ledger).sweep(datetime.now(UTC) + timedelta(days=8))
    assert (rows(association_detail), rows(negotiation)) == (0, 0)


# The page and the list


def test_strangers_words_are_text_on_the_page(receiving: Receiving) -> None:
    """An AE title in the shape of markup stays words, wherever it stands."""
    echoscu(receiving.scp.port, calling="<b onload=x>")
    number = receiving.last().id
    for place in ("/traffic", f"/traffic/{number}", "/traffic?ae=<b"):
        text = receiving.site.browser().get(place).text
        assert "&lt;b" in text
        assert "<b " not in text


def test_the_list_is_filtered_and_paged(receiving: Receiving) -> None:
    """By a part of an AE title, by how the address begins, refusals only; each line on exactly one page."""
    for title in ("MODALITY", "STRANGER", "MODALITY", "MODALITY"):
        echoscu(receiving.scp.port, calling=title)
    receiving.last(4)
    program = receiving.site.program()

    def titles(query: str) -> list[str]:
        answer = program.get(f"/api/v1/associations?{query}")
        assert answer.status_code == 200
        return [one["calling_ae_title"] for one in answer.json()["associations"]]

    assert titles("") == ["MODALITY", "MODALITY", "STRANGER", "MODALITY"]
    assert titles("ae=trang") == ["STRANGER"]
    assert titles("refused=true") == ["STRANGER"]
    assert titles("address=127.0.0") == titles("")
    assert titles("address=10.") == titles("ae=%25") == []
    first = program.get("/api/v1/associations?limit=3").json()
    assert [one["calling_ae_title"] for one in first["associations"]] == titles("")[:3]
    rest = program.get(f"/api/v1/associations?before={first['next']}").json()
    assert len(rest["associations"]) == 1
    assert rest["next"] is None


def test_the_page_shows_peers_that_never_came(receiving: Receiving) -> None:
    """Every peer of the settings is listed, and who else came, with what became of it."""
    echoscu(receiving.scp.port)
    echoscu(receiving.scp.port, calling="STRANGER")
    receiving.last(2)
    text = receiving.site.browser().get("/traffic").text
    peers = text.partition('data-part="peers"')[2].partition("</table>")[0]
    for title in ("MODALITY", "ELSEWHERE", "NEVER", "STRANGER"):
        assert title in peers
    assert peers.count("never seen") == 2


@pytest.mark.parametrize("number", ["0", "99999999999999999999", "x"])
def test_a_number_that_cannot_be_is_no_error_of_ours(site: Site, number: str) -> None:
    """Neither page nor API break at what is no number of an association."""
    assert site.browser().get(f"/traffic/{number}").status_code == 422
    assert site.program().get(f"/api/v1/associations?before={number}").status_code == 422
    assert site.program().get("/api/v1/associations/1").status_code == 404


# Destinations


@contextlib.contextmanager
def site_of(folder: Path, **place: Any) -> Iterator[Site]:
    """A page with this one destination."""
    folder.mkdir(exist_ok=True)
    yield from make_site(folder, place)


@pytest.mark.real_part
def test_an_archive_is_asked_what_it_accepts_and_gets_nothing(tmp_path: Path) -> None:
    """The matrix is DCMTK's own configuration, the verdict names what will not arrive, the folder stays empty."""
    with storescp(tmp_path / "in") as archive:
        place = destination("archive", archive.port, objects=["sr", "gsps"], storage_commitment=True)
        with site_of(tmp_path / "site", **place) as site:
            echo = site.program().post("/api/v1/destinations/archive/echo").json()
            answer = site.program().post("/api/v1/destinations/archive/probe").json()
        assert archive.files() == []
    assert echo["answered"]
    assert echo["milliseconds"] > 0
    accepted = {(one["sop_class"], one["transfer_syntax"]): one["accepted"] for one in answer["pairs"]}
    classes = [one["uid"] for one in answer["sop_classes"]]
    for syntax in (one["uid"] for one in answer["transfer_syntaxes"]):
        # As it comes, storescp takes every storage class uncompressed, and nothing compressed.
        native = not UID(syntax).is_compressed
        assert {accepted[one, syntax] for one in classes} == {native}, UID(syntax).name
    verdicts = {one["said"]: one["verdict"] for one in answer["judged"]}
    assert verdicts["will arrive: sr as Comprehensive 3D SR Storage, gsps"] == "good"
    (lacking,) = [said for said, verdict in verdicts.items() if verdict == "failed"]
    assert "Storage Commitment" in lacking
    assert "set storage_commitment = false" in lacking


def test_a_destination_that_is_down_is_told_with_what_to_look_at(tmp_path: Path) -> None:
    """Both questions answer in words, and with no error."""
    with site_of(tmp_path, **destination("archive", free_port())) as site:
        for act in ("echo", "probe"):
            answer = site.program().post(f"/api/v1/destinations/archive/{act}")
            assert answer.status_code == 200
            assert answer.json()["answered"] is False
            assert "connection refused" in answer.json()["reason"]
            assert "host and port" in answer.json()["remedy"]


def test_a_folder_is_looked_at_and_negotiates_nothing(tmp_path: Path) -> None:
    """The echo says whether it can be written to; the probe that there is nothing to probe."""
    place = {"name": "research", "kind": "folder", "path": str(tmp_path / "out")}
    with site_of(tmp_path / "site", **place) as site:
        answer = site.program().post("/api/v1/destinations/research/echo").json()
        assert (answer["answered"], answer["milliseconds"]) == (True, None)
        assert site.program().post("/api/v1/destinations/research/probe").status_code == 409
        assert site.program().post("/api/v1/destinations/nobody/echo").status_code == 404


def test_two_destinations_are_asked_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A third question waits a while, and then is told to come again: silence of archives holds two threads."""
    monkeypatch.setattr(destinations, "_WAIT_SECONDS", 0.01)
    with (
        site_of(tmp_path, **destination("archive", free_port())) as site,
        contextlib.ExitStack() as busy,
    ):
        for _ in range(2):
            busy.enter_context(destinations._one_of_two())
        answer = site.program().post("/api/v1/destinations/archive/echo")
        assert answer.status_code == 429
        assert answer.headers["retry-after"] == "5"


def test_only_who_may_act_asks_and_it_is_written_down(tmp_path: Path) -> None:
    """A viewer sees the traffic and no buttons; an administrator's question is in the audit trail."""
    with site_of(tmp_path, **destination("archive", free_port())) as site:
        viewer, chief = site.logged_in("viewer"), site.logged_in()
        seen = viewer.get("/traffic")
        assert seen.status_code == 200
        assert "data-act" not in seen.text
        token = {"x-csrf-token": csrf_token(seen)}
        assert viewer.post("/api/v1/destinations/archive/echo", headers=token).status_code == 403
        page = chief.get("/traffic")
        assert "data-act" in page.text
        assert chief.post("/api/v1/destinations/archive/echo").status_code == 403
        token = {"x-csrf-token": csrf_token(page)}
        assert chief.post("/api/v1/destinations/archive/echo", headers=token).status_code == 200
        entries = [entry for _, entry in site.context.audit.latest(10, about="archive")]
    assert [(one.person, one.act) for one in entries] == [
        ("some-administrator", "asked destination whether it is there")
    ]
