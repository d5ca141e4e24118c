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
from pipeline.scope import OTHER_REGIONS, refuse_out_of_scope
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
