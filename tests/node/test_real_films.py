"""Real radiographs, and real pictures of other kinds, through a served node. Nothing is said of what it reads in them."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pydicom import dcmread
from pydicom.uid import (
    JPEG2000Lossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    RLELossless,
)

from dicom_node.delivering.file_sending import SentFile
from dicom_node.operating.phantoms import wrap_film
from dicom_node.work.job_list import ImageLine
from pipeline.findings import NotProcessed, Outcome
from tests.node.archive import Archive
from tests.node.films import write
from tests.node.running_node import RunningNode, destination, running_node, settings_text
from tests.phantoms import ACQUIRED_AT, uid_of
from tests.real_parts import films_folder

pytestmark = pytest.mark.real_part

FRACATLAS_FILMS = 10
LOSSLESS = {JPEG2000Lossless, JPEGLosslessSV1, JPEGLSLossless, RLELossless}
# Of SOP classes or in transfer syntaxes that the node does not offer to take.
NOT_OFFERED = ("MG_", "jpeg_extended")
# Its File Meta Information names another SOP Instance than its data set, as de-identifying tools leave it.
OTHER_UID = "CR_panoramic"


@dataclass(frozen=True)
class Sent:
    """Everything that was sent, and what the sender heard."""

    node: RunningNode
    archive: Archive
    answers: dict[Path, SentFile]

    def lines(self, path: Path) -> list[ImageLine]:
        """The ledger's rows of a file's instance."""
        return self.node.readings(str(dcmread(path, stop_before_pixels=True).SOPInstanceUID))

    def line(self, path: Path) -> ImageLine:
        """The only row."""
        (line,) = self.lines(path)
        return line

    def named(self, part: str) -> list[Path]:
        """The real DICOM files whose name holds this."""
        return [path for path in self.answers if path.parent.name == "dicom" and part in path.name]


@pytest.fixture(scope="module")
def sent(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sent]:
    films, folder = films_folder(), tmp_path_factory.mktemp("real")
    paths = sorted((films / "dicom").glob("*.dcm"))
    pictures = sorted((films / "outliers").glob("*.png")) + _fracatlas(films / "fracatlas")
    paths += [_wrapped(picture, folder / "wrapped") for picture in pictures]
    archive = Archive(folder / "archive")
    text = settings_text(
        [destination("archive", archive.port, overlay_longest_side=512)],
        # Ordinary operating points, so that not everything is suspicious.
        model={"fracture_threshold": 0.5, "doubt_threshold": 0.1},
    )
    with archive, running_node(folder / "node", text) as node:
        answers = {one.path: one for one in node.send(*paths)}
        node.wait_until_done(sum(one.taken for one in answers.values()), 170)
        yield Sent(node, archive, answers)


def _fracatlas(folder: Path) -> list[Path]:
    """The first films of the validation part."""
    with (folder / "labels.csv").open(newline="") as table:
        files = [row["file"] for row in csv.DictReader(table) if row["split"] == "val"]
    found = [folder / file if "/" in file else folder / "images" / file for file in files]
    return found[:FRACATLAS_FILMS]


def _wrapped(picture: Path, folder: Path) -> Path:
    """An 8-bit picture as DX, each in a study of its own."""
    with Image.open(picture) as opened:
        pixels = np.asarray(opened.convert("L"))
    name = f"{picture.parent.name} {picture.stem}"
    ds = wrap_film(pixels, uid_of=uid_of, study=name, film=name, acquired_at=ACQUIRED_AT)
    return write(folder, picture.stem, ds)


def test_what_the_node_does_not_offer_to_take_stays_with_its_sender(sent: Sent) -> None:
    """Mammography and 12-bit JPEG Extended are refused in negotiation; no row comes of them."""
    refused = {path for path, answer in sent.answers.items() if answer.status is None}
    assert refused == {path for part in NOT_OFFERED for path in sent.named(part)}
    assert len(refused) == 2
    assert [sent.lines(path) for path in refused] == [[], []]


def test_an_instance_goes_by_the_uid_of_its_data_set(sent: Sent) -> None:
    """Whatever the File Meta Information says: an SCP compares the command with the data set."""
    (path,) = sent.named(OTHER_UID)
    ds = dcmread(path, stop_before_pixels=True)
    assert ds.file_meta.MediaStorageSOPInstanceUID != ds.SOPInstanceUID
    assert sent.answers[path].taken
    assert sent.line(path).state == "done"


def test_every_film_that_is_taken_ends_in_exactly_one_outcome(sent: Sent) -> None:
    """Silence is no outcome, and neither is a probability without one."""
    taken = [path for path, answer in sent.answers.items() if answer.taken]
    assert len(taken) >= 8 + 11 + FRACATLAS_FILMS
    for path in taken:
        line = sent.line(path)
        assert line.state == "done", path.name
        assert line.findings is not None, path.name
        read = line.findings.outcome is not Outcome.NOT_PROCESSED
        assert (line.findings.fracture_probability is not None) == read, path.name
        assert (line.reason is None) == read, path.name
    for line in sent.node.jobs.images(1000):
        states = [one.state for one in sent.node.deliveries(line.study_instance_uid)]
        assert set(states) <= {"delivered"}


@pytest.mark.parametrize("part", ["RG1_chest", "DX_dog_thorax"])
def test_films_of_the_chest_are_not_read(sent: Sent, part: str) -> None:
    """Their header says what they are."""
    (path,) = sent.named(part)
    assert sent.line(path).reason is NotProcessed.BODY_PART
    assert sent.archive.objects(sent.line(path).study_instance_uid) == []


def test_one_film_has_one_probability_in_every_lossless_encoding(sent: Sent) -> None:
    """Four encoders, four decoders, the same reading; the lossy ones are read as well."""
    probabilities = {}
    for path in sent.named("RG2_hip"):
        if sent.answers[path].taken:
            findings = sent.line(path).findings
            assert findings is not None
            assert findings.fracture_probability is not None, path.name
            syntax = dcmread(path, stop_before_pixels=True).file_meta.TransferSyntaxUID
            probabilities[syntax] = findings.fracture_probability
    assert set(probabilities) > LOSSLESS
    lossless = [probabilities[syntax] for syntax in LOSSLESS]
    assert max(lossless) - min(lossless) <= 1e-6


def test_a_real_film_that_an_archive_compressed_anew_is_the_same_film(
    sent: Sent, tmp_path: Path
) -> None:
    """One header, one UID, the pixels in four lossless encodings: one reading, the other three repeat it."""
    (source,) = sent.named("hip_mono2_jpeg_lossless_sv1")
    names = ("jpeg_lossless_sv1", "j2k_lossless", "jpegls_lossless", "rle")
    paths = []
    for name in names:
        (other,) = sent.named(f"hip_mono2_{name}")
        paths.append(_with_pixels_of(source, other, tmp_path))
    for number, path in enumerate(paths, start=1):
        assert [one.taken for one in sent.node.send(path)] == [True]
        expected = ["done"] * number
        sent.node.wait_for(lambda e=expected: [one.state for one in sent.lines(paths[0])] == e)
    sent.node.wait_for(lambda: sent.node.jobs.unfinished() == 0)
    first, *again = sent.lines(paths[0])
    assert [line.same_as for line in again] == [first.id] * 3
    assert len(sent.node.revisions(first.study_instance_uid)) == 1
    assert len(sent.archive.reports(first.study_instance_uid)) == 1


def _with_pixels_of(header: Path, pixels: Path, folder: Path) -> Path:
    """A film with one's header, under UIDs of its own, and the other's pixels as they are encoded there."""
    ds, other = dcmread(header), dcmread(pixels)
    ds.StudyInstanceUID, ds.SOPInstanceUID = uid_of("compressed study"), uid_of("compressed film")
    ds.file_meta.MediaStorageSOPInstanceUID = ds.SOPInstanceUID
    ds.PixelData = other.PixelData
    ds["PixelData"].VR, ds["PixelData"].is_undefined_length = "OB", True
    ds.file_meta.TransferSyntaxUID = other.file_meta.TransferSyntaxUID
    path = folder / pixels.name
    ds.save_as(path, implicit_vr=False, little_endian=True)
    return path
