"""The Storage SCP over real associations: DCMTK sends, and the ways in which senders misbehave."""

from __future__ import annotations

import contextlib
import io
import logging
import socket
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from pydicom import dcmread
from pydicom.dataset import FileDataset
from pydicom.uid import UID, ExplicitVRLittleEndian
from pynetdicom import AE
from pynetdicom.association import Association
from pynetdicom.dimse_primitives import C_STORE
from pynetdicom.pdu_primitives import A_ASSOCIATE
from pynetdicom.presentation import build_context

from dicom_node.dimse_status import StoreStatus
from dicom_node.durable_file import UNFINISHED
from dicom_node.errors import LedgerError, SettingsError
from dicom_node.identifiers import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME
from dicom_node.receiving.spool import Spool
from dicom_node.receiving.storage_scp import StorageScp
from dicom_node.receiving.transfer_syntaxes import ACCEPTED
from dicom_node.records import Priority
from tests.phantoms import TRANSFER_SYNTAXES, encode, phantom
from tests.receiving.running_scp import (
    NOW,
    MemoryIntake,
    RunningScp,
    echoscu,
    running_scp,
    settings_for,
    storescu,
)

CR = "1.2.840.10008.5.1.4.1.1.1"
PEER = {"ae_title": "MODALITY", "hosts": ["127.0.0.1"]}


@pytest.fixture
def running(tmp_path: Path) -> Iterator[RunningScp]:
    with running_scp(tmp_path / "data") as one:
        yield one


def eventually(condition: Callable[[], bool], seconds: float = 5) -> bool:
    """Whether it comes true in time."""
    deadline = time.monotonic() + seconds
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.01)
    return condition()


def data_set_of(file: bytes) -> bytes:
    """What a sender puts on the wire of a DICOM file: everything behind the File Meta Information."""
    length = int.from_bytes(file[140:144], "little")
    return file[144 + length :]


@contextlib.contextmanager
def association(
    port: int,
    syntaxes: list[str] | None = None,
    sop_class: str = CR,
    calling: str = "MODALITY",
) -> Iterator[Association]:
    """An association of pynetdicom's with one presentation context."""
    ae = AE(ae_title=calling)
    ae.acse_timeout = ae.dimse_timeout = 10
    contexts = [build_context(sop_class, syntaxes or [ExplicitVRLittleEndian])]
    opened = ae.associate("127.0.0.1", port, contexts, ae_title="FRACTURE")
    try:
        yield opened
    finally:
        if opened.is_established:
            opened.release()


def store(
    opened: Association, data_set: bytes, uid: str, sop_class: str = CR, priority: int = 0
) -> Any:
    """Sends these bytes as they are under that command; the response."""
    request = C_STORE()
    request.MessageID, request.Priority = 1, priority
    request.AffectedSOPClassUID, request.AffectedSOPInstanceUID = sop_class, uid
    request.DataSet = io.BytesIO(data_set)
    opened._reactor_checkpoint.clear()
    while not opened._is_paused:
        time.sleep(0.001)
    opened.dimse.send_msg(request, opened.accepted_contexts[0].context_id)
    _, response = opened.dimse.get_msg(block=True)
    opened._reactor_checkpoint.set()
    assert response is not None
    return response


def film() -> tuple[FileDataset, bytes]:
    """A phantom, and its data set as it goes over the wire."""
    ds = phantom()
    return ds, data_set_of(encode(ds, ExplicitVRLittleEndian))


# What is taken


def test_dcmtk_stores_and_the_ledger_hears_before_success(running: RunningScp, tmp_path: Path) -> None:
    """An image of storescu is in spool and ledger, with who sent it and when."""
    path = tmp_path / "film.dcm"
    path.write_bytes(encode(phantom(), ExplicitVRLittleEndian))
    sent = storescu(running.port, path)
    assert sent.returncode == 0, sent.stderr
    assert "Success" in sent.stderr
    (received,) = running.intake.received
    assert (received.calling_ae_title, received.called_ae_title) == ("MODALITY", "FRACTURE")
    assert (received.address, received.received_at) == ("127.0.0.1", NOW)
    assert (received.modality, received.priority) == ("CR", Priority.ROUTINE)
    assert received.sop_instance_uid == phantom().SOPInstanceUID
    kept = dcmread(io.BytesIO(running.spool.read(received.spool_path)))
    assert kept.PixelData == phantom().PixelData
    assert eventually(lambda: len(running.intake.associations) == 1)
    (record,) = running.intake.associations
    assert (record.accepted, record.stored, record.refused) == (True, 1, 0)
    assert record.reason == "released"


@pytest.mark.parametrize("syntax", TRANSFER_SYNTAXES, ids=lambda uid: uid.name)
def test_every_transfer_syntax_is_kept_as_sent(running: RunningScp, syntax: UID) -> None:
    """Whatever the encoding, the spooled file ends with the very bytes that were sent."""
    file = encode(phantom(), syntax)
    with association(running.port, [syntax]) as opened:
        response = store(opened, data_set_of(file), phantom().SOPInstanceUID)
    assert response.Status == StoreStatus.SUCCESS
    (received,) = running.intake.received
    assert received.transfer_syntax_uid == syntax
    assert running.spool.read(received.spool_path).endswith(data_set_of(file))
    assert received.byte_count == len(data_set_of(file))


def test_of_several_transfer_syntaxes_ours_decides(running: RunningScp) -> None:
    """Whatever order a PACS proposes, the best of our list is accepted: Implicit never before a lossless."""
    for best in range(len(ACCEPTED)):
        with association(running.port, list(reversed(ACCEPTED[best:]))) as opened:
            assert opened.accepted_contexts[0].transfer_syntax == [ACCEPTED[best]]


def test_other_classes_and_jpeg_extended_are_refused_per_context(running: RunningScp) -> None:
    """CT, and CR in JPEG Extended alone, get no presentation context; the association itself stands."""
    ae = AE(ae_title="MODALITY")
    ct = "1.2.840.10008.5.1.4.1.1.2"
    contexts = [
        build_context(CR, [ExplicitVRLittleEndian]),
        build_context(ct, [ExplicitVRLittleEndian]),
        build_context(CR, ["1.2.840.10008.1.2.4.51"]),
    ]
    opened = ae.associate("127.0.0.1", running.port, contexts, ae_title="FRACTURE")
    assert [context.abstract_syntax for context in opened.accepted_contexts] == [CR]
    assert [context.result for context in opened.rejected_contexts] == [0x03, 0x04]
    assert opened.acceptor.implementation_class_uid == IMPLEMENTATION_CLASS_UID
    assert opened.acceptor.implementation_version_name == IMPLEMENTATION_VERSION_NAME
    assert opened.acceptor.maximum_length == 131072
    opened.release()


def test_a_high_dimse_priority_makes_it_urgent(running: RunningScp) -> None:
    """HIGH in the C-STORE-RQ, where the settings say nothing."""
    ds, data = film()
    with association(running.port) as opened:
        store(opened, data, ds.SOPInstanceUID, priority=1)
    assert running.intake.received[0].priority is Priority.URGENT


def test_many_images_on_one_association(running: RunningScp) -> None:
    """The second image goes the same way as the first."""
    with association(running.port) as opened:
        for seed in range(5):
            ds = phantom(seed=seed)
            data = data_set_of(encode(ds, ExplicitVRLittleEndian))
            assert store(opened, data, ds.SOPInstanceUID).Status == StoreStatus.SUCCESS
    assert len({one.sop_instance_uid for one in running.intake.received}) == 5


def test_sixteen_senders_at_once_all_land(running: RunningScp, tmp_path: Path) -> None:
    """One image per association, sixteen senders: no connection is dropped, every image is there."""
    paths = []
    for seed in range(16):
        paths.append(tmp_path / f"{seed}.dcm")
        paths[-1].write_bytes(encode(phantom(seed=seed), ExplicitVRLittleEndian))
    with ThreadPoolExecutor(16) as pool:
        results = list(pool.map(lambda path: storescu(running.port, path), paths))
    assert [result.returncode for result in results] == [0] * 16
    assert len({one.sop_instance_uid for one in running.intake.received}) == 16
    assert eventually(lambda: len(running.intake.associations) == 16)
    assert running.scp.open_associations == 0


def test_what_is_to_be_ignored_is_answered_success_and_not_kept(tmp_path: Path) -> None:
    """An SR of a peer that sends everything: Success, noted, nowhere on disk."""
    sr = "1.2.840.10008.5.1.4.1.1.88.33"
    peer = {**PEER, "accept_and_ignore": ["sr"]}
    ds, data = film()
    with running_scp(tmp_path / "data", peers=[peer]) as running:
        with association(running.port, sop_class=sr) as opened:
            response = store(opened, data, ds.SOPInstanceUID, sr)
        assert response.Status == StoreStatus.SUCCESS
        assert running.intake.received == []
        assert running.intake.instances == [(0, "not kept: accept_and_ignore")]
        assert running.files() == []


def test_echo_is_answered(running: RunningScp) -> None:
    """DCMTK's echoscu hears Success."""
    assert "Success" in echoscu(running.port).stderr


# Who is rejected


@pytest.mark.parametrize(
    ("called", "calling", "hosts", "reason"),
    [
        ("WRONG", "MODALITY", ["127.0.0.1"], "Called AE Title Not Recognized"),
        ("fracture", "MODALITY", ["127.0.0.1"], "Called AE Title Not Recognized"),
        ("FRACTURE", "STRANGER", ["127.0.0.1"], "Calling AE Title Not Recognized"),
        ("FRACTURE", "MODALITY", ["192.0.2.0/24"], "Calling AE Title Not Recognized"),
    ],
)
def test_strangers_are_rejected_with_the_reason(
    tmp_path: Path, called: str, calling: str, hosts: list[str], reason: str
) -> None:
    """Wrong called title, unknown calling title, known title from elsewhere: the standard's reasons."""
    with running_scp(tmp_path / "data", peers=[{**PEER, "hosts": hosts}]) as running:
        answer = echoscu(running.port, called=called, calling=calling).stderr
        assert "Rejected Permanent, Source: Service User" in answer
        assert reason in answer
        (record,) = running.intake.associations
        assert (record.accepted, record.calling_ae_title) == (False, calling)
        assert eventually(lambda: not running.scp._server.open_connections)


def rejection(turned_away: Association) -> A_ASSOCIATE:
    """The A-ASSOCIATE-RJ; pynetdicom leaves it in its queue where we answered and closed before it looked."""
    assert not turned_away.is_established
    if turned_away.is_rejected:
        return turned_away.acceptor.primitive
    return turned_away.dul.to_user_queue.get(timeout=5)


def test_limits_count_exactly_in_all_and_per_peer(tmp_path: Path) -> None:
    """At a limit: 2/3/2; once one association ends, by release or by abort, there is room again."""
    peers = [{**PEER, "max_associations": 2}, {"ae_title": "OTHER", "hosts": ["127.0.0.1"]}]
    with running_scp(tmp_path / "data", node={"max_associations": 3}, peers=peers) as running:
        ae, other = AE(ae_title="MODALITY"), AE(ae_title="OTHER")
        contexts = [build_context(CR)]

        def associate(one: AE) -> Association:
            return one.associate("127.0.0.1", running.port, contexts, ae_title="FRACTURE")

        first, second = associate(ae), associate(ae)
        answer = rejection(associate(ae))
        assert (answer.result, answer.result_source, answer.diagnostic) == (2, 3, 2)
        fourth = associate(other)
        assert fourth.is_established
        assert rejection(associate(other)).diagnostic == 2
        first.release()
        second.abort()
        assert eventually(lambda: running.scp.open_associations == 1)
        again = [associate(ae), associate(ae)]
        assert all(one.is_established for one in again)
        for one in (*again, fourth):
            one.release()
        assert eventually(lambda: running.scp.open_associations == 0)


# What is refused


def refused(running: RunningScp, status: int) -> bool:
    """Whether nothing was kept, and the refusal was noted."""
    return (
        running.intake.received == []
        and running.files() == []
        and [noted for noted, _ in running.intake.instances] == [status]
    )


def test_uids_that_are_not_the_commands_are_a900(running: RunningScp) -> None:
    """A data set under another's name is refused."""
    _, data = film()
    with association(running.port) as opened:
        response = store(opened, data, "1.2.3.4")
    assert response.Status == StoreStatus.DATA_SET_DOES_NOT_MATCH_SOP_CLASS
    assert response.ErrorComment
    assert refused(running, StoreStatus.DATA_SET_DOES_NOT_MATCH_SOP_CLASS)


@pytest.mark.parametrize("data", [b"\xff" * 9000, b"", b"\0" * 65536], ids=["ones", "empty", "zeros"])
def test_noise_is_c000(running: RunningScp, data: bytes) -> None:
    """What cannot be parsed is refused, and the association goes on."""
    ds, good = film()
    with association(running.port) as opened:
        response = store(opened, data or b"\0\0", "1.2.3.4")
        assert response.Status == StoreStatus.CANNOT_UNDERSTAND
        assert refused(running, StoreStatus.CANNOT_UNDERSTAND)
        assert store(opened, good, ds.SOPInstanceUID).Status == StoreStatus.SUCCESS


def test_without_room_it_is_a700(tmp_path: Path) -> None:
    """The sender keeps the image; nothing is written."""
    ds, data = film()
    with running_scp(tmp_path / "data", minimum_free_bytes=10**18) as running:
        with association(running.port) as opened:
            response = store(opened, data, ds.SOPInstanceUID)
        assert response.Status == StoreStatus.OUT_OF_RESOURCES
        assert refused(running, StoreStatus.OUT_OF_RESOURCES)


def test_a_disk_that_fails_while_it_comes_in_is_a700(running: RunningScp) -> None:
    """The spool's folder is gone from under it: the transfer ends with a status, not with a crash."""
    ds, data = film()
    (running.data / "spool").rmdir()
    (running.data / "spool").write_text("a file where the folder was")
    with association(running.port) as opened:
        response = store(opened, data, ds.SOPInstanceUID)
    assert response.Status == StoreStatus.OUT_OF_RESOURCES
    assert running.intake.received == []


def test_a_ledger_that_fails_is_a700(running: RunningScp) -> None:
    """No Success without the commit, though the bytes are on disk."""

    def fail() -> None:
        raise LedgerError("database is locked")

    running.intake.before_register = fail
    ds, data = film()
    with association(running.port) as opened:
        assert store(opened, data, ds.SOPInstanceUID).Status == StoreStatus.OUT_OF_RESOURCES
    assert running.intake.instances == [(StoreStatus.OUT_OF_RESOURCES, "not registered")]


def test_a_class_that_is_not_the_contexts_is_0122(running: RunningScp) -> None:
    """A CT under CR's presentation context is not let in."""
    ds, data = film()
    with association(running.port) as opened:
        response = store(opened, data, ds.SOPInstanceUID, "1.2.840.10008.5.1.4.1.1.2")
    assert response.Status == StoreStatus.SOP_CLASS_NOT_SUPPORTED
    assert refused(running, StoreStatus.SOP_CLASS_NOT_SUPPORTED)


@pytest.mark.filterwarnings("ignore:Invalid value for VR UI")
def test_a_uid_that_is_a_path_writes_nothing_anywhere(running: RunningScp, tmp_path: Path) -> None:
    """`../../x` as SOP Instance UID, in command and data set: C000, and no file appears."""
    ds, _ = film()
    uid = "../../../escaped"
    ds["SOPInstanceUID"]._value = uid
    buffer = io.BytesIO()
    ds.save_as(buffer, enforce_file_format=True)
    before = sorted(tmp_path.rglob("*"))
    with association(running.port) as opened:
        response = store(opened, data_set_of(buffer.getvalue()), uid)
    assert response.Status == StoreStatus.CANNOT_UNDERSTAND
    assert sorted(tmp_path.rglob("*")) == before


def test_the_log_tells_no_patient_and_no_control_characters(
    running: RunningScp, caplog: pytest.LogCaptureFixture
) -> None:
    """Success and refusals alike: AE title, address, status, words of our own."""
    ds, data = film()
    ds_name = str(ds.PatientName)
    with caplog.at_level(logging.INFO, "dicom_node.receiving"):
        with association(running.port) as opened:
            store(opened, data, ds.SOPInstanceUID)
            store(opened, data, "1.2.3.4")
        assert eventually(lambda: len(running.intake.associations) == 1)
        assert "MODALITY" in caplog.text
        assert ds_name not in caplog.text
        assert ds.PatientID not in caplog.text


# Connections that go wrong


def test_a_small_object_in_one_pdu_with_its_command_is_taken(running: RunningScp) -> None:
    """Some senders put command and data set into a single P-DATA-TF PDU (PS3.8 annex E allows it)."""
    from pynetdicom.dimse_messages import C_STORE_RQ
    from pynetdicom.pdu_primitives import P_DATA

    ds, _ = film()
    del ds.PixelData
    buffer = io.BytesIO()
    ds.save_as(buffer, enforce_file_format=True)
    request = C_STORE()
    request.MessageID, request.Priority = 1, 0
    request.AffectedSOPClassUID, request.AffectedSOPInstanceUID = CR, ds.SOPInstanceUID
    request.DataSet = io.BytesIO(data_set_of(buffer.getvalue()))
    message = C_STORE_RQ()
    message.primitive_to_message(request)
    with association(running.port) as opened:
        parts = message.encode_msg(opened.accepted_contexts[0].context_id, 65536)
        together = P_DATA()
        together.presentation_data_value_list = [
            list(value) for part in parts for value in part.presentation_data_value_list
        ]
        opened._reactor_checkpoint.clear()
        opened.dul.send_pdu(together)
        _, response = opened.dimse.get_msg(block=True)
        opened._reactor_checkpoint.set()
    assert response.Status == StoreStatus.SUCCESS
    kept = running.spool.read(running.intake.received[0].spool_path)
    assert kept.endswith(data_set_of(buffer.getvalue()))


def test_an_abort_in_mid_transfer_leaves_nothing(running: RunningScp) -> None:
    """The peer aborts after half of the data set: no file, no row, no open association."""
    with association(running.port) as opened:
        send_half(opened)
        assert eventually(lambda: running.scp.open_associations == 1)
        opened.abort()
    assert eventually(lambda: running.scp.open_associations == 0)
    assert (running.files(), running.intake.received) == ([], [])
    assert running.intake.associations[0].reason == "aborted"


def test_a_connection_that_breaks_in_mid_transfer_leaves_nothing(running: RunningScp) -> None:
    """The same where the line is cut without a word, in the midst of a PDU."""
    with association(running.port) as opened:
        send_half(opened)
        connection = opened.dul.socket.socket
        connection.sendall(b"\x04\x00\x00\x01\x00\x00\x00\x00\xff")
        connection.shutdown(socket.SHUT_RDWR)
        assert eventually(lambda: running.scp.open_associations == 0)
    assert (running.files(), running.intake.received) == ([], [])


def open_files() -> int:
    """How many files and sockets this process holds."""
    return len(list(Path("/proc/self/fd").iterdir()))


def send_half(opened: Association) -> None:
    """The command, and the first part of a data set."""
    _, data = film()
    request = C_STORE()
    request.MessageID, request.Priority = 1, 0
    request.AffectedSOPClassUID, request.AffectedSOPInstanceUID = CR, "1.2.3"
    request.DataSet = io.BytesIO(data)
    from pynetdicom.dimse_messages import C_STORE_RQ

    message = C_STORE_RQ()
    message.primitive_to_message(request)
    parts = list(message.encode_msg(opened.accepted_contexts[0].context_id, 16384))
    assert len(parts) > 4
    for part in parts[: len(parts) // 2]:
        opened.dul.send_pdu(part)
    assert eventually(lambda: opened.dul.to_provider_queue.empty())


@pytest.mark.parametrize(
    "said",
    [
        b"",
        b"GET / HTTP/1.1\r\n\r\n",
        b"\x01\x00",
        b"\x01\x00\xff\xff\xff\xff" + b"\0" * 64,
        b"\x04\x00\x00\x00\x00\x04abcd",
    ],
    ids=["nothing", "http", "half", "too long", "data first"],
)
def test_what_is_no_dicom_ends_at_once_and_leaks_nothing(
    running: RunningScp, said: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    """Health checks, browsers, scanners: the connection's thread is gone in a moment, the SCP goes on."""
    # Once it has answered, the SCP holds all that it ever holds.
    assert "Success" in echoscu(running.port).stderr
    assert eventually(lambda: len(running.intake.associations) == 1)
    before, files_before = threading.active_count(), open_files()
    for _ in range(5):
        with socket.create_connection(("127.0.0.1", running.port)) as connection:
            connection.sendall(said)
    assert eventually(lambda: not running.scp._server.open_connections)
    assert eventually(lambda: threading.active_count() <= before and open_files() <= files_before)
    assert len(running.intake.associations) == 1
    assert [
        one
        for one in caplog.records
        if one.name == "dicom_node.receiving" and one.levelno >= logging.WARNING
    ] == []
    if not said:
        assert [one for one in caplog.records if one.levelno >= logging.ERROR] == []
    assert "Success" in echoscu(running.port).stderr


def test_those_who_connect_and_say_nothing_are_bounded(tmp_path: Path) -> None:
    """Silent connections beyond what associations need are closed at once."""
    with (
        running_scp(tmp_path / "data", node={"max_associations": 1}) as running,
        contextlib.ExitStack() as stack,
    ):
        silent = [
            stack.enter_context(socket.create_connection(("127.0.0.1", running.port)))
            for _ in range(60)
        ]
        assert eventually(lambda: len(running.scp._server.open_connections) == 33)
        silent[-1].settimeout(5)
        assert silent[-1].recv(1) == b""


# Start and stop


def test_starting_clears_what_a_kill_left_half_received(tmp_path: Path) -> None:
    """A process that died in mid-transfer leaves an unfinished file; the next start removes it."""
    half = tmp_path / "data" / "spool" / f"x{UNFINISHED}"
    half.parent.mkdir(parents=True)
    half.write_bytes(b"half")
    scp = StorageScp(
        settings_for(tmp_path / "data"), Spool(tmp_path / "data", 0), MemoryIntake(), lambda: NOW
    )
    scp.start()
    scp.stop(0)
    assert not half.exists()


def test_a_taken_port_is_named(running: RunningScp, tmp_path: Path) -> None:
    """The message says which setting, and what to do."""
    settings = settings_for(tmp_path, node={"port": running.port})
    with pytest.raises(SettingsError, match=rf"node.port = {running.port}: taken .* choose another"):
        StorageScp(settings, Spool(tmp_path, 0), MemoryIntake(), lambda: NOW)


def test_stopping_lets_a_transfer_end_and_takes_no_new_one(tmp_path: Path) -> None:
    """While it drains: what is being stored gets its Success, a new connection is refused."""
    held, go_on = threading.Event(), threading.Event()

    def hold() -> None:
        held.set()
        assert go_on.wait(10)

    ds, data = film()
    with running_scp(tmp_path / "data") as running, ThreadPoolExecutor(2) as pool:
        running.intake.before_register = hold
        with association(running.port) as opened:
            answer = pool.submit(store, opened, data, ds.SOPInstanceUID)
            assert held.wait(5)
            stopping = pool.submit(running.scp.stop, 10)
            assert eventually(lambda: echoscu(running.port).returncode != 0)
            go_on.set()
            assert answer.result(5).Status == StoreStatus.SUCCESS
        stopping.result(5)
        assert len(running.intake.received) == 1
        assert running.intake.associations[0].reason == "released"


def test_stopping_does_not_wait_for_those_who_say_nothing(tmp_path: Path) -> None:
    """A silent connection has no association to abort: it is closed."""
    with (
        running_scp(tmp_path / "data") as running,
        socket.create_connection(("127.0.0.1", running.port)) as silent,
    ):
        assert eventually(lambda: len(running.scp._server.open_connections) == 1)
        began = time.monotonic()
        running.scp.stop(0)
        assert time.monotonic() - began < 2
        silent.settimeout(5)
        assert silent.recv(1) == b""


def test_stopping_aborts_who_does_not_end(tmp_path: Path) -> None:
    """A peer that keeps its association open for ever hears A-ABORT when the time is up."""
    with running_scp(tmp_path / "data") as running, association(running.port) as opened:
        began = time.monotonic()
        running.scp.stop(0.2)
        assert time.monotonic() - began < 3
        assert eventually(lambda: opened.is_aborted)
        assert running.scp.open_associations == 0
