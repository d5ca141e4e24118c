"""`python -m pipeline.training`: fits a network to labelled films and leaves a run folder."""

from __future__ import annotations

import argparse
import sys
from dataclasses import fields
from pathlib import Path

from pipeline.networks.fracture_net import FractureNetSettings
from pipeline.networks.resnet_encoder import RESNETS
from pipeline.training.datasets.grouping import Grouping
from pipeline.training.datasets.layouts import LAYOUTS
from pipeline.training.datasets.problems import DatasetError
from pipeline.training.errors import TrainingError, TrainingInterrupted
from pipeline.training.fitting import FittingSettings
from pipeline.training.run import train
from pipeline.training.run_settings import RunSettings


def _fold(text: str) -> int | None:
    """ "all" is every fold."""
    return None if text == "all" else int(text)


def _arguments(given: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m pipeline.training", description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="the folder of films")
    parser.add_argument("--out", type=Path, required=True, help="the run's folder")
    parser.add_argument("--layout", choices=LAYOUTS, help="default: found by the files")
    parser.add_argument(
        "--group-by", default="", help="a pattern for file names that names the patient"
    )
    parser.add_argument(
        "--each-film-alone", action="store_true", help="every film is of another patient"
    )
    parser.add_argument("--resume", action="store_true", help="go on from the run's last checkpoint")
    parser.add_argument("--limit", type=int, help="about so many films only, to rehearse")
    parser.add_argument("--folds", type=int, help="cross-validate: so many folds of whole clusters")
    parser.add_argument(
        "--fold", type=_fold, default=0, help="which to hold out, or all (default: %(default)s)"
    )
    parser.add_argument("--widths", type=int, nargs=4, default=FractureNetSettings.widths)
    parser.add_argument("--blocks", type=int, nargs=4, default=FractureNetSettings.blocks)
    parser.add_argument("--backbone", choices=("residual", *RESNETS), default="residual")
    parser.add_argument(
        "--backbone-weights", type=Path, help="a state_dict of that ResNet, to start from"
    )
    parser.add_argument(
        "--freeze", action="store_true", help="leave the backbone's weights as they are"
    )
    parser.add_argument(
        "--begin-with", type=Path, help="a run's best.pt, or a package's member, to go on from"
    )
    parser.add_argument("--no-box-head", action="store_true", help="boxes are drawn around the heat")
    parser.add_argument(
        "--no-specialists", action="store_true", help="one fracture head for every body part"
    )
    for field in fields(FittingSettings):
        kind = float if isinstance(field.default, float) else int
        name = "--" + field.name.replace("_", "-")
        parser.add_argument(name, type=kind, default=field.default, help="default: %(default)s")
    return parser.parse_args(given)


def _settings(given: argparse.Namespace) -> RunSettings:
    fitting = FittingSettings(
        **{field.name: getattr(given, field.name) for field in fields(FittingSettings)}
    )
    return RunSettings(
        data=given.data,
        out=given.out,
        layout=given.layout,
        grouping=Grouping(given.group_by, given.each_film_alone),
        limit=given.limit,
        folds=given.folds,
        fold=given.fold,
        widths=tuple(given.widths),
        blocks=tuple(given.blocks),
        backbone=given.backbone,
        backbone_weights=given.backbone_weights,
        freeze=given.freeze,
        begin_with=given.begin_with,
        box_head=not given.no_box_head,
        specialists=not given.no_specialists,
        resume=given.resume,
        fitting=fitting,
    )


def main(given: list[str] | None = None) -> int:
    """Trains; 0 at the end, 1 with a line that says why not, 130 after Ctrl-C."""
    asked = _arguments(given)
    try:
        train(_settings(asked), said=lambda line: print(line, flush=True))
    except TrainingInterrupted as stopped:
        print(stopped, file=sys.stderr)
        return 130
    except (DatasetError, TrainingError) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
