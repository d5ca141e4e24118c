"""A real archive round the node: Orthanc routes radiographs to it and takes its results into the same study."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from pydicom import FileDataset, dcmread

from pipeline.findings import Outcome
from tests.node.films import film, study_uid, write
from tests.node.orthanc import DICOM_PORT, Orthanc, network_namespace, running_orthanc
from tests.node.report_groups import evidence
from tests.node.running_node import RunningNode, destination, running_node, settings_text
from tests.validators import dciodvfy_errors, pixelmed_says

pytestmark = pytest.mark.real_part

STUDY = "orthanc"


@dataclass(frozen=True)
class Loop:
    """Node and archive, after a study of two films went all the way round."""

    node: RunningNode
    orthanc: Orthanc
    films: tuple[FileDataset, ...]
    instances: dict[str, Path]

    def results(self, modality: str) -> list[FileDataset]:
        """What the node sent back of one kind."""
        found = [dcmread(path) for path in self.instances.values()]
        return [ds for ds in found if ds.Modality == modality]


@pytest.fixture(scope="module")
def loop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Loop]:
    folder = tmp_path_factory.mktemp("loop")
    text = settings_text(
        [destination("orthanc", DICOM_PORT)],
        node={"port": 11112},
        peers=[
            {
                "ae_title": "ORTHANC",
                "hosts": ["127.0.0.1"],
                "accept_and_ignore": ["sr", "sc"],
            }
        ],
    )
    films = (film(STUDY, modality="CR"), film(STUDY, modality="DX", seed=2, instance_number=2))
    paths = [write(folder, str(ds.Modality), ds) for ds in films]
    with (
        network_namespace() as within,
        running_node(folder / "node", text, within) as node,
        running_orthanc(folder / "orthanc", within, node.port) as orthanc,
    ):
        orthanc.store(*paths)
        node.wait_until_closed(study_uid(STUDY))
        # Both overlays and the report came back to the node, and were dropped.
        node.wait_for(lambda: len(node.jobs.notices(10)) >= 3)
        node.wait_until_done(2)
        node.wait_for(lambda: {job["State"] for job in orthanc.jobs()} == {"Success"})
        yield Loop(node, orthanc, films, orthanc.instances(study_uid(STUDY)))


def test_results_come_into_the_study_of_their_films(loop: Loop) -> None:
    """Two films, an overlay of each, one report that names both; all with the patient's own identity."""
    kinds = Counter(
        str(dcmread(path, stop_before_pixels=True).Modality) for path in loop.instances.values()
    )
    assert kinds == {"CR": 1, "DX": 1, "OT": 2, "SR": 1}
    sent = {str(ds.SOPInstanceUID) for ds in loop.films}
    (report,) = loop.results("SR")
    assert evidence(report) == sent
    overlays = loop.results("OT")
    assert {str(ds.SourceImageSequence[0].ReferencedSOPInstanceUID) for ds in overlays} == sent
    for ds in (report, *overlays):
        assert (ds.PatientID, ds.StudyInstanceUID) == (loop.films[0].PatientID, study_uid(STUDY))


def test_a_careless_archive_makes_no_loop(loop: Loop) -> None:
    """Its results were routed back: taken, dropped, shown; they never became work and made no further report."""
    lines = loop.node.jobs.images(100)
    assert {line.sop_instance_uid for line in lines} == {ds.SOPInstanceUID for ds in loop.films}
    assert {line.findings.outcome for line in lines if line.findings} == {Outcome.FRACTURE}
    assert [line.revision for line in loop.node.revisions(study_uid(STUDY))] == [1]
    notices = loop.node.jobs.notices(100)
    assert [line.text for line in notices] == ["not kept: accept_and_ignore"] * 3
    assert {line.calling_ae_title for line in notices} == {"ORTHANC"}


def test_what_the_archive_gives_out_is_valid(loop: Loop, tmp_path: Path) -> None:
    """dciodvfy finds no error that the films do not have, PixelMed none at all in the report."""
    inherited = set()
    for ds in loop.films:
        inherited |= dciodvfy_errors(loop.instances[str(ds.SOPInstanceUID)])
    for uid, path in loop.instances.items():
        assert dciodvfy_errors(path) <= inherited, uid
    (report,) = loop.results("SR")
    said = pixelmed_says([loop.instances[str(report.SOPInstanceUID)]], tmp_path)
    assert "Root Template Validation Complete" in said
    assert "Error" not in said, said
