"""The modules that all results share, and their bytes (PS3.3 C.7.1, C.7.2, C.7.3, C.7.5, C.12.1; PS3.10 7)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from io import BytesIO

from pydicom import dcmread, dcmwrite
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
from dicom_node.results.character_set import UNICODE, fitting_character_set, values_of
from dicom_node.results.coded_concepts import PROCESSING_EQUIPMENT
from dicom_node.results.composition import CompositionContext, DestinationProfile
from dicom_node.results.messages import Message
from dicom_node.results.series import series_of
from dicom_node.results.source_context import STUDY_LEVEL
from dicom_node.results.wording import reader_words
from pipeline.findings import ImageFindings


@dataclass(frozen=True)
class ResultIdentity:
    """The UIDs of a result and its place in its series."""

    sop_class_uid: UID
    sop_instance_uid: str
    series_instance_uid: str
    instance_number: int


def start_instance(
    identity: ResultIdentity,
    kind: ResultKind,
    header: Dataset,
    findings: Iterable[ImageFindings],
    profile: DestinationProfile,
    context: CompositionContext,
) -> FileDataset:
    """A new instance with patient and study of `header`, our equipment, and the models that read the films.

    Series, language and time zone are the destination's.

    Raises:
        CompositionError: the destination's catalogue cannot be used.
    """
    series, wording = series_of(kind, profile), profile.wording
    ds = FileDataset("", {}, file_meta=_file_meta(identity), preamble=b"\0" * 128)
    for keyword in STUDY_LEVEL:
        if keyword in header:
            ds.add(header[keyword])
    ds.SOPClassUID, ds.SOPInstanceUID = identity.sop_class_uid, identity.sop_instance_uid
    ds.SeriesInstanceUID, ds.InstanceNumber = identity.series_instance_uid, identity.instance_number
    ds.Modality, ds.SeriesNumber = series.modality, series.number
    ds.SeriesDescription = series.description
    at = context.at_destination(profile).local_time(header)
    ds.InstanceCreationDate = ds.ContentDate = at.strftime("%Y%m%d")
    ds.InstanceCreationTime = ds.ContentTime = at.strftime("%H%M%S")
    ds.ContentQualification = "RESEARCH"
    readings = sorted(
        {f"{wording.text(Message.NOTICE)} {reader_words(one, wording)}" for one in findings}
    )
    ds.Manufacturer, ds.ManufacturerModelName = MANUFACTURER, MANUFACTURER_MODEL_NAME
    ds.DeviceUID = context.device_uid
    models = sorted({f"{one.model.name} {one.model.version}"[:64] for one in findings})
    ds.SoftwareVersions = [context.software_version, *models]
    ds.ContributingEquipmentSequence = Sequence([_equipment(ds, reading) for reading in readings])
    for item in ds.ContributingEquipmentSequence:
        # A DT carries its own offset; the instance's Timezone Offset From UTC does not govern it.
        item.ContributionDateTime = at.strftime("%Y%m%d%H%M%S%z")[:19]
    return ds


def encode_instance(
    ds: FileDataset, header: Dataset, kind: ResultKind, profile: DestinationProfile
) -> ResultObject:
    """The instance as a DICOM file; Specific Character Set is chosen by all that it holds.

    The destination's if it has one, else the source's; ISO_IR 192 where a text does not fit (see `unmet_character_set`).
    """
    wanted = [profile.character_set] if profile.character_set else None
    character_set = fitting_character_set(ds, wanted or values_of(header.get("SpecificCharacterSet")))
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


def unmet_character_set(result: ResultObject, profile: DestinationProfile) -> str:
    """A sentence for the log where an object is not in the character set that its destination wants; else empty."""
    if profile.character_set is None:
        return ""
    ds = dcmread(BytesIO(result.data), specific_tags=["SpecificCharacterSet"], stop_before_pixels=True)
    written = values_of(ds.get("SpecificCharacterSet"))
    if written == [profile.character_set]:
        return ""
    return (
        f'destination {profile.name}: character_set = "{profile.character_set}" lacks a letter of this '
        f"{result.kind}, which is written in {UNICODE}"
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
