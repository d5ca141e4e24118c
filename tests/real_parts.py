"""Programs that pip cannot install: where they are, and what to do when one is missing.

In CI (`CI=true`) a missing part fails the test that needs it; on a laptop the test is skipped and says
what to install.
"""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

import pytest

PACKAGES = {
    "storescu": "dcmtk",
    "storescp": "dcmtk",
    "echoscu": "dcmtk",
    "dcmj2pnm": "dcmtk",
    "dcmcjpeg": "dcmtk",
    "dcmcjpls": "dcmtk",
    "dcmcrle": "dcmtk",
    "dcmconv": "dcmtk",
    "dcmdjpls": "dcmtk",
    "dcmdrle": "dcmtk",
    "dsrdump": "dcmtk",
    "dcmp2pgm": "dcmtk",
    "dcmpschk": "dcmtk",
    "xvfb-run": "xvfb xauth",
    "dciodvfy": "dicom3tools",
    "Orthanc": "orthanc",
    "java": "default-jdk-headless",
    "javac": "default-jdk-headless",
    "ip": "iproute2",
    "chromium": "chromium",
    "node": "nodejs",
    "npm": "npm",
}
# Where Debian puts Orthanc's DICOMweb plug-in.
DICOMWEB_PLUGIN = Path("/usr/share/orthanc/plugins/libOrthancDicomWeb.so")
PIXELMED = tuple(
    Path("/usr/share/java") / name
    for name in ("pixelmed.jar", "commons-codec.jar", "excalibur-logkit.jar")
)
# A viewer that draws presentation states, and its half in C++.
DICOMSCOPE = Path("/usr/share/java/DICOMscope.jar")
DICOMSCOPE_CONFIGURATION = Path("/etc/dcmtk/DICOMscope.cfg")
PIXELMED_PACKAGES = "libpixelmed-java libexcalibur-logkit-java libcommons-codec-java"


def missing(what: str, packages: str) -> None:
    """Fails in CI, skips elsewhere, saying what to install."""
    unavailable(f"{what} is missing: apt-get install {packages}")


def unavailable(message: str) -> None:
    """Fails in CI, skips elsewhere, with these words."""
    if os.environ.get("CI") == "true":
        pytest.fail(message)
    pytest.skip(message)


def program(name: str) -> str:
    """The path of a real program; never pynetdicom's program of the same name in our own environment."""
    own = Path(sys.prefix).resolve()
    folders = [
        folder
        for folder in [*os.environ.get("PATH", "").split(os.pathsep), "/usr/bin", "/usr/sbin"]
        if folder and own not in Path(folder).resolve().parents and Path(folder).resolve() != own
    ]
    found = shutil.which(name, path=os.pathsep.join(folders))
    if found is None:
        missing(name, PACKAGES.get(name, name))
    return str(found)


def dicomweb_plugin() -> str:
    """The path of Orthanc's DICOMweb plug-in."""
    if not DICOMWEB_PLUGIN.is_file():
        missing(str(DICOMWEB_PLUGIN), "orthanc-dicomweb")
    return str(DICOMWEB_PLUGIN)


def pixelmed_classpath() -> str:
    """The class path of PixelMed's validator."""
    absent = [str(jar) for jar in PIXELMED if not jar.is_file()]
    if absent:
        missing(", ".join(absent), PIXELMED_PACKAGES)
    return ":".join(str(jar) for jar in PIXELMED)


def dicomscope_options() -> list[str]:
    """What java must be told to run DICOMscope's classes: class path and native libraries."""
    jni = next(iter(sorted(Path("/usr/lib").glob("*/jni/libjInterface.so"))), None)
    if jni is None or not DICOMSCOPE.is_file() or not DICOMSCOPE_CONFIGURATION.is_file():
        missing("DICOMscope", "dicomscope")
    return [f"-Djava.library.path={jni.parent if jni else ''}", "-cp", str(DICOMSCOPE)]


def films_folder() -> Path:
    """The folder of real films that `DICOM_NODE_TEST_FILMS` names; tests that need it skip without."""
    named = os.environ.get("DICOM_NODE_TEST_FILMS")
    if not named:
        pytest.skip("DICOM_NODE_TEST_FILMS names no folder of real films (fracatlas/ and dicom/ in it)")
    folder = Path(named)
    if not folder.is_dir():
        pytest.fail(f"DICOM_NODE_TEST_FILMS = {named!r} is no folder")
    return folder
