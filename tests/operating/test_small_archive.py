"""The demo's archive: it keeps what comes under names of its own."""

from __future__ import annotations

import subprocess
import threading
from pathlib import Path

from pydicom import dcmread
from pydicom.uid import ExplicitVRLittleEndian

from dicom_node.operating.small_archive import SmallArchive
from tests.phantoms import encode, phantom
from tests.real_parts import program


def send(port: int, path: Path, called: str = "ARCHIVE") -> int:
    command = [program("storescu"), "-aec", called, "127.0.0.1", str(port), str(path)]
    return subprocess.run(command, capture_output=True, timeout=60, check=False).returncode


def test_it_names_files_by_number_and_kind(tmp_path: Path) -> None:
    """CR and DX from DCMTK: `1_cr.dcm`, `2_dx.dcm`, readable, and listed."""
    with SmallArchive(tmp_path / "in") as archive:
        for number, modality in enumerate(("CR", "DX")):
            path = tmp_path / f"{number}.dcm"
            path.write_bytes(encode(phantom(modality=modality), ExplicitVRLittleEndian))  # type: ignore[arg-type]
            assert send(archive.port, path) == 0
        arrivals = archive.wait_for(2, 5)
    assert [one.path.name for one in arrivals] == ["1_cr.dcm", "2_dx.dcm"]
    assert [one.kind for one in arrivals] == ["cr", "dx"]
    assert dcmread(arrivals[0].path).SOPInstanceUID == arrivals[0].sop_instance_uid
    assert arrivals[0].calling_ae_title == "STORESCU"


def test_another_called_title_is_rejected_and_stopping_ends_its_threads(tmp_path: Path) -> None:
    """It answers to its own name only, and leaves nothing running."""
    before = threading.active_count()
    path = tmp_path / "film.dcm"
    path.write_bytes(encode(phantom(), ExplicitVRLittleEndian))
    archive = SmallArchive(tmp_path / "in")
    archive.start()
    assert send(archive.port, path, "OTHER") != 0
    assert archive.wait_for(1, 0.1) == ()
    archive.stop()
    archive.stop()
    assert threading.active_count() <= before + 1
