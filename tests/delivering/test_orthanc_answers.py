"""What Orthanc's DICOMweb plug-in answers to STOW-RS, in both of its languages."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from pydicom.uid import ExplicitVRLittleEndian

from dicom_node.delivering.stow_answer import StoreAnswer, read_store_answer
from tests.node.orthanc import HTTP_PORT, network_namespace, running_orthanc
from tests.phantoms import encode, phantom
from tests.real_parts import dicomweb_plugin

pytestmark = pytest.mark.real_part

# Runs inside Orthanc's namespace: posts a file's bytes, prints the answer's body whatever its status.
ASK = r"""
import sys, urllib.error, urllib.request
url, accept, path = sys.argv[1:]
head = b"--limb\r\nContent-Type: application/dicom\r\n\r\n"
headers = {"Content-Type": 'multipart/related; type="application/dicom"; boundary=limb', "Accept": accept}
asked = urllib.request.Request(url, head + open(path, "rb").read() + b"\r\n--limb--\r\n", headers)
try:
    answer = urllib.request.urlopen(asked)
except urllib.error.HTTPError as error:
    answer = error
sys.stdout.buffer.write(answer.read())
"""


def test_json_and_xml_say_the_same(tmp_path: Path) -> None:
    """Of an object that is stored, and of bytes that are no object."""
    film, text = tmp_path / "film.dcm", tmp_path / "text.dcm"
    film.write_bytes(encode(phantom(), ExplicitVRLittleEndian))
    text.write_text("hello")
    url = f"http://127.0.0.1:{HTTP_PORT}/dicom-web/studies"
    with (
        network_namespace() as within,
        running_orthanc(tmp_path / "orthanc", within, plugins=[dicomweb_plugin()]),
    ):
        for path, expected in ((film, StoreAnswer(is_stored=True)), (text, StoreAnswer())):
            for language in ("json", "xml"):
                command = [sys.executable, "-c", ASK, url, f"application/dicom+{language}", str(path)]
                said = subprocess.run([*within, *command], capture_output=True, check=True, timeout=60)
                assert said.stdout.lstrip().startswith(b"<" if language == "xml" else b"{")
                assert read_store_answer(said.stdout) == expected
