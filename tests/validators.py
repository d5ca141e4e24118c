"""Validators that others wrote, run on DICOM files: dicom3tools' dciodvfy, DCMTK's dcmpschk and PixelMed's."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

from pydicom import dcmread

from tests.real_parts import pixelmed_classpath, program


def dciodvfy_errors(path: Path) -> set[str]:
    """What dciodvfy calls an error; of an invalid value only the value, for results hold it in other places."""
    said = subprocess.run(
        [program("dciodvfy"), "-new", str(path)],
        capture_output=True,
        text=True,
        errors="replace",  # they print names as they stand in the file
        check=False,
        timeout=60,
    )
    lines = [line for line in (said.stdout + said.stderr).splitlines() if line.startswith("Error")]
    return {re.sub(r"^.*(?=Value invalid for this VR)", "", line) for line in lines}


def dcmpschk_errors(state: Path, image: Path) -> list[str]:
    """What dcmpschk says against a presentation state, without what the image's own UIDs bring along.

    It forgets that a value of odd length is padded (PS3.5 6.2): where it complains of a format, and the value has the
    very format that it names, there is none. It knows neither the "=" between the component groups of a name (PS3.5
    6.2.1.1) nor GB18030, whose letters have bytes that it takes for control characters: names are the image's own,
    and texts in that character set are left to dciodvfy.
    """
    checked = subprocess.run(
        [program("dcmpschk"), str(state)],
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
        timeout=60,
    )
    said = "\n".join(
        line[2:].strip()
        for line in (checked.stdout + checked.stderr).splitlines()
        if line.startswith(("E:", "F:"))
    )
    referenced = dcmread(image, specific_tags=["SOPInstanceUID", "SeriesInstanceUID", "PatientName"])
    inherited = {str(element.value) for element in referenced}
    unreadable = dcmread(state, specific_tags=[]).get("SpecificCharacterSet") == "GB18030"
    complaints = re.split(r"^(?=Error)", said, flags=re.MULTILINE)
    return [
        one.strip()
        for one in complaints
        if one.strip() and not _is_no_fault_of_ours(one, inherited, unreadable)
    ]


def _is_no_fault_of_ours(complaint: str, inherited: set[str], unreadable: bool) -> bool:
    value = re.search(r"^Attribute value\s*: \[(.*)\]$", complaint, re.MULTILINE)
    named = re.search(r"^Expected format for each value: (\S+)$", complaint, re.MULTILINE)
    if value is None:
        return False
    fits = named is not None and re.fullmatch(named[1], value[1].strip()) is not None
    foreign = unreadable and not value[1].isascii()
    return fits or foreign or value[1].strip() in inherited


def pixelmed_says(paths: list[Path], folder: Path) -> str:
    """PixelMed's words on all files, from one JVM."""
    classes = pixelmed_classpath()
    launcher = Path(__file__).with_name("ValidateReports.java")
    subprocess.run(
        [program("javac"), "-cp", classes, "-d", str(folder), str(launcher)], check=True, timeout=120
    )
    limits = ("xpathExprOpLimit", "xpathTotalOpLimit", "xpathExprGrpLimit")
    command = [program("java"), "-Xmx2g", *(f"-Djdk.xml.{limit}=0" for limit in limits)]
    said = subprocess.run(
        [*command, "-cp", f"{classes}:{folder}", "ValidateReports", *map(str, paths)],
        capture_output=True, text=True, errors="replace", check=True, timeout=170,
    )  # fmt: skip
    return said.stdout + said.stderr
