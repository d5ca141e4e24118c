"""How long a film takes, side by side in one run: plain torch, the node's engines, and int8.

    python benchmarks/inference.py                              # the shipped package
    python benchmarks/inference.py --data films --json result.json   # int8 too, calibrated on train films
    python benchmarks/inference.py --untrained                  # random weights in the shape of a release

In each round every contestant has its turn: one read to warm its caches, one that counts. Ratios are medians
of the rounds' own ratios, so what slows a round down slows both sides of it.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

PROJECT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(PROJECT))

from benchmarks.contestants import NAIVE, contestants  # noqa: E402
from benchmarks.labelled_films import inputs, split_files  # noqa: E402
from pipeline.engines.engine import Engine, FloatArray  # noqa: E402
from pipeline.golden import golden_batch  # noqa: E402
from pipeline.model_package import default_package, load_package  # noqa: E402
from pipeline.networks.fracture_net import FractureNet, FractureNetSettings, Members  # noqa: E402
from pipeline.packaging.golden_film import draw_golden_film  # noqa: E402
from pipeline.processor import read_processor, threads_wanted  # noqa: E402

RELEASE = FractureNetSettings((32, 48, 96, 144), (2, 2, 3, 2), 4, 0, (0, 1), True)
MEMBERS, SIZE, FILM_SIDE = 3, 416, 454
CALIBRATION_FILMS = 128
# Worker threads of one library still spin for a moment when the next one begins.
PAUSE_SECONDS = 0.005


@dataclass(frozen=True)
class Row:
    """One contestant at one batch size; ratio: how many times faster than plain torch."""

    engine: str
    films: int
    milliseconds_per_film: float
    fastest: float
    ratio: float


def measure(engines: list[Engine], batch: FloatArray, rounds: int) -> list[Row]:
    """Milliseconds per film of each engine."""
    times: dict[str, list[float]] = {engine.name: [] for engine in engines}
    for turn in range(rounds + 1):
        first = turn % len(engines)
        for engine in engines[first:] + engines[:first]:
            time.sleep(PAUSE_SECONDS)
            engine.read(batch)
            began = time.perf_counter()
            engine.read(batch)
            if turn:  # the first round makes buffers
                times[engine.name].append((time.perf_counter() - began) * 1000 / len(batch))
    return [
        Row(
            name,
            len(batch),
            round(statistics.median(spent), 2),
            round(min(spent), 2),
            round(statistics.median(n / own for n, own in zip(times[NAIVE], spent, strict=True)), 2),
        )
        for name, spent in times.items()
    ]


def show(rows: list[Row]) -> None:
    """A table of one batch size, Markdown."""
    print(f"\n{rows[0].films} at a time\n\n| engine | ms a film | fastest | times plain torch |")
    print("| --- | ---: | ---: | ---: |")
    for row in rows:
        print(
            f"| {row.engine} | {row.milliseconds_per_film:.1f} | {row.fastest:.1f} | {row.ratio:.2f} |"
        )


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--model", type=Path, help="a model package; default: the shipped one")
    parser.add_argument("--untrained", action="store_true", help="random weights in a release's shape")
    parser.add_argument("--data", type=Path, help="a fracatlas folder; its train films calibrate int8")
    parser.add_argument("--threads", type=int, default=0)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--batches", type=int, nargs="+", default=[1, 16])
    parser.add_argument("--json", type=Path, help="write what was measured here too")
    given = parser.parse_args()
    threads = threads_wanted(given.threads)
    make, name, size, film_side, golden = subject(given)
    calibration = None
    if given.data:
        calibration = inputs(split_files(given.data, "train", CALIBRATION_FILMS), size, film_side)
    engines = contestants(make, size, threads=threads, calibration=calibration)
    machine = {
        "processor": read_processor().name,
        "bf16": read_processor().has_bf16,
        "amx": "amx_bf16" in read_processor().flags,
        "threads": threads,
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        "torch": str(torch.__version__),
        "load": round(os.getloadavg()[0], 1),
    }
    print(f"{name}, {size} px, {machine}")
    chance = np.random.default_rng(1)
    rows = []
    for count in given.batches:
        batch = np.repeat(golden, count, 0)
        batch[1:] += chance.normal(0, 0.05, batch[1:].shape).astype(np.float32)
        measured = measure(engines, batch, given.rounds)
        show(measured)
        rows += measured
    if given.json:
        said = {"model": name, "size": size, "machine": machine, "rows": [asdict(row) for row in rows]}
        given.json.write_text(json.dumps(said, indent=1) + "\n", encoding="utf-8")


def subject(given: argparse.Namespace) -> tuple[Any, str, int, int, FloatArray]:
    """What is measured: how its network is built, its name, input side, film side, golden input."""
    if given.untrained:
        from pipeline.model_input import InputSettings

        def build() -> torch.nn.Module:
            torch.manual_seed(1)
            return Members([FractureNet(RELEASE) for _ in range(MEMBERS)]).eval()

        film = draw_golden_film().astype(np.float32) / np.float32(255)
        batch = golden_batch(film, InputSettings(SIZE, FILM_SIDE))
        return build, f"{MEMBERS} untrained members", SIZE, FILM_SIDE, batch
    package = load_package(given.model or default_package())
    said = package.description
    batch = golden_batch(package.golden.pixels, said.input.settings())
    return package.network, f"{said.name} {said.version}", said.input.size, said.input.film_side, batch


if __name__ == "__main__":
    main()
