"""A whole training: a data set in, a run folder out. `python -m pipeline.training` and `dicom-node train` call it."""

from __future__ import annotations

import json
import platform
from collections.abc import Callable, Sequence
from dataclasses import asdict, fields, replace
from pathlib import Path

import cv2
import numpy as np
import torch
import torchvision

from pipeline.networks.fracture_net import FractureNetSettings
from pipeline.training.checkpoint import load_tensors
from pipeline.training.curves import draw_curves
from pipeline.training.datasets.layouts import Dataset, read_dataset
from pipeline.training.errors import TrainingError, TrainingInterrupted
from pipeline.training.films import Film
from pipeline.training.fitting import Fitting, score
from pipeline.training.folds import folds_of
from pipeline.training.held_out import held_out_figures
from pipeline.training.progress import Watched, unwatched
from pipeline.training.run_settings import RunSettings

Said = Callable[[str], None]
# A body part with fewer fractured films to train on is read by the shared head alone.
SPECIALIST_FILMS = 100


def train(asked: RunSettings, said: Said, watched: Watched = unwatched) -> tuple[Path, ...]:
    """Reads the films, fits, scores what was held out; returns the run's folder, or one for each fold.

    Raises:
        DatasetError: the data set has fatal problems; nothing was trained.
        TrainingError: the run cannot begin or go on.
        TrainingInterrupted: Ctrl-C; `last.pt` holds the finished epochs.
    """
    dataset = read_dataset(
        asked.data,
        layout=asked.layout,
        film_side=asked.fitting.film_side,
        limit=asked.limit,
        said=said,
        grouping=asked.grouping,
        # Folds are dealt out anew, whatever the splits are called.
        training=asked.folds is None,
    )
    if asked.folds is None or asked.fold is not None:
        return (_train_one(asked, dataset, said, watched),)
    each = [
        replace(asked, fold=fold, out=asked.out / f"fold{fold}", resume=asked.resume)
        for fold in range(asked.folds)
    ]
    return tuple(_train_one(one, dataset, said, watched) for one in each)


def split_films(films: Sequence[Film], folds: int | None, fold: int) -> tuple[list[Film], list[Film]]:
    """Films to train on and films held out: the data set's own split, or one fold of whole clusters."""
    if folds is None:
        return [f for f in films if f.split == "train"], [f for f in films if f.split == "val"]
    held_out = folds_of(films, folds)
    return (
        [film for film in films if held_out[film.cluster] != fold],
        [film for film in films if held_out[film.cluster] == fold],
    )


def specialists_of(train: Sequence[Film]) -> tuple[int, ...]:
    """The body parts with enough fractured films for a head of their own."""
    counts = [
        sum(column) for column in zip(*(film.parts for film in train if film.fractured), strict=True)
    ]
    return tuple(index for index, count in enumerate(counts) if count >= SPECIALIST_FILMS)


def _train_one(asked: RunSettings, dataset: Dataset, said: Said, watched: Watched) -> Path:
    train, held_out = _split(asked, dataset)
    asked = _fitting_the_labels(asked, train, said)
    shape = FractureNetSettings(
        asked.widths,
        asked.blocks,
        len(dataset.part_names),
        len(dataset.type_names),
        specialists=specialists_of(train) if asked.specialists else (),
        box_head=asked.box_head,
        backbone=asked.backbone,
    )
    fold = "" if asked.folds is None else f"fold {asked.fold} of {asked.folds}: "
    said(f"{fold}{len(train)} films to train, {len(held_out)} held out")
    # A fold is judged once, at its end: choosing an epoch by it would be choosing by the answer.
    fitting = Fitting(shape, asked.fitting, asked.out, keeps_best=asked.folds is None)
    if asked.backbone_weights:
        fitting.start_from(asked.backbone_weights, frozen=asked.freeze)
    if asked.begin_with:
        fitting.begin_with(asked.begin_with)
        said(f"{asked.begin_with}: its weights are the first")
    _begin_or_resume(asked, fitting, said)
    try:
        fitting.run(train, held_out, said, watched)
    except KeyboardInterrupt:
        raise TrainingInterrupted(asked.out, fitting.epoch, fitting.epochs) from None
    _write_results(asked, fitting, dataset, train, held_out)
    return asked.out


def _split(asked: RunSettings, dataset: Dataset) -> tuple[list[Film], list[Film]]:
    try:
        train, held_out = split_films(dataset.films, asked.folds, asked.fold or 0)
    except ValueError as error:
        raise TrainingError(f"{asked.data}: {error}; give fewer --folds") from error
    fractured = sum(film.fractured for film in train)
    if not 0 < fractured < len(train):
        raise TrainingError(
            f"{asked.data}: {fractured} of {len(train)} films to train on are fractured; both kinds are needed"
        )
    return train, held_out


def _fitting_the_labels(asked: RunSettings, train: Sequence[Film], said: Said) -> RunSettings:
    """Without a box or mask there is nothing to crop around and no edge to learn."""
    if any(film.boxes or film.polygons for film in train):
        return asked
    said(
        "no box and no mask: whole films only, no crops, no box head; the heat learns from the films' labels"
    )
    chosen = asked.fitting
    films_only = replace(chosen, crop_epochs=0, film_epochs=chosen.crop_epochs + chosen.film_epochs)
    return replace(asked, box_head=False, fitting=films_only)


def _begin_or_resume(asked: RunSettings, fitting: Fitting, said: Said) -> None:
    last = asked.out / "last.pt"
    asked.out.mkdir(parents=True, exist_ok=True)
    if not last.is_file():
        return
    if not asked.resume:
        raise TrainingError(f"{last}: a run is there; go on with it by --resume, or give another --out")
    fitting.resume(last)
    stored = load_tensors(last, fitting.device)["settings"]
    for name, now in asdict(asked.fitting).items():
        if stored.get(name, now) != now:
            said(f"{last}: begun with {name} = {stored[name]}, goes on with {now}")
    said(f"resumed after epoch {fitting.epoch}")


def _write_results(
    asked: RunSettings,
    fitting: Fitting,
    dataset: Dataset,
    train: Sequence[Film],
    held_out: Sequence[Film],
) -> None:
    best = load_tensors(asked.out / "best.pt", fitting.device)
    fitting.mean.net.load_state_dict(best["mean"])
    figures: dict[str, object] = {"best_epoch": best["epoch"]}
    if held_out:
        scores = score(fitting.mean.net, held_out, asked.fitting.size)
        torch.save(
            {"ids": [film.id for film in held_out]}
            | {one.name: torch.from_numpy(getattr(scores, one.name)) for one in fields(scores)},
            asked.out / "scores.pt",
        )
        figures |= held_out_figures(scores, held_out, dataset.part_names, dataset.type_names)
    _write_json(asked.out / "metrics.json", figures | {"history": fitting.history})
    record = {
        "settings": asdict(asked.fitting),
        "shape": asdict(fitting.shape),
        "seed": asked.fitting.seed,
        "folds": asked.folds,
        "fold": asked.fold if asked.folds else None,
        "part_names": dataset.part_names,
        "type_names": dataset.type_names,
        "dataset": dataset_record(dataset, train, held_out),
        "backbone_weights": asked.backbone_weights.name if asked.backbone_weights else None,
        "frozen": asked.freeze,
        "begun_with": asked.begin_with.name if asked.begin_with else None,
        "versions": versions(),
        "device": str(fitting.device),
        "metrics": figures,
        "history": fitting.history,
    }
    _write_json(asked.out / "run.json", record)
    picture = draw_curves(fitting.history, crop_epochs=asked.fitting.crop_epochs)
    (asked.out / "curves.png").write_bytes(cv2.imencode(".png", picture)[1].tobytes())


def dataset_record(
    dataset: Dataset, train: Sequence[Film], held_out: Sequence[Film]
) -> dict[str, object]:
    """How many films of which kind; the folder's name stays out, it is nobody else's."""

    def counts(films: Sequence[Film]) -> dict[str, int]:
        return {
            "films": len(films),
            "fractured": sum(film.fractured for film in films),
            "marked": sum(bool(film.boxes or film.polygons) for film in films),
            "clusters": len({film.cluster for film in films}),
        }

    return {
        "layout": dataset.layout,
        "train": counts(train),
        "held_out": counts(held_out),
        "problems": len(dataset.problems),
    }


def versions() -> dict[str, str]:
    """What computed."""
    return {
        "python": platform.python_version(),
        "torch": torch.__version__,
        "torchvision": torchvision.__version__,
        "numpy": np.__version__,
        "opencv": cv2.__version__,
    }


def _write_json(path: Path, record: object) -> None:
    path.write_text(json.dumps(record, indent=1, allow_nan=False) + "\n", encoding="utf-8")
