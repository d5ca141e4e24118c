"""The selection of the images that matter."""

from __future__ import annotations

import io
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from highdicom.ko import KeyObjectSelection
from pydicom.dataset import Dataset
from pydicom.uid import KeyObjectSelectionDocumentStorage

from dicom_node.records import ResultKind, ResultObject
from dicom_node.results.composition import DestinationProfile
from dicom_node.results.key_objects import compose_key_objects
from pipeline.findings import RESEARCH_NOTICE, ImageFindings
from tests.phantoms import HEADER_CASES, header_case, phantom
from tests.real_parts import program
from tests.results.hand_made import (
    CONTEXT,
    DOUBTFUL,
    FAILED,
    MODEL,
    NEGATIVE,
    NOT_ATTEMPTED,
    POSITIVE,
    PROFILE,
    read_back,
    study_of,
)
from tests.validators import dciodvfy_errors, pixelmed_says

Pair = tuple[Dataset, ImageFindings]


def key_objects(
    *pairs: Pair, revision: int = 1, profile: DestinationProfile = PROFILE
) -> ResultObject | None:
    """The selection of a study."""
    study, sources = study_of(pairs, revision)
    return compose_key_objects(study, sources, profile, CONTEXT)


def selection(*pairs: Pair, **more: object) -> ResultObject:
    """The selection of a study that has one."""
    made = key_objects(*pairs, **more)  # type: ignore[arg-type]
    assert made is not None
    return made


def mixed() -> list[Pair]:
    """Five images of two series: a fracture, a doubt, one below threshold, two that were not read."""
    readings = (NEGATIVE, POSITIVE, NOT_ATTEMPTED, DOUBTFUL, FAILED)
    return [
        (phantom(modality="DX" if number % 2 else "CR", instance_number=number), reading)
        for number, reading in enumerate(readings, start=1)
    ]


def _named(ds: Dataset) -> list[str]:
    return [
        str(item.ReferencedSOPSequence[0].ReferencedSOPInstanceUID)
        for item in ds.ContentSequence
        if item.ValueType == "IMAGE"
    ]


def test_it_names_the_images_with_a_fracture_or_a_doubt_and_no_others() -> None:
    """In the order in which people number them, in the content and in the evidence."""
    pairs = mixed()
    ds = read_back(selection(*pairs))
    wanted = [str(pairs[index][0].SOPInstanceUID) for index in (1, 3)]
    assert sorted(_named(ds)) == sorted(wanted)
    (evidence,) = ds.CurrentRequestedProcedureEvidenceSequence
    held = [
        str(item.ReferencedSOPInstanceUID)
        for series in evidence.ReferencedSeriesSequence
        for item in series.ReferencedSOPSequence
    ]
    assert sorted(held) == sorted(wanted)


@pytest.mark.parametrize("reading", [NEGATIVE, NOT_ATTEMPTED, FAILED])
def test_a_study_in_which_no_image_matters_has_none(reading: ImageFindings) -> None:
    """An empty selection would say that something was selected."""
    assert key_objects((phantom(), reading)) is None


def test_it_is_titled_of_interest_and_says_who_chose_and_that_it_is_research() -> None:
    """TID 2010 with a Key Object Description; the images have no concept name of their own."""
    result = selection(*mixed())
    ds = read_back(result)
    assert (result.kind, ds.SOPClassUID) == (ResultKind.KEY_OBJECTS, KeyObjectSelectionDocumentStorage)
    assert (ds.Modality, ds.SeriesNumber) == ("KO", 9005)
    assert "research" in ds.SeriesDescription
    assert ds.ContentQualification == "RESEARCH"
    assert ds.ConceptNameCodeSequence[0].CodeValue == "113000"
    assert ds.ContentTemplateSequence[0].TemplateIdentifier == "2010"
    (said,) = [
        str(item.TextValue)
        for item in ds.ContentSequence
        if item.ValueType == "TEXT" and item.ConceptNameCodeSequence[0].CodeValue == "113012"
    ]
    for words in (RESEARCH_NOTICE, MODEL.name, MODEL.version, "Fracture suspected 87 %", "Doubt 41 %"):
        assert words in said
    assert "Below threshold" not in said
    images = [item for item in ds.ContentSequence if item.ValueType == "IMAGE"]
    assert not any("ConceptNameCodeSequence" in item for item in images)


def test_highdicom_reads_it_as_a_key_object_selection() -> None:
    """Its own reader wants a name on every item; put back, the rest is what it expects."""
    pairs = mixed()
    ds = read_back(selection(*pairs))
    for item in ds.ContentSequence:
        if item.ValueType == "IMAGE":
            item.ConceptNameCodeSequence = ds.ConceptNameCodeSequence
    document = KeyObjectSelection.from_sequence([ds])
    found = [item.referenced_sop_instance_uid for item in document.get_references()]
    assert sorted(found) == sorted(str(pairs[index][0].SOPInstanceUID) for index in (1, 3))


def test_the_same_job_gives_the_same_bytes_and_what_shapes_them_another_uid() -> None:
    """Order of arrival shapes nothing; revision, reading, language and patient do."""
    pairs = mixed()
    renamed = phantom(modality="DX", instance_number=1)
    renamed.PatientName = "SOMEBODY^ELSE"
    first = selection(*pairs)
    assert first.data == selection(*pairs[::-1]).data
    others = [
        selection(*pairs, revision=2),
        selection(*pairs[:2], *pairs[4:]),
        selection((renamed, POSITIVE)),
        selection(*pairs, profile=replace(PROFILE, language="de")),
        selection((pairs[1][0], replace(POSITIVE, fracture_probability=0.9)), pairs[3]),
    ]
    assert len({one.sop_instance_uid for one in [first, *others]}) == len(others) + 1
    assert others[0].series_instance_uid == first.series_instance_uid


def test_destinations_that_differ_only_in_their_captures_share_it() -> None:
    """Size, bits and compression of pictures shape no document."""
    other = DestinationProfile("other", overlay_longest_side=4096, overlay_bits=8)
    assert selection(*mixed()).data == selection(*mixed(), profile=other).data


@pytest.mark.parametrize("case", HEADER_CASES)
def test_the_patient_comes_through_from_every_header(case: str) -> None:
    """In the source's character set or in Unicode, and the image's UID verbatim."""
    source = header_case(case)
    ds = read_back(selection((source, POSITIVE)))
    assert str(ds.PatientName) == str(source.PatientName)
    assert _named(ds) == [str(source.SOPInstanceUID)]


def _for_validators() -> Iterator[ResultObject]:
    yield selection(*mixed())
    yield selection((header_case("IR 87 name"), DOUBTFUL), revision=3)
    yield selection((header_case("time zone"), POSITIVE), profile=replace(PROFILE, language="it"))


@pytest.mark.real_part
def test_dciodvfy_dcmtk_and_pixelmed_find_it_valid(tmp_path: Path) -> None:
    """TID 2010 to the letter; PixelMed is what the IHE Connectathon asks for."""
    paths = []
    for number, result in enumerate(_for_validators()):
        paths.append(tmp_path / f"{number}.dcm")
        paths[-1].write_bytes(result.data)
        assert not dciodvfy_errors(paths[-1])
        dumped = subprocess.run(
            [program("dsrdump"), str(paths[-1])], capture_output=True, check=True, timeout=60
        )
        assert b"Of Interest" in dumped.stdout
        assert b"E:" not in dumped.stderr
    said = pixelmed_says(paths, tmp_path)
    assert said.count("Root Template Validation Complete") == len(paths), said
    assert "Error" not in said, said


def test_it_is_a_dicom_file() -> None:
    """With a preamble and file meta information (PS3.10 7.1)."""
    file = io.BytesIO(selection((phantom(), POSITIVE)).data)
    file.seek(128)
    assert file.read(4) == b"DICM"
