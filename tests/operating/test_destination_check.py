"""What `check` says of a destination before a film comes: what is wrong, of which destination, and the remedy."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from pydicom.uid import EnhancedSRStorage
from pynetdicom import AE

from dicom_node.delivering.instance_query import STUDY_ROOT_FIND
from dicom_node.delivering.storage_scu import (
    KEY_OBJECT_SELECTION,
    REPORT_CLASSES,
    SECONDARY_CAPTURE,
    SEGMENTATION,
)
from dicom_node.operating.destination_check import examine_destination
from dicom_node.operating.examined import Verdict
from dicom_node.operating.small_archive import VERIFICATION, SmallArchive
from dicom_node.settings import Settings
from dicom_node.storage_commitment import PUSH_MODEL
from tests.delivering.committing_archive import CommittingArchive, committing_archive
from tests.delivering.dicomweb_server import dicomweb_server
from tests.delivering.peers import free_port, listener, storescp

EVERY_OBJECT = ["sr", "sc", "summary", "gradcam", "gsps", "seg", "kos"]


def lines(port: int = 0, **more: Any) -> list[tuple[str, Verdict, str]]:
    """What is said of one destination, but for how its words look."""
    given = {"name": "pacs", "timeout_seconds": 2, **more}
    if "kind" not in more:
        given |= {"ae_title": "ARCHIVE", "host": "127.0.0.1", "port": port, **more}
    settings = Settings.model_validate({"destinations": [given]})
    found = examine_destination(settings, settings.destinations[0])
    return [(one.what, one.verdict, one.said) for one in found if not one.what.startswith("appearance")]


def failures(port: int, **more: Any) -> str:
    """The one failure that is said, of the destination by its name."""
    (failed,) = [one for one in lines(port, **more) if one[1] is Verdict.FAILED]
    assert failed[0] in ("destination pacs", "objects at pacs")
    return failed[2]


def archive(folder: Path, classes: Sequence[str], **more: Any) -> SmallArchive:
    """One that takes these classes."""
    return SmallArchive(folder / "in", sop_classes=frozenset(classes), **more)


# Is it there


def test_an_archive_that_is_down(tmp_path: Path) -> None:
    """Where it was looked for, what happened, and which keys to look at; nothing more is asked of it."""
    port = free_port()
    assert lines(port) == [
        (
            "destination pacs", Verdict.FAILED,
            f"ARCHIVE at 127.0.0.1:{port}: connection refused; does it run? look at host and port",
        )
    ]  # fmt: skip


def test_a_host_that_nobody_knows() -> None:
    """The key to look at is host."""
    said = failures(104, host="archive.invalid")
    assert "ARCHIVE at archive.invalid:104: " in said
    assert said.endswith("look at host: nobody knows that name")


@pytest.mark.parametrize("answer", [None, b"HTTP/1.1 400 Bad Request\r\n\r\n"], ids=["silent", "http"])
def test_a_wrong_port(answer: bytes | None) -> None:
    """Somebody listens there, and it is no archive."""
    with listener(answer) as port:
        said = failures(port)
    assert said.startswith(f"ARCHIVE at 127.0.0.1:{port}")
    assert said.endswith("look at port: does its DICOM service listen there?")


def test_a_wrong_ae_title_of_theirs(tmp_path: Path) -> None:
    """The archive answers to another name."""
    with archive(tmp_path, [SECONDARY_CAPTURE], ae_title="OTHER") as other:
        said = failures(other.port)
    assert "rejected the association: Called AE title not recognised" in said
    assert said.endswith("it is not called 'ARCHIVE': look at ae_title; case counts")


def test_a_wrong_ae_title_of_ours() -> None:
    """The archive does not know us: that is mended on its side, or by our other name."""
    ae = AE(ae_title="ARCHIVE")
    ae.require_calling_aet = ["SOMEBODY"]
    ae.add_supported_context(VERIFICATION)
    server: Any = ae.start_server(("127.0.0.1", 0), block=False)
    try:
        said = failures(int(server.socket.getsockname()[1]))
    finally:
        ae.shutdown()
    assert "rejected the association: Calling AE title not recognised" in said
    assert "enter our AE title 'FRACTURE' and this machine's address there" in said
    assert "calling_ae_title" in said


# What will arrive


def test_dcmtk_takes_every_object(tmp_path: Path) -> None:
    """Each by the settings' word, the report with its class; nothing is stored by asking."""
    with storescp(tmp_path / "in") as taker:
        there, objects = lines(taker.port, objects=EVERY_OBJECT, rejection_note=True)
        assert taker.files() == []
    assert there[:2] == ("destination pacs", Verdict.GOOD)
    assert objects == (
        "objects at pacs", Verdict.GOOD,
        "will arrive: sr as Comprehensive 3D SR Storage, sc, summary, gradcam, gsps, seg, kos, rejection notes",
    )  # fmt: skip


def test_an_archive_for_captures_alone(tmp_path: Path) -> None:
    """Summary pages go in place of the report; each class that is refused fails with what to change."""
    with archive(tmp_path, [SECONDARY_CAPTURE]) as taker:
        _, good, seg, notes, fallback = lines(
            taker.port, objects=["sr", "sc", "seg", "kos"], rejection_note=True
        )
        assert taker.arrivals == ()
        where = f"ARCHIVE at 127.0.0.1:{taker.port} does not accept Segmentation Storage"
    assert good == ("objects at pacs", Verdict.GOOD, "will arrive: sc, summary")
    assert seg[1] is notes[1] is Verdict.FAILED
    assert seg[2].startswith(where)
    assert seg[2].endswith(
        f"does not accept Segmentation Storage ({SEGMENTATION}): seg will not arrive; let it accept this class, or "
        'leave "seg" out of objects of destination pacs'
    )
    assert notes[2].endswith(
        f"does not accept Key Object Selection Document Storage ({KEY_OBJECT_SELECTION}): kos, rejection notes will "
        'not arrive; let it accept this class, or leave "kos" out of objects of destination pacs, or set '
        "rejection_note = false at destination pacs"
    )
    assert fallback[1] is Verdict.NOTE
    assert fallback[2].endswith("accepts no report class: summary pages go in place of sr")


def test_the_report_class_that_will_be_used_is_named(tmp_path: Path) -> None:
    """The first of ours that the archive accepts."""
    with archive(tmp_path, [EnhancedSRStorage, SECONDARY_CAPTURE]) as taker:
        _, objects = lines(taker.port)
    assert objects[1:] == (Verdict.GOOD, "will arrive: sr as Enhanced SR Storage, sc")


def test_a_report_that_can_go_in_no_way(tmp_path: Path) -> None:
    """Neither as a report nor as pages."""
    with archive(tmp_path, [SEGMENTATION]) as taker:
        said = failures(taker.port, objects=["sr", "seg"])
    assert (
        "does not accept any report class, nor captures for summary pages: sr will not arrive" in said
    )
    assert 'leave "sr" out of objects of destination pacs' in said


def test_an_archive_that_accepts_nothing(tmp_path: Path) -> None:
    """It answers C-ECHO: another service, or we may not store there."""
    with archive(tmp_path, []) as taker:
        there, objects = lines(taker.port, objects=["sc", "seg"])
    assert there[1] is Verdict.GOOD
    assert objects[:2] == ("objects at pacs", Verdict.FAILED)
    assert "accepts none of Secondary Capture Image Storage, Segmentation Storage" in objects[2]
    assert "look at ae_title and port" in objects[2]


def test_compression_that_is_not_taken_is_a_note(tmp_path: Path) -> None:
    """The captures arrive, uncompressed."""
    with archive(tmp_path, [SECONDARY_CAPTURE, *REPORT_CLASSES]) as taker:
        _, good, note = lines(taker.port, transfer_syntax="jpeg-ls")
    assert good[1] is Verdict.GOOD
    assert note[1] is Verdict.NOTE
    assert note[2].endswith(
        "does not accept JPEG-LS Lossless Image Compression: captures go uncompressed"
    )


def test_the_services_that_the_settings_want_are_asked_for() -> None:
    """Storage commitment that the archive does not know fails; C-FIND is a note, for what it may have goes again."""
    wanted = {"objects": ["sc"], "storage_commitment": True, "ask_before_sending_again": True}
    with committing_archive(CommittingArchive()) as taker:
        _, good = lines(taker.port, **wanted)
        assert taker.asked == []
    assert good[1:] == (Verdict.GOOD, "will arrive: sc, storage commitment can be asked")
    with committing_archive(CommittingArchive(), without=[PUSH_MODEL, STUDY_ROOT_FIND]) as taker:
        _, good, commitment, find = lines(taker.port, **wanted)
    assert good[2] == "will arrive: sc"
    assert commitment[1] is Verdict.FAILED
    assert commitment[2].endswith("set storage_commitment = false at destination pacs")
    assert find[1] is Verdict.NOTE
    assert find[2].endswith("set ask_before_sending_again = false at destination pacs")


# Other kinds


def test_a_server_that_does_not_let_us_in_and_one_that_is_down(tmp_path: Path) -> None:
    """URL, status, and the keys to look at."""
    with dicomweb_server() as server:
        ((_, verdict, _),) = lines(kind="dicomweb", url=server.url)
        assert verdict is Verdict.GOOD
        server.status = 401
        ((_, verdict, said),) = lines(kind="dicomweb", url=server.url)
    assert verdict is Verdict.FAILED
    assert said.startswith(f"{server.url}/studies answered 401")
    assert "look at token_file" in said
    ((_, verdict, said),) = lines(kind="dicomweb", url=f"http://127.0.0.1:{free_port()}/x")
    assert (verdict, said.endswith("connection refused; does it run? look at url")) == (
        Verdict.FAILED, True,
    )  # fmt: skip


def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    """Named, with the key."""
    (tmp_path / "file").write_text("")
    ((_, verdict, said),) = lines(kind="folder", path=str(tmp_path / "file" / "results"))
    assert verdict is Verdict.FAILED
    assert said == f"{tmp_path / 'file'} is no folder; look at path, or let this user write there"
