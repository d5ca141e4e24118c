"""The modules that all results share, and their bytes (PS3.3 C.7.1, C.7.2, C.7.3, C.7.5, C.12.1; PS3.10 7)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from io import BytesIO

from pydicom import dcmwrite
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.sequence import Sequence
from pydicom.sr.coding import Code
from pydicom.uid import UID, ExplicitVRLittleEndian

from dicom_node.identifiers import (
    CODING_SCHEME_DESIGNATOR,
    CODING_SCHEME_UID,
    IMPLEMENTATION_CLASS_UID,
    IMPLEMENTATION_VERSION_NAME,
    MANUFACTURER,
    MANUFACTURER_MODEL_NAME,
)
from dicom_node.records import ResultKind, ResultObject
from dicom_node.results.character_set import fitting_character_set, values_of
from dicom_node.results.coded_concepts import PROCESSING_EQUIPMENT
from dicom_node.results.composition import CompositionContext
from dicom_node.results.source_context import STUDY_LEVEL
from dicom_node.results.wording import threshold_words
from pipeline.findings import RESEARCH_NOTICE, ImageFindings


@dataclass(frozen=True)
class ResultSeries:
    """Where a result stands in its study: one series per kind of object."""

    modality: str
    number: int
    description: str


@dataclass(frozen=True)
class ResultIdentity:
    """The UIDs of a result and its place in its series."""

    sop_class_uid: UID
    sop_instance_uid: str
    series_instance_uid: str
    instance_number: int


def start_instance(
    identity: ResultIdentity,
    series: ResultSeries,
    header: Dataset,
    findings: Iterable[ImageFindings],
    context: CompositionContext,
) -> FileDataset:
    """A new instance with patient and study of `header`, our equipment, and the models that read the films."""
    ds = FileDataset("", {}, file_meta=_file_meta(identity), preamble=b"\0" * 128)
    for keyword in STUDY_LEVEL:
        if keyword in header:
            ds.add(header[keyword])
    ds.SOPClassUID, ds.SOPInstanceUID = identity.sop_class_uid, identity.sop_instance_uid
    ds.SeriesInstanceUID, ds.InstanceNumber = identity.series_instance_uid, identity.instance_number
    ds.Modality, ds.SeriesNumber = series.modality, series.number
    ds.SeriesDescription = series.description
    at = context.local_time(header)
    ds.InstanceCreationDate = ds.ContentDate = at.strftime("%Y%m%d")
    ds.InstanceCreationTime = ds.ContentTime = at.strftime("%H%M%S")
    ds.ContentQualification = "RESEARCH"
    readings = sorted({_reading(one) for one in findings})
    ds.Manufacturer, ds.ManufacturerModelName = MANUFACTURER, MANUFACTURER_MODEL_NAME
    ds.DeviceUID = context.device_uid
    models = sorted({f"{one.model.name} {one.model.version}"[:64] for one in findings})
    ds.SoftwareVersions = [context.software_version, *models]
    ds.ContributingEquipmentSequence = Sequence([_equipment(ds, reading) for reading in readings])
    for item in ds.ContributingEquipmentSequence:
        # A DT carries its own offset; the instance's Timezone Offset From UTC does not govern it.
        item.ContributionDateTime = at.strftime("%Y%m%d%H%M%S%z")[:19]
    return ds


def encode_instance(ds: FileDataset, header: Dataset, kind: ResultKind) -> ResultObject:
    """The instance as a DICOM file; Specific Character Set is chosen by all that it holds."""
    character_set = fitting_character_set(ds, values_of(header.get("SpecificCharacterSet")))
    if any(character_set):
        ds.SpecificCharacterSet = character_set
    file = BytesIO()
    dcmwrite(file, ds, enforce_file_format=True)
    return ResultObject(
        kind=kind,
        sop_class_uid=str(ds.SOPClassUID),
        sop_instance_uid=str(ds.SOPInstanceUID),
        series_instance_uid=str(ds.SeriesInstanceUID),
        study_instance_uid=str(ds.StudyInstanceUID),
        transfer_syntax_uid=str(ds.file_meta.TransferSyntaxUID),
        data=file.getvalue(),
    )


def code_item(code: Code) -> Dataset:
    """A code sequence's item (PS3.3 8.8)."""
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator = code.value, code.scheme_designator
    item.CodeMeaning = code.meaning
    return item


def own_coding_scheme() -> Dataset:
    """Coding Scheme Identification Sequence's item for our own codes (PS3.3 C.12.1)."""
    item = Dataset()
    item.CodingSchemeDesignator, item.CodingSchemeUID = CODING_SCHEME_DESIGNATOR, CODING_SCHEME_UID
    item.CodingSchemeName = f"{MANUFACTURER_MODEL_NAME} codes"
    item.CodingSchemeResponsibleOrganization = MANUFACTURER
    return item


def _reading(findings: ImageFindings) -> str:
    model = findings.model
    profile = f", site profile {model.profile}" if model.profile else ""
    return (
        f"{RESEARCH_NOTICE} Read by {model.name} {model.version}, package {model.digest}, "
        f"engine {model.engine}; {threshold_words(findings)}{profile}."
    )


def _equipment(ds: Dataset, description: str) -> Dataset:
    """Contributing Equipment: what made the reading, also after an archive rewrote the equipment module."""
    item = Dataset()
    item.PurposeOfReferenceCodeSequence = Sequence([code_item(PROCESSING_EQUIPMENT)])
    item.Manufacturer, item.ManufacturerModelName = ds.Manufacturer, ds.ManufacturerModelName
    item.SoftwareVersions, item.DeviceUID = ds.SoftwareVersions, ds.DeviceUID
    item.ContributionDescription = description[:1024]
    return item


def _file_meta(identity: ResultIdentity) -> FileMetaDataset:
    meta = FileMetaDataset()
    meta.FileMetaInformationVersion = b"\0\1"
    meta.MediaStorageSOPClassUID = identity.sop_class_uid
    meta.MediaStorageSOPInstanceUID = UID(identity.sop_instance_uid)
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.ImplementationClassUID = UID(IMPLEMENTATION_CLASS_UID)
    meta.ImplementationVersionName = IMPLEMENTATION_VERSION_NAME
    return meta
