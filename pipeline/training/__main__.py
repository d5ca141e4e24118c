"""`python -m pipeline.training`: fits a network to labelled films and leaves a run folder."""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict, fields
from pathlib import Path

import torch

from pipeline.networks.fracture_net import FractureNetSettings
from pipeline.training.datasets.fracatlas import BODY_PARTS, read_fracatlas
from pipeline.training.fitting import Fitting, FittingSettings, score


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m pipeline.training", description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="a folder in the fracatlas layout")
    parser.add_argument("--out", type=Path, required=True, help="the run's folder")
    parser.add_argument("--resume", action="store_true", help="go on from the run's last checkpoint")
    parser.add_argument("--limit", type=int, help="about so many films only, to rehearse")
    parser.add_argument("--widths", type=int, nargs=4, default=FractureNetSettings.widths)
    parser.add_argument("--blocks", type=int, nargs=4, default=FractureNetSettings.blocks)
    for field in fields(FittingSettings):
        kind = float if isinstance(field.default, float) else int
        name = "--" + field.name.replace("_", "-")
        parser.add_argument(name, type=kind, default=field.default, help="default: %(default)s")
    return parser.parse_args()


def main() -> None:
    """Reads the films, fits, scores val with the best weights, writes the run's folder."""
    given = _arguments()
    settings = FittingSettings(
        **{field.name: getattr(given, field.name) for field in fields(FittingSettings)}
    )
    shape = FractureNetSettings(tuple(given.widths), tuple(given.blocks), len(BODY_PARTS))
    films = read_fracatlas(given.data, film_side=settings.film_side, limit=given.limit)
    train = [film for film in films if film.split == "train"]
    val = [film for film in films if film.split == "val"]
    print(f"{len(train)} films to train, {len(val)} to validate", flush=True)
    given.out.mkdir(parents=True, exist_ok=True)
    fitting = Fitting(shape, settings, given.out)
    if given.resume and (given.out / "last.pt").is_file():
        fitting.resume(given.out / "last.pt")
    fitting.run(train, val, said=lambda line: print(line, flush=True))
    best = torch.load(given.out / "best.pt", weights_only=True)
    fitting.mean.net.load_state_dict(best["mean"])
    said = score(fitting.mean.net, val, settings.size)
    torch.save(
        {"ids": [film.id for film in val], "fracture": torch.from_numpy(said.fracture),
         "parts": torch.from_numpy(said.parts), "heat": torch.from_numpy(said.heat).half()},
        given.out / "val_scores.pt",
    )  # fmt: skip
    record = {"settings": asdict(settings), "shape": asdict(shape), "history": fitting.history}
    (given.out / "run.json").write_text(json.dumps(record, indent=1))


if __name__ == "__main__":
    main()
