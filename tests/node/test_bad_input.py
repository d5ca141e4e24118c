"""What is no film, or a damaged one: the right status, an outcome with its reason, and a node that goes on."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from pydicom import FileDataset
from pydicom.dataelem import RawDataElement
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_dataset
from pydicom.tag import Tag
from pydicom.uid import ExplicitVRLittleEndian, VLPhotographicImageStorage

from dicom_node.delivering.association import Remote
from dicom_node.delivering.dicom_file import DicomFile
from dicom_node.delivering.storage_scu import Sender
from dicom_node.dimse_status import StoreStatus
from dicom_node.durable_file import UNFINISHED
from dicom_node.errors import ObjectRefusedError
from pipeline.findings import NotProcessed, Outcome
from tests.node.films import film, study_uid, write
from tests.node.running_node import RunningNode, destination, running_node, settings_text
from tests.node.spoiled_films import SPOILED, file_of, spoiled
from tests.phantoms import encode
from tests.receiving.running_scp import free_port

pytestmark = pytest.mark.real_part

# What a data folder may hold: names made of digests, and the database.
OWN_PATHS = re.compile(
    r"(spool|outbox)/[0-9a-f]{2}/[0-9a-f]{62}\.dcm|node\.sqlite(-wal|-shm)?|locks/[a-z]+\.lock"
    r"|engines/(choice\.json|[0-9a-f]{16}-[0-9a-f]{32}\.onnx)"
)


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningNode]:
    """Where nothing listens at the destination: this module looks at what is received."""
    places = [destination("nowhere", free_port(), objects=["sr"])]
    with running_node(tmp_path_factory.mktemp("bad-input") / "node", settings_text(places)) as node:
        yield node


@pytest.fixture(autouse=True)
def _reads_a_good_film_afterwards(node: RunningNode, tmp_path: Path) -> Iterator[None]:
    """After every test: the same processes still read, and nothing was written where it must not be."""
    processes = node.log.count("started ")
    yield
    good = film(f"good after {tmp_path.name}")
    (sent,) = node.send(write(tmp_path, "good", good))
    assert sent.taken
    node.wait_for(lambda: [one.state for one in node.readings(good.SOPInstanceUID)] == ["done"])
    (line,) = node.readings(good.SOPInstanceUID)
    assert line.findings is not None
    assert line.findings.outcome is Outcome.FRACTURE
    assert node.log.count("started ") == processes == 3
    _assert_nothing_outside(node)


def _assert_nothing_outside(node: RunningNode) -> None:
    beside = {path.name for path in node.folder.iterdir()}
    assert beside == {"node.toml", "log.txt", "data"}
    assert {path.name for path in node.folder.parent.iterdir()} == {"node"}
    # A result may be in mid-write: what is unfinished has to go by itself.
    node.wait_for(lambda: not list(node.data.rglob(f"*{UNFINISHED}")))
    held = [path.relative_to(node.data) for path in node.data.rglob("*")]
    files = [str(path) for path in held if path.suffix != UNFINISHED and (node.data / path).is_file()]
    assert [path for path in files if not OWN_PATHS.fullmatch(path)] == []


def _answer(node: RunningNode, ds: FileDataset, file: bytes) -> StoreStatus:
    """The status of a C-STORE of this file's data set under the UIDs of `ds`."""
    data_set = file[144 + int.from_bytes(file[140:144], "little") :]
    return _answer_raw(node, ds, data_set)


def _answer_raw(
    node: RunningNode, ds: FileDataset, data_set: bytes, uid: str | None = None
) -> StoreStatus:
    offer = (str(ds.SOPClassUID), str(ds.file_meta.TransferSyntaxUID))
    remote = Remote("FRACTURE", "127.0.0.1", node.port, 60)
    with Sender(remote, "MODALITY", [offer]) as sender:
        instance = uid or str(ds.file_meta.MediaStorageSOPInstanceUID)
        return StoreStatus(sender.send(DicomFile(offer[0], instance, offer[1], data_set, 0)))


def test_a_film_that_cannot_be_read_is_taken_and_says_why(node: RunningNode) -> None:
    """Success, for a refusal would make the archive try for ever; then one outcome, its reason in every list."""
    films = {name: spoiled(name) for name in SPOILED}
    for_processing = film("for processing", modality="DX", for_processing=True)
    films["for processing"] = (for_processing, NotProcessed.FOR_PROCESSING)
    for name, (ds, _) in films.items():
        assert _answer(node, ds, file_of(ds)) is StoreStatus.SUCCESS, name
    uids = [str(ds.SOPInstanceUID) for ds, _ in films.values()]
    node.wait_for(lambda: all([one.state for one in node.readings(uid)] == ["done"] for uid in uids))
    listed = node.command("jobs", "list", "--state", "not processed", "--limit", "100").stdout
    rows = {line.split()[0]: line for line in listed.splitlines() if line.strip()}
    printed = node.command("jobs", "list", "--json", "--limit", "100").stdout
    told = {one["sop_instance_uid"]: one for one in map(json.loads, printed.splitlines())}
    for name, (ds, reason) in films.items():
        (line,) = node.readings(ds.SOPInstanceUID)
        assert line.findings is not None, name
        assert (line.findings.outcome, line.reason) == (Outcome.NOT_PROCESSED, reason), name
        assert (line.findings.fracture_probability, line.findings.regions) == (None, ()), name
        assert "not processed" in rows[line.id[:8]], name
        assert reason.meaning in rows[line.id[:8]], name
        assert told[line.sop_instance_uid]["outcome"] == "not processed", name
        assert told[line.sop_instance_uid]["reason"].startswith(reason.meaning), name
    (line,) = node.readings(films["half the pixels"][0].SOPInstanceUID)
    shown = node.command("jobs", "show", line.id[:12])
    assert shown.returncode == 0, shown.stderr
    assert f"not processed, {NotProcessed.TRUNCATED.meaning}" in shown.stdout


def _without(keyword: str) -> Callable[[FileDataset], None]:
    return lambda ds: delattr(ds, keyword)


def _with(keyword: str, value: str) -> Callable[[FileDataset], None]:
    def apply(ds: FileDataset) -> None:
        # Straight into the element: assigning would let pydicom check the form.
        ds[keyword]._value = value

    return apply


@pytest.mark.parametrize(
    ("spoil", "status"),
    [
        (_without("SOPInstanceUID"), StoreStatus.CANNOT_UNDERSTAND),
        (_without("SOPClassUID"), StoreStatus.CANNOT_UNDERSTAND),
        (_without("StudyInstanceUID"), StoreStatus.CANNOT_UNDERSTAND),
        (_without("SeriesInstanceUID"), StoreStatus.CANNOT_UNDERSTAND),
        (_with("StudyInstanceUID", "../../../outside"), StoreStatus.CANNOT_UNDERSTAND),
        (_with("SeriesInstanceUID", "/outside"), StoreStatus.CANNOT_UNDERSTAND),
        (_with("SOPInstanceUID", "../../outside"), StoreStatus.CANNOT_UNDERSTAND),
        (_with("SOPInstanceUID", "1.2.3.4"), StoreStatus.DATA_SET_DOES_NOT_MATCH_SOP_CLASS),
    ],
    ids=[
        "no instance",
        "no class",
        "no study",
        "no series",
        "study ../",
        "series /",
        "instance ../",
        "other",
    ],
)
def test_a_data_set_without_usable_uids_is_refused(
    node: RunningNode, spoil: Callable[[FileDataset], None], status: StoreStatus
) -> None:
    """The sender hears why, the refusal is shown, and no row and no file comes of it."""
    ds = film("uids")
    offered = (str(ds.SOPClassUID), str(ds.SOPInstanceUID))
    rows, files = len(node.jobs.images(1000)), len(list((node.data / "spool").rglob("*.dcm")))
    damaged = film("uids")
    spoil(damaged)
    remote = Remote("FRACTURE", "127.0.0.1", node.port, 60)
    syntax = str(ExplicitVRLittleEndian)
    with Sender(remote, "MODALITY", [(offered[0], syntax)]) as sender:
        answer = sender.send(DicomFile(*offered, syntax, _data_set(damaged), 0))
    assert answer == status
    (notice,) = node.jobs.notices(1)
    assert notice.status == status
    assert len(node.jobs.images(1000)) == rows
    assert len(list((node.data / "spool").rglob("*.dcm"))) == files
    assert ".." not in node.log


def _data_set(ds: FileDataset) -> bytes:
    buffer = DicomBytesIO()
    buffer.is_little_endian, buffer.is_implicit_VR = True, False
    write_dataset(buffer, ds)
    return buffer.getvalue()


def test_a_film_that_no_result_can_refer_to_is_shown_with_its_reason(node: RunningNode) -> None:
    """Its Study Instance UID is there for a receiver, but of a kind that is no UID: bytes, or numbers."""
    for vr in ("OB", "US"):
        study = f"study UID as {vr}"
        ds, damaged = film(study), film(study)
        text = study_uid(study).encode()
        value = text + b"\0" * (len(text) % 2)
        tag = Tag("StudyInstanceUID")
        damaged[tag] = RawDataElement(tag, vr, len(value), value, 0, False, True)
        file = encode(damaged, ExplicitVRLittleEndian)
        assert _answer(node, ds, file) is StoreStatus.SUCCESS, vr
        revision = node.wait_until_closed(study_uid(study))
        (line,) = node.readings(ds.SOPInstanceUID)
        assert (line.state, line.reason) == ("done", NotProcessed.READING_FAILED), vr
        assert "StudyInstanceUID" in line.detail, vr
        assert (revision.state, revision.deliveries) == ("failed", ()), vr
        listed = node.command("jobs", "list").stdout.splitlines()
        (row,) = [one for one in listed if line.id[:8] in one]
        assert "source cannot be referenced" in row, vr
        (row,) = [one for one in listed if study_uid(study) in one]
        assert "no image of it can be referenced" in row, vr


@pytest.mark.parametrize(
    "data_set",
    [b"Dear colleague,\nplease find enclosed no film but a letter.\n", bytes(4096)],
    ids=["text", "zeros"],
)
def test_bytes_that_are_no_data_set_are_refused(node: RunningNode, data_set: bytes) -> None:
    """A text file that somebody named .dcm: C000, and nothing is kept."""
    rows = len(node.jobs.images(1000))
    assert _answer_raw(node, film("text"), data_set) is StoreStatus.CANNOT_UNDERSTAND
    assert len(node.jobs.images(1000)) == rows


def test_a_text_file_named_dcm_is_not_even_sent(node: RunningNode, tmp_path: Path) -> None:
    """Our own `send` says which file it is and goes on with the others."""
    letter, good = tmp_path / "letter.dcm", write(tmp_path, "film", film("beside a letter"))
    letter.write_text("Dear colleague,\nplease find enclosed no film but a letter.\n")
    answers = {one.path.name: one for one in node.send(letter, good)}
    assert not answers["letter.dcm"].taken
    assert "not a DICOM file" in answers["letter.dcm"].reason
    assert answers["film.dcm"].taken


def test_a_file_cut_in_its_header_is_refused_and_one_cut_in_its_pixels_is_not_processed(
    node: RunningNode,
) -> None:
    """Where the UIDs cannot be had there is nothing to keep; else the film has its outcome."""
    ds = film("cut")
    whole = encode(ds, ExplicitVRLittleEndian)
    assert _answer(node, ds, whole[:420]) is StoreStatus.CANNOT_UNDERSTAND
    assert node.readings(ds.SOPInstanceUID) == []
    assert _answer(node, ds, whole[: len(whole) // 2]) is StoreStatus.SUCCESS
    node.wait_for(lambda: [one.state for one in node.readings(ds.SOPInstanceUID)] == ["done"])
    (line,) = node.readings(ds.SOPInstanceUID)
    assert line.reason in (NotProcessed.TRUNCATED, NotProcessed.UNDECODABLE)


@pytest.mark.parametrize(
    ("sop_class", "syntax"),
    [
        (VLPhotographicImageStorage, str(ExplicitVRLittleEndian)),
        ("1.2.840.10008.5.1.4.1.1.1", "1.2.3.4.5.6.7.8.9"),
        ("1.2.3.4.5.6", str(ExplicitVRLittleEndian)),
    ],
    ids=["photograph", "unknown transfer syntax", "unknown class"],
)
def test_what_is_not_offered_is_refused_in_negotiation(
    node: RunningNode, sop_class: str, syntax: str
) -> None:
    """A class or transfer syntax that is not ours gets no presentation context; the sender keeps its object."""
    rows = len(node.jobs.images(1000))
    remote = Remote("FRACTURE", "127.0.0.1", node.port, 60)
    computed_radiography = "1.2.840.10008.5.1.4.1.1.1"
    offers = [(computed_radiography, str(ExplicitVRLittleEndian)), (sop_class, syntax)]
    with Sender(remote, "MODALITY", offers) as sender:
        with pytest.raises(ObjectRefusedError) as refused:
            sender.send(DicomFile(sop_class, "1.2.3.4", syntax, b"", 0))
        assert refused.value.status is None
    assert len(node.jobs.images(1000)) == rows


def test_a_uid_that_is_a_path_is_refused_in_the_command_too(node: RunningNode) -> None:
    """The Affected SOP Instance UID of a C-STORE-RQ names no file; `jobs list` shows the refusal."""
    ds = film("command")
    damaged = film("command")
    _with("SOPInstanceUID", "../../outside")(damaged)
    answer = _answer_raw(node, ds, _data_set(damaged), uid="../../outside")
    assert answer is StoreStatus.CANNOT_UNDERSTAND
    listed = node.command("jobs", "list").stdout
    assert "0xC000" in listed
    assert "malformed UID in the command" in listed
    assert ".." not in listed + node.log
