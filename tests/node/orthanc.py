"""Orthanc in a network namespace of its own: it listens on every address, whatever its settings say."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.real_parts import missing, program

DICOM_PORT, HTTP_PORT = 4242, 8042
AUTO_ROUTE = Path(__file__).with_name("auto_route.lua")


@contextlib.contextmanager
def network_namespace() -> Iterator[tuple[str, ...]]:
    """What is put before a command to run it in a namespace that has only a loopback interface."""
    ip, name = program("ip"), f"fracture-node-{os.getpid()}"
    made = subprocess.run([ip, "netns", "add", name], capture_output=True, text=True, check=False)
    if made.returncode != 0:
        missing(f"a network namespace ({made.stderr.strip()})", "iproute2, and run as root")
    try:
        within = (ip, "netns", "exec", name)
        subprocess.run([*within, ip, "link", "set", "lo", "up"], check=True)
        yield within
    finally:
        subprocess.run([ip, "netns", "del", name], check=True)


@dataclass(frozen=True)
class Orthanc:
    """A running Orthanc; its REST API is reached from inside the namespace."""

    folder: Path
    within: tuple[str, ...]

    def store(self, *paths: Path) -> None:
        """DCMTK's storescu as the modality."""
        where = ["-aec", "ORTHANC", "-aet", "MODALITY", "127.0.0.1", str(DICOM_PORT)]
        command = [*self.within, program("storescu"), "-R", *where, *map(str, paths)]
        subprocess.run(command, check=True, timeout=120)

    def get(self, path: str) -> Any:
        """The JSON at a path of the REST API."""
        return json.loads(self.get_bytes(path))

    def get_bytes(self, path: str) -> bytes:
        """What lies at a path of the REST API."""
        ask = "import sys, urllib.request as r; sys.stdout.buffer.write(r.urlopen(sys.argv[1]).read())"
        command = [*self.within, sys.executable, "-c", ask, f"http://127.0.0.1:{HTTP_PORT}{path}"]
        return subprocess.run(command, check=True, capture_output=True, timeout=60).stdout

    def instances(self, study_instance_uid: str) -> dict[str, Path]:
        """Every instance of a study as a file, by SOP Instance UID."""
        studies = [self.get(f"/studies/{study}") for study in self.get("/studies")]
        files = {}
        for study in studies:
            if study["MainDicomTags"]["StudyInstanceUID"] != study_instance_uid:
                continue
            for instance in self.get(f"/studies/{study['ID']}/instances"):
                path = self.folder / f"{instance['ID']}.dcm"
                path.write_bytes(self.get_bytes(f"/instances/{instance['ID']}/file"))
                files[str(instance["MainDicomTags"]["SOPInstanceUID"])] = path
        return files

    def jobs(self) -> list[dict[str, Any]]:
        """What it sent or is sending."""
        found: list[dict[str, Any]] = self.get("/jobs?expand")
        return found


@contextlib.contextmanager
def running_orthanc(
    folder: Path,
    within: tuple[str, ...],
    node_port: int | None = None,
    plugins: Sequence[str] = (),
) -> Iterator[Orthanc]:
    """Orthanc, with the auto-route to a node if its port in the namespace is given."""
    folder.mkdir(parents=True)
    routes = {} if node_port is None else _routes_to_node(folder, node_port)
    settings = {
        "Name": "Orthanc",
        "StorageDirectory": str(folder / "storage"),
        "IndexDirectory": str(folder / "storage"),
        "HttpPort": HTTP_PORT,
        "RemoteAccessAllowed": False,
        "AuthenticationEnabled": False,
        "DicomAet": "ORTHANC",
        "DicomPort": DICOM_PORT,
        "DicomCheckCalledAet": True,
        "DicomAlwaysAllowStore": True,
        "Plugins": list(plugins),
        **routes,
    }
    (folder / "orthanc.json").write_text(json.dumps(settings))
    with (folder / "log.txt").open("wb") as log:
        process = subprocess.Popen(
            [*within, program("Orthanc"), str(folder / "orthanc.json")], stdout=log, stderr=log
        )
    try:
        orthanc = Orthanc(folder, within)
        _wait_until_it_answers(orthanc, process)
        yield orthanc
    finally:
        process.terminate()
        process.wait(60)


def _routes_to_node(folder: Path, node_port: int) -> dict[str, Any]:
    shutil.copy(AUTO_ROUTE, folder)
    node = {"AET": "FRACTURE", "Host": "127.0.0.1", "Port": node_port}
    return {"LuaScripts": [str(folder / AUTO_ROUTE.name)], "DicomModalities": {"node": node}}


def _wait_until_it_answers(orthanc: Orthanc, process: subprocess.Popen[bytes]) -> None:
    until = time.monotonic() + 60
    while True:
        try:
            orthanc.get("/system")
            return
        except subprocess.CalledProcessError:
            said = (orthanc.folder / "log.txt").read_text(errors="replace")
            assert process.poll() is None, f"Orthanc ended:\n{said}"
            assert time.monotonic() < until, f"Orthanc does not answer:\n{said}"
            time.sleep(0.2)
