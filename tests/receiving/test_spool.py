"""Received bytes on disk: whole, named by digests, or not there."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import io
import re
import resource
from pathlib import Path

import pytest
from pydicom import dcmread

from dicom_node.durable_file import UNFINISHED, remove_unfinished, write_durably
from dicom_node.errors import NoRoomError, SpoolError
from dicom_node.receiving.spool import Spool, SpooledFile
from tests.phantoms import phantom

CR = "1.2.840.10008.5.1.4.1.1.1"
EXPLICIT = "1.2.840.10008.1.2.1"


def film() -> bytes:
    """The data set of a phantom."""
    from pynetdicom.dsutils import encode

    data = encode(phantom(), False, True)
    assert data is not None
    return data


def keep(spool: Spool, data: bytes, uid: str = "1.2.3") -> SpooledFile:
    with contextlib.closing(spool.begin(CR, uid, EXPLICIT)) as data_set:
        for at in range(0, len(data), 100_000):
            data_set.write(memoryview(data)[at : at + 100_000])
        return spool.keep(uid, data_set)


@pytest.fixture
def spool(tmp_path: Path) -> Spool:
    spool = Spool(tmp_path, 0)
    spool.prepare()
    return spool


@pytest.mark.parametrize("padding", [0, 1_000_000], ids=["small", "big"])
def test_a_data_set_is_kept_byte_for_byte_in_a_readable_file(
    spool: Spool, tmp_path: Path, padding: int
) -> None:
    """The file ends with the very bytes that came, and DICOM software reads it."""
    data = film() + b"\xfc\xff\xfc\xffOB\0\0" + padding.to_bytes(4, "little") + bytes(padding)
    kept = keep(spool, data)
    content = spool.read(kept.path)
    assert content.endswith(data)
    ds = dcmread(io.BytesIO(content))
    assert ds.file_meta.MediaStorageSOPInstanceUID == "1.2.3"
    assert ds.file_meta.TransferSyntaxUID == EXPLICIT
    assert kept.byte_count == len(data)
    assert kept.bytes_digest == hashlib.sha256(data).hexdigest()
    assert re.fullmatch(r"spool/[0-9a-f]{2}/[0-9a-f]{62}\.dcm", kept.path)
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == [tmp_path / kept.path]


def test_the_same_bytes_make_the_same_file(spool: Spool, tmp_path: Path) -> None:
    """A film sent twice lies there once; another UID or another byte is another file."""
    first = keep(spool, film())
    content = spool.read(first.path)
    assert keep(spool, film()) == first
    assert spool.read(first.path) == content
    assert keep(spool, film(), "1.2.4").path != first.path
    assert keep(spool, film() + b"\0\0").path != first.path


def test_leftovers_of_a_crash_are_removed_at_start(tmp_path: Path) -> None:
    """Half-written files go, whole ones stay."""
    spool = Spool(tmp_path, 0)
    spool.prepare()
    kept = keep(spool, film())
    (tmp_path / "spool" / f"x{UNFINISHED}").write_bytes(b"half")
    (tmp_path / kept.path).with_suffix(UNFINISHED).write_bytes(b"half")
    assert Spool(tmp_path, 0).prepare() == 2
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == [tmp_path / kept.path]


def test_without_room_nothing_is_written(tmp_path: Path) -> None:
    """The disk stays as free as the settings demand."""
    spool = Spool(tmp_path, 10**18)
    spool.prepare()
    with pytest.raises(NoRoomError, match="minimum_free_gb"):
        keep(spool, film())
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


@pytest.mark.parametrize("path", ["../x", "spool/../../x", "/etc/passwd", "spool/ab/cd.dcm", ""])
def test_only_paths_of_the_spool_are_opened(spool: Spool, path: str) -> None:
    """A path that the spool did not name leads nowhere."""
    for use in (spool.read, spool.open, spool.remove):
        with pytest.raises(SpoolError):
            use(path)


def test_a_removed_instance_is_gone_and_removing_again_is_fine(spool: Spool) -> None:
    """Retention may do its work twice."""
    kept = keep(spool, film())
    spool.remove(kept.path)
    spool.remove(kept.path)
    with pytest.raises(SpoolError):
        spool.read(kept.path)


def test_a_disk_that_fails_leaves_nothing(tmp_path: Path) -> None:
    """The system refuses bytes beyond a limit: SpoolError, and no part of the file stays."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    import signal

    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, hard))
    try:
        with pytest.raises(SpoolError) as caught:
            write_durably(tmp_path / "a" / "b.dcm", bytes(10_000))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, before)
    cause = caught.value.__cause__
    assert isinstance(cause, OSError)
    assert cause.errno == errno.EFBIG
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


def test_write_durably_replaces_a_file_whole(tmp_path: Path) -> None:
    """Parts are joined, folders made, an older file replaced, nothing left beside it."""
    path = tmp_path / "new" / "folder" / "file"
    write_durably(path, b"old")
    write_durably(path, b"ne", memoryview(b"w"))
    assert path.read_bytes() == b"new"
    assert remove_unfinished(tmp_path) == 0
    assert list(path.parent.iterdir()) == [path]
