"""A Storage SCP on a free loopback port with an intake in memory, and DCMTK's programs that send to it."""

from __future__ import annotations

import contextlib
import socket
import subprocess
import threading
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from dicom_node.receiving.host_names import HostNames
from dicom_node.receiving.spool import Spool
from dicom_node.receiving.storage_scp import StorageScp
from dicom_node.records import AssociationRecord, ReceivedInstance
from dicom_node.settings import Settings
from dicom_node.storage_commitment import CommitmentAnswer
from tests.real_parts import program

NOW = datetime(2024, 5, 17, 9, 30, tzinfo=UTC)


@dataclass
class MemoryIntake:
    """Takes everything, in memory; `before_register` can hold it up or make it fail."""

    received: list[ReceivedInstance] = field(default_factory=list)
    associations: list[AssociationRecord] = field(default_factory=list)
    instances: list[tuple[int, str]] = field(default_factory=list)
    commitments: list[tuple[CommitmentAnswer, tuple[str, ...]]] = field(default_factory=list)
    transactions: set[str] = field(default_factory=set)
    before_register: Callable[[], None] = lambda: None
    lock: threading.Lock = field(default_factory=threading.Lock)

    def register(self, received: ReceivedInstance, /) -> None:
        self.before_register()
        with self.lock:
            self.received.append(received)

    def take_commitment(
        self, answer: CommitmentAnswer, destinations: Collection[str], at: datetime, /
    ) -> bool:
        with self.lock:
            self.commitments.append((answer, tuple(destinations)))
        return answer.transaction_uid in self.transactions

    def note_association(self, record: AssociationRecord, /) -> None:
        with self.lock:
            self.associations.append(record)

    def note_instance(
        self, *, calling_ae_title: str, address: str, at: datetime, status: int, text: str
    ) -> None:
        with self.lock:
            self.instances.append((status, text))


@dataclass
class RunningScp:
    """The SCP, what it took, and where its data lies."""

    scp: StorageScp
    intake: MemoryIntake
    spool: Spool
    data: Path

    @property
    def port(self) -> int:
        return self.scp.port

    def files(self) -> list[Path]:
        """Every file below the data folder."""
        return sorted(path for path in self.data.rglob("*") if path.is_file())


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def settings_for(data: Path, **tables: Any) -> Settings:
    """Settings with one destination, listening on a free loopback port."""
    node = {"port": free_port(), "data": data, **tables.pop("node", {})}
    archive = {"name": "archive", "ae_title": "ARCHIVE", "host": "127.0.0.1", "port": 4242}
    routes = [{"from": ["*"], "to": ["archive"]}]
    return Settings.model_validate(
        {"node": node, "destinations": [archive], "routes": routes, **tables}
    )


@contextlib.contextmanager
def running_scp(
    data: Path,
    *,
    minimum_free_bytes: int = 0,
    names: HostNames | None = None,
    **tables: Any,
) -> Iterator[RunningScp]:
    """A started SCP; stopped afterwards."""
    spool, intake = Spool(data, minimum_free_bytes), MemoryIntake()
    spool.prepare()
    scp = StorageScp(settings_for(data, **tables), spool, intake, lambda: NOW, names=names)
    scp.start()
    try:
        yield RunningScp(scp, intake, spool, data)
    finally:
        scp.stop(0)


def storescu(
    port: int, *arguments: str | Path, called: str = "FRACTURE", calling: str = "MODALITY"
) -> subprocess.CompletedProcess[str]:
    """DCMTK's storescu, verbose, to the end."""
    command = [program("storescu"), "-v", "-aec", called, "-aet", calling, "127.0.0.1", str(port)]
    return subprocess.run(
        [*command, *map(str, arguments)], capture_output=True, text=True, timeout=60, check=False
    )


def echoscu(
    port: int, *, called: str = "FRACTURE", calling: str = "MODALITY"
) -> subprocess.CompletedProcess[str]:
    """DCMTK's echoscu, verbose."""
    command = [program("echoscu"), "-v", "-aec", called, "-aet", calling, "127.0.0.1", str(port)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
