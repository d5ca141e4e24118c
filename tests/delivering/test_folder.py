"""A folder as a destination: whole files, named by digests only."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest
from pydicom.uid import ExplicitVRLittleEndian

from dicom_node.delivering.object_sender import sender_to
from dicom_node.delivering.reachability import reach
from dicom_node.errors import DestinationDownError, ObjectRefusedError
from dicom_node.settings import FolderDestination
from tests.delivering.full_disk import full_disk
from tests.phantoms import encode, phantom


def folder(path: Path) -> FolderDestination:
    """A destination of that kind."""
    return FolderDestination(name="research", kind="folder", path=path)


def source(tmp_path: Path, seed: int = 1) -> Path:
    """A DICOM file."""
    path = tmp_path / f"{seed}.dcm"
    path.write_bytes(encode(phantom(seed=seed), ExplicitVRLittleEndian))
    return path


def files(place: FolderDestination) -> list[Path]:
    """What lies in it."""
    return sorted(path for path in place.path.rglob("*") if path.is_file())


def test_a_file_lies_in_its_studys_folder_byte_for_byte(tmp_path: Path) -> None:
    """The study's folder can be found from its UID; nothing of the wire is in a name."""
    film, place = source(tmp_path), folder(tmp_path / "results" / "node")
    with sender_to(place, "FRACTURE", []) as sender:
        assert sender.accepted is None
        assert sender.send(film) == 0
    (found,) = files(place)
    assert found.read_bytes() == film.read_bytes()
    study = hashlib.sha256(str(phantom().StudyInstanceUID).encode()).hexdigest()
    assert study.startswith(found.parent.name)
    assert len(found.parent.name) == 32
    assert found.name == f"other-{hashlib.sha256(film.read_bytes()).hexdigest()[:32]}.dcm"


def test_the_same_bytes_again_are_delivered_and_left_alone(tmp_path: Path) -> None:
    """Nothing is written; a file that something spoiled is written anew."""
    film, place = source(tmp_path), folder(tmp_path / "results")
    with sender_to(place, "FRACTURE", []) as sender:
        sender.send(film)
        (found,) = files(place)
        os.utime(found, (1, 1))
        assert sender.send(film) == 0
        assert found.stat().st_mtime == 1
        found.write_bytes(b"spoiled")
        assert sender.send(film) == 0
    assert files(place) == [found]
    assert found.read_bytes() == film.read_bytes()


def test_a_full_disk_is_down_and_leaves_nothing_half_written(tmp_path: Path) -> None:
    """The delivery waits; when there is room again it goes."""
    film = source(tmp_path)
    with full_disk(tmp_path / "disk") as disk:
        place = folder(disk / "results")
        with sender_to(place, "FRACTURE", []) as sender:
            with pytest.raises(DestinationDownError, match="No space left"):
                sender.send(film)
            assert files(place) == []
            (disk / "ballast").unlink()
            assert sender.send(film) == 0
        assert [path.read_bytes() for path in files(place)] == [film.read_bytes()]


def test_what_is_no_dicom_file_is_refused(tmp_path: Path) -> None:
    """And named so."""
    text = tmp_path / "text.dcm"
    text.write_text("hello")
    with (
        sender_to(folder(tmp_path / "results"), "FRACTURE", []) as sender,
        pytest.raises(ObjectRefusedError, match="not a DICOM file"),
    ):
        sender.send(text)


def test_a_folder_that_is_a_file_is_down_and_says_so(tmp_path: Path) -> None:
    """`check` and `echo` name what is in the way; a folder that is still missing is fine."""
    (tmp_path / "file").write_text("")
    place = folder(tmp_path / "file" / "results")
    with (
        sender_to(place, "FRACTURE", []) as sender,
        pytest.raises(DestinationDownError, match="cannot write"),
    ):
        sender.send(source(tmp_path))
    assert reach(place, "FRACTURE").reason == f"{tmp_path / 'file'} is no folder"
    assert reach(folder(tmp_path / "new" / "results"), "FRACTURE").answered
