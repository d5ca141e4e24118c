"""What real validators say of the objects (DICOM files checked by programs that others wrote)."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydicom.uid import ExplicitVRLittleEndian

from dicom_node.records import ResultObject
from dicom_node.results.composition import REPORT_SOP_CLASSES, DestinationProfile
from tests.phantoms import HEADER_CASES, encode, header_case, phantom
from tests.real_parts import program
from tests.results.hand_made import (
    DOUBTFUL,
    FAILED,
    NEGATIVE,
    NOT_ATTEMPTED,
    POSITIVE,
    PREDECESSOR,
    READINGS,
    overlay,
    report,
)
from tests.validators import dciodvfy_errors, pixelmed_says

pytestmark = pytest.mark.real_part


def _reports() -> Iterator[tuple[str, ResultObject]]:
    """Every reading, class, modality, polarity and kind of study once; not their product."""
    first = phantom(modality="DX", instance_number=1)
    second = phantom(modality="CR", instance_number=2, monochrome1=True)
    third = phantom(modality="DX", instance_number=3, seed=2, monochrome1=True)
    # Two series, and one image under a name that was corrected since.
    second.PatientName = "PHANTOM^CORRECTED"
    mixed = [(first, POSITIVE), (second, NEGATIVE), (third, NOT_ATTEMPTED)]
    yield "mixed", report(mixed, revision=2, predecessors=(PREDECESSOR,))
    comprehensive, enhanced = (DestinationProfile("pacs", 512, uid) for uid in REPORT_SOP_CLASSES[1:])
    yield "comprehensive", report([(first, FAILED), (second, DOUBTFUL)], profile=comprehensive)
    yield "enhanced", report([(first, POSITIVE)], profile=enhanced)
    bare = header_case("no PatientOrientation", modality="CR")
    del bare.BodyPartExamined
    yield "nothing said of the body", report([(bare, NEGATIVE)])


@pytest.mark.parametrize("number", range(len(HEADER_CASES)), ids=list(HEADER_CASES))
def test_dciodvfy_finds_no_error_that_the_source_does_not_have(number: int, tmp_path: Path) -> None:
    """Every header case, crossed in turn with modality, polarity, reading and report class."""
    name = list(HEADER_CASES)[number]
    findings = list(READINGS.values())[number % len(READINGS)]
    source = header_case(name, modality=("CR", "DX")[number % 2], monochrome1=number % 3 == 0)
    (tmp_path / "source").write_bytes(encode(source, ExplicitVRLittleEndian))
    profile = DestinationProfile("pacs", 512, REPORT_SOP_CLASSES[number % 3])
    made = {
        "report": report([(source, findings)], profile=profile),
        "overlay": overlay(source, findings, card=findings is FAILED),
    }
    inherited = dciodvfy_errors(tmp_path / "source")
    for kind, result in made.items():
        (tmp_path / kind).write_bytes(result.data)
        assert dciodvfy_errors(tmp_path / kind) <= inherited, kind


def test_pixelmed_and_dcmtk_find_every_report_valid(tmp_path: Path) -> None:
    """PixelMed's validator is what the IHE Connectathon asks for; its warnings are known noise."""
    paths = []
    for number, (name, result) in enumerate(_reports()):
        path = tmp_path / f"{number}-{name.replace(' ', '-')}.dcm"
        path.write_bytes(result.data)
        paths.append(path)
        dumped = subprocess.run(
            [program("dsrdump"), str(path)], capture_output=True, text=True, check=False, timeout=60
        )
        assert dumped.returncode == 0, dumped.stderr
        assert "Imaging Measurement Report" in dumped.stdout
        assert not re.search(r"^[EF]:", dumped.stderr, re.MULTILINE), dumped.stderr
    said = pixelmed_says(paths, tmp_path)
    assert said.count("Root Template Validation Complete") == len(paths), said
    assert "Error" not in said, "\n".join(line for line in said.splitlines() if "Error" in line)
