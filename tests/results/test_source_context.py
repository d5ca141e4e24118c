"""What is copied from a source, and when two sources count as the same."""

from __future__ import annotations

import io
from typing import Any

import pydicom
import pytest
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.uid import JPEG2000, ImplicitVRLittleEndian, JPEGLSLossless, RLELossless

from dicom_node.errors import CompositionError
from dicom_node.results.source_context import (
    TYPE_2,
    header_digest,
    header_site,
    newest_header,
    read_source_header,
)
from tests.phantoms import HEADER_CASES, encode, header_case, phantom


def _received(ds: Dataset, syntax: str) -> Dataset:
    return pydicom.dcmread(io.BytesIO(encode(ds, syntax)))


@pytest.mark.parametrize("case", HEADER_CASES)
def test_a_header_read_twice_is_the_same_header(case: str) -> None:
    """Normalising changes nothing that is normal already, nor the digest."""
    source = header_case(case)
    header = read_source_header(source)
    assert read_source_header(header) == header
    assert header_digest(header) == header_digest(source)
    assert all(keyword in header for keyword in TYPE_2)
    assert "PixelData" not in header
    assert not [element for element in header.iterall() if element.tag.is_private]


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"StudyDate": "00000000"}, {"StudyDate": None}),
        ({"StudyDate": "1995.07.20"}, {"StudyDate": "19950720"}),
        ({"PatientBirthDate": "19701332"}, {"PatientBirthDate": None}),
        ({"StudyTime": "10:15:00"}, {"StudyTime": "101500"}),
        ({"StudyTime": "noon"}, {"StudyTime": None}),
        ({"PatientSex": "X"}, {"PatientSex": None}),
        ({"PatientSex": "f"}, {"PatientSex": "F"}),
        ({"PatientAge": "56 years"}, {"PatientAge": None}),
        ({"TimezoneOffsetFromUTC": "+9900"}, {"TimezoneOffsetFromUTC": None}),
        ({"IssuerOfPatientID": "HOSPITAL"}, {"IssuerOfPatientID": "HOSPITAL"}),
        ({"PatientID": "A" * 70}, {"PatientID": "A" * 70}),
    ],
)
@pytest.mark.filterwarnings("ignore:.*:UserWarning")
def test_odd_values_become_valid_or_empty_and_identifiers_stay(
    given: dict[str, Any], expected: dict[str, Any]
) -> None:
    """An identifier is kept verbatim even where it is too long: it is what the archive knows."""
    source = phantom()
    for keyword, value in given.items():
        tag = pydicom.datadict.tag_for_keyword(keyword)
        source[tag] = pydicom.DataElement(
            tag, pydicom.datadict.dictionary_VR(tag), value, validation_mode=0
        )
    header = read_source_header(source)
    assert {keyword: header.get(keyword) or None for keyword in expected} == expected


def test_a_value_that_cannot_be_decoded_is_left_out() -> None:
    """A broken number in one attribute is no reason to lose the result."""
    broken = phantom()
    raw = pydicom.dataelem.RawDataElement(
        pydicom.tag.Tag("InstanceNumber"), "IS", 6, b"seven ", 0, True, True
    )
    broken[raw.tag] = raw
    assert "InstanceNumber" not in read_source_header(broken)


@pytest.mark.parametrize("keyword", ["SOPClassUID", "SOPInstanceUID", "StudyInstanceUID"])
def test_a_source_that_cannot_be_referenced_is_refused_by_name(keyword: str) -> None:
    """The message says which UID is missing."""
    source = phantom()
    delattr(source, keyword)
    with pytest.raises(CompositionError, match=keyword):
        read_source_header(source)


def test_an_invalid_uid_is_kept_and_a_missing_series_gets_a_stand_in() -> None:
    """References are verbatim: an archive finds its image by the UID that it holds."""
    source = header_case("leading zeros in a UID")
    del source.SeriesInstanceUID
    header = read_source_header(source)
    assert header.SOPInstanceUID == "1.2.826.0.1.3680043.8.498.007.01"
    assert header.SeriesInstanceUID.startswith("2.25.")
    assert header.SeriesInstanceUID == read_source_header(source).SeriesInstanceUID


@pytest.mark.parametrize("syntax", [RLELossless, JPEGLSLossless, JPEG2000, ImplicitVRLittleEndian])
def test_compressing_a_film_again_leaves_its_header_digest(syntax: str) -> None:
    """Neither the transfer syntax nor file meta information nor the lossy flags make another source."""
    source = phantom()
    assert header_digest(_received(source, syntax)) == header_digest(source)


@pytest.mark.parametrize(
    ("keyword", "value"),
    [
        ("PatientName", "PHANTOM^CORRECTED"),
        ("PatientID", "CORRECTED"),
        ("AccessionNumber", "A-2"),
        ("IssuerOfPatientID", "ELSEWHERE"),
        ("Laterality", "L"),
        ("TimezoneOffsetFromUTC", "+0100"),
        ("ImagerPixelSpacing", [0.1, 0.1]),
    ],
)
def test_a_corrected_value_changes_the_digest(keyword: str, value: object) -> None:
    """Whatever results copy is a reason to compose them anew."""
    source = phantom()
    before = header_digest(source)
    setattr(source, keyword, value)
    assert header_digest(source) != before


def test_a_value_that_no_result_copies_leaves_the_digest() -> None:
    """An archive may add its own attributes."""
    source = phantom()
    before = header_digest(source)
    source.StationName = "ROOM 4"
    source.private_block(0x0099, "ARCHIVE", create=True).add_new(1, "LO", "note")
    assert header_digest(source) == before


def test_private_attributes_inside_a_copied_sequence_are_left_behind() -> None:
    """A private attribute means nothing without the equipment that wrote it (PS3.5 7.8)."""
    source = phantom(modality="DX")
    item = source.AnatomicRegionSequence[0]
    item.private_block(0x0099, "ARCHIVE", create=True).add_new(1, "LO", "note")
    header = read_source_header(source)
    assert [element.keyword for element in header.AnatomicRegionSequence[0]] == [
        "CodeValue", "CodingSchemeDesignator", "CodeMeaning",
    ]  # fmt: skip
    assert len(item) == 5


@pytest.mark.parametrize(
    ("character_set", "name", "expected"),
    [
        (None, "SMITH^ANN", None),
        ("ISO_IR 100", "Müller^Jörg", "ISO_IR 100"),
        ("ISO_IR 144", "Люкceмбypг", "ISO_IR 144"),
        ("GB18030", "Wang^XiaoDong=王^小东", "GB18030"),
        (["", "ISO 2022 IR 87"], "Yamada^Tarou=山田^太郎", ["", "ISO 2022 IR 87"]),
        ("ISO_IR 100", "Wang=王^小东", "ISO_IR 192"),
        (None, "Müller^Jörg", "ISO_IR 192"),
        ("KLINGON 1", "SMITH^ANN", "ISO_IR 192"),
    ],
)
def test_the_sources_character_set_stays_while_every_text_fits_it(
    character_set: str | list[str] | None, name: str, expected: str | list[str] | None
) -> None:
    """Else Unicode: archives have refused studies that mix character sets without need."""
    source = phantom()
    del source.SpecificCharacterSet
    if character_set is not None:
        source.add_new("SpecificCharacterSet", "CS", character_set)
    source.PatientName = name
    header = read_source_header(source)
    assert header.get("SpecificCharacterSet") == expected
    assert str(header.PatientName) == name


def test_the_newest_image_is_the_one_acquired_last() -> None:
    """Whatever the order in which the images came."""
    old, new = phantom(), phantom(seed=3)
    new.AcquisitionTime = "235959"
    headers = [read_source_header(new), read_source_header(old)]
    assert newest_header(headers) is headers[0]
    assert newest_header(headers[::-1]) is headers[0]


@pytest.mark.parametrize(
    ("body_part", "code"),
    [
        ("WRIST", "74670003"),
        ("LOWER LEG", "30021000"),
        ("lower_leg", "30021000"),
        ("", None),
        ("TAIL", None),
    ],
)
def test_the_body_part_examined_is_coded_if_it_is_known(body_part: str, code: str | None) -> None:
    """By PS3.16 Annex L; what is unknown is left out rather than guessed."""
    source = phantom(modality="CR")
    source.BodyPartExamined = body_part
    part = header_site(read_source_header(source)).part
    assert (part.value if part else None) == code


def test_the_anatomic_region_goes_before_the_body_part_examined() -> None:
    """It is the finer and coded one; an item without a code does not count."""
    source = phantom(modality="DX", limb="forearm")
    source.BodyPartExamined = "WRIST"
    assert header_site(read_source_header(source)).part.meaning == "Forearm"  # type: ignore[union-attr]
    source.AnatomicRegionSequence = Sequence([Dataset()])
    assert header_site(read_source_header(source)).part.meaning == "Wrist joint"  # type: ignore[union-attr]
