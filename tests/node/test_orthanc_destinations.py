"""A whole node with three kinds of destinations: Orthanc by C-STORE with commitment and by STOW-RS, and a folder."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import pytest
from pydicom import dcmread

from dicom_node.work.job_list import DeliveryLine
from tests.node.films import film, study_uid, write
from tests.node.orthanc import (
    DICOM_PORT,
    HTTP_PORT,
    Orthanc,
    network_namespace,
    running_orthanc,
)
from tests.node.running_node import RunningNode, destination, running_node, settings_text
from tests.real_parts import dicomweb_plugin

pytestmark = pytest.mark.real_part

STUDY = "destinations"


@dataclass(frozen=True)
class Delivered:
    """Node and archive, after every object of a study reached all three."""

    node: RunningNode
    orthanc: Orthanc
    folder: Path
    instances: dict[str, Path]

    def lines(self, name: str) -> dict[str, DeliveryLine]:
        """The deliveries to a destination, by SOP Instance UID."""
        return {line.sop_instance_uid: line for line in self.node.deliveries(study_uid(STUDY), name)}

    def composed(self) -> dict[str, bytes]:
        """Every object of the outbox, by SOP Instance UID."""
        found = [path.read_bytes() for path in (self.node.data / "outbox").rglob("*.dcm")]
        return {str(dcmread(BytesIO(data)).SOPInstanceUID): data for data in found}


@pytest.fixture(scope="module")
def delivered(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Delivered]:
    tmp = tmp_path_factory.mktemp("destinations")
    root = f"http://127.0.0.1:{HTTP_PORT}/dicom-web"
    text = settings_text(
        [
            destination("orthanc", DICOM_PORT, storage_commitment=True, ask_before_sending_again=True),
            # Another size of overlay, so that these objects come by no other way.
            {"name": "web", "kind": "dicomweb", "url": root, "overlay_longest_side": 300},
            {"name": "research", "kind": "folder", "path": str(tmp / "research")},
        ],
        node={"port": 11112},
        peers=[{"ae_title": "MODALITY", "hosts": ["127.0.0.1"]}],
    )
    path = write(tmp, "film", film(STUDY))
    with (
        network_namespace() as within,
        running_node(tmp / "node", text, within) as node,
        running_orthanc(tmp / "orthanc", within, node.port, [dicomweb_plugin()]) as orthanc,
    ):
        sent = node.storescu(path)
        assert sent.returncode == 0, sent.stderr
        node.wait_until_closed(study_uid(STUDY))
        node.wait_until_done(1)
        node.wait_for(
            lambda: all(
                line.commitment == "committed" for line in node.deliveries(study_uid(STUDY), "orthanc")
            )
        )
        yield Delivered(node, orthanc, tmp / "research", orthanc.instances(study_uid(STUDY)))


def test_orthanc_takes_responsibility(delivered: Delivered) -> None:
    """It reports on an association of its own, although it is no peer and may store nothing."""
    lines = delivered.lines("orthanc")
    assert {(line.kind, line.state, line.commitment) for line in lines.values()} == {
        ("sc", "delivered", "committed"),
        ("sr", "delivered", "committed"),
    }
    assert "storage commitment reported by orthanc" in delivered.node.log
    assert lines.keys() <= delivered.instances.keys()
    assert "sc to orthanc: delivered, committed" in delivered.node.command("jobs", "list").stdout


def test_stow_brings_the_bytes_as_composed(delivered: Delivered) -> None:
    """What Orthanc gives out again is what lies in the outbox."""
    lines, composed = delivered.lines("web"), delivered.composed()
    assert {(line.kind, line.state) for line in lines.values()} == {
        ("sc", "delivered"),
        ("sr", "delivered"),
    }
    (overlay,) = [uid for uid, line in lines.items() if line.kind == "sc"]
    assert overlay not in delivered.lines("orthanc")
    assert delivered.instances[overlay].read_bytes() == composed[overlay]


def test_the_folder_holds_the_bytes_as_composed(delivered: Delivered) -> None:
    """One folder for the study; report and overlay are told apart by their names."""
    composed = delivered.composed()
    files = sorted(path for path in delivered.folder.rglob("*") if path.is_file())
    assert {path.name.partition("-")[0] for path in files} == {"sc", "sr"}
    assert len({path.parent for path in files}) == 1
    assert {path.read_bytes() for path in files} == {
        composed[uid] for uid in delivered.lines("research")
    }


def test_check_asks_each_kind_in_its_own_way(delivered: Delivered) -> None:
    """C-ECHO, a question to the server, a look at the folder."""
    said = delivered.node.command("check").stdout
    for words in ("ORTHANC@127.0.0.1:4242 answers", "/dicom-web answers", "can be written to"):
        assert words in said
    assert "will arrive: sr as Comprehensive 3D SR Storage, sc, storage commitment can be asked" in said
