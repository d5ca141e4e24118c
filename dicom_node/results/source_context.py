"""What results copy from a source: a selection of its header, made fit to be written again.

A result can carry nothing of a source that is not named here: no private attribute, no pixel.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from dataclasses import dataclass

from pydicom import config
from pydicom.datadict import dictionary_has_tag, dictionary_VR, tag_for_keyword
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pydicom.multival import MultiValue
from pydicom.sequence import Sequence
from pydicom.sr.coding import Code
from pydicom.tag import BaseTag, Tag

from dicom_node.errors import CompositionError
from dicom_node.identifiers import Shape, derive_uid, digest_of
from dicom_node.results.character_set import fitting_character_set, values_of
from dicom_node.results.coded_concepts import HEADER_PARTS, LATERALITIES
from dicom_node.results.header_values import CLEANERS, plain_value

# Type 1 or 2 in every result (PS3.3 C.7.1.1, C.7.2.1): present, if need be empty.
TYPE_2 = (
    "PatientName",
    "PatientID",
    "PatientBirthDate",
    "PatientSex",
    "StudyDate",
    "StudyTime",
    "ReferringPhysicianName",
    "StudyID",
    "AccessionNumber",
)
# Copied as they are: one value for all results of a series.
STUDY_LEVEL = (
    *TYPE_2,
    "StudyInstanceUID",
    "IssuerOfPatientID",
    "IssuerOfPatientIDQualifiersSequence",
    "PatientAge",
    "PatientIdentityRemoved",
    "DeidentificationMethod",
    "DeidentificationMethodCodeSequence",
    "PatientSpeciesDescription",
    "PatientSpeciesCodeSequence",
    "PatientBreedDescription",
    "PatientBreedCodeSequence",
    "BreedRegistrationSequence",
    "ResponsiblePerson",
    "ResponsibleOrganization",
    "IssuerOfAccessionNumberSequence",
    "StudyDescription",
    "ProcedureCodeSequence",
    "InstitutionName",
    "TimezoneOffsetFromUTC",
)
# Shape what is said of one image.
IMAGE_LEVEL = (
    "SOPClassUID",
    "SOPInstanceUID",
    "SeriesInstanceUID",
    "Modality",
    "SeriesNumber",
    "InstanceNumber",
    "AcquisitionDate",
    "AcquisitionTime",
    "ContentDate",
    "ContentTime",
    "BodyPartExamined",
    "AnatomicRegionSequence",
    "Laterality",
    "ImageLaterality",
    "PatientOrientation",
    "ImagerPixelSpacing",
    "PixelSpacing",
    "PixelSpacingCalibrationType",
    "PixelSpacingCalibrationDescription",
    "RecognizableVisualFeatures",
)
# What an archive's lossy re-encoding sets: the pixels' digest answers for it, not the header's.
ENCODING_LEVEL = (
    "LossyImageCompression",
    "LossyImageCompressionRatio",
    "LossyImageCompressionMethod",
)
_NEEDED = ("SOPClassUID", "SOPInstanceUID", "StudyInstanceUID")
# pydicom raises these, by value and kind of damage, when a value cannot be had.
_UNREADABLE = (ValueError, TypeError, LookupError, ArithmeticError, AttributeError, NotImplementedError)


def read_source_header(ds: Dataset) -> Dataset:
    """The part of a header that results copy, normalised; `ds` is left as it is.

    Dates, times, sex, age and time zone are valid or empty, type 2 attributes are there, UIDs verbatim even if
    invalid. Specific Character Set is the source's if the texts fit it, else ISO_IR 192, or absent for ASCII.
    Reading the answer again gives the same.

    Raises:
        CompositionError: without SOP Class, SOP Instance and Study Instance UID there is nothing to refer to.
    """
    header = Dataset()
    for keyword in (*STUDY_LEVEL, *IMAGE_LEVEL, *ENCODING_LEVEL):
        element = _read(ds, Tag(tag_for_keyword(keyword) or 0), dictionary_VR(keyword))
        if element is not None:
            header.add(element)
    for keyword, clean in CLEANERS.items():
        if keyword in header:
            _set(header, keyword, clean(str(header[keyword].value or "")) or None)
    for keyword in TYPE_2:
        if keyword not in header:
            _set(header, keyword, None)
    missing = [keyword for keyword in _NEEDED if not header.get(keyword)]
    if missing:
        raise CompositionError(f"source cannot be referenced: no {', '.join(missing)}")
    if not header.get("SeriesInstanceUID"):
        # Type 1 in a reference: a stand-in keeps the report valid, and viewers look up by SOP Instance UID.
        study_uid = str(header.StudyInstanceUID)
        _set(header, "SeriesInstanceUID", derive_uid(uuid.NAMESPACE_OID, ["no series", study_uid]))
    character_set = fitting_character_set(header, _character_set(ds))
    if any(character_set):
        header.SpecificCharacterSet = character_set
    return header


def header_digest(ds: Dataset) -> str:
    """sha256 over every header value that results copy, of a source or of its `read_source_header`.

    File meta information, transfer syntax, lossy re-encoding and pixels do not count.
    """
    return normalised_digest(read_source_header(ds))


def normalised_digest(header: Dataset) -> str:
    """The `header_digest` of what `read_source_header` gave."""
    return digest_of(_shape(header, (*STUDY_LEVEL, *IMAGE_LEVEL)))


def study_digest(header: Dataset) -> str:
    """sha256 over the values that are the same for all results of a series."""
    return digest_of(_shape(header, STUDY_LEVEL))


def encoding_shape(header: Dataset) -> Shape:
    """The lossy flags, for the identity of an object that copies them."""
    return _shape(header, ENCODING_LEVEL)


@dataclass(frozen=True)
class HeaderSite:
    """Anatomy as the header gives it: `part` from Anatomic Region Sequence, else Body Part Examined."""

    part: Code | None
    laterality: Code | None


def header_site(header: Dataset) -> HeaderSite:
    """The body part and side of a normalised header; either may be missing."""
    side = str(header.get("ImageLaterality") or header.get("Laterality") or "").strip().upper()
    return HeaderSite(_header_part(header), LATERALITIES.get(side))


def newest_header(headers: Iterable[Dataset]) -> Dataset:
    """The header of the image acquired last; of several the one with the greatest SOP Instance UID."""

    def age(header: Dataset) -> tuple[str, ...]:
        day = header.get("AcquisitionDate") or header.get("ContentDate") or header.StudyDate
        time = header.get("AcquisitionTime") or header.get("ContentTime") or header.StudyTime
        return str(day or ""), str(time or ""), str(header.SOPInstanceUID)

    return max(headers, key=age)


def _header_part(header: Dataset) -> Code | None:
    for item in header.get("AnatomicRegionSequence") or ():
        words = [
            str(item.get(key) or "") for key in ("CodeValue", "CodingSchemeDesignator", "CodeMeaning")
        ]
        if all(words):
            return Code(*words)
    examined = str(header.get("BodyPartExamined") or "").upper()
    return HEADER_PARTS.get("".join(letter for letter in examined if letter.isalnum()))


def _read(ds: Dataset, tag: BaseTag, vr: str) -> DataElement | None:
    """One element without ties to its data set; None if it is absent or cannot be read."""
    if tag not in ds:
        return None
    try:
        element = ds[tag]
        value = _items(element) if vr == "SQ" else plain_value(element, vr)
        return DataElement(tag, vr, value, validation_mode=config.IGNORE)
    except _UNREADABLE:
        return None


def _items(sequence: DataElement) -> Sequence:
    """Copies of a sequence's items without private attributes (PS3.5 7.8: they mean nothing to others)."""
    if not isinstance(sequence.value, Sequence):
        raise ValueError("no items where a sequence belongs")
    items = []
    for source in sequence.value:
        item = Dataset()
        for tag in source.keys():  # noqa: SIM118 - iterating a data set decodes values and raises on bad ones
            known = not tag.is_private and dictionary_has_tag(tag)
            element = _read(source, tag, dictionary_VR(tag)) if known else None
            if element is not None:
                item.add(element)
        items.append(item)
    return Sequence(items)


def _set(header: Dataset, keyword: str, value: str | None) -> None:
    tag = tag_for_keyword(keyword) or 0
    header.add(DataElement(tag, dictionary_VR(keyword), value, validation_mode=config.IGNORE))


def _character_set(ds: Dataset) -> list[str]:
    try:
        return values_of(ds.get("SpecificCharacterSet"))
    except _UNREADABLE:
        return ["unreadable"]


def _shape(header: Dataset, keywords: Iterable[str]) -> Shape:
    shape: dict[str, Shape] = {
        keyword: _value_shape(header[keyword]) for keyword in keywords if keyword in header
    }
    return {**shape, "SpecificCharacterSet": values_of(header.get("SpecificCharacterSet"))}


def _value_shape(element: DataElement) -> Shape:
    if element.VR == "SQ":
        return [{str(inner.tag): _value_shape(inner) for inner in item} for item in element.value]
    value = element.value
    return values_of(list(value) if isinstance(value, MultiValue) else value)
