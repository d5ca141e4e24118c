"""C-ECHO: a round trip, or the reason why there is none."""

from __future__ import annotations

from pathlib import Path

from dicom_node.delivering.verification import verify
from dicom_node.operating.small_archive import SmallArchive
from tests.delivering.peers import destination, free_port, storescp


def test_dcmtk_answers(tmp_path: Path) -> None:
    """The round trip is measured."""
    with storescp(tmp_path / "in") as archive:
        result = verify(destination(archive.port), "FRACTURE")
    assert result.answered
    assert result.milliseconds is not None
    assert 0 < result.milliseconds < 5000


def test_why_not_is_said() -> None:
    """Nothing is raised; the reason is for people."""
    result = verify(destination(free_port()), "FRACTURE")
    assert (result.answered, result.milliseconds) == (False, None)
    assert "connection refused" in result.reason


def test_a_rejection_is_no_answer(tmp_path: Path) -> None:
    """An archive that does not know the AE title is there, and says no."""
    with SmallArchive(tmp_path / "in", ae_title="OTHER") as archive:
        result = verify(destination(archive.port), "FRACTURE")
    assert not result.answered
    assert "rejected" in result.reason
