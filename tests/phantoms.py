"""Phantoms for tests: one film in many headers and in every transfer syntax that the node accepts.

`phantom()` is a small drawn film, `header_case(name)` one with something unusual in its header, `encode(ds, syntax)`
the bytes of its DICOM file. Nothing is read from disk and nothing is random.
"""

from __future__ import annotations

import copy
import uuid
from collections.abc import Callable
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset, FileDataset
from pydicom.sequence import Sequence
from pydicom.tag import Tag

from dicom_node.operating.phantoms import phantom_instance
from tests.encodings import LOSSLESS_SYNTAXES, LOSSY_SYNTAXES, TRANSFER_SYNTAXES, encode
from tests.phantom_values import put_values, scale_window, stored_values

__all__ = [
    "ACQUIRED_AT",
    "GREY_CASES",
    "HEADER_CASES",
    "LOSSLESS_SYNTAXES",
    "LOSSY_SYNTAXES",
    "TRANSFER_SYNTAXES",
    "encode",
    "header_case",
    "phantom",
    "put_values",
    "scale_window",
    "stored_values",
    "uid_of",
]

ROWS, COLUMNS = 256, 208
ACQUIRED_AT = datetime(2024, 5, 6, 7, 8, 9, tzinfo=UTC)
_NAMESPACE = uuid.UUID("0b5f6c1e-94a3-4d3b-8f5e-9c1f4c6f2a10")


def uid_of(key: str) -> str:
    """The same key, the same UID, on every machine."""
    return f"2.25.{uuid.uuid5(_NAMESPACE, key).int}"


def phantom(
    *,
    modality: Literal["CR", "DX"] = "CR",
    broken: bool = True,
    seed: int = 1,
    study: str = "tests",
    acquired_at: datetime = ACQUIRED_AT,
    rows: int = ROWS,
    columns: int = COLUMNS,
    **more: Any,
) -> FileDataset:
    """A small phantom; every argument of `phantom_instance` may be given.

    A hand unless told: of the drawn limbs it is the one that every gate of pixels takes for a film.
    """
    given = {"broken": broken, "seed": seed, "study": study, "rows": rows, "columns": columns}
    made = _drawn(modality, acquired_at, **{"limb": "hand", **given, **more})
    # What is drawn once may be changed by each test.
    return copy.deepcopy(made)


@lru_cache(maxsize=64)
def _drawn(modality: Literal["CR", "DX"], acquired_at: datetime, **more: Any) -> FileDataset:
    return phantom_instance(modality=modality, acquired_at=acquired_at, uid_of=uid_of, **more)


def header_case(name: str, **more: Any) -> FileDataset:
    """A phantom with the header case `name` applied; SOP Instance UID of its own. `more` goes to `phantom`."""
    ds = phantom(**more)
    ds.SOPInstanceUID = uid_of(f"{ds.SOPInstanceUID} {name}")
    HEADER_CASES[name](ds)
    ds.file_meta.MediaStorageSOPInstanceUID = ds.SOPInstanceUID
    return ds


# --- header cases ---------------------------------------------------------------------------------


def _set(**values: Any) -> Callable[[Dataset], None]:
    """A case that only sets attributes; None removes one."""

    def apply(ds: Dataset) -> None:
        for keyword, value in values.items():
            if value is None:
                if keyword in ds:
                    delattr(ds, keyword)
            else:
                setattr(ds, keyword, value)

    return apply


def _verbatim(tag: int, vr: str, value: bytes) -> Callable[[Dataset], None]:
    """A case that writes bytes which pydicom would refuse as a value."""

    def apply(ds: Dataset) -> None:
        padded = value + b" " * (len(value) % 2)
        ds[tag] = RawDataElement(Tag(tag), vr, len(padded), padded, 0, False, True)

    return apply


def _lut(entries: npt.NDArray[np.uint16], first: int, bits: int) -> Dataset:
    """An item of a LUT sequence (PS3.3 C.11.1, C.11.2)."""
    item = Dataset()
    item.add_new("LUTDescriptor", "US", [len(entries) % 65536, first, bits])
    item.add_new("LUTData", "OW", entries.astype("<u2").tobytes())
    return item


def _voi_lut() -> Dataset:
    """A curve from 200 to 3800 that is no straight line."""
    share = np.linspace(0.0, 1.0, 3601)
    return _lut(np.rint(1023 * share**1.5).astype(np.uint16), 200, 10)


def _voi_lut_only(ds: Dataset) -> None:
    _set(WindowCenter=None, WindowWidth=None)(ds)
    ds.VOILUTSequence = Sequence([_voi_lut()])


def _window_and_voi_lut(ds: Dataset) -> None:
    ds.VOILUTSequence = Sequence([_voi_lut()])


def _modality_lut(ds: Dataset) -> None:
    entries = np.rint(4095 * np.sqrt(np.linspace(0.0, 1.0, 4096))).astype(np.uint16)
    item = _lut(entries, 0, 16)
    item.ModalityLUTType = "US"
    ds.ModalityLUTSequence = Sequence([item])
    _set(RescaleSlope=None, RescaleIntercept=None, RescaleType=None)(ds)


def _rescale(ds: Dataset) -> None:
    ds.RescaleSlope, ds.RescaleIntercept, ds.RescaleType = 2, -100, "US"
    scale_window(ds, 2, -100)


def _padding(ds: Dataset) -> None:
    """Corners beyond a turned plate, filled with a value that no tissue has; no window, so that it matters."""
    values = stored_values(ds).copy()
    y, x = np.mgrid[: ds.Rows, : ds.Columns]
    values[(x + y < 40) | (x + y > ds.Rows + ds.Columns - 42)] = 4090
    put_values(
        ds,
        np.where(
            (values == 4090) & ~((x + y < 40) | (x + y > ds.Rows + ds.Columns - 42)), 4089, values
        ),
        12,
    )
    ds.add_new("PixelPaddingValue", "US", 4090)
    _set(WindowCenter=None, WindowWidth=None)(ds)


def _shutter(ds: Dataset) -> None:
    """A shutter over a frame in which something very bright was left."""
    values = stored_values(ds).copy()
    values[:12], values[:, :10] = 4095, 4095
    put_values(ds, values, 12)
    ds.ShutterShape = "RECTANGULAR"
    ds.ShutterUpperHorizontalEdge, ds.ShutterLowerHorizontalEdge = 13, ds.Rows
    ds.ShutterLeftVerticalEdge, ds.ShutterRightVerticalEdge = 11, ds.Columns
    _set(WindowCenter=None, WindowWidth=None)(ds)


def _collimator(ds: Dataset) -> None:
    """The blades' place in the header, over the dark border that the drawn blades left."""
    ds.CollimatorShape = "RECTANGULAR"
    ds.CollimatorUpperHorizontalEdge, ds.CollimatorLowerHorizontalEdge = 12, ds.Rows - 11
    ds.CollimatorLeftVerticalEdge, ds.CollimatorRightVerticalEdge = 16, ds.Columns - 15


def _collimator_elsewhere(ds: Dataset) -> None:
    """Edges in millimetres from the centre, as a real chest film has them: they would hide the limb."""
    ds.CollimatorShape = "RECTANGULAR"
    ds.CollimatorUpperHorizontalEdge, ds.CollimatorLowerHorizontalEdge = ds.Rows // 2, ds.Rows
    ds.CollimatorLeftVerticalEdge, ds.CollimatorRightVerticalEdge = -60, 60


def _signed(ds: Dataset) -> None:
    put_values(ds, (stored_values(ds).astype(np.int16) - 2048).astype(np.int16), 12)
    scale_window(ds, 1, -2048)


def _eight_bit(ds: Dataset) -> None:
    put_values(ds, (stored_values(ds) >> 4).astype(np.uint8), 8)
    scale_window(ds, 1 / 16)


def _sixteen_bit(ds: Dataset) -> None:
    put_values(ds, (stored_values(ds) * 16 + 7).astype(np.uint16), 16)
    scale_window(ds, 16, 7)


def _overlay_bit(ds: Dataset) -> None:
    """A retired overlay in bit 12 of the pixel cells (PS3.5 8.1.1): no grey value."""
    values = stored_values(ds).copy()
    values[40:60, 40:60] |= 1 << 12
    bits = ds.BitsStored
    put_values(ds, values, bits)
    ds.add_new(0x60000010, "US", ds.Rows)
    ds.add_new(0x60000011, "US", ds.Columns)
    ds.add_new(0x60000040, "CS", "G")
    ds.add_new(0x60000050, "SS", [1, 1])
    ds.add_new(0x60000100, "US", 16)
    ds.add_new(0x60000102, "US", 12)


def _private(ds: Dataset) -> None:
    block = ds.private_block(0x0099, "PHANTOM PRIVATE", create=True)
    block.add_new(0x01, "LO", "a private note")
    block.add_new(0x02, "OB", bytes(range(16)))
    block.add_new(0x03, "SQ", Sequence([_lut(np.arange(4, dtype=np.uint16), 0, 8)]))


_NO_VOI: dict[str, Any] = {"WindowCenter": None, "WindowWidth": None}
HEADER_CASES: dict[str, Callable[[Dataset], None]] = {
    "plain": _set(),
    # who and when
    "no PatientID": _set(PatientID=None),
    "empty dates": _set(StudyDate="", StudyTime="", SeriesDate="", ContentDate="", PatientBirthDate=""),
    "date of zeros": _verbatim(0x00080020, "DA", b"00000000"),
    "date with full stops": _verbatim(0x00080020, "DA", b"1995.07.20"),
    "PatientSex X": _verbatim(0x00100040, "CS", b"X"),
    "time zone": _set(TimezoneOffsetFromUTC="-0400"),
    # character sets
    "GB18030 name": _set(SpecificCharacterSet="GB18030", PatientName="Wang^XiaoDong=王^小东"),
    "IR 87 name": _set(
        SpecificCharacterSet=["", "ISO 2022 IR 87"], PatientName="Yamada^Tarou=山田^太郎=やまだ^たろう"
    ),
    "ISO_IR 100 name": _set(SpecificCharacterSet="ISO_IR 100", PatientName="Müller^Jörg"),
    # grey values
    "window and VOI LUT": _window_and_voi_lut,
    "VOI LUT only": _voi_lut_only,
    "no VOI": _set(**_NO_VOI),
    "LINEAR_EXACT": _set(VOILUTFunction="LINEAR_EXACT"),
    "SIGMOID": _set(VOILUTFunction="SIGMOID", WindowWidth=2400),
    "several windows": _set(WindowCenter=[1500, 700], WindowWidth=[2000, 300]),
    "Modality LUT": _modality_lut,
    "rescale": _rescale,
    "signed": _signed,
    "8 bit": _eight_bit,
    "16 bit": _sixteen_bit,
    "overlay in a high bit": _overlay_bit,
    "padding": _padding,
    "shutter": _shutter,
    "collimator": _collimator,
    "collimator elsewhere": _collimator_elsewhere,
    # geometry
    "compound orientation": _set(PatientOrientation=["FL", "PR"]),
    "no PatientOrientation": _set(PatientOrientation=None),
    "no spacing": _set(ImagerPixelSpacing=None),
    "PixelSpacing": _set(PixelSpacing=[0.5, 0.5], ImagerPixelSpacing=[0.55, 0.55]),
    "only ImagerPixelSpacing": _set(ImagerPixelSpacing=[0.2, 0.2]),
    "pixels not square": _set(ImagerPixelSpacing=None, PixelAspectRatio=[2, 1]),
    # the rest
    "leading zeros in a UID": lambda ds: setattr(
        ds, "SOPInstanceUID", "1.2.826.0.1.3680043.8.498.007.01"
    ),
    "private tags": _private,
}
# Those that change what is seen, with the options under which DCMTK's dcmj2pnm shows the same.
GREY_CASES: dict[str, tuple[str, ...]] = {
    "plain": ("+Wi", "1"),
    "window and VOI LUT": ("+Wi", "1"),
    "VOI LUT only": ("+Wl", "1"),
    "no VOI": ("+Wm",),
    "LINEAR_EXACT": ("+Wi", "1"),
    "SIGMOID": ("+Wi", "1"),
    "several windows": ("+Wi", "1"),
    "Modality LUT": ("+Wi", "1"),
    "rescale": ("+Wi", "1"),
    "signed": ("+Wi", "1"),
    "8 bit": ("+Wi", "1"),
    "16 bit": ("+Wi", "1"),
    "overlay in a high bit": ("+Wi", "1", "-O"),
}
