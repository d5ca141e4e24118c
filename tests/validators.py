"""Validators that others wrote, run on DICOM files: dicom3tools' dciodvfy and PixelMed's."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

from tests.real_parts import pixelmed_classpath, program


def dciodvfy_errors(path: Path) -> set[str]:
    """What dciodvfy calls an error; of an invalid value only the value, for results hold it in other places."""
    said = subprocess.run(
        [program("dciodvfy"), "-new", str(path)],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    lines = [line for line in (said.stdout + said.stderr).splitlines() if line.startswith("Error")]
    return {re.sub(r"^.*(?=Value invalid for this VR)", "", line) for line in lines}


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
        capture_output=True, text=True, check=True, timeout=170,
    )  # fmt: skip
    return said.stdout + said.stderr
