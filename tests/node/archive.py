"""DCMTK's storescp as the archive of a node: a folder of what came, which can be absent for a while."""

from __future__ import annotations

import contextlib
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Self

import pydicom
from pydicom import FileDataset

from tests.real_parts import program
from tests.receiving.running_scp import free_port

SECONDARY_CAPTURE = "1.2.840.10008.5.1.4.1.1.7"


class Archive:
    """A port where storescp listens between `start` and `stop`; what came stays."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.port = folder, free_port()
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Listens, keeping the bit stream as it comes."""
        self.folder.mkdir(parents=True, exist_ok=True)
        command = [program("storescp"), "+B", "-od", str(self.folder), str(self.port)]
        self._process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        for _ in range(600):
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 1):
                return
            time.sleep(0.05)
        raise AssertionError("storescp does not listen")

    def stop(self) -> None:
        """Listens no more."""
        if self._process is not None:
            self._process.terminate()
            self._process.wait(30)
            self._process = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def objects(self, study_instance_uid: str) -> list[FileDataset]:
        """What came of a study. Only after the ledger says delivered: storescp writes while it receives."""
        found = [pydicom.dcmread(path) for path in sorted(self.folder.iterdir())]
        return [ds for ds in found if study_instance_uid == ds.StudyInstanceUID]

    def reports(self, study_instance_uid: str) -> list[FileDataset]:
        """Its Structured Reports, the first revision first."""
        found = [ds for ds in self.objects(study_instance_uid) if ds.Modality == "SR"]
        return sorted(found, key=lambda ds: int(ds.InstanceNumber))

    def overlays(self, study_instance_uid: str) -> dict[str, list[FileDataset]]:
        """Its overlays by the SOP Instance UID of the film that each is made from."""
        found: dict[str, list[FileDataset]] = {}
        for ds in self.objects(study_instance_uid):
            if ds.SOPClassUID == SECONDARY_CAPTURE:
                source = str(ds.SourceImageSequence[0].ReferencedSOPInstanceUID)
                found.setdefault(source, []).append(ds)
        return found


@contextlib.contextmanager
def archives(folder: Path, *names: str) -> Iterator[dict[str, Archive]]:
    """An archive of each name, listening."""
    with contextlib.ExitStack() as stack:
        yield {name: stack.enter_context(Archive(folder / name)) for name in names}
