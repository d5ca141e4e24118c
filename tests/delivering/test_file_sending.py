"""Files of any kind, sent as they are."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydicom import dcmread
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian

from dicom_node.delivering.file_sending import send_files
from dicom_node.errors import DestinationDownError
from dicom_node.operating.small_archive import SmallArchive
from tests.delivering.peers import destination, free_port, storescp
from tests.phantoms import encode, phantom


def test_every_file_has_its_own_result(tmp_path: Path) -> None:
    """Sent, of a class not taken, no DICOM, not there: the others still go."""
    cr, ct, text = tmp_path / "cr.dcm", tmp_path / "ct.dcm", tmp_path / "text.dcm"
    cr.write_bytes(encode(phantom(), ImplicitVRLittleEndian))
    other = phantom(seed=2)
    other.SOPClassUID = other.file_meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.2"
    ct.write_bytes(encode(other, ExplicitVRLittleEndian))
    text.write_text("hello")
    with SmallArchive(tmp_path / "in") as archive:
        paths = [text, tmp_path / "absent.dcm", ct, cr]
        results = {one.path: one for one in send_files(paths, destination(archive.port), "ME")}
    assert set(results) == set(paths)
    assert results[cr].taken
    assert [results[path].taken for path in paths[:3]] == [False, False, False]
    assert "not a DICOM file" in results[text].reason
    assert "No such file" in results[tmp_path / "absent.dcm"].reason
    assert "does not accept CT Image Storage" in results[ct].reason
    assert dcmread(archive.arrivals[0].path).PixelData == phantom().PixelData


def test_dcmtk_takes_many_files(tmp_path: Path) -> None:
    """One association, a result for each as it comes."""
    paths = []
    for seed in range(4):
        paths.append(tmp_path / f"{seed}.dcm")
        paths[-1].write_bytes(encode(phantom(seed=seed), ExplicitVRLittleEndian))
    with storescp(tmp_path / "in") as archive:
        results = list(send_files(paths, destination(archive.port), "ME"))
        assert [one.path for one in results] == paths
        assert all(one.taken for one in results)
        assert len(archive.files()) == 4


def test_nobody_there_raises(tmp_path: Path) -> None:
    """Without an association there are no results to yield."""
    path = tmp_path / "film.dcm"
    path.write_bytes(encode(phantom(), ExplicitVRLittleEndian))
    with pytest.raises(DestinationDownError, match="connection refused"):
        list(send_files([path], destination(free_port()), "ME"))
