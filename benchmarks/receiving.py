"""How fast images come in, side by side in one run: this node, DCMTK's storescp, Orthanc.

    python benchmarks/receiving.py                  # both tables
    python benchmarks/receiving.py --only burst     # one image per association, many senders at once

The sender is DCMTK's storescu each time, over loopback. This node does what it does in service: header,
sha256, write, fsync, rename, fsync of the folder, and a SQLite commit (WAL, synchronous FULL) before each
Success. DCMTK's storescp does not fsync; with `+B` it writes the bit stream as it came (its default
re-encodes). Orthanc listens on all addresses whatever its settings, so it gets a network namespace of its
own (root needed, else it is left out). Rounds are interleaved and the best of each counts.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import logging
import os
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

PROJECT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(PROJECT))

from tests.phantoms import phantom  # noqa: E402
from tests.real_parts import program  # noqa: E402

NAMESPACE = "fracture-node-bench"
CALLED = "BENCH"


class CommittingIntake:
    """Registers as the ledger does: one row, one commit that is on disk."""

    def __init__(self, path: Path) -> None:
        self._database = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
        self._database.execute("PRAGMA journal_mode = WAL")
        self._database.execute("PRAGMA synchronous = FULL")
        self._database.execute("CREATE TABLE instance (id TEXT, path TEXT, at TEXT)")
        self._lock = threading.Lock()

    def register(self, received: Any, /) -> None:
        with self._lock:
            self._database.execute(
                "INSERT INTO instance VALUES (?, ?, ?)",
                (received.id, received.spool_path, received.received_at.isoformat()),
            )

    def note_association(self, record: Any, /) -> None:
        """Not measured."""

    def note_instance(self, **_: Any) -> None:
        """Not measured."""


class IdleIntake(CommittingIntake):
    """Registers nothing."""

    def __init__(self) -> None:
        pass

    def register(self, received: Any, /) -> None:
        pass


def serve(folder: Path, port: int, *, fsync: bool, ledger: bool, profile: Path | None) -> None:
    """This node's Storage SCP in this process, until SIGTERM."""
    from dicom_node.receiving.spool import Spool
    from dicom_node.receiving.storage_scp import StorageScp
    from dicom_node.settings import Settings

    logging.disable(logging.WARNING)
    if not fsync:
        os.fsync = lambda _descriptor: None
    if profile:
        profile_every_thread(profile)
    spool = Spool(folder, 0)
    spool.prepare()
    archive = {"name": "none", "ae_title": "NONE", "host": "127.0.0.1", "port": 1}
    settings = Settings.model_validate(
        {
            "node": {"ae_titles": [CALLED], "port": port, "data": folder},
            "destinations": [archive],
            "routes": [{"from": ["*"], "to": ["none"]}],
        }
    )
    intake = CommittingIntake(folder / "ledger.db") if ledger else IdleIntake()
    scp = StorageScp(settings, spool, intake, lambda: datetime.now(UTC))
    stopped = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stopped.set())
    scp.start()
    stopped.wait()
    scp.stop(1)


def profile_every_thread(path: Path) -> None:
    """Writes where associations' threads spend their time, at each one's end."""
    import cProfile
    import pstats

    from dicom_node.receiving.acceptor import Acceptor

    run = Acceptor.run_reactor

    def profiled(self: Acceptor) -> None:
        profiler = cProfile.Profile()
        profiler.runcall(run, self)
        with path.open("a") as out:
            pstats.Stats(profiler, stream=out).sort_stats("tottime").print_stats(25)

    Acceptor.run_reactor = profiled  # type: ignore[method-assign]


@dataclass(frozen=True)
class Receiver:
    """A program to measure: `start` gets folder and port and gives the command line."""

    name: str
    start: Callable[[Path, int], list[str]]
    namespace: bool = False


def ours(*flags: str) -> Callable[[Path, int], list[str]]:
    return lambda folder, port: [
        sys.executable, __file__, "--serve", str(folder), "--port", str(port), *flags,
    ]  # fmt: skip


def storescp(*flags: str) -> Callable[[Path, int], list[str]]:
    return lambda folder, port: [program("storescp"), *flags, "-od", str(folder), str(port)]


def orthanc(folder: Path, port: int) -> list[str]:
    (folder / "orthanc.json").write_text(
        json.dumps(
            {
                "StorageDirectory": str(folder / "db"),
                "IndexDirectory": str(folder / "db"),
                "HttpServerEnabled": False,
                "DicomAet": CALLED,
                "DicomPort": port,
                "DicomAlwaysAllowStore": True,
                "DicomAlwaysAllowEcho": True,
                "OverwriteInstances": True,
                "StorageCompression": False,
                "Plugins": [],
            }
        )
    )
    return [program("Orthanc"), str(folder / "orthanc.json")]


BIG = (
    Receiver("fracture node", ours()),
    Receiver("fracture node, no fsync", ours("--no-fsync")),
    Receiver("storescp +B", storescp("+B")),
    Receiver("storescp +B, 128 KiB PDU", storescp("+B", "-pdu", "131072")),
    Receiver("Orthanc", orthanc, namespace=True),
)
BURST = (
    Receiver("fracture node", ours()),
    Receiver("fracture node, no fsync", ours("--no-fsync")),
    Receiver("storescp +B --fork", storescp("+B", "--fork")),
    Receiver("storescp +B --fork, 128 KiB PDU", storescp("+B", "--fork", "-pdu", "131072")),
    Receiver("Orthanc", orthanc, namespace=True),
)


def inside(receiver: Receiver, command: list[str]) -> list[str]:
    return ["ip", "netns", "exec", NAMESPACE, *command] if receiver.namespace else command


@contextlib.contextmanager
def running(receiver: Receiver, folder: Path) -> Iterator[int]:
    """The receiver, ready; stopped, and what it wrote deleted, afterwards."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    folder.mkdir()
    command = inside(receiver, receiver.start(folder, port))
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    try:
        echo = inside(receiver, [program("echoscu"), "-aec", CALLED, "127.0.0.1", str(port)])
        for _ in range(200):
            if process.poll() is not None:
                raise SystemExit(f"{receiver.name} ended: {process.stderr and process.stderr.read()}")
            if subprocess.run(echo, capture_output=True, check=False).returncode == 0:
                break
            time.sleep(0.1)
        yield port
    finally:
        process.terminate()
        process.wait(30)
        shutil.rmtree(folder, ignore_errors=True)


def write_images(folder: Path, count: int, megabytes: float) -> list[Path]:
    """Distinct DX images of about this size, with noise that no disk compresses away."""
    side = int((megabytes * 1e6 / 2) ** 0.5)
    noise = np.random.default_rng(1).integers(0, 4096, (side, side), dtype=np.uint16)
    folder.mkdir()
    paths = []
    for number in range(count):
        image = phantom(modality="DX", instance_number=number + 1)
        image.Rows = image.Columns = side
        image.PixelData = np.roll(noise, number).tobytes()
        paths.append(folder / f"{number}.dcm")
        image.save_as(paths[-1], enforce_file_format=True)
    return paths


def seconds_of(processes: list[subprocess.Popen[bytes]], began: float) -> float:
    failed = sum(process.wait(300) != 0 for process in processes)
    if failed:
        raise SystemExit(f"{failed} of {len(processes)} senders failed")
    return time.perf_counter() - began


def measure_big(receiver: Receiver, scratch: Path, images: list[Path]) -> float:
    """MB/s of one association that carries all images."""
    with running(receiver, scratch / "received") as port:
        began = time.perf_counter()
        # storescu takes host and port first, then files.
        command = [program("storescu"), "-aec", CALLED, "127.0.0.1", str(port), *map(str, images)]
        sender = subprocess.Popen(
            inside(receiver, command), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        return sum(image.stat().st_size for image in images) / 1e6 / seconds_of([sender], began)


def measure_burst(receiver: Receiver, scratch: Path, images: list[Path], repeat: int) -> float:
    """Associations per second, each with one image, from as many senders at once as there are images."""
    with running(receiver, scratch / "received") as port:
        began = time.perf_counter()
        # A shell loop: storescu's own --repeat stays on one association.
        loop = 'for _ in $(seq "$1"); do "$2" -aec "$3" 127.0.0.1 "$4" "$5" || exit 1; done'
        arguments = [program("storescu"), CALLED, str(port)]
        senders = [
            subprocess.Popen(
                inside(receiver, ["sh", "-c", loop, "sh", str(repeat), *arguments, str(image)]),
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
            for image in images
        ]
        return len(images) * repeat / seconds_of(senders, began)


def table(
    title: str,
    unit: str,
    receivers: tuple[Receiver, ...],
    rounds: int,
    measure: Callable[[Receiver], float],
) -> None:
    """Measures all receivers in turn, `rounds` times, and prints the best of each."""
    results: dict[str, list[float]] = {receiver.name: [] for receiver in receivers}
    for _ in range(rounds):
        for receiver in receivers:
            results[receiver.name].append(measure(receiver))
    rivals = [max(values) for name, values in results.items() if name.startswith("storescp")]
    print(
        f"\n{title}\n\n| receiver | {unit} | range | against DCMTK's best |\n| --- | ---: | --- | ---: |"
    )
    for name, values in results.items():
        best = max(values)
        ratio = f"{best / max(rivals):.2f}" if rivals else "-"
        print(f"| {name} | {best:.0f} | {min(values):.0f} to {best:.0f} | {ratio} |", flush=True)


@contextlib.contextmanager
def network_namespace() -> Iterator[bool]:
    """A network namespace with a loopback of its own; False where it cannot be had."""
    made = subprocess.run(["ip", "netns", "add", NAMESPACE], capture_output=True, check=False)
    if made.returncode:
        print("Orthanc left out: no network namespace (root needed)", file=sys.stderr)
        yield False
        return
    try:
        subprocess.run(["ip", "-n", NAMESPACE, "link", "set", "lo", "up"], check=True)
        yield True
    finally:
        subprocess.run(["ip", "netns", "delete", NAMESPACE], check=False)


def compare(options: argparse.Namespace) -> None:
    with network_namespace() as has_namespace, tempfile.TemporaryDirectory() as temporary:
        scratch = Path(temporary)

        def chosen(receivers: tuple[Receiver, ...]) -> tuple[Receiver, ...]:
            return tuple(one for one in receivers if has_namespace or not one.namespace)

        print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}", flush=True)
        if options.only != "burst":
            images = write_images(scratch / "big", options.images, options.megabytes)
            table(
                f"One association, {options.images} DX of {options.megabytes:g} MB",
                "MB/s", chosen(BIG), options.rounds,
                lambda receiver: measure_big(receiver, scratch, images),
            )  # fmt: skip
        if options.only != "big":
            small = write_images(scratch / "small", options.senders, options.burst_megabytes)
            table(
                f"One image of {options.burst_megabytes:g} MB per association, {options.senders} senders",
                "associations/s", chosen(BURST), options.rounds,
                lambda receiver: measure_burst(receiver, scratch, small, options.repeat),
            )  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", choices=("big", "burst"))
    parser.add_argument("--images", type=int, default=20, help="images of the one association")
    parser.add_argument("--megabytes", type=float, default=10.0, help="size of those")
    parser.add_argument("--senders", type=int, default=16, help="senders of the burst")
    parser.add_argument("--repeat", type=int, default=8, help="associations of each sender")
    parser.add_argument("--burst-megabytes", type=float, default=1.0, help="size of the burst's images")
    parser.add_argument("--rounds", type=int, default=3, help="how often each is measured")
    parser.add_argument("--serve", type=Path, metavar="FOLDER", help="only receive, into this folder")
    parser.add_argument("--port", type=int, default=11112, help="port of --serve")
    parser.add_argument("--no-fsync", action="store_true", help="--serve without any fsync")
    parser.add_argument("--no-ledger", action="store_true", help="--serve without the SQLite commit")
    parser.add_argument("--profile", type=Path, help="--serve writes each association's profile here")
    options = parser.parse_args()
    if options.serve:
        serve(
            options.serve, options.port,
            fsync=not options.no_fsync, ledger=not options.no_ledger, profile=options.profile,
        )  # fmt: skip
    else:
        compare(options)


if __name__ == "__main__":
    main()
