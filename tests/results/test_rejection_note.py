"""The note that retires our own replaced results."""

from __future__ import annotations

import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
from pydicom.dataset import Dataset
from pydicom.uid import (
    Comprehensive3DSRStorage,
    GrayscaleSoftcopyPresentationStateStorage,
    KeyObjectSelectionDocumentStorage,
    SecondaryCaptureImageStorage,
    SegmentationStorage,
)

from dicom_node.errors import CompositionError
from dicom_node.records import ResultKind, ResultObject, SopReference
from dicom_node.results.composition import DestinationProfile
from dicom_node.results.rejection_note import compose_rejection
from pipeline.findings import RESEARCH_NOTICE
from tests.phantoms import header_case, phantom
from tests.real_parts import program
from tests.results.hand_made import CONTEXT, FAILED, NEGATIVE, POSITIVE, PROFILE, read_back
from tests.validators import dciodvfy_errors

STUDY = str(phantom().StudyInstanceUID)
CLASSES = {
    "1.2.3.1": Comprehensive3DSRStorage,
    "1.2.3.2": SecondaryCaptureImageStorage,
    "1.2.3.3": SecondaryCaptureImageStorage,
    "1.2.3.4": SegmentationStorage,
    "1.2.3.5": GrayscaleSoftcopyPresentationStateStorage,
    "1.2.3.6": KeyObjectSelectionDocumentStorage,
}
REJECTED = tuple(
    SopReference(STUDY, f"1.2.9.{int(uid[-1]) // 2}", sop_class, uid)
    for uid, sop_class in CLASSES.items()
)


def note(
    rejected: tuple[SopReference, ...] = REJECTED,
    *,
    source: Dataset | None = None,
    profile: DestinationProfile = PROFILE,
    revision: int = 2,
) -> ResultObject:
    """A note on results of the phantoms' study."""
    header = phantom() if source is None else source
    return compose_rejection(
        rejected, header, [POSITIVE, NEGATIVE], profile, CONTEXT, revision=revision
    )


def _value_types(ds: Dataset) -> dict[str, str]:
    return {
        str(item.ReferencedSOPSequence[0].ReferencedSOPInstanceUID): str(item.ValueType)
        for item in ds.ContentSequence
        if "ReferencedSOPSequence" in item
    }


def test_every_rejected_object_of_the_study_is_in_one_note() -> None:
    """Images as IMAGE, reports, presentation states and selections as COMPOSITE; all of them as evidence too."""
    ds = read_back(note())
    assert _value_types(ds) == {
        "1.2.3.1": "COMPOSITE",
        "1.2.3.2": "IMAGE",
        "1.2.3.3": "IMAGE",
        "1.2.3.4": "IMAGE",
        "1.2.3.5": "COMPOSITE",
        "1.2.3.6": "COMPOSITE",
    }
    (study,) = ds.CurrentRequestedProcedureEvidenceSequence
    assert study.StudyInstanceUID == ds.StudyInstanceUID == STUDY
    held = {
        str(item.ReferencedSOPInstanceUID): str(series.SeriesInstanceUID)
        for series in study.ReferencedSeriesSequence
        for item in series.ReferencedSOPSequence
    }
    assert held == {one.sop_instance_uid: one.series_instance_uid for one in REJECTED}


@pytest.mark.parametrize(
    ("title", "meaning"),
    [("113001", "Rejected for Quality Reasons"), ("113037", "Rejected for Patient Safety Reasons")],
)
def test_the_title_is_the_destinations(title: str, meaning: str) -> None:
    """And the note says in words that newer results are there, and that all is research."""
    result = note(profile=replace(PROFILE, rejection_title=title))
    ds = read_back(result)
    assert (result.kind, ds.Modality) == (ResultKind.REJECTION, "KO")
    name = ds.ConceptNameCodeSequence[0]
    assert (name.CodeValue, name.CodingSchemeDesignator, name.CodeMeaning) == (title, "DCM", meaning)
    (said,) = [
        str(item.TextValue)
        for item in ds.ContentSequence
        if item.ValueType == "TEXT" and item.ConceptNameCodeSequence[0].CodeValue == "113012"
    ]
    assert "replaced by newer ones" in said
    assert RESEARCH_NOTICE in said


@pytest.mark.parametrize("title", ["113038", "113039", "113000"])
def test_no_title_is_written_that_would_be_untrue(title: str) -> None:
    """Neither a wrong worklist entry nor an expired retention has replaced a result."""
    with pytest.raises(CompositionError, match="rejection_title"):
        note(profile=replace(PROFILE, rejection_title=title))


def test_a_note_without_objects_or_on_another_study_is_refused() -> None:
    """An archive would look for the objects in the note's study."""
    with pytest.raises(CompositionError, match="at least one object"):
        note(())
    with pytest.raises(CompositionError, match="note of its own"):
        note((*REJECTED, replace(REJECTED[0], study_instance_uid="1.2.4")))


def test_the_same_job_gives_the_same_bytes_in_any_order_and_naming_twice_rejects_once() -> None:
    """The ledger's order shapes nothing."""
    assert note().data == note(REJECTED[::-1]).data
    assert note().data == note(REJECTED + REJECTED).data


def test_what_shapes_a_note_changes_its_uid() -> None:
    """Another object, title, revision, patient or language."""
    renamed = phantom()
    renamed.PatientName = "SOMEBODY^ELSE"
    made = [
        note(),
        note(REJECTED[1:]),
        note(profile=replace(PROFILE, rejection_title="113037")),
        note(revision=3),
        note(source=renamed),
        note(profile=replace(PROFILE, language="fr")),
    ]
    assert len({one.sop_instance_uid for one in made}) == len(made)


@pytest.mark.real_part
def test_dciodvfy_and_dcmtk_find_it_valid(tmp_path: Path) -> None:
    """Each title, odd headers, one object and many."""
    safety = replace(PROFILE, rejection_title="113037", language="es")
    named = header_case("GB18030 name")
    made = [note(), note(REJECTED[:1], source=named), note(profile=safety)]
    made.append(compose_rejection(REJECTED[1:3], phantom(), [FAILED], PROFILE, CONTEXT, revision=4))
    for number, result in enumerate(made):
        path = tmp_path / f"{number}.dcm"
        path.write_bytes(result.data)
        assert not dciodvfy_errors(path)
        dumped = subprocess.run(
            [program("dsrdump"), str(path)], capture_output=True, check=True, timeout=60
        )
        assert b"Rejected for" in dumped.stdout
        assert b"E:" not in dumped.stderr
