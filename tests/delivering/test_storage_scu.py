"""Sending to archives: what is offered, what arrives, and what is said when nothing does."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path

import pytest
from pydicom import dcmread
from pydicom.uid import (
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    RLELossless,
)

from dicom_node.delivering.association import Remote
from dicom_node.delivering.dicom_file import read_dicom_file
from dicom_node.delivering.storage_scu import (
    NATIVE,
    REPORT_CLASSES,
    SECONDARY_CAPTURE,
    Sender,
    proposed_contexts,
)
from dicom_node.dimse_status import Judgement, StoreStatus, judge
from dicom_node.errors import (
    ClassRefusedError,
    DestinationDownError,
    NothingAcceptedError,
    ObjectRefusedError,
)
from dicom_node.operating.small_archive import SmallArchive
from tests.delivering.peers import association_accept, destination, free_port, listener, storescp
from tests.phantoms import encode, phantom
from tests.results.hand_made import POSITIVE, PROFILE, overlay, read_back

CR = "1.2.840.10008.5.1.4.1.1.1"


def data_set_of(file: bytes) -> bytes:
    """Everything behind the File Meta Information."""
    length = int.from_bytes(file[140:144], "little")
    return file[144 + length :]


def test_each_class_is_offered_explicit_and_implicit_and_compressed_apart() -> None:
    """PS3.5 10.1: the native syntaxes always; a compressed one has a context of its own."""
    contexts = proposed_contexts([(CR, JPEGLosslessSV1), (CR, ExplicitVRLittleEndian)])
    offered = [
        (str(one.abstract_syntax), [str(uid) for uid in one.transfer_syntax]) for one in contexts
    ]
    assert offered == [(CR, list(NATIVE)), (CR, [str(JPEGLosslessSV1)])]


def test_an_archive_says_which_reports_it_takes(tmp_path: Path) -> None:
    """All three SR classes are offered always, so that `accepted` tells."""
    taken = frozenset({"1.2.840.10008.5.1.4.1.1.88.22", SECONDARY_CAPTURE})
    with (
        SmallArchive(tmp_path / "in", sop_classes=taken) as archive,
        Sender(destination(archive.port), "FRACTURE") as sender,
    ):
        assert sender.accepted == taken
    with (
        SmallArchive(tmp_path / "all") as archive,
        Sender(destination(archive.port), "FRACTURE") as sender,
    ):
        assert sender.accepted == {*REPORT_CLASSES, SECONDARY_CAPTURE}


@pytest.mark.parametrize(
    ("syntax", "prefers"),
    [(ExplicitVRLittleEndian, "+xe"), (ImplicitVRLittleEndian, "+xi"), (JPEGLosslessSV1, "+xs")],
)
def test_dcmtk_gets_the_file_byte_for_byte(tmp_path: Path, syntax: str, prefers: str) -> None:
    """In the file's own transfer syntax nothing is encoded anew."""
    file = encode(phantom(), syntax)
    with storescp(tmp_path / "in", prefers) as archive:
        with Sender(destination(archive.port), "FRACTURE", [(CR, syntax)]) as sender:
            status = sender.send(file)
        (received,) = archive.files()
        assert dcmread(received).file_meta.TransferSyntaxUID == syntax
        assert data_set_of(received.read_bytes()) == data_set_of(file)
    assert judge(status) is Judgement.DELIVERED


@pytest.mark.parametrize(
    ("have", "taken"),
    [
        (ExplicitVRLittleEndian, ImplicitVRLittleEndian),
        (ImplicitVRLittleEndian, ExplicitVRLittleEndian),
    ],
)
def test_explicit_and_implicit_are_turned_into_one_another(
    tmp_path: Path, have: str, taken: str
) -> None:
    """An archive that knows only the other gets the same values in its own."""
    file = encode(phantom(), have)
    with (
        SmallArchive(tmp_path / "in", transfer_syntaxes=(taken,)) as archive,
        Sender(destination(archive.port), "FRACTURE", [(CR, have)]) as sender,
    ):
        assert sender.send(file) == StoreStatus.SUCCESS
        (arrival,) = archive.arrivals
    arrived = dcmread(arrival.path)
    assert arrived.file_meta.TransferSyntaxUID == taken
    assert [(one.tag, one.value) for one in arrived if one.VR != "SQ"] == [
        (one.tag, one.value) for one in phantom() if one.VR != "SQ"
    ]


def test_one_association_carries_many_objects(tmp_path: Path) -> None:
    """From bytes and from paths, one after the other."""
    path = tmp_path / "film.dcm"
    path.write_bytes(encode(phantom(seed=2), ExplicitVRLittleEndian))
    with (
        SmallArchive(tmp_path / "in") as archive,
        Sender(destination(archive.port), "FRACTURE", [(CR, ExplicitVRLittleEndian)]) as sender,
    ):
        assert sender.send(encode(phantom(), ExplicitVRLittleEndian)) == 0
        assert sender.send(path) == 0
        assert [one.path.name for one in archive.wait_for(2, 5)] == ["1_cr.dcm", "2_cr.dcm"]


@pytest.mark.parametrize("status", [0xA700, 0x0110, 0xA900, 0xC123, 0xB000, 0x0122])
def test_the_status_comes_back_as_it_is(tmp_path: Path, status: int) -> None:
    """The caller judges: nothing is taken for success, and nothing is thrown away."""
    with (
        SmallArchive(tmp_path / "in", status=status) as archive,
        Sender(destination(archive.port), "FRACTURE", [(CR, ExplicitVRLittleEndian)]) as sender,
    ):
        assert sender.send(encode(phantom(), ExplicitVRLittleEndian)) == status


def test_a_class_that_is_not_taken_is_refused_without_a_status(tmp_path: Path) -> None:
    """There is no context to send it under."""
    with (
        SmallArchive(tmp_path / "in") as archive,
        Sender(destination(archive.port), "FRACTURE") as sender,
        pytest.raises(ObjectRefusedError, match="does not accept") as caught,
    ):
        sender.send(encode(phantom(), ExplicitVRLittleEndian))
    assert caught.value.status is None


def test_compressed_pixels_are_not_sent_where_only_native_is_taken(tmp_path: Path) -> None:
    """We do not decompress the films of others; the message names the transfer syntax."""
    with (
        SmallArchive(tmp_path / "in") as archive,
        Sender(destination(archive.port), "FRACTURE", [(CR, JPEGLosslessSV1)]) as sender,
        pytest.raises(ObjectRefusedError, match="JPEG Lossless"),
    ):
        sender.send(encode(phantom(), JPEGLosslessSV1))


@pytest.mark.parametrize("syntax", [JPEGLSLossless, JPEG2000Lossless, RLELossless])
def test_our_own_capture_goes_native_where_only_that_is_taken(tmp_path: Path, syntax: str) -> None:
    """The same pixels under the same UID: they were compressed without loss."""
    usual = read_back(overlay(phantom(), POSITIVE))
    result = overlay(phantom(), POSITIVE, profile=replace(PROFILE, transfer_syntax_uid=syntax))
    assert result.transfer_syntax_uid == syntax
    with (
        SmallArchive(tmp_path / "in") as archive,
        Sender(destination(archive.port), "FRACTURE", [(SECONDARY_CAPTURE, syntax)]) as sender,
    ):
        assert sender.send(result.data) == 0
        (arrived,) = archive.wait_for(1, 5)
    ds = dcmread(arrived.path)
    assert ds.file_meta.TransferSyntaxUID == ExplicitVRLittleEndian
    assert ds.SOPInstanceUID == result.sop_instance_uid
    assert ds.PhotometricInterpretation == "RGB"
    assert (ds.pixel_array == usual.pixel_array).all()


def test_what_is_no_dicom_file_is_refused() -> None:
    """Before anything is sent."""
    for data in (b"", b"text", bytes(128) + b"DICM", bytes(200)):
        with pytest.raises(ObjectRefusedError, match="not a DICOM file"):
            read_dicom_file(data)


# When there is no association


def down(remote: Remote) -> str:
    with pytest.raises(DestinationDownError) as caught, Sender(remote, "FRACTURE", [(CR, NATIVE[0])]):
        pass
    assert caught.value.transient
    return str(caught.value)


def test_nobody_there_is_said_in_words() -> None:
    """Refused connection, unknown name: the person who set it up reads why."""
    assert "connection refused" in down(Remote("ARCHIVE", "127.0.0.1", free_port(), 5))
    message = down(Remote("ARCHIVE", "archive.invalid", 104, 5))
    assert "archive.invalid" in message
    assert "name" in message.lower()


def test_a_rejection_is_said_in_words(tmp_path: Path) -> None:
    """The archive's reason is in the message."""
    with SmallArchive(tmp_path / "in", ae_title="OTHER") as archive:
        message = down(Remote("ARCHIVE", "127.0.0.1", archive.port, 5))
    assert "rejected the association" in message
    assert "Called AE title not recognised" in message


def test_a_peer_that_says_nothing_is_given_up_in_time() -> None:
    """The timeout of the settings holds for the association."""
    with listener(None) as port:
        began = time.monotonic()
        assert "no answer within 1 s" in down(Remote("ARCHIVE", "127.0.0.1", port, 1))
        assert time.monotonic() - began < 5


@pytest.mark.parametrize(
    "answer", [b"", b"HTTP/1.1 400\r\n\r\n", b"\x07\x00\x00\x00\x00\x04\0\0\x02\0"]
)
def test_a_peer_that_closes_or_aborts_is_down(answer: bytes) -> None:
    """Whatever else listens there: down, and no hang."""
    with listener(answer) as port:
        assert "127.0.0.1" in down(Remote("ARCHIVE", "127.0.0.1", port, 2))


def test_an_archive_that_takes_neither_reports_nor_captures_is_down_and_says_so(tmp_path: Path) -> None:
    """Its set-up is wrong, or we call another service than its Storage SCP: somebody mends that."""
    with (
        SmallArchive(tmp_path / "in", sop_classes=frozenset()) as archive,
        pytest.raises(NothingAcceptedError) as caught,
        Sender(destination(archive.port, objects=["sc", "seg"]), "FRACTURE"),
    ):
        pass
    words = "accepts none of Secondary Capture Image Storage, Segmentation Storage"
    assert str(caught.value).endswith(words)
    assert "may 'FRACTURE' use it?" in caught.value.remedy


@pytest.mark.parametrize(
    ("rejection", "remedy"),
    [
        ((1, 1, 7), "look at ae_title"),
        ((1, 1, 3), "enter our AE title 'FRACTURE'"),
        ((2, 3, 2), "passes by itself"),
        ((1, 1, 1), "its own log"),
    ],
)
def test_each_rejection_has_its_remedy(rejection: tuple[int, int, int], remedy: str) -> None:
    """By result, source and reason of the A-ASSOCIATE-RJ (PS3.8 9.3.4)."""
    with (
        listener(bytes([3, 0, 0, 0, 0, 4, 0, *rejection])) as port,
        pytest.raises(DestinationDownError, match="rejected the association") as caught,
        Sender(Remote("ARCHIVE", "127.0.0.1", port, 5), "FRACTURE", [(CR, NATIVE[0])]),
    ):
        pass
    assert remedy in caught.value.remedy


# When a class is refused


@pytest.mark.parametrize("syntaxes", [None, (JPEGLosslessSV1,)], ids=["class", "transfer syntaxes"])
def test_not_supported_is_a_final_answer(tmp_path: Path, syntaxes: tuple[str, ...] | None) -> None:
    """Of the class, or of each transfer syntax in which we have the object; the class is named."""
    classes = frozenset({SECONDARY_CAPTURE} if syntaxes is None else {CR})
    with (
        SmallArchive(tmp_path / "in", sop_classes=classes, transfer_syntaxes=syntaxes or NATIVE) as archive,
        Sender(Remote("ARCHIVE", "127.0.0.1", archive.port, 5), "ME", [(CR, JPEGLosslessSV1), (SECONDARY_CAPTURE, NATIVE[0])]) as sender,
        pytest.raises(ClassRefusedError, match=rf"Computed Radiography Image Storage \({CR}\)") as caught,
    ):  # fmt: skip
        sender.send(encode(phantom(), ExplicitVRLittleEndian))
    assert caught.value.is_final


def test_a_class_that_is_the_only_one_offered_is_refused_as_any_other(tmp_path: Path) -> None:
    """The association ends, and its answer still counts."""
    with (
        SmallArchive(tmp_path / "in", sop_classes=frozenset()) as archive,
        Sender(Remote("ARCHIVE", "127.0.0.1", archive.port, 5), "ME", [(CR, NATIVE[0])]) as sender,
        pytest.raises(ClassRefusedError) as caught,
    ):
        sender.send(encode(phantom(), ExplicitVRLittleEndian))
    assert caught.value.is_final


@pytest.mark.parametrize("result", [1, 2])
def test_a_context_that_is_rejected_without_a_reason_may_be_taken_next_time(result: int) -> None:
    """User rejection and "no reason" say nothing about the class (PS3.8 table 9-18)."""
    with (
        listener(association_accept(result)) as port,
        Sender(Remote("ARCHIVE", "127.0.0.1", port, 5), "ME", [(CR, NATIVE[0])]) as sender,
        pytest.raises(ClassRefusedError) as caught,
    ):
        sender.send(encode(phantom(), ExplicitVRLittleEndian))
    assert not caught.value.is_final


def test_an_archive_that_dies_in_between_is_down(tmp_path: Path) -> None:
    """The next send raises; it does not hang, nor count as sent."""
    with (
        SmallArchive(tmp_path / "in") as archive,
        Sender(destination(archive.port), "FRACTURE", [(CR, NATIVE[0])]) as sender,
    ):
        file = encode(phantom(), ExplicitVRLittleEndian)
        assert sender.send(file) == 0
        archive.stop()
        with pytest.raises(DestinationDownError):
            sender.send(file)
