"""Whole DICOM instances without a patient: drawn limbs, and films from image files, as CR or DX.

Every attribute that PS3.3 A.2 (CR) and A.26 (DX) demand is there; time and UIDs are arguments.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

import numpy as np
import numpy.typing as npt
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.sequence import Sequence
from pydicom.uid import (
    UID,
    ComputedRadiographyImageStorage,
    DigitalXRayImageStorageForPresentation,
    DigitalXRayImageStorageForProcessing,
    ExplicitVRLittleEndian,
)

from dicom_node.identifiers import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME
from dicom_node.operating.phantom_drawing import WHITE, Limb, draw_limb

UidOf = Callable[[str], str]
PATIENT_NAME = "PHANTOM^SYNTHETIC"
PATIENT_ID = "SYNTHETIC-1"
# What a phantom's film measures across, so that it has the same size in millimetres in every matrix.
FIELD_WIDTH_MM = 166.4
NOMINAL_SPACING_MM = 0.2


@dataclass(frozen=True)
class BodyRegion:
    """A limb in the header's words: Body Part Examined (PS3.16 Annex L) and its code in SNOMED CT."""

    body_part: str
    code: str
    meaning: str


BODY_REGIONS: dict[Limb, BodyRegion] = {
    "forearm": BodyRegion("FOREARM", "14975008", "Forearm"),
    "lower leg": BodyRegion("LOWERLEG", "30021000", "Lower leg"),
    "hand": BodyRegion("HAND", "85562004", "Hand"),
}


def phantom_instance(
    *,
    modality: Literal["CR", "DX"],
    broken: bool,
    seed: int,
    uid_of: UidOf,
    study: str,
    acquired_at: datetime,
    instance_number: int = 1,
    limb: Limb = "forearm",
    rows: int = 1024,
    columns: int = 832,
    monochrome1: bool = False,
    for_processing: bool = False,
    patient_id: str = PATIENT_ID,
    accession_number: str = "",
) -> FileDataset:
    """A drawn limb as a complete instance with file meta information (Explicit VR Little Endian).

    `uid_of` derives a UID from a key; `study` names the study: phantoms of one study and modality share
    their Study and Series Instance UIDs. `for_processing` applies to DX only.
    """
    if for_processing and modality != "DX":
        raise ValueError("only DX has a class for processing")
    grey = draw_limb(rows, columns, seed=seed, broken=broken, limb=limb)
    stored = (WHITE - grey).astype(np.uint16) if monochrome1 else grey
    kind = f"{modality}{' for processing' if for_processing else ''}"
    shape = f"{limb} {rows}x{columns} seed={seed} broken={broken} inverse={monochrome1} {patient_id}"
    ds = _instance(kind, uid_of, study, f"{shape} {accession_number} {instance_number}", acquired_at)
    _add_patient_and_study(ds, acquired_at, patient_id, accession_number)
    _add_acquisition(ds, "Synthetic phantom", instance_number)
    ds.BodyPartExamined = BODY_REGIONS[limb].body_part
    ds.PatientOrientation = ["L", "F"]
    ds.ViewPosition = "AP"
    side = "R" if seed % 2 else "L"
    if modality == "CR":
        ds.Laterality = side
    else:
        ds.ImageLaterality = side
        ds.AnatomicRegionSequence = Sequence(
            [_code(BODY_REGIONS[limb].code, BODY_REGIONS[limb].meaning)]
        )
        ds.ViewCodeSequence = Sequence([_code("399348003", "antero-posterior")])
    _add_pixels(ds, stored, bits_stored=12, monochrome1=monochrome1)
    _add_spacing(ds, FIELD_WIDTH_MM / columns)
    if not for_processing:
        ds.WindowCenter, ds.WindowWidth = (2247.5 if monochrome1 else 1847.5), 3600
    if modality == "DX":
        _add_dx(ds, for_processing=for_processing)
    return ds


def wrap_film(
    pixels: npt.NDArray[np.uint8] | npt.NDArray[np.uint16],
    *,
    uid_of: UidOf,
    study: str,
    film: str,
    acquired_at: datetime,
    instance_number: int = 1,
    body_part: str = "",
    spacing_mm: float | None = None,
    lossy_ratio: float | None = None,
    patient_id: str = PATIENT_ID,
    accession_number: str = "",
) -> FileDataset:
    """A grey film of an image file as DX for presentation.

    `pixels`: uint8 or uint16 (rows, columns), larger is brighter. `film` names it within the study: the UIDs
    are derived from both. `lossy_ratio`: set where the file was compressed with loss (JPEG), as 10.0 for 10:1.
    The class demands a spacing: without `spacing_mm` a nominal one is written and Image Comments says so.
    """
    if pixels.ndim != 2 or pixels.dtype not in (np.uint8, np.uint16):
        raise ValueError(
            f"a film is 8 or 16-bit grey (rows, columns), not {pixels.dtype} {pixels.shape}"
        )
    ds = _instance("DX", uid_of, study, f"film {film} {patient_id} {accession_number}", acquired_at)
    _add_patient_and_study(ds, acquired_at, patient_id, accession_number)
    _add_acquisition(ds, "Film from an image file", instance_number)
    ds.BodyPartExamined = body_part
    ds.PatientOrientation = ["L", "F"]
    ds.ImageLaterality = "U"
    ds.AnatomicRegionSequence = Sequence()
    bits = pixels.dtype.itemsize * 8
    _add_pixels(ds, pixels, bits_stored=bits, monochrome1=False)
    _add_spacing(ds, spacing_mm or NOMINAL_SPACING_MM)
    if spacing_mm is None:
        ds.ImageComments = "Pixel spacing is nominal: the image file gave none"
    ds.WindowCenter, ds.WindowWidth = 2.0 ** (bits - 1), 2.0**bits
    _add_dx(ds, for_processing=False)
    ds.ImageType = ["DERIVED", "PRIMARY"]
    ds.DerivationDescription = "Wrapped from an image file"
    if lossy_ratio is not None:
        ds.LossyImageCompression, ds.LossyImageCompressionRatio = "01", round(lossy_ratio, 2)
        ds.LossyImageCompressionMethod = "ISO_10918_1"
    return ds


_CLASSES: dict[str, UID] = {
    "CR": ComputedRadiographyImageStorage,
    "DX": DigitalXRayImageStorageForPresentation,
    "DX for processing": DigitalXRayImageStorageForProcessing,
}


def _instance(kind: str, uid_of: UidOf, study: str, shape: str, at: datetime) -> FileDataset:
    """An instance with its file meta information, UIDs and SOP Common Module."""
    meta = FileMetaDataset()
    meta.FileMetaInformationVersion = b"\x00\x01"
    meta.MediaStorageSOPClassUID = _CLASSES[kind]
    meta.MediaStorageSOPInstanceUID = UID(uid_of(f"instance {study} {kind} {shape} {at.isoformat()}"))
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.ImplementationClassUID = UID(IMPLEMENTATION_CLASS_UID)
    meta.ImplementationVersionName = IMPLEMENTATION_VERSION_NAME
    ds = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
    ds.SpecificCharacterSet = "ISO_IR 100"
    ds.SOPClassUID, ds.SOPInstanceUID = meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID
    ds.StudyInstanceUID = uid_of(f"study {study}")
    ds.SeriesInstanceUID = uid_of(f"series {study} {kind}")
    ds.Modality = kind[:2]
    return ds


def _add_patient_and_study(ds: Dataset, at: datetime, patient_id: str, accession_number: str) -> None:
    """Patient and General Study Modules (PS3.3 C.7.1.1, C.7.2.1)."""
    ds.PatientName, ds.PatientID = PATIENT_NAME, patient_id
    ds.PatientBirthDate, ds.PatientSex = "19000101", "O"
    ds.StudyID, ds.AccessionNumber, ds.ReferringPhysicianName = "1", accession_number, ""
    ds.StudyDescription = "Synthetic phantom"
    for event in ("Study", "Series", "Acquisition", "Content"):
        setattr(ds, f"{event}Date", at.strftime("%Y%m%d"))
        setattr(ds, f"{event}Time", at.strftime("%H%M%S"))


def _add_acquisition(ds: Dataset, description: str, instance_number: int) -> None:
    """Series, Equipment, General Image and CR Series Modules (PS3.3 C.7.3.1, C.7.5.1, C.7.6.1, C.8.1.1)."""
    ds.SeriesNumber, ds.InstanceNumber = 1, instance_number
    ds.SeriesDescription = description
    ds.Manufacturer, ds.ManufacturerModelName = "Synthetic", "Phantom"
    ds.ImageType = ["ORIGINAL", "PRIMARY"]
    ds.BurnedInAnnotation = "YES"
    ds.LossyImageCompression = "00"
    if ds.Modality == "CR":
        ds.ViewPosition, ds.KVP = "", "55"


def _add_pixels(
    ds: Dataset, stored: npt.NDArray[np.generic], *, bits_stored: int, monochrome1: bool
) -> None:
    """Image Pixel Module (PS3.3 C.7.6.3)."""
    ds.SamplesPerPixel = 1
    ds.PhotometricInterpretation = "MONOCHROME1" if monochrome1 else "MONOCHROME2"
    ds.Rows, ds.Columns = stored.shape
    ds.BitsAllocated, ds.BitsStored = stored.dtype.itemsize * 8, bits_stored
    ds.HighBit, ds.PixelRepresentation = bits_stored - 1, 0
    data = stored.astype(stored.dtype.newbyteorder("<")).tobytes()
    ds.add_new("PixelData", "OB" if ds.BitsAllocated == 8 else "OW", data + b"\0" * (len(data) % 2))


def _add_spacing(ds: Dataset, spacing_mm: float) -> None:
    ds.ImagerPixelSpacing = [f"{spacing_mm:.6g}"] * 2


def _add_dx(ds: Dataset, *, for_processing: bool) -> None:
    """DX Series, Image, Detector and Positioning, Acquisition Context (PS3.3 C.8.11.1, 3, 4, 5, C.7.6.14)."""
    ds.PresentationIntentType = "FOR PROCESSING" if for_processing else "FOR PRESENTATION"
    ds.PixelIntensityRelationship = "LOG"
    ds.PixelIntensityRelationshipSign = 1 if ds.PhotometricInterpretation == "MONOCHROME1" else -1
    ds.RescaleIntercept, ds.RescaleSlope, ds.RescaleType = 0, 1, "US"
    ds.PresentationLUTShape = "INVERSE" if ds.PhotometricInterpretation == "MONOCHROME1" else "IDENTITY"
    ds.DetectorType, ds.PositionerType = "SCINTILLATOR", ""
    ds.AcquisitionContextSequence = Sequence()


def _code(value: str, meaning: str) -> Dataset:
    """A code sequence's item in SNOMED CT (PS3.3 8.8)."""
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = value, "SCT", meaning
    return item
