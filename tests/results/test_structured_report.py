"""What the report says, and what it must not say."""

from __future__ import annotations

import io
import re
import uuid
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta

import highdicom
import pytest
from highdicom.sr import MeasurementReport
from pydicom.dataset import Dataset
from pydicom.sr.coding import Code

from dicom_node.errors import CompositionError
from dicom_node.identifiers import CODING_SCHEME_DESIGNATOR
from dicom_node.records import StudyFindings
from dicom_node.results.composition import REPORT_SOP_CLASSES, DestinationProfile
from dicom_node.results.structured_report import compose_report
from pipeline.findings import RESEARCH_NOTICE, ImageFindings, NotProcessed
from tests.phantoms import ACQUIRED_AT, HEADER_CASES, header_case, phantom
from tests.results.hand_made import (
    CONTEXT,
    DOUBTFUL,
    FAILED,
    MODEL,
    NEGATIVE,
    NOT_ATTEMPTED,
    POSITIVE,
    PREDECESSOR,
    READINGS,
    read_back,
    report,
)

FRACTURE = Code("72704001", "SCT", "Fracture")
PROBABILITY = Code("122157", "DCM", "Probability")


def _items(node: Dataset) -> Iterator[Dataset]:
    for item in node.get("ContentSequence", ()):
        yield item
        yield from _items(item)


def _name(item: Dataset) -> str:
    code = item.get("ConceptNameCodeSequence")
    return str(code[0].CodeValue) if code else ""


def _value(item: Dataset) -> str:
    return str(item.ConceptCodeSequence[0].CodeValue)


def _groups(ds: Dataset) -> list[Dataset]:
    return [item for item in _items(ds) if _name(item) == "125007"]


def _texts(ds: Dataset) -> list[str]:
    return [str(item.TextValue) for item in _items(ds) if item.ValueType == "TEXT"]


def _codes(group: Dataset) -> dict[str, str]:
    return {_name(item): _value(item) for item in group.ContentSequence if item.ValueType == "CODE"}


def _numbers(group: Dataset) -> dict[str, Dataset]:
    return {
        str(item.ConceptNameCodeSequence[0].CodeMeaning): item
        for item in group.ContentSequence
        if item.ValueType == "NUM"
    }


def _region(group: Dataset) -> list[float]:
    (scoord,) = [item for item in group.ContentSequence if item.ValueType == "SCOORD"]
    return [float(value) for value in scoord.GraphicData]


@pytest.mark.parametrize(
    ("name", "judged", "grade"),
    [
        ("positive", "52101004", "Fracture suspected"),
        ("doubt", "373068000", "Doubt"),
        ("negative", "272519000", "Below threshold"),
    ],
)
def test_a_read_image_says_present_undetermined_or_absent_with_its_probability(
    name: str, judged: str, grade: str
) -> None:
    """In percent, so that viewers print "87.34 %", and never as a Finding, which would index negatives."""
    findings = READINGS[name]
    whole = _groups(read_back(report([(phantom(), findings)])))[0]
    assert _codes(whole)["72704001"] == judged
    assert "121071" not in _codes(whole)
    numbers = _numbers(whole)
    assert list(numbers) == ["Probability", grade]
    for number in numbers.values():
        measured = number.MeasuredValueSequence[0]
        assert float(measured.NumericValue) == pytest.approx(100 * (findings.fracture_probability or 0))
        assert measured.MeasurementUnitsCodeSequence[0].CodeValue == "%"


@pytest.mark.parametrize(("findings", "attempt"), [(NOT_ATTEMPTED, "111225"), (FAILED, "111224")])
def test_an_image_that_was_not_read_says_why_and_neither_probability_nor_absent(
    findings: ImageFindings, attempt: str
) -> None:
    """Silence is never negative: a coded status, and a reason in our own coding scheme."""
    ds = read_back(report([(phantom(), findings)]))
    (group,) = _groups(ds)
    codes = _codes(group)
    assert codes["111065"] == attempt
    assert isinstance(findings.reason, NotProcessed)
    assert codes["FN-000"] == findings.reason.value
    assert "72704001" not in codes
    assert not [item for item in group.ContentSequence if item.ValueType == "NUM"]
    scheme = ds.CodingSchemeIdentificationSequence[0]
    assert scheme.CodingSchemeDesignator == CODING_SCHEME_DESIGNATOR


def test_only_regions_at_an_operating_point_are_reported_and_only_fractures_are_findings() -> None:
    """Finding (121071) stands in the region that is suspected, not in the doubt, nothing below the thresholds."""
    whole, fracture, doubt = _groups(read_back(report([(phantom(), POSITIVE)])))
    assert _codes(fracture)["121071"] == "72704001"
    assert _codes(fracture)["72704001"] == "52101004"
    assert "121071" not in _codes(doubt)
    assert _codes(doubt)["72704001"] == "373068000"
    assert "Fracture suspected" in _numbers(fracture)
    assert "Doubt" in _numbers(doubt)
    assert _region(fracture) == [50, 60, 90.5, 60, 90.5, 100, 50, 100, 50, 60]
    rows, columns = POSITIVE.rows, POSITIVE.columns
    assert _region(whole) == [0, 0, columns, 0, columns, rows, 0, rows, 0, 0]
    assert len(_groups(read_back(report([(phantom(), NEGATIVE)])))) == 1


@pytest.mark.parametrize("findings", READINGS.values(), ids=READINGS)
def test_every_group_has_what_viewers_need(findings: ImageFindings) -> None:
    """Tracking identifier before its UID, one SCOORD with one IMAGE; English meanings are matched on."""
    ds = read_back(report([(phantom(), findings)]))
    for group in _groups(ds):
        assert group.ConceptNameCodeSequence[0].CodeMeaning == "Measurement Group"
        assert [_name(item) for item in group.ContentSequence][:2] == ["112039", "112040"]
        (scoord,) = [item for item in group.ContentSequence if item.ValueType == "SCOORD"]
        assert scoord.GraphicType == "POLYLINE"
        assert len(scoord.GraphicData) == 10
        assert [child.ValueType for child in scoord.ContentSequence] == ["IMAGE"]
    containers = [_name(item) for item in ds.ContentSequence if item.ValueType == "CONTAINER"]
    assert containers == ["111028", "126010", "C0034375"]


@pytest.mark.parametrize(
    ("name", "labels"),
    [
        ("positive", ["Fracture suspected 87 %", "Fracture suspected 81 %", "Doubt 41 %"]),
        ("negative", ["Below threshold 4 %"]),
        ("failed", ["Not processed"]),
    ],
)
def test_every_group_has_its_result_in_words_as_a_short_label(name: str, labels: list[str]) -> None:
    """For viewers that show that, in the destination's language."""
    groups = _groups(read_back(report([(phantom(), READINGS[name])])))
    said = [item for group in groups for item in group.ContentSequence if _name(item) == "125309"]
    assert [str(item.TextValue) for item in said] == labels
    german = DestinationProfile("german", language="de")
    (label,) = [
        item
        for item in _items(read_back(report([(phantom(), NEGATIVE)], profile=german)))
        if _name(item) == "125309"
    ]
    assert str(label.TextValue) == "Unter der Schwelle 4 %"
    assert [_value(child) for child in label.ContentSequence] == ["de"]


def test_the_model_and_both_operating_points_stand_in_every_group() -> None:
    """TID 4019: name, version, digest of the package, engine, thresholds."""
    for group in _groups(read_back(report([(phantom(), POSITIVE)]))):
        texts = {
            (_name(item), str(item.TextValue))
            for item in group.ContentSequence
            if item.ValueType == "TEXT"
        }
        assert ("111001", MODEL.name) in texts
        assert ("111003", MODEL.version) in texts
        parameters = " ".join(text for name, text in texts if name == "111002")
        for expected in (MODEL.digest, MODEL.engine, "0.6200", "0.3100"):
            assert expected in parameters


def test_the_finer_site_is_the_headers_and_marked_so() -> None:
    """The model knows "hand", from elbow to fingers; Forearm and the side come from the header."""
    whole = _groups(read_back(report([(phantom(modality="DX", limb="forearm"), POSITIVE)])))[0]
    probability = _numbers(whole)["Probability"]
    coarse, fine = [item for item in probability.ContentSequence if _name(item) == "363698007"]
    assert (_value(coarse), _value(fine)) == ("53120007", "14975008")
    marks = [str(child.get("TextValue", "")) for child in fine.ContentSequence]
    assert "Body part from the image header" in marks
    side = [child for child in fine.ContentSequence if _name(child) == "272741003"]
    assert _value(side[0]) == "24028007"


@pytest.mark.parametrize("findings", READINGS.values(), ids=READINGS)
def test_no_group_has_a_finding_site_beside_its_numbers(findings: ImageFindings) -> None:
    """OHIF would print its code, "363698007", beside the box; inside a number it stays out of sight."""
    for group in _groups(read_back(report([(phantom(), findings)]))):
        assert "363698007" not in [_name(item) for item in group.ContentSequence]


@pytest.mark.parametrize("findings", READINGS.values(), ids=READINGS)
def test_row_12_says_the_result_and_the_notice_in_words(findings: ImageFindings) -> None:
    """And no text of a report calls anything normal."""
    texts = _texts(read_back(report([(phantom(), findings)])))
    assert RESEARCH_NOTICE in texts
    words = {
        "fracture": "Fracture suspected 87 %",
        "doubt": "Doubt 41 %",
        "no fracture": "Below threshold 4 %",
        "not processed": "Not processed: ",
    }
    assert any(words[findings.outcome] in text for text in texts)
    assert not any(re.search("normal|negative", text, re.IGNORECASE) for text in texts)


def test_the_flags_say_complete_unverified_preliminary_and_research() -> None:
    """Nobody has verified it, and it is for research."""
    ds = read_back(report([(phantom(), NEGATIVE)]))
    assert (ds.CompletionFlag, ds.VerificationFlag, ds.PreliminaryFlag) == (
        "COMPLETE", "UNVERIFIED", "PRELIMINARY",
    )  # fmt: skip
    assert ds.ContentQualification == "RESEARCH"
    assert (ds.SeriesNumber, ds.Modality) == (9001, "SR")
    assert "research" in ds.SeriesDescription


def test_a_study_of_several_series_and_patient_headers_is_one_report_in_the_order_of_its_images() -> (
    None
):
    """Evidence by series; the patient is the one of the image acquired last."""
    first = phantom(modality="DX", instance_number=1)
    second = phantom(modality="CR", instance_number=2)
    third = phantom(modality="DX", instance_number=3, acquired_at=ACQUIRED_AT + timedelta(minutes=5))
    third.PatientName = "PHANTOM^CORRECTED"
    given = [(third, NOT_ATTEMPTED), (first, POSITIVE), (second, NEGATIVE)]
    ds = read_back(report(given))
    assert ds.PatientName == "PHANTOM^CORRECTED"
    (evidence,) = ds.CurrentRequestedProcedureEvidenceSequence
    held = [
        [str(item.ReferencedSOPInstanceUID) for item in series.ReferencedSOPSequence]
        for series in evidence.ReferencedSeriesSequence
    ]
    assert held == [[first.SOPInstanceUID, third.SOPInstanceUID], [second.SOPInstanceUID]]
    assert report(given).data == report(given[::-1]).data


def test_a_revision_names_its_predecessor_and_stays_in_its_series() -> None:
    """A late image makes revision 2: a new instance of the same series."""
    first = read_back(report([(phantom(), POSITIVE)]))
    second = read_back(report([(phantom(), POSITIVE)], revision=2, predecessors=(PREDECESSOR,)))
    assert (first.InstanceNumber, second.InstanceNumber) == (1, 2)
    assert first.SeriesInstanceUID == second.SeriesInstanceUID
    assert first.SOPInstanceUID != second.SOPInstanceUID
    series = second.PredecessorDocumentsSequence[0].ReferencedSeriesSequence[0]
    assert series.ReferencedSOPSequence[0].ReferencedSOPInstanceUID == PREDECESSOR.sop_instance_uid


def test_the_same_job_gives_the_same_bytes_and_another_moment_another_uid() -> None:
    """A UID names bytes: it changes with all that shapes them, and the ledger fixes the moment."""
    pair = (phantom(), POSITIVE)
    assert report([pair]).data == report([pair]).data
    later = replace(CONTEXT, composed_at=CONTEXT.composed_at + timedelta(seconds=9))
    assert report([pair], context=later).sop_instance_uid != report([pair]).sop_instance_uid


def _renamed() -> Dataset:
    source = phantom()
    source.PatientName = "SOMEBODY^ELSE"
    return source


def test_whatever_shapes_a_report_changes_its_uid() -> None:
    """Another patient name, accession number, pixel, threshold, model, class, software or installation."""
    source = phantom()
    other_points = replace(POSITIVE, thresholds=replace(POSITIVE.thresholds, doubt=0.3))
    other_model = replace(POSITIVE, model=replace(MODEL, engine="openvino int8"))
    other_place = replace(CONTEXT, installation_id=uuid.UUID(int=1))
    reports = [
        report([(source, POSITIVE)]),
        report([(_renamed(), POSITIVE)]),
        report([(phantom(accession_number="A-2"), POSITIVE)]),
        report([(source, other_points)]),
        report([(source, other_model)]),
        report(
            [(source, POSITIVE)], profile=DestinationProfile("b", report_class=REPORT_SOP_CLASSES[1])
        ),
        report([(source, POSITIVE)], context=replace(CONTEXT, software_version="0.2.0")),
        report([(source, POSITIVE)], context=replace(CONTEXT, node_timezone="+0100")),
        report([(source, POSITIVE)], context=other_place),
        report([(source, POSITIVE)], revision=2),
    ]
    assert len({made.sop_instance_uid for made in reports}) == len(reports)


def test_destinations_that_differ_only_in_their_overlays_share_the_report() -> None:
    """Only the settings that change an object are in its UID."""
    small, large = DestinationProfile("a", 512), DestinationProfile("b", 4096)
    pair = (phantom(), POSITIVE)
    assert report([pair], profile=small).data == report([pair], profile=large).data


@pytest.mark.parametrize("case", HEADER_CASES)
def test_highdicom_reads_the_report_back_from_every_header(case: str) -> None:
    """As a Measurement Report with its groups; the patient's name comes through every character set."""
    source = header_case(case)
    result = report([(source, POSITIVE)])
    document = highdicom.sr.srread(io.BytesIO(result.data))
    assert isinstance(document.content, MeasurementReport)
    groups = document.content.get_planar_roi_measurement_groups()
    assert len(groups) == 3
    (probability,) = groups[0].get_measurements(name=PROBABILITY)
    assert probability.value == 87.34
    assert groups[1].finding_type == FRACTURE
    ds = read_back(result)
    assert str(ds.PatientName) == str(source.PatientName)
    assert ds.SOPClassUID == result.sop_class_uid
    assert result.data[128:132] == b"DICM"


def test_times_are_written_in_the_sources_time_zone() -> None:
    """A source at -0400 on a machine at UTC: 22:30 becomes 18:30, and the offset is copied."""
    ds = read_back(report([(header_case("time zone"), NEGATIVE)]))
    assert ds.TimezoneOffsetFromUTC == "-0400"
    assert (ds.ContentDate, ds.ContentTime) == ("20240506", "183015")
    assert ds.ContributingEquipmentSequence[0].ContributionDateTime == "20240506183015-0400"


def test_without_a_source_zone_the_setting_moves_the_clock_and_no_offset_is_claimed() -> None:
    """The offset would govern the copied study times too, whose zone nobody knows."""
    context = replace(CONTEXT, node_timezone="+0200")
    ds = read_back(report([(phantom(), NEGATIVE)], context=context))
    assert "TimezoneOffsetFromUTC" not in ds
    assert (ds.ContentDate, ds.ContentTime) == ("20240507", "003015")


def test_a_report_without_images_or_without_a_header_is_refused() -> None:
    """A clear error, not an empty report."""
    empty = StudyFindings("1.2.3", 1, CONTEXT.composed_at, ())
    with pytest.raises(CompositionError, match="at least one image"):
        compose_report(empty, {}, DestinationProfile("pacs"), CONTEXT)
    with pytest.raises(CompositionError, match="needs a probability"):
        report([(phantom(), replace(DOUBTFUL, fracture_probability=None))])
