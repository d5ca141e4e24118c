"""Films that a node cannot or must not read, each with the reason that it has to give."""

from __future__ import annotations

from collections.abc import Callable
from io import BytesIO

import numpy as np
from pydicom import FileDataset
from pydicom.encaps import encapsulate
from pydicom.filewriter import dcmwrite
from pydicom.uid import (
    DigitalXRayImageStorageForPresentation,
    ExplicitVRLittleEndian,
    JPEG2000Lossless,
)

from pipeline.findings import NotProcessed
from tests.node.films import film
from tests.phantoms import put_values

Spoil = Callable[[FileDataset], None]


def _chest(ds: FileDataset) -> None:
    ds.BodyPartExamined = "CHEST"


def _colour(ds: FileDataset) -> None:
    """A photograph in colour under a radiograph's SOP class."""
    pixels = np.linspace(0, 255, ds.Rows * ds.Columns * 3).astype(np.uint8)
    ds.SamplesPerPixel, ds.PhotometricInterpretation, ds.PlanarConfiguration = 3, "RGB", 0
    ds.BitsAllocated, ds.BitsStored, ds.HighBit = 8, 8, 7
    ds.PixelData = pixels.tobytes()


def _two_frames(ds: FileDataset) -> None:
    ds.NumberOfFrames = 2
    ds.PixelData = ds.PixelData * 2


def _no_pixel_data(ds: FileDataset) -> None:
    del ds.PixelData


def _empty_pixel_data(ds: FileDataset) -> None:
    ds.PixelData = b""


def _zero_rows(ds: FileDataset) -> None:
    ds.Rows = 0


def _bits_beyond_the_cell(ds: FileDataset) -> None:
    ds.BitsStored, ds.HighBit = 64, 63


def _enormous(ds: FileDataset) -> None:
    ds.Rows, ds.Columns, ds.PixelData = 65535, 65535, bytes(10)


def _short(ds: FileDataset) -> None:
    ds.PixelData = ds.PixelData[: len(ds.PixelData) // 2]


def _one_grey(ds: FileDataset) -> None:
    put_values(ds, np.full((ds.Rows, ds.Columns), 700, np.uint16), 12)


def _nonsense_in_jpeg_2000(ds: FileDataset) -> None:
    ds.PixelData = encapsulate([b"no codestream at all, but of even length"])
    ds["PixelData"].VR = "OB"
    ds["PixelData"].is_undefined_length = True
    ds.file_meta.TransferSyntaxUID = JPEG2000Lossless


SPOILED: dict[str, tuple[Spoil, NotProcessed]] = {
    "chest": (_chest, NotProcessed.BODY_PART),
    "colour photograph": (_colour, NotProcessed.PHOTOMETRIC),
    "two frames": (_two_frames, NotProcessed.MULTI_FRAME),
    "65535 x 65535 in ten bytes": (_enormous, NotProcessed.TOO_LARGE),
    "no pixel data": (_no_pixel_data, NotProcessed.NO_PIXELS),
    "empty pixel data": (_empty_pixel_data, NotProcessed.NO_PIXELS),
    "zero rows": (_zero_rows, NotProcessed.BAD_GEOMETRY),
    "64 bits stored": (_bits_beyond_the_cell, NotProcessed.BAD_GEOMETRY),
    "half the pixels": (_short, NotProcessed.TRUNCATED),
    "one grey level": (_one_grey, NotProcessed.BLANK),
    "nonsense in JPEG 2000": (_nonsense_in_jpeg_2000, NotProcessed.UNDECODABLE),
}


def spoiled(name: str) -> tuple[FileDataset, NotProcessed]:
    """The film with that fault, and the reason to expect."""
    spoil, reason = SPOILED[name]
    ds = film(f"spoiled {name}", modality="DX")
    assert ds.SOPClassUID == DigitalXRayImageStorageForPresentation
    spoil(ds)
    return ds, reason


def file_of(ds: FileDataset) -> bytes:
    """Its DICOM file, faults and all."""
    written = BytesIO()
    explicit = ds.file_meta.TransferSyntaxUID == ExplicitVRLittleEndian
    assert explicit or ds.file_meta.TransferSyntaxUID.is_encapsulated
    dcmwrite(written, ds, implicit_vr=False, little_endian=True, enforce_file_format=True)
    return written.getvalue()
