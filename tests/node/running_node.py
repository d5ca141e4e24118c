"""A whole node as an operator runs it: `dicom-node serve` in its own process, its ledger, its command line."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import tomlkit

from dicom_node.delivering.association import Remote
from dicom_node.delivering.file_sending import SentFile, send_files
from dicom_node.settings import Settings, read_settings
from dicom_node.work.job_list import DeliveryLine, ImageLine, JobList, StudyLine
from dicom_node.work.ledger import DATABASE_NAME, Ledger
from tests.real_parts import program
from tests.receiving.running_scp import free_port

# The command beside the interpreter that runs the tests, as `pip install` puts it there.
DICOM_NODE = str(Path(sys.executable).with_name("dicom-node"))
# Generous: the machine may be busy. Nothing below waits longer than it must.
START_SECONDS, DONE_SECONDS = 120.0, 120.0
# What `dicom-node serve` promises.
END_SECONDS = 10.0
# Below any probability that a network gives: with it, every film that is read is suspicious.
SUSPECT_ALL = 1e-9


def destination(name: str, port: int, **more: Any) -> dict[str, Any]:
    """A destination on this machine, as the settings have it."""
    place = {"name": name, "ae_title": name.upper(), "host": "127.0.0.1", "port": port}
    return {**place, "timeout_seconds": 10, **more}


def settings_text(destinations: Sequence[dict[str, Any]], **tables: Any) -> str:
    """A settings file: quick to close a study, every film that is read is "fracture"; `tables` go before.

    A table is merged into what is given here; with `routes` or `peers` left out, everyone on this machine
    may send and every destination gets everything.
    """
    given: dict[str, Any] = {
        "node": {"port": free_port()},
        "study": {"quiet_seconds": 1.5, "longest_wait_seconds": 60},
        "model": {
            "fracture_threshold": SUSPECT_ALL,
            "doubt_threshold": SUSPECT_ALL,
            "threads": 1,
            # Nothing is measured at the start; the walk's node chooses for itself.
            "engine": "torch fp32",
        },
        "retention": {"minimum_free_gb": 0.05},
        "web": {"enabled": False},
        "destinations": list(destinations),
        "routes": [{"from": ["*"], "to": [place["name"] for place in destinations]}],
    }
    for name, table in tables.items():
        given[name] = {**given.get(name, {}), **table} if isinstance(table, dict) else table
    return tomlkit.dumps(given)


@dataclass
class RunningNode:
    """A node that serves. `within` is put before every command: how to get into its network namespace."""

    folder: Path
    settings: Settings
    process: subprocess.Popen[bytes]
    within: tuple[str, ...]
    ledger: Ledger = field(init=False)
    jobs: JobList = field(init=False)

    def __post_init__(self) -> None:
        self.ledger = Ledger.open(self.data)
        self.jobs = JobList(self.ledger)

    @property
    def port(self) -> int:
        """Where it listens."""
        return self.settings.node.port

    @property
    def data(self) -> Path:
        """Its data folder."""
        return self.settings.node.data

    @property
    def log(self) -> str:
        """What its processes logged so far."""
        return (self.folder / "log.txt").read_text(errors="replace")

    def command(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """`dicom-node` with its settings file, to the end; its tables as wide as they like."""
        return subprocess.run(
            [*self.within, DICOM_NODE, *arguments, "--config", str(self.folder / "node.toml")],
            capture_output=True, text=True, timeout=120, check=False,
            env={**os.environ, "COLUMNS": "400", "NO_COLOR": "1"},
        )  # fmt: skip

    def storescu(
        self, *arguments: str | Path, calling: str = "MODALITY"
    ) -> subprocess.CompletedProcess[str]:
        """DCMTK's storescu, sending to it."""
        where = ["-aec", "FRACTURE", "-aet", calling, "127.0.0.1", str(self.port)]
        return subprocess.run(
            [*self.within, program("storescu"), "-v", *where, *map(str, arguments)],
            capture_output=True, text=True, timeout=120, check=False,
        )  # fmt: skip

    def send(self, *paths: Path, calling: str = "MODALITY") -> list[SentFile]:
        """Our own Storage SCU, sending each file in its own transfer syntax."""
        remote = Remote("FRACTURE", "127.0.0.1", self.port, 60)
        return list(send_files(paths, remote, calling))

    def readings(self, sop_instance_uid: str) -> list[ImageLine]:
        """What the ledger has of a SOP Instance, the first bytes received first."""
        lines = [line for line in self.jobs.images(1000) if line.sop_instance_uid == sop_instance_uid]
        return sorted(lines, key=lambda line: line.received_at)

    def revisions(self, study_instance_uid: str) -> list[StudyLine]:
        """What closed of a study, the first revision first."""
        lines = self.jobs.studies(100, uid=study_instance_uid)
        return sorted(lines, key=lambda line: line.revision)

    def deliveries(self, study_instance_uid: str, destination: str | None = None) -> list[DeliveryLine]:
        """Every delivery of a study: overlays, then reports."""
        images = [
            line
            for line in reversed(self.jobs.images(1000))
            if line.study_instance_uid == study_instance_uid
        ]
        return [
            delivery
            for line in (*images, *self.revisions(study_instance_uid))
            for delivery in line.deliveries
            if destination in (None, delivery.destination)
        ]

    def wait_for(self, question: Callable[[], bool], seconds: float = DONE_SECONDS) -> None:
        """Until it is so; fails with what the node has and logged."""
        until = time.monotonic() + seconds
        while not question():
            assert self.process.poll() is None, f"the node ended:\n{self.log}"
            assert time.monotonic() < until, (
                f"not within {seconds:g} s; the ledger:\n{self.command('jobs', 'list').stdout}\n{self.log}"
            )
            time.sleep(0.05)

    def wait_until_done(self, count: int, seconds: float = DONE_SECONDS) -> None:
        """Until it took at least `count` instances and nothing goes on by itself any more."""
        self.wait_for(
            lambda: len(self.jobs.images(1000)) >= count and self.jobs.unfinished() == 0, seconds
        )

    def wait_until_closed(
        self, study_instance_uid: str, revision: int = 1, seconds: float = DONE_SECONDS
    ) -> StudyLine:
        """The revision of a study, once its reports are composed and no delivery of it is queued."""

        def closed() -> bool:
            lines = self.revisions(study_instance_uid)
            composed = [line.revision for line in lines if line.state != "composing"]
            queued = [one for one in self.deliveries(study_instance_uid) if one.state == "queued"]
            return revision in composed and not queued

        self.wait_for(closed, seconds)
        return self.revisions(study_instance_uid)[revision - 1]

    def end(self) -> float:
        """SIGTERM, and how many seconds it took to end."""
        began = time.monotonic()
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(60)
        return time.monotonic() - began


@contextlib.contextmanager
def running_node(folder: Path, text: str, within: Sequence[str] = ()) -> Iterator[RunningNode]:
    """`dicom-node serve` with this settings file, listening; ended by SIGTERM, in time, when it is left."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "node.toml"
    path.write_text(text)
    settings = read_settings(path)
    with (folder / "log.txt").open("wb") as log:
        process = subprocess.Popen(
            [*within, DICOM_NODE, "serve", "--config", str(path)],
            stdin=subprocess.DEVNULL, stdout=log, stderr=log,
        )  # fmt: skip
    node = None
    try:
        _wait_until_listening(folder, settings, process)
        node = RunningNode(folder, settings, process, tuple(within))
        yield node
        seconds = node.end()
        assert process.returncode == 0, node.log
        assert seconds <= END_SECONDS, f"ended after {seconds:.1f} s:\n{node.log}"
    finally:
        if process.poll() is None:
            process.terminate()
            process.wait(30)
        if node is not None:
            node.ledger.close()


def node_processes(pid: int) -> dict[str, psutil.Process]:
    """The processes of the node whose supervisor has this process id, by name."""
    found = {}
    for child in psutil.Process(pid).children():
        with contextlib.suppress(psutil.Error):
            words = child.cmdline()
            if "dicom_node.processes" in words:
                found[words[words.index("dicom_node.processes") + 1]] = child
    return found


def kill(node: RunningNode, name: str) -> None:
    """kill -9 of one of the node's processes."""
    node_processes(node.process.pid)[name].kill()


def _wait_until_listening(folder: Path, settings: Settings, process: subprocess.Popen[bytes]) -> None:
    """By its log: it may listen in a namespace that this process cannot see into."""
    until = time.monotonic() + START_SECONDS
    while True:
        said = (folder / "log.txt").read_text(errors="replace")
        ready = "listening on" in said and (settings.node.data / DATABASE_NAME).is_file()
        if ready and "started delivery" in said:
            return
        assert process.poll() is None, f"the node ended:\n{said}"
        assert time.monotonic() < until, f"not listening within {START_SECONDS:g} s:\n{said}"
        time.sleep(0.05)
