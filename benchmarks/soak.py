"""A thousand films through a whole node: memory of each process, then what it costs when idle.

python benchmarks/soak.py --images 1000
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import threading
import time
from collections import defaultdict
from pathlib import Path

import psutil

PROJECT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(PROJECT))

from dicom_node.operating.small_archive import SmallArchive  # noqa: E402
from tests.node.running_node import RunningNode, destination, running_node, settings_text  # noqa: E402
from tests.phantoms import phantom, uid_of  # noqa: E402

IDLE_SECONDS = 60


def processes(node: RunningNode) -> dict[str, psutil.Process]:
    """The node's processes by name."""
    parent = psutil.Process(node.process.pid)
    named = {child.cmdline()[3]: child for child in parent.children()}
    return {"supervisor": parent, **named}


class Sampling(threading.Thread):
    """Resident memory of each process, once a second."""

    def __init__(self, node: RunningNode) -> None:
        super().__init__(daemon=True)
        self._node, self._ending = node, threading.Event()
        self.samples: dict[str, list[float]] = defaultdict(list)

    def run(self) -> None:
        """Samples until `end`."""
        found = processes(self._node)
        while not self._ending.wait(1):
            for name, process in found.items():
                self.samples[name].append(process.memory_info().rss / 2**20)

    def end(self) -> None:
        """Stops sampling."""
        self._ending.set()
        self.join()


def main() -> None:
    """Sends, samples, waits, prints."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=1000)
    parser.add_argument("--rows", type=int, default=1024)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name, SmallArchive(Path(name) / "archive") as archive:
        text = settings_text([destination("archive", archive.port)])
        with running_node(Path(name) / "node", text) as node:
            sampling = Sampling(node)
            sampling.start()
            began = time.monotonic()
            _send(node, Path(name), given.images, given.rows)
            node.wait_until_done(given.images, seconds=3600)
            seconds = time.monotonic() - began
            sampling.end()
            _report_memory(sampling.samples, given.images, seconds)
            _report_idle(node)


def _send(node: RunningNode, folder: Path, count: int, rows: int) -> None:
    """Studies of four films: one drawing, each time under UIDs of its own."""
    ds = phantom(rows=rows, columns=rows * 13 // 16)
    for first in range(0, count, 20):
        paths = []
        for number in range(first, min(count, first + 20)):
            ds.SOPInstanceUID = ds.file_meta.MediaStorageSOPInstanceUID = uid_of(f"soak {number}")
            ds.StudyInstanceUID = uid_of(f"soak study {number // 4}")
            ds.SeriesInstanceUID = uid_of(f"soak series {number // 4}")
            ds.InstanceNumber = number % 4 + 1
            paths.append(folder / f"{number % 20}.dcm")
            ds.save_as(paths[-1])
        if node.storescu(*paths).returncode != 0:
            raise SystemExit("the node did not take all of it")


def _report_memory(samples: dict[str, list[float]], count: int, seconds: float) -> None:
    print(
        f"{count} films in {seconds:.0f} s, {count / seconds:.1f} films/s to the last object in the archive"
    )
    print(f"{'process':<12} {'first quarter':>14} {'last quarter':>13} {'most':>7}   MiB resident")
    for name, values in samples.items():
        quarter = max(1, len(values) // 4)
        first, last = sum(values[:quarter]) / quarter, sum(values[-quarter:]) / quarter
        print(f"{name:<12} {first:14.0f} {last:13.0f} {max(values):7.0f}")
    print(f"{'all':<12} {'':14} {'':13} {max(map(sum, zip(*samples.values(), strict=False))):7.0f}")


def _report_idle(node: RunningNode) -> None:
    found = processes(node)
    before = {name: sum(process.cpu_times()[:2]) for name, process in found.items()}
    time.sleep(IDLE_SECONDS)
    shares = {
        name: 100 * (sum(process.cpu_times()[:2]) - before[name]) / IDLE_SECONDS
        for name, process in found.items()
    }
    told = ", ".join(f"{name} {share:.1f} %" for name, share in shares.items())
    print(f"idle for {IDLE_SECONDS} s: {sum(shares.values()):.1f} % of a core ({told})")


if __name__ == "__main__":
    main()
