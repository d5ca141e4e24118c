"""Trained runs into a published package: fitted on held-out films, written whole, loaded again and replayed."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
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
from pipeline.evaluation.figures import FIGURES
from pipeline.evaluation.film_scores import OUT_OF_FOLD, REGIONS, SCORES, FilmScore, write_film_scores
from pipeline.gate_fitting.fitting import FittedGate
from pipeline.golden import golden_batch, summarise
from pipeline.model_description import (
    CARD,
    GATE,
    GOLDEN_ANSWER,
    GOLDEN_INPUT,
    PACKAGED_FILES,
    WEIGHTS,
    Architecture,
    BodyPartLabel,
    FractureLabel,
    InputRecord,
    ModelDescription,
    TypeLabel,
)
from pipeline.model_input import InputSettings
from pipeline.model_package import DESCRIPTION, build_network, load_package
from pipeline.packaging.card import Card, write_card
from pipeline.packaging.codes import FRACTURE, part_code
from pipeline.packaging.golden_film import draw_golden_film
from pipeline.pixel_gate import pack_gate

ARCHITECTURE = "fracture-net"
# In logits: another processor sums in another order, nothing else may differ.
GOLDEN_TOLERANCE = 0.02
MEASURED_FILES = (FIGURES, f"{OUT_OF_FOLD}/{SCORES}", f"{OUT_OF_FOLD}/{REGIONS}")


@dataclass(frozen=True, eq=False)
class Contents:
    """All that goes into a package."""

    card: Card
    tensors: Mapping[str, Tensor]
    scores: Sequence[FilmScore]
    gate: FittedGate | None = None


def architecture_of(card: Card) -> Architecture:
    """What `model.toml` says of the network."""
    return Architecture(name=ARCHITECTURE, shape=asdict(card.runs[0].shape), members=len(card.runs))


def publish(folder: Path, contents: Contents) -> Path:
    """Writes beside the place, loads and replays it, and only then gives it its name.

    Raises:
        ModelPackageError: the written package does not come back from disk as it was.
    """
    unfinished = folder.with_name(folder.name + ".part")
    shutil.rmtree(unfinished, ignore_errors=True)
    (unfinished / "golden").mkdir(parents=True)
    try:
        _write_files(unfinished, contents)
        load_package(unfinished)
        # Torch's threads are the process's: packaging leaves them as they are.
        Analyzer.open(unfinished, threads=torch.get_num_threads())
        unfinished.replace(folder)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
    return folder


def _write_files(folder: Path, contents: Contents) -> None:
    card = contents.card
    (folder / WEIGHTS).write_bytes(safetensors.torch.save(dict(contents.tensors)))
    (folder / CARD).write_text(write_card(card), encoding="utf-8")
    (folder / FIGURES).write_text(card.figures.text(), encoding="utf-8")
    write_film_scores(folder / OUT_OF_FOLD, contents.scores)
    golden = draw_golden_film()
    (folder / GOLDEN_INPUT).write_bytes(cv2.imencode(".png", golden)[1].tobytes())
    (folder / GOLDEN_ANSWER).write_text(_golden_answer(golden, contents) + "\n", encoding="utf-8")
    if contents.gate is not None:
        (folder / GATE).write_bytes(pack_gate(contents.gate.tensors))
    gated = (GATE,) if contents.gate is not None else ()
    digests = {
        name: hashlib.sha256((folder / name).read_bytes()).hexdigest()
        for name in (*PACKAGED_FILES, *MEASURED_FILES, *gated)
    }
    (folder / DESCRIPTION).write_text(
        tomlkit.dumps(
            describe(card, digests, contents.gate).model_dump(mode="json", exclude_none=True)
        ),
        encoding="utf-8",
    )


def _golden_answer(film: npt.NDArray[np.uint8], contents: Contents) -> str:
    network = build_network(architecture_of(contents.card))
    network.load_state_dict(contents.tensors)
    run = contents.card.runs[0]
    batch = golden_batch(
        film.astype(np.float32) / np.float32(255), InputSettings(run.size, run.film_side)
    )
    answer = summarise(
        TorchEngine(network, threads=torch.get_num_threads()).read(batch), GOLDEN_TOLERANCE
    )
    return answer.model_dump_json(indent=1)


def describe(card: Card, digests: Mapping[str, str], gate: FittedGate | None) -> ModelDescription:
    """What goes into `model.toml`."""
    run, fitted = card.runs[0], card.fitted
    return ModelDescription(
        format=1,
        name=card.name,
        version=card.version,
        architecture=architecture_of(card),
        input=InputRecord(size=run.size, film_side=run.film_side),
        fracture=FractureLabel(
            code=FRACTURE, calibration=fitted.calibration, thresholds=fitted.thresholds
        ),
        body_parts=tuple(
            BodyPartLabel(name=name, code=part_code(name, index))
            for index, name in enumerate(card.part_names)
        ),
        # Further labels have no code of their own: their names are the data set's.
        types=tuple(TypeLabel(name=name) for name in card.type_names),
        regions=fitted.regions,
        gate=gate.record if gate is not None else None,
        training=card.training,
        files=dict(digests),
    )
