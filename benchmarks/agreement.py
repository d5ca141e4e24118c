"""How far each engine lies from torch in fp32 on real films: probability, outcome, ranking.

    python benchmarks/agreement.py --data films --films 200 --json benchmarks/results/agreement.json

The films are val films of a fracatlas folder; int8 is calibrated on train films. An engine is near enough if
its probabilities differ by 0.005 in the mean and 0.03 at most, and at most one outcome in a hundred changes.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

PROJECT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(PROJECT))

from benchmarks.contestants import contestants  # noqa: E402
from benchmarks.labelled_films import inputs, split_files  # noqa: E402
from pipeline.classification import fracture_probability  # noqa: E402
from pipeline.engines.building import EXACT  # noqa: E402
from pipeline.engines.engine import Engine, FloatArray  # noqa: E402
from pipeline.evaluation.film_figures import area_under_curve  # noqa: E402
from pipeline.model_description import FractureLabel  # noqa: E402
from pipeline.model_package import default_package, load_package  # noqa: E402
from pipeline.processor import read_processor, threads_wanted  # noqa: E402

MOST_MEAN, MOST, MOST_CHANGED = 0.005, 0.03, 0.01
CALIBRATION_FILMS, BATCH = 128, 8
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Row:
    """One engine beside torch fp32; `auc_change` is its AUC less that of torch fp32 on the same films."""

    engine: str
    mean_difference: float
    largest_difference: float
    outcomes_changed: int
    auc: float | None
    auc_change: float | None
    holds: bool


def probabilities(engine: Engine, films: FloatArray, label: FractureLabel) -> Floats:
    """The calibrated probability of each film."""
    logits = np.concatenate(
        [engine.read(films[start : start + BATCH]).fracture for start in range(0, len(films), BATCH)]
    )
    return np.array([fracture_probability(float(logit), label) for logit in logits])


def compare(
    name: str, own: Floats, exact: Floats, fractured: npt.NDArray[np.bool_], label: FractureLabel
) -> Row:
    """One engine beside the exact one."""
    points = label.thresholds.thresholds()
    changed = sum(points.outcome(a) is not points.outcome(b) for a, b in zip(own, exact, strict=True))
    apart = np.abs(own - exact)
    auc, exact_auc = (_auc_or_none(scores, fractured) for scores in (own, exact))
    return Row(
        name,
        round(float(apart.mean()), 6),
        round(float(apart.max()), 6),
        changed,
        None if auc is None else round(auc, 5),
        None if auc is None or exact_auc is None else round(auc - exact_auc, 5),
        bool(apart.mean() <= MOST_MEAN and apart.max() <= MOST and changed <= MOST_CHANGED * len(own)),
    )


def _auc_or_none(scores: Floats, fractured: npt.NDArray[np.bool_]) -> float | None:
    """JSON has no NaN."""
    area = area_under_curve(scores, fractured)
    return None if np.isnan(area) else area


def show(rows: list[Row], films: int) -> None:
    """The table, Markdown."""
    print(f"\n| engine | mean | largest | outcomes changed of {films} | AUC | change | within bounds |")
    print("| --- | ---: | ---: | ---: | ---: | ---: | --- |")
    for row in rows:
        auc = "" if row.auc is None else f"{row.auc:.4f}"
        change = "" if row.auc_change is None else f"{row.auc_change:+.4f}"
        print(
            f"| {row.engine} | {row.mean_difference:.5f} | {row.largest_difference:.5f} | "
            f"{row.outcomes_changed} | {auc} | {change} | {'yes' if row.holds else 'NO'} |"
        )


def main() -> None:
    """The command; its status is 1 if an engine that the node ships is out of bounds."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--model", type=Path, help="a model package; default: the shipped one")
    parser.add_argument("--data", type=Path, required=True, help="a fracatlas folder")
    parser.add_argument("--films", type=int, default=200)
    parser.add_argument("--split", default="val", help="whose films are read")
    parser.add_argument("--threads", type=int, default=0)
    parser.add_argument("--json", type=Path, help="write what was measured here too")
    given = parser.parse_args()
    package = load_package(given.model or default_package())
    said = package.description
    size, film_side = said.input.size, said.input.film_side
    files = split_files(given.data, given.split, given.films)
    films = inputs(files, size, film_side)
    fractured = np.array([file.fractured for file in files])
    calibration = inputs(split_files(given.data, "train", CALIBRATION_FILMS), size, film_side)
    engines = contestants(
        package.network, size, threads=threads_wanted(given.threads), calibration=calibration
    )
    found = {engine.name: probabilities(engine, films, said.fracture) for engine in engines}
    rows = [
        compare(name, own, found[EXACT], fractured, said.fracture)
        for name, own in found.items()
        if name != EXACT
    ]
    print(f"{said.name} {said.version}: {len(files)} films of {given.split}, beside {EXACT}")
    show(rows, len(files))
    if given.json:
        written = {
            "model": f"{said.name} {said.version}",
            "package_digest": package.digest,
            "films": len(files),
            "split": given.split,
            "processor": read_processor().name,
            "torch": str(torch.__version__),
            "bounds": {"mean": MOST_MEAN, "largest": MOST, "share_changed": MOST_CHANGED},
            "rows": [asdict(row) for row in rows],
        }
        given.json.parent.mkdir(parents=True, exist_ok=True)
        given.json.write_text(json.dumps(written, indent=1) + "\n", encoding="utf-8")
    shipped = [row for row in rows if "int8" not in row.engine]
    sys.exit(0 if all(row.holds for row in shipped) else 1)


if __name__ == "__main__":
    main()
