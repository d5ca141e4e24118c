"""What the receiver reads of a data set before it takes it."""

from __future__ import annotations

import contextlib
import io
import os
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom.dataset import Dataset
from pydicom.uid import DeflatedExplicitVRLittleEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian
from pynetdicom.dsutils import encode

from dicom_node.dimse_status import StoreStatus
from dicom_node.receiving.header import (
    HeaderRefusedError,
    InstanceHeader,
    check_command,
    is_uid,
    read_header,
)

CR = "1.2.840.10008.5.1.4.1.1.1"


class CountingStream(io.BytesIO):
    """Counts the bytes that are read of it."""

    read_count = 0

    def read(self, size: int | None = -1) -> bytes:
        data = super().read(size)
        self.read_count += len(data)
        return data


def data_set(**values: str | None) -> Dataset:
    ds = Dataset()
    ds.SOPClassUID, ds.SOPInstanceUID, ds.Modality = CR, "1.2.3", "CR"
    ds.PatientName = "Nobody"
    ds.StudyInstanceUID, ds.SeriesInstanceUID = "1.2.4", "1.2.5"
    for keyword, value in values.items():
        if value is None:
            delattr(ds, keyword)
        else:
            ds[keyword]._value = value
    ds.add_new("PixelData", "OW", bytes(2_000_000))
    return ds


def encoded(ds: Dataset, syntax: str = ExplicitVRLittleEndian) -> bytes:
    from pydicom.uid import UID

    uid = UID(syntax)
    data = encode(ds, uid.is_implicit_VR, uid.is_little_endian, uid.is_deflated)
    assert data is not None
    return data


def header_of(data: bytes, syntax: str = ExplicitVRLittleEndian, uid: str = "1.2.3") -> InstanceHeader:
    return read_header(io.BytesIO(data), syntax, CR, uid)


def status_of(call: Callable[[], InstanceHeader]) -> StoreStatus:
    with pytest.raises(HeaderRefusedError) as caught:
        call()
    return caught.value.status


@pytest.mark.parametrize(
    "syntax",
    [
        ExplicitVRLittleEndian,
        ImplicitVRLittleEndian,
        DeflatedExplicitVRLittleEndian,
        "1.2.840.10008.1.2.2",
        "1.2.840.10008.1.2.4.70",
    ],
)
def test_the_header_is_read_in_every_encoding(syntax: str) -> None:
    """Implicit, explicit, big endian, deflated, compressed: the same five values."""
    ds = data_set()
    if syntax == "1.2.840.10008.1.2.2":
        del ds.PixelData
    header = header_of(encoded(ds, syntax), syntax)
    assert header == InstanceHeader(CR, "1.2.3", "1.2.4", "1.2.5", "CR")


def test_pixels_are_not_read() -> None:
    """Reading a header touches a few hundred bytes of a big data set."""
    stream = CountingStream(encoded(data_set()))
    read_header(stream, ExplicitVRLittleEndian, CR, "1.2.3")
    assert stream.read_count < 1000


def test_uids_that_differ_from_the_command_are_a900() -> None:
    """The data set's SOP Class and Instance UID must be those of the C-STORE-RQ."""
    expected = StoreStatus.DATA_SET_DOES_NOT_MATCH_SOP_CLASS
    assert status_of(lambda: header_of(encoded(data_set()), uid="1.2.999")) == expected
    other = encoded(data_set(SOPClassUID="1.2.840.10008.5.1.4.1.1.2"))
    assert status_of(lambda: header_of(other)) == expected


@pytest.mark.parametrize(
    "keyword", ["SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID"]
)
@pytest.mark.parametrize("value", [None, "", "1.2.../../x", "1.2.", "abc", "1." + "2" * 70])
def test_uids_missing_or_malformed_are_c000(keyword: str, value: str | None) -> None:
    """No study can be filed without them."""
    data = encoded(data_set(**{keyword: value}))
    assert status_of(lambda: header_of(data)) == StoreStatus.CANNOT_UNDERSTAND


def test_leading_zeros_in_a_uid_are_tolerated() -> None:
    """PS3.5 9.1 forbids them, real films have them."""
    header = header_of(encoded(data_set(SOPInstanceUID="1.2.0003")), uid="1.2.0003")
    assert header.sop_instance_uid == "1.2.0003"
    assert is_uid("1.02.3")
    assert not is_uid("1.2\n")


@pytest.mark.parametrize("uid", ["../../x", "", "1.2\n", "1" * 65])
def test_a_malformed_uid_in_the_command_is_c000(uid: str) -> None:
    """Whatever the data set says."""
    for uids in ((CR, uid), (uid, "1.2.3")):
        with pytest.raises(HeaderRefusedError) as caught:
            check_command(*uids)
        assert caught.value.status == StoreStatus.CANNOT_UNDERSTAND
    check_command(CR, "1.02.3")


def test_a_strange_modality_is_left_out() -> None:
    """It goes into lists that people read: only a code string does."""
    assert header_of(encoded(data_set(Modality="<b>x</b>"))).modality == ""


@pytest.mark.parametrize(
    "syntax", [ExplicitVRLittleEndian, ImplicitVRLittleEndian, DeflatedExplicitVRLittleEndian]
)
def test_noise_is_c000(syntax: str) -> None:
    """Bytes that are no data set are refused, not stored and not a crash."""
    for data in (b"", b"\xff" * 4096, os.urandom(4096), b"GET / HTTP/1.1\r\n\r\n"):
        assert status_of(lambda data=data: header_of(data, syntax)) == StoreStatus.CANNOT_UNDERSTAND  # type: ignore[misc]


@settings(deadline=None)
@given(st.integers(0, 300), st.binary(min_size=1, max_size=12))
def test_a_damaged_header_is_read_or_refused(at: int, damage: bytes) -> None:
    """Whatever bytes are overwritten, the outcome is the announced instance or a refusal, never another error."""
    good = encoded(data_set())
    damaged = good[:at] + damage + good[at + len(damage) :]
    with contextlib.suppress(HeaderRefusedError):
        assert header_of(damaged).sop_instance_uid == "1.2.3"
