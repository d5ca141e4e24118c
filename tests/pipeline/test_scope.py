"""The header's gate lets limbs, hips and shoulders through, and what it cannot tell."""

from __future__ import annotations

import pytest
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.sr._snomed_dict import mapping
from pydicom.uid import (
    DigitalMammographyXRayImageStorageForPresentation,
    SecondaryCaptureImageStorage,
    UltrasoundImageStorage,
)

from pipeline.errors import ScopeError
from pipeline.findings import NotProcessed
from pipeline.patient_age import age_in_years
from pipeline.scope import OTHER_REGIONS, OTHER_VIEW_CODES, refuse_out_of_scope, unchecked_age
from tests.phantoms import phantom


def refusal(ds: Dataset) -> NotProcessed | None:
    """Why a header is refused, None if it passes."""
    try:
        refuse_out_of_scope(ds)
    except ScopeError as error:
        return error.reason
    return None


def region(value: str, scheme: str, meaning: str = "") -> Sequence:
    """An Anatomic Region Sequence."""
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = value, scheme, meaning
    return Sequence([item])


def test_cr_and_dx_for_presentation_pass() -> None:
    """The two classes that are read."""
    for modality in ("CR", "DX"):
        assert refusal(phantom(modality=modality)) is None


@pytest.mark.parametrize(
    "sop_class",
    [
        SecondaryCaptureImageStorage,
        UltrasoundImageStorage,
        DigitalMammographyXRayImageStorageForPresentation,
        "",
    ],
)
def test_other_classes_are_refused(sop_class: str) -> None:
    """SC, US, MG and an instance without class."""
    ds = phantom()
    ds.SOPClassUID = sop_class
    assert refusal(ds) is NotProcessed.SOP_CLASS


def test_images_for_processing_are_refused() -> None:
    """By their class, and by Presentation Intent Type where the class says otherwise."""
    assert refusal(phantom(modality="DX", for_processing=True)) is NotProcessed.FOR_PROCESSING
    ds = phantom(modality="DX")
    ds.PresentationIntentType = "FOR PROCESSING"
    assert refusal(ds) is NotProcessed.FOR_PROCESSING


def test_colour_and_several_frames_are_refused() -> None:
    """Without a look at the pixels."""
    ds = phantom()
    ds.PhotometricInterpretation = "RGB"
    assert refusal(ds) is NotProcessed.PHOTOMETRIC
    ds = phantom()
    ds.NumberOfFrames = 3
    assert refusal(ds) is NotProcessed.MULTI_FRAME


@pytest.mark.parametrize(
    "name",
    ["CHEST", "THORAX", "Chest PA", "ABDOMEN", "SKULL", "CSPINE", "L-SPINE", "T SPINE", "LUMBAR_SPINE",
     "BREAST", "JAW", "RIBS", "LWS", "SCHÄDEL", "TEETH"],
)  # fmt: skip
def test_names_of_other_body_parts_are_refused(name: str) -> None:
    """As the standard and as consoles write them."""
    ds = phantom()
    ds.SpecificCharacterSet, ds.BodyPartExamined = "ISO_IR 100", name
    assert refusal(ds) is NotProcessed.BODY_PART


@pytest.mark.parametrize(
    "name",
    ["", "HAND", "WRIST", "PELVIS", "HIP", "SHOULDER", "CLAVICLE", "RADIAL HEAD", "NECK OF FEMUR", "EXTREMITY",
     "SHOULDER/RIBS", "UNKNOWN", "XYZ 7", "SPINELESS"],
)  # fmt: skip
def test_limbs_and_unknown_names_pass(name: str) -> None:
    """What is in scope and what says nothing."""
    ds = phantom()
    ds.BodyPartExamined = name
    assert refusal(ds) is None


@pytest.mark.parametrize(("code", "older"), OTHER_REGIONS.items())
def test_coded_regions_are_refused_in_old_and_new_codes(code: str, older: str) -> None:
    """SNOMED CT and SNOMED-RT codes of other regions, each pair as in PS3.16 where it has both."""
    for value, scheme in ((code, "SCT"), (older, "SRT")):
        if value:
            ds = phantom(modality="DX")
            ds.AnatomicRegionSequence = region(value, scheme)
            assert refusal(ds) is NotProcessed.BODY_PART
    if code in mapping["SCT"]:
        assert mapping["SCT"][code] == older


def test_coded_limbs_and_foreign_schemes() -> None:
    """A coded forearm passes; a private code counts by its meaning."""
    ds = phantom(modality="DX")
    assert refusal(ds) is None
    ds.AnatomicRegionSequence = region("113", "99CONSOLE", "Chest")
    assert refusal(ds) is NotProcessed.BODY_PART
    ds.AnatomicRegionSequence = region("114", "99CONSOLE", "Left knee")
    assert refusal(ds) is None


@pytest.mark.parametrize(
    "view", ["PANORAMIC", "BITEWING", "Peri-Apical", "MLO", "CC", "WATERS", "CEPH LAT"]
)
def test_views_of_teeth_heads_and_breasts_are_refused(view: str) -> None:
    """By View Position, when nothing names the body part."""
    ds = phantom()
    ds.BodyPartExamined, ds.ViewPosition = "", view
    assert refusal(ds) is NotProcessed.VIEW


@pytest.mark.parametrize(
    "view", ["AP", "PA", "LAT", "LL", "OBLIQUE", "ML", "LM", "AXIAL", "SUNRISE", ""]
)
def test_views_of_limbs_pass(view: str) -> None:
    """Also those that a breast has too."""
    ds = phantom()
    ds.BodyPartExamined, ds.ViewPosition = "", view
    assert refusal(ds) is None


@pytest.mark.parametrize(("code", "older"), OTHER_VIEW_CODES.items())
def test_coded_views_are_refused_in_old_and_new_codes(code: str, older: str) -> None:
    """SNOMED CT and SNOMED-RT, each pair as in PS3.16."""
    for value, scheme in ((code, "SCT"), (older, "SRT")):
        ds = phantom(modality="DX")
        ds.BodyPartExamined, ds.AnatomicRegionSequence = "", Sequence([])
        ds.ViewCodeSequence = region(value, scheme)
        assert refusal(ds) is NotProcessed.VIEW
    assert mapping["SCT"][code] == older


def test_a_named_limb_outweighs_a_view_that_others_have_too() -> None:
    """An oblique foot and an axial shoulder share their codes with breasts."""
    ds = phantom(modality="DX")
    ds.BodyPartExamined = "FOOT"
    ds.ViewCodeSequence = region("399368009", "SCT")
    assert refusal(ds) is None
    ds.BodyPartExamined = ""
    ds.AnatomicRegionSequence = region("16982005", "SCT", "Shoulder")
    assert refusal(ds) is None


def aged(age: str = "", born: str = "", taken: str = "") -> Dataset:
    """A film of a patient of that age, or with these dates."""
    ds = phantom()
    for keyword in ("AcquisitionDate", "ContentDate", "SeriesDate"):
        if keyword in ds:
            delattr(ds, keyword)
    ds.PatientAge, ds.PatientBirthDate, ds.StudyDate = age, born, taken
    return ds


@pytest.mark.parametrize(
    ("ds", "years"),
    [
        (aged("018Y"), 18),
        (aged("006M"), 0.5),
        (aged("017Y", "19500101", "20240101"), 17),
        (aged("", "20060507", "20240506"), 17),
        (aged("", "20060506", "20240506"), 18),
        (aged("18", "20060506", "20240506"), 18),
        (aged("", "20200229", "20210228"), 0),
    ],
)
def test_the_age_is_the_patient_s_when_the_film_was_taken(ds: Dataset, years: float) -> None:
    """Patient's Age goes first, then the dates."""
    assert age_in_years(ds) == pytest.approx(years, abs=0.01)


@pytest.mark.parametrize(
    "ds",
    [
        aged(),
        aged("young"),
        aged("", "20060506"),
        aged("", "2006", "2024"),
        aged("", "20240507", "20240506"),
    ],
)
def test_an_age_that_the_header_does_not_say_is_none(ds: Dataset) -> None:
    """Nor one before birth."""
    assert age_in_years(ds) is None


def test_patients_below_the_minimum_age_are_refused_and_unknown_ages_pass() -> None:
    """Only where a minimum is set; what could not be compared is said, and no age is told."""
    with pytest.raises(ScopeError) as refused:
        refuse_out_of_scope(aged("017Y"), minimum_age_years=18)
    assert refused.value.reason is NotProcessed.AGE
    assert "17" not in str(refused.value)
    refuse_out_of_scope(aged("017Y"))
    refuse_out_of_scope(aged("018Y"), minimum_age_years=18)
    refuse_out_of_scope(aged(), minimum_age_years=18)
    assert "not compared with 18 years" in unchecked_age(aged(), 18)
    assert unchecked_age(aged(), None) == unchecked_age(aged("020Y"), 18) == ""
