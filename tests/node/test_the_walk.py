"""A film's whole walk: DCMTK sends it, a served node reads it, DCMTK's archive gets what was made of it."""

from __future__ import annotations

import contextlib
import copy
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from pydicom import FileDataset, dcmread
from pydicom.uid import (
    DigitalXRayImageStorageForPresentation,
    JPEG2000Lossless,
    JPEGLosslessSV1,
    RLELossless,
)

from dicom_node.work.ledger import DATABASE_NAME
from pipeline.findings import NotProcessed, Outcome
from tests.node.archive import Archive, archives
from tests.node.films import STORESCU_OPTIONS, film, renamed, study_uid, write
from tests.node.report_groups import (
    FRACTURE,
    NOT_ATTEMPTED,
    PRESENT,
    PROBABILITY,
    evidence,
    groups,
    image_groups,
    predecessors,
)
from tests.node.running_node import RunningNode, destination, running_node, settings_text
from tests.phantoms import LOSSLESS_SYNTAXES, TRANSFER_SYNTAXES, put_values, stored_values, uid_of

pytestmark = pytest.mark.real_part


@dataclass(frozen=True)
class Walk:
    """A node, the archive that gets results, and a place that wants only what was not processed."""

    node: RunningNode
    archive: Archive
    cards: Archive

    def send(self, folder: Path, **films: FileDataset) -> None:
        """DCMTK's storescu, every film answered Success."""
        paths = [write(folder, name, ds) for name, ds in films.items()]
        sent = self.node.storescu("-R", *paths)
        assert sent.returncode == 0, sent.stderr
        assert sent.stderr.count("Received Store Response (Success)") == len(paths), sent.stderr

    def settle(self, study: str, revision: int = 1) -> None:
        """Until that revision of the study is closed and all of it is delivered."""
        self.node.wait_until_closed(study_uid(study), revision)
        states = {one.state for one in self.node.deliveries(study_uid(study))}
        assert states <= {"delivered"}, self.node.command("jobs", "list").stdout

    def only_report(self, study: str) -> FileDataset:
        """The one report of a study in the archive."""
        (report,) = self.archive.reports(study_uid(study))
        return report


@pytest.fixture(scope="module")
def walk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Walk]:
    folder = tmp_path_factory.mktemp("walk")
    with archives(folder, "archive", "cards") as places:
        text = settings_text(
            [
                destination("archive", places["archive"].port, overlay_longest_side=512),
                destination(
                    "cards", places["cards"].port, objects=["sc"], overlay_for=["not processed"]
                ),
            ],
            peers=[
                {"ae_title": "MODALITY", "hosts": ["127.0.0.1"]},
                {"ae_title": "PACS", "hosts": ["127.0.0.1"], "accept_and_ignore": ["sc", "sr"]},
            ],
            model={"engine": "auto"},
        )
        with running_node(folder / "node", text) as node:
            yield Walk(node, places["archive"], places["cards"])


def test_a_study_of_three_films_is_answered_with_one_report_and_an_overlay_each(
    walk: Walk, tmp_path: Path
) -> None:
    """The report has a group for every film; every suspicious film has its overlay; nothing else is sent."""
    films = {
        "front": film("three", instance_number=1),
        "side": film("three", instance_number=2, seed=2, monochrome1=True),
        "detail": film("three", instance_number=3, modality="DX", seed=3),
    }
    walk.send(tmp_path, **films)
    walk.settle("three")
    sent = {str(ds.SOPInstanceUID) for ds in films.values()}
    report = walk.only_report("three")
    assert evidence(report) == sent
    results = image_groups(report)
    assert set(results) == sent
    for uid, group in results.items():
        (line,) = walk.node.readings(uid)
        assert line.findings is not None
        assert line.findings.outcome is Outcome.FRACTURE
        assert line.findings.fracture_probability is not None
        assert group.codes[FRACTURE] == PRESENT
        assert group.numbers[PROBABILITY] == pytest.approx(
            100 * line.findings.fracture_probability, abs=0.01
        )
        assert len([one for one in groups(report) if one.sop_instance_uid == uid]) == 1 + len(
            line.findings.visible_regions
        )
    overlays = walk.archive.overlays(study_uid("three"))
    assert {uid: len(found) for uid, found in overlays.items()} == dict.fromkeys(sent, 1)
    assert len(walk.archive.objects(study_uid("three"))) == 4
    assert walk.cards.objects(study_uid("three")) == []
    for ds in walk.archive.objects(study_uid("three")):
        assert (ds.PatientID, ds.StudyInstanceUID) == (films["front"].PatientID, study_uid("three"))


def test_a_late_film_makes_a_second_report_that_names_the_first(walk: Walk, tmp_path: Path) -> None:
    """Revision 2 is another instance on all films; the first one's overlay is not made again."""
    first, late = film("late", instance_number=1), film("late", instance_number=2, seed=2)
    walk.send(tmp_path, first=first)
    walk.settle("late")
    walk.send(tmp_path, late=late)
    walk.settle("late", 2)
    before, after = walk.archive.reports(study_uid("late"))
    assert after.SOPInstanceUID != before.SOPInstanceUID
    assert predecessors(before) == []
    assert predecessors(after) == [before.SOPInstanceUID]
    assert evidence(before) == {first.SOPInstanceUID}
    assert evidence(after) == {first.SOPInstanceUID, late.SOPInstanceUID}
    overlays = walk.archive.overlays(study_uid("late"))
    assert [len(overlays[ds.SOPInstanceUID]) for ds in (first, late)] == [1, 1]


def test_an_overlay_arrives_before_its_study_is_closed(walk: Walk, tmp_path: Path) -> None:
    """What belongs to one film is sent at once, while more of the study comes in."""
    ds = film("overlay first")
    uid = str(ds.SOPInstanceUID)
    with _kept_open(walk, "overlay first", tmp_path):
        walk.send(tmp_path, film=ds)
        walk.node.wait_for(
            lambda: any(one.state == "delivered" for one in walk.node.readings(uid)[0].deliveries)
        )
        assert walk.node.revisions(study_uid("overlay first")) == []
        assert list(walk.archive.overlays(study_uid("overlay first"))) == [uid]
    walk.settle("overlay first")
    assert uid in evidence(walk.only_report("overlay first"))


@contextlib.contextmanager
def _kept_open(walk: Walk, study: str, folder: Path) -> Iterator[None]:
    """Other films of the study keep coming: chest films, which cost no reading."""
    stop = threading.Event()

    def keep_sending() -> None:
        number = 1
        while not stop.wait(0.2) and number < 200:
            number += 1
            ds = film(study, rows=64, columns=64, instance_number=number)
            ds.BodyPartExamined = "CHEST"
            walk.node.send(write(folder, f"chest {number}", ds))

    thread = threading.Thread(target=keep_sending)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def test_a_study_with_nothing_in_scope_gets_no_report(walk: Walk, tmp_path: Path) -> None:
    """It is shown as that, and who asked for pictures of what was not processed has one."""
    ds = film("chest")
    ds.BodyPartExamined = "CHEST"
    walk.send(tmp_path, chest=ds)
    walk.settle("chest")
    assert walk.archive.objects(study_uid("chest")) == []
    assert list(walk.cards.overlays(study_uid("chest"))) == [ds.SOPInstanceUID]
    listed = walk.node.command("jobs", "list").stdout
    (line,) = [line for line in listed.splitlines() if study_uid("chest") in line]
    assert "no report: nothing in scope" in line


def test_polarity_does_not_change_a_reading(walk: Walk, tmp_path: Path) -> None:
    """MONOCHROME1 and MONOCHROME2 of the same film have the same probability."""
    plain, inverse = film("polarity"), film("polarity", monochrome1=True)
    walk.send(tmp_path, plain=plain, inverse=inverse)
    walk.settle("polarity")
    probabilities = [_probability(walk, ds) for ds in (plain, inverse)]
    assert probabilities[0] == pytest.approx(probabilities[1], abs=1e-4)


def test_every_transfer_syntax_is_read_and_lossless_ones_alike(walk: Walk, tmp_path: Path) -> None:
    """One film as another instance in each: DCMTK sends what it can, our own Storage SCU the rest."""
    films = {syntax: renamed(film("syntaxes"), syntax) for syntax in TRANSFER_SYNTAXES}
    for number, (syntax, ds) in enumerate(films.items()):
        path = write(tmp_path, str(number), ds, syntax)
        option = STORESCU_OPTIONS.get(syntax)
        if option is None:
            (ours,) = walk.node.send(path)
            assert ours.taken, (syntax.name, ours.reason)
        else:
            sent = walk.node.storescu("-R", option, path)
            assert sent.returncode == 0, (syntax.name, sent.stderr)
    walk.settle("syntaxes")
    assert evidence(walk.only_report("syntaxes")) == {str(ds.SOPInstanceUID) for ds in films.values()}
    probabilities = {syntax: _probability(walk, films[syntax]) for syntax in LOSSLESS_SYNTAXES}
    assert max(probabilities.values()) - min(probabilities.values()) < 1e-6, probabilities


def _probability(walk: Walk, ds: FileDataset) -> float:
    findings = walk.node.readings(str(ds.SOPInstanceUID))[-1].findings
    assert findings is not None
    assert findings.fracture_probability is not None
    return findings.fracture_probability


def test_the_same_film_compressed_without_loss_is_no_new_film(walk: Walk, tmp_path: Path) -> None:
    """An archive that re-compresses and sends again causes no reading, no overlay, no report."""
    ds = film("again")
    walk.send(tmp_path, film=ds)
    walk.settle("again")
    for syntax in (JPEGLosslessSV1, JPEG2000Lossless, RLELossless):
        path = write(tmp_path, "again", ds, syntax)
        assert walk.node.storescu("-R", STORESCU_OPTIONS[syntax], path).returncode == 0
    walk.node.wait_for(
        lambda: [line.state for line in walk.node.readings(ds.SOPInstanceUID)] == ["done"] * 4
    )
    walk.node.wait_for(lambda: walk.node.jobs.unfinished() == 0)
    first, *others = walk.node.readings(ds.SOPInstanceUID)
    assert [line.same_as for line in others] == [first.id] * 3
    assert first.same_as is None
    assert [line.deliveries for line in others] == [()] * 3
    assert len(walk.node.revisions(study_uid("again"))) == 1
    assert len(walk.archive.objects(study_uid("again"))) == 2
    assert walk.node.command("jobs", "list").stdout.count(f"same film as {first.id[:8]}") == 3


def test_the_same_bytes_again_are_nothing(walk: Walk, tmp_path: Path) -> None:
    """A sender that did not hear Success and sends again gets Success, and nothing happens twice."""
    ds = film("bytes again")
    walk.send(tmp_path, film=ds)
    walk.settle("bytes again")
    walk.send(tmp_path, film=ds)
    walk.node.wait_for(lambda: walk.node.jobs.unfinished() == 0)
    assert len(walk.node.readings(ds.SOPInstanceUID)) == 1
    assert len(walk.archive.objects(study_uid("bytes again"))) == 2


def test_a_corrected_header_is_composed_anew_from_the_same_reading(walk: Walk, tmp_path: Path) -> None:
    """Overlay and report come as other instances with the right name; the findings are those of before."""
    wrong = film("corrected")
    right = copy.deepcopy(wrong)
    right.PatientName = "CORRECTED^NAME"
    walk.send(tmp_path, wrong=wrong)
    walk.settle("corrected")
    walk.send(tmp_path, right=right)
    walk.settle("corrected", 2)
    first, second = walk.node.readings(wrong.SOPInstanceUID)
    assert (first.findings, second.same_as) == (second.findings, None)
    before, after = walk.archive.reports(study_uid("corrected"))
    assert (before.PatientName, after.PatientName) == (wrong.PatientName, right.PatientName)
    assert predecessors(after) == [before.SOPInstanceUID]
    assert before.SOPInstanceUID != after.SOPInstanceUID
    overlays = walk.archive.overlays(study_uid("corrected"))[wrong.SOPInstanceUID]
    assert {str(ds.PatientName) for ds in overlays} == {"PHANTOM^SYNTHETIC", "CORRECTED^NAME"}
    assert len({ds.SOPInstanceUID for ds in overlays}) == 2


def test_other_pixels_under_the_same_uid_are_read_anew(walk: Walk, tmp_path: Path) -> None:
    """The new reading is the film's second, and the new report says what it replaces."""
    old = film("other pixels")
    new = copy.deepcopy(old)
    put_values(new, stored_values(new)[:, ::-1], 12)
    walk.send(tmp_path, old=old)
    walk.settle("other pixels")
    walk.send(tmp_path, new=new)
    walk.settle("other pixels", 2)
    first, second = walk.node.readings(old.SOPInstanceUID)
    assert (first.revision, second.revision, second.same_as) == (1, 2, None)
    assert first.findings != second.findings
    before, after = walk.archive.reports(study_uid("other pixels"))
    assert predecessors(after) == [before.SOPInstanceUID]
    assert evidence(after) == {old.SOPInstanceUID}
    assert len(walk.archive.overlays(study_uid("other pixels"))[old.SOPInstanceUID]) == 2


def test_an_image_for_processing_stays_out_of_the_report_where_its_twin_came(
    walk: Walk, tmp_path: Path
) -> None:
    """The same exposure for presentation is read; the other has its outcome and is not reported."""
    processing = film("twins", modality="DX", for_processing=True)
    presentation = film("twins", modality="DX")
    walk.send(tmp_path, processing=processing, presentation=presentation)
    walk.settle("twins")
    assert evidence(walk.only_report("twins")) == {presentation.SOPInstanceUID}
    (line,) = walk.node.readings(processing.SOPInstanceUID)
    assert line.reason is NotProcessed.FOR_PROCESSING


def test_an_image_for_processing_without_its_twin_is_reported_as_not_attempted(
    walk: Walk, tmp_path: Path
) -> None:
    """Beside a film that was read, its absence would look like a reading; alone it makes no report."""
    processing = film("no twin", modality="DX", for_processing=True)
    other = film("no twin", modality="CR", seed=2)
    alone = film("alone", modality="DX", for_processing=True)
    walk.send(tmp_path, processing=processing, other=other, alone=alone)
    walk.settle("no twin")
    walk.settle("alone")
    results = image_groups(walk.only_report("no twin"))
    assert set(results) == {processing.SOPInstanceUID, other.SOPInstanceUID}
    assert NOT_ATTEMPTED in results[processing.SOPInstanceUID].codes.values()
    assert PROBABILITY not in results[processing.SOPInstanceUID].numbers
    assert walk.archive.objects(study_uid("alone")) == []


def test_its_own_results_are_no_work_when_they_come_back(walk: Walk, tmp_path: Path) -> None:
    """Refused from a peer that is not known for it, taken and dropped from one that is; a row in no case."""
    walk.send(tmp_path, film=film("loop"))
    walk.settle("loop")
    results = [Path(ds.filename) for ds in walk.archive.objects(study_uid("loop"))]
    assert len(results) == 2
    before = len(walk.node.jobs.images(1000))
    refused = walk.node.storescu("-R", *results)
    assert refused.returncode != 0
    assert "No Acceptable Presentation Contexts" in refused.stderr
    taken = walk.node.storescu("-R", *results, calling="PACS")
    assert taken.returncode == 0, taken.stderr
    assert taken.stderr.count("Received Store Response (Success)") == 2
    walk.node.wait_for(lambda: walk.node.jobs.unfinished() == 0)
    assert len(walk.node.jobs.images(1000)) == before
    assert len(walk.archive.objects(study_uid("loop"))) == 2
    noted = [line.text for line in walk.node.jobs.notices(2)]
    assert noted == ["not kept: accept_and_ignore"] * 2


def test_its_own_overlay_in_a_radiographs_clothes_is_known(walk: Walk, tmp_path: Path) -> None:
    """Re-wrapped as DX under another UID it is taken, never read, and starts no further report or picture."""
    source = film("disguise")
    walk.send(tmp_path, film=source)
    walk.settle("disguise")
    (overlay,) = walk.archive.overlays(study_uid("disguise"))[source.SOPInstanceUID]
    disguised = dcmread(overlay.filename)
    disguised.SOPClassUID = DigitalXRayImageStorageForPresentation
    disguised.SOPInstanceUID = uid_of("disguised")
    disguised.Modality = "DX"
    disguised.file_meta.MediaStorageSOPClassUID = disguised.SOPClassUID
    disguised.file_meta.MediaStorageSOPInstanceUID = disguised.SOPInstanceUID
    path = tmp_path / "disguised.dcm"
    disguised.save_as(path)
    assert walk.node.storescu("-R", path).returncode == 0
    walk.node.wait_for(lambda: bool(walk.node.readings(uid_of("disguised"))))
    walk.node.wait_for(lambda: walk.node.jobs.unfinished() == 0)
    (line,) = walk.node.readings(uid_of("disguised"))
    assert (line.reason, line.deliveries) == (NotProcessed.OWN_RESULT, ())
    assert len(walk.node.revisions(study_uid("disguise"))) == 1
    assert len(walk.archive.objects(study_uid("disguise"))) == 2
    assert walk.cards.objects(study_uid("disguise")) == []


def test_no_patient_is_named_in_log_or_ledger(walk: Walk, tmp_path: Path) -> None:
    """What the processes log and what the database holds may be shown to whoever runs the node."""
    ds = film("named", patient_id="IDENTIFIED-77")
    ds.PatientName = "UNMISTAKABLE^NAME"
    # pydicom quotes a value that is not valid.
    ds["PatientBirthDate"]._value = "UNMISTAKABLE"
    walk.send(tmp_path, film=ds)
    walk.settle("named")
    assert walk.only_report("named").PatientName == "UNMISTAKABLE^NAME"
    files = [walk.node.folder / "log.txt", *walk.node.data.glob(f"{DATABASE_NAME}*")]
    assert len(files) >= 2
    for path in files:
        held = path.read_bytes()
        assert b"UNMISTAKABLE" not in held, path.name
        assert b"IDENTIFIED-77" not in held, path.name
