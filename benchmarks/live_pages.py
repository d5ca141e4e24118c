"""What a hundred open pages of the worklist cost the receiver: milliseconds that taking an image into the ledger needs.

    python benchmarks/live_pages.py --json benchmarks/results/live_pages.json

A page's process serves a ledger to which this process adds images as the receiver does, at a pace that a busy hospital does
not reach; in every other stretch so many pages are open in a third process, each of which hears of every change and asks for
the rows as a browser does. Printed are medians and the 95th of 100 with and without them, and the page's process's share of a core.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from multiprocessing import get_context
from multiprocessing.synchronize import Event as EventType
from pathlib import Path
from statistics import median, quantiles

import httpx
import psutil

PROJECT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(PROJECT))

from benchmarks.made_up_node import made_up_settings  # noqa: E402
from dicom_node.records import Priority, ReceivedInstance  # noqa: E402
from dicom_node.work.deliveries import DeliveryQueue  # noqa: E402
from dicom_node.work.engine import WorkEngine  # noqa: E402
from dicom_node.work.intake import LedgerIntake  # noqa: E402
from dicom_node.work.ledger import Ledger  # noqa: E402
from tests.receiving.running_scp import free_port  # noqa: E402

IMAGE = ReceivedInstance(
    "", "", "1.2.840.10008.5.1.4.1.1.1.1", "", "1.2.3", "1.2.840.10008.1.2.1", "", 10_000_000,
    "spool/00/none.dcm", "ROOM1", "FRACTURE", "127.0.0.1", Priority.ROUTINE, "DX", datetime.now(UTC),
)  # fmt: skip


def browse(url: str, pages: int, open_now: EventType, ended: EventType) -> None:
    """So many pages, open until `ended`."""
    asyncio.run(_browse(url, pages, open_now, ended))


async def _browse(url: str, pages: int, open_now: EventType, ended: EventType) -> None:
    limits = httpx.Limits(max_connections=None)
    async with httpx.AsyncClient(base_url=url, timeout=60, limits=limits) as client:
        heard = [asyncio.Event() for _ in range(pages)]
        tasks = [asyncio.create_task(_page(client, one)) for one in heard]
        await asyncio.gather(*(one.wait() for one in heard))
        open_now.set()
        while not ended.is_set():
            await asyncio.sleep(0.1)
        for task in tasks:
            task.cancel()


async def _page(client: httpx.AsyncClient, heard: asyncio.Event) -> None:
    waiting: set[str] = set()

    async def ask() -> None:
        while True:
            # As worklist.js does.
            await asyncio.sleep(1.5 + random.random())  # noqa: S311 - not all at once
            if uids := list(waiting)[:100]:
                waiting.clear()
                await client.get("/worklist/rows", params={"uid": uids})

    asking = asyncio.create_task(ask())
    try:
        async with client.stream("GET", "/events") as answer:
            async for line in answer.aiter_lines():
                heard.set()
                if line.startswith("data: ") and "changed" in line:
                    waiting.update(json.loads(line[6:])["changed"])
    finally:
        asking.cancel()


def take(intake: LedgerIntake, first: int, count: int, pause: float) -> list[float]:
    """Milliseconds of each image taken into the ledger."""
    spent = []
    for number in range(first, first + count):
        image = replace(
            IMAGE, id=f"{number:064}", sop_instance_uid=f"1.2.3.{number}",
            study_instance_uid=f"1.2.{number // 4}", bytes_digest=f"{number:064}",
            received_at=datetime.now(UTC),
        )  # fmt: skip
        began = time.perf_counter()
        intake.register(image)
        spent.append(1000 * (time.perf_counter() - began))
        time.sleep(pause)
    return spent


@contextlib.contextmanager
def open_pages(url: str, pages: int) -> Iterator[None]:
    """While they are open."""
    context = get_context("spawn")
    open_now, ended = context.Event(), context.Event()
    process = context.Process(target=browse, args=(url, pages, open_now, ended))
    process.start()
    if not open_now.wait(60):
        raise SystemExit("the pages did not open")
    try:
        yield
    finally:
        ended.set()
        process.join(10)


def main() -> None:
    """Prints both stretches, and how they differ."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pages", type=int, default=100)
    parser.add_argument("--images", type=int, default=200, help="in each stretch")
    parser.add_argument("--stretches", type=int, default=6)
    parser.add_argument("--pause", type=float, default=0.05, help="seconds between two images")
    parser.add_argument("--json", type=Path)
    asked = parser.parse_args()
    spent: dict[bool, list[float]] = {False: [], True: []}
    shares: dict[bool, list[float]] = {False: [], True: []}
    with tempfile.TemporaryDirectory() as name:
        port = free_port()
        settings = made_up_settings(Path(name), web={"enabled": True, "port": port})
        ledger = Ledger.open(settings.node.data)
        engine = WorkEngine(ledger)
        intake = LedgerIntake(ledger, engine, DeliveryQueue(ledger, engine))
        command = [sys.executable, "-m", "dicom_node.processes", "web", str(Path(name) / "node.toml")]
        served = subprocess.Popen(command, stdin=subprocess.PIPE)
        url = f"http://127.0.0.1:{port}"
        with httpx.Client(transport=httpx.HTTPTransport(retries=9)) as client:
            client.get(f"{url}/health/live", timeout=60)
        process = psutil.Process(served.pid)
        for stretch in range(asked.stretches):
            pages = stretch % 2 == 1
            with open_pages(url, asked.pages) if pages else contextlib.nullcontext():
                process.cpu_percent()
                spent[pages] += take(intake, stretch * asked.images, asked.images, asked.pause)
                shares[pages].append(process.cpu_percent())
        served.terminate()
        served.wait(30)
        ledger.close()
    record = {}
    for pages, words in ((False, "no page"), (True, f"{asked.pages} pages")):
        record[words] = {
            "median_ms": median(spent[pages]),
            "p95_ms": quantiles(spent[pages], n=20)[-1],
            "page_process_percent_of_a_core": median(shares[pages]),
        }
        told = ", ".join(f"{key} {value:.2f}" for key, value in record[words].items())
        print(f"{words:10} {told}")
    if asked.json:
        asked.json.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
