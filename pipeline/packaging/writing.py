"""A trained run into a published package: fitted on val, written whole, loaded again and replayed."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import safetensors.torch
import tomlkit
import torch
from torch import Tensor

from pipeline.analysis import Analyzer
from pipeline.engines.torch_engine import TorchEngine
from pipeline.golden import golden_batch, summarise
from pipeline.model_description import (
    CARD,
    GOLDEN_ANSWER,
    GOLDEN_INPUT,
    PACKAGED_FILES,
    WEIGHTS,
    Architecture,
    BodyPartLabel,
    Code,
    FractureLabel,
    InputRecord,
    ModelDescription,
)
from pipeline.model_input import InputSettings
from pipeline.model_package import DESCRIPTION, load_package
from pipeline.networks.fracture_net import FractureNet
from pipeline.packaging.card import FRACATLAS, Card, write_card
from pipeline.packaging.golden_film import draw_golden_film
from pipeline.packaging.run_record import PackagingError, RunRecord, read_run, val_scores
from pipeline.packaging.val_report import baseline_rows, fit_on_val, val_rows
from pipeline.training.datasets.fracatlas import BODY_PARTS, read_fracatlas
from pipeline.training.films import Film
from pipeline.training.fitting import score

ARCHITECTURE = "fracture-net"
# In logits: another processor sums in another order, nothing else may differ.
GOLDEN_TOLERANCE = 0.02
# Half precision may move a film's logit by so much; more means that the weights do not fit into it.
HALF_TOLERANCE = 0.05
FRACTURE = Code(value="72704001", scheme="SCT", meaning="Fracture")
PART_CODES = {
    "hand": Code(value="53120007", scheme="SCT", meaning="Upper limb"),
    "leg": Code(value="61685007", scheme="SCT", meaning="Lower limb"),
    "hip": Code(value="29836001", scheme="SCT", meaning="Hip"),
    "shoulder": Code(value="16982005", scheme="SCT", meaning="Shoulder"),
}


def write_package(
    run_folder: Path,
    target: Path,
    *,
    data: Path,
    name: str,
    version: str,
    draws: int = 1000,
    said: Callable[[str], None] = print,
) -> Path:
    """Packages the best weights of a run under `target`/name/version and returns that folder.

    `data` is the fracatlas folder that the run was trained on: calibration, operating points and region
    settings are fitted on its val split. `draws` is the number of bootstrap samples.

    Raises:
        PackagingError: the run or the data will not do, or the version is published already.
        ModelPackageError: the written package does not come back from disk as it was.
    """
    folder = target / name / version
    if folder.exists():
        raise PackagingError(f"{folder}: published already and never edited; choose a higher --version")
    run = read_run(run_folder)
    network = FractureNet(run.shape)
    network.load_state_dict(run.weights)
    films = read_fracatlas(data, film_side=run.film_side, said=said)
    train = [film for film in films if film.split == "train"]
    val = [film for film in films if film.split == "val"]
    _refuse_one_label(val, data)
    said(f"best epoch {run.best_epoch}, {len(val)} val films")
    scores = val_scores(run, network, val)
    tensors = half_tensors(network.state_dict())
    rounding = _rounding(network, tensors, val[:16], run)
    fitted = fit_on_val(val, scores, run.size)
    card = Card(
        name=name,
        version=version,
        run=run,
        fitted=fitted,
        part_names=BODY_PARTS,
        train_films=len(train),
        train_fractured=sum(film.fractured for film in train),
        val_films=len(val),
        draws=draws,
        rounding=rounding,
        rows=tuple(val_rows(val, scores, run.size, fitted, draws)),
        baselines=tuple(baseline_rows(val, data / "labels.csv", draws)),
    )
    for row in card.rows + card.baselines:
        said(f"{row.name}: {row.estimate} ({row.films} films)")
    return _publish(folder, tensors, card)


def _refuse_one_label(val: Sequence[Film], data: Path) -> None:
    fractured = sum(film.fractured for film in val)
    if not 0 < fractured < len(val):
        raise PackagingError(
            f"{data / 'labels.csv'}: {fractured} of {len(val)} val films are fractured; "
            "thresholds need films of both kinds"
        )


def half_tensors(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Weights of convolutions and layers in half precision; norms and biases, which are few, as they are."""
    return {
        name: (tensor.half() if tensor.ndim > 1 else tensor).contiguous().cpu()
        for name, tensor in state.items()
    }


def _rounding(
    network: FractureNet, tensors: Mapping[str, Tensor], films: Sequence[Film], run: RunRecord
) -> float:
    """By how many logits half precision moves these films."""
    halved = FractureNet(run.shape)
    halved.load_state_dict(tensors)
    before, after = (score(net, films, run.size).fracture for net in (network, halved))
    moved = float(np.abs(before - after).max())
    if not moved <= HALF_TOLERANCE:
        raise PackagingError(
            f"{run.folder / 'best.pt'}: half precision moves a logit by {moved:.3g}; "
            f"{HALF_TOLERANCE} is tolerated: these weights do not fit into it"
        )
    return moved


def _publish(folder: Path, tensors: Mapping[str, Tensor], card: Card) -> Path:
    """Writes beside the place, loads and replays it, and only then gives it its name."""
    unfinished = folder.with_name(folder.name + ".part")
    shutil.rmtree(unfinished, ignore_errors=True)
    (unfinished / "golden").mkdir(parents=True)
    try:
        _write_files(unfinished, tensors, card)
        load_package(unfinished)
        # Torch's threads are the process's: packaging leaves them as they are.
        Analyzer.open(unfinished, threads=torch.get_num_threads())
        unfinished.replace(folder)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
    return folder


def _write_files(folder: Path, tensors: Mapping[str, Tensor], card: Card) -> None:
    (folder / WEIGHTS).write_bytes(safetensors.torch.save(dict(tensors)))
    (folder / CARD).write_text(write_card(card), encoding="utf-8")
    golden = draw_golden_film()
    (folder / GOLDEN_INPUT).write_bytes(cv2.imencode(".png", golden)[1].tobytes())
    (folder / GOLDEN_ANSWER).write_text(
        _golden_answer(golden, tensors, card.run) + "\n", encoding="utf-8"
    )
    digests = {
        name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in PACKAGED_FILES
    }
    description = describe(card, digests)
    (folder / DESCRIPTION).write_text(
        tomlkit.dumps(description.model_dump(mode="json")), encoding="utf-8"
    )


def _golden_answer(film: npt.NDArray[np.uint8], tensors: Mapping[str, Tensor], run: RunRecord) -> str:
    network = FractureNet(run.shape)
    network.load_state_dict(tensors)
    batch = golden_batch(
        film.astype(np.float32) / np.float32(255), InputSettings(run.size, run.film_side)
    )
    answer = summarise(
        TorchEngine(network, threads=torch.get_num_threads()).read(batch), GOLDEN_TOLERANCE
    )
    return answer.model_dump_json(indent=1)


def describe(card: Card, digests: Mapping[str, str]) -> ModelDescription:
    """What goes into `model.toml`."""
    return ModelDescription(
        format=1,
        name=card.name,
        version=card.version,
        architecture=Architecture(name=ARCHITECTURE, shape=asdict(card.run.shape)),
        input=InputRecord(size=card.run.size, film_side=card.run.film_side),
        fracture=FractureLabel(
            code=FRACTURE, calibration=card.fitted.calibration, thresholds=card.fitted.thresholds
        ),
        body_parts=tuple(BodyPartLabel(name=part, code=PART_CODES[part]) for part in BODY_PARTS),
        regions=card.fitted.regions,
        training=FRACATLAS,
        files=dict(digests),
    )
