"""The door: run folders and the data they were trained on, into a verified package."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path

import torch
from torch import Tensor

from pipeline.engines.engine import Engine
from pipeline.engines.torch_engine import TorchEngine
from pipeline.evaluation.figures import Figures, measure
from pipeline.evaluation.film_reading import FilmReading, Watched, read_films
from pipeline.evaluation.film_scores import ALWAYS_TRAINED, FilmScore
from pipeline.evaluation.sample import Sample
from pipeline.model_description import FractureLabel
from pipeline.model_input import InputSettings
from pipeline.networks.fracture_net import FractureNet, Members
from pipeline.packaging.card import Card
from pipeline.packaging.codes import FRACTURE
from pipeline.packaging.gating import gate_of
from pipeline.packaging.held_out import HeldOut, TrainingData, held_out_of
from pipeline.packaging.protocol import protocol_of, training_record
from pipeline.packaging.run_record import PackagingError, RunRecord, read_runs
from pipeline.packaging.tuning import Fitted, fit, scores_of
from pipeline.packaging.writing import Contents, publish
from pipeline.training.datasets.fracatlas import BODY_PARTS
from pipeline.training.datasets.labelled_file import LabelledFile

Said = Callable[[str], None]
# Half precision may move a film's logit by so much; more means that the weights do not fit into it.
HALF_TOLERANCE = 0.05
PROBED_FILMS = 4


def write_package(
    runs: Sequence[Path],
    target: Path,
    *,
    data: TrainingData,
    name: str,
    version: str,
    draws: int = 1000,
    gated: bool = False,
    outliers: Path | None = None,
    said: Said = print,
    watched: Watched = iter,
) -> Path:
    """Packages one run, or the runs of all folds, under `target`/name/version and returns that folder.

    Calibration, operating points and region settings are fitted on the films that the runs held out, read with
    the weights as they are shipped. `draws` is the number of samples for the intervals. With `gated` a gate of
    the pixels is fitted too; `outliers` is a folder of folders of real pictures of other kinds that it is tried on.

    Raises:
        PackagingError: the runs or the data will not do, or the version is published already.
        DatasetError: the data cannot be used.
        ModelPackageError: the written package does not come back from disk as it was.
    """
    folder = target / name / version
    if folder.exists():
        raise PackagingError(f"{folder}: published already and never edited; choose a higher --version")
    records = read_runs(runs)
    held = held_out_of(records, data.listing(said, watched))
    parts, types = _names(records[0], held)
    rounded = [_network(run, half_tensors(run.weights)) for run in records]
    readings = _read(records, rounded, held, said, watched)
    rounding = _rounding(records, readings, held)
    fitted = fit(readings, said)
    scores = _with_always_trained(scores_of(readings, held.folds, fitted), held)
    said(f"measuring, {draws} draws")
    figures = measure(
        Sample.of(held.listing.files, scores, _label(fitted), parts),
        model=f"{name} {version}",
        protocol=protocol_of(records),
        dice_level=fitted.dice_level,
        draws=draws,
    )
    settings = InputSettings(records[0].size, records[0].film_side)
    gate = gate_of(rounded, held, settings, outliers=outliers, said=said) if gated else None
    card = Card(
        name=name,
        version=version,
        runs=records,
        held=held,
        training=training_record(records, held, data),
        fitted=fitted,
        part_names=parts,
        type_names=types,
        rounding=rounding,
        figures=figures,
        abstention=gate.card_figures() if gate is not None else None,
    )
    _tell(figures, said)
    return publish(folder, Contents(card, half_tensors(_together(rounded)), scores, gate))


def _tell(figures: Figures, said: Said) -> None:
    for figure in (*figures.figures, *figures.baselines):
        said(f"{figure.name}, {figure.group}: {figure} ({figure.films} films)")


def _label(fitted: Fitted) -> FractureLabel:
    return FractureLabel(code=FRACTURE, calibration=fitted.calibration, thresholds=fitted.thresholds)


def _names(run: RunRecord, held: HeldOut) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Names of body parts and of further labels: the run's own, else the data's."""
    parts = run.part_names or (BODY_PARTS if run.shape.parts == len(BODY_PARTS) else ())
    types = run.type_names or held.listing.type_names
    for key, names, wanted in (("part_names", parts, run.shape.parts), ("type_names", types, run.shape.types)):  # fmt: skip
        if wanted and len(names) != wanted:
            raise PackagingError(
                f"{run.folder / 'run.json'}: {key} = {list(names)}, the network has {wanted}; train it anew, or add them"
            )
    return parts, types[: run.shape.types]


def half_tensors(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Weights of convolutions and layers in half precision; norms and biases, which are few, as they are.

    Rounded to what bfloat16 holds too: the engines' bf16 then changes no weight, and the file compresses.
    """
    return {
        name: (tensor.bfloat16().half() if tensor.ndim > 1 else tensor).contiguous().cpu()
        for name, tensor in state.items()
    }


def _network(run: RunRecord, tensors: Mapping[str, Tensor]) -> FractureNet:
    network = FractureNet(run.shape)
    network.load_state_dict(tensors)
    return network.eval()


def _together(networks: Sequence[FractureNet]) -> dict[str, Tensor]:
    whole = networks[0] if len(networks) == 1 else Members(list(networks))
    return whole.state_dict()


def _read(
    runs: Sequence[RunRecord],
    networks: Sequence[FractureNet],
    held: HeldOut,
    said: Said,
    watched: Watched,
) -> list[FilmReading]:
    said(f"{len(held.files)} held-out films to read, with {len(runs)} network(s)")
    # Torch's threads are the process's: packaging leaves them as they are.
    engines = [TorchEngine(network, threads=torch.get_num_threads()) for network in networks]
    settings = InputSettings(runs[0].size, runs[0].film_side)
    return list(
        read_films(
            held.files,
            lambda file: engines[held.folds[file.id]],
            settings,
            said=said,
            watched=watched,
        )
    )


def _rounding(runs: Sequence[RunRecord], readings: Sequence[FilmReading], held: HeldOut) -> float:
    """By how many logits half precision moves each network's first films."""
    moved = 0.0
    for number, run in enumerate(runs):
        first = [one for one in readings if held.folds[one.file.id] == number][:PROBED_FILMS]
        engine = TorchEngine(_network(run, run.weights), threads=torch.get_num_threads())
        settings = InputSettings(run.size, run.film_side)
        before = read_films([one.file for one in first], partial(_always, engine), settings)
        for exact, half in zip(before, first, strict=True):
            by = abs(exact.fracture - half.fracture)
            if not by <= HALF_TOLERANCE:  # also where it is not a number
                raise PackagingError(
                    f"{run.folder / 'best.pt'}: half precision moves a logit by {by:.3g}; "
                    f"{HALF_TOLERANCE} is tolerated: these weights do not fit into it"
                )
            moved = max(moved, by)
    return moved


def _always(engine: Engine, _: LabelledFile) -> Engine:
    return engine


def _with_always_trained(scores: Sequence[FilmScore], held: HeldOut) -> list[FilmScore]:
    """In the data set's order, the films that no network held out among them, without a score."""
    by_id = {score.id: score for score in scores}
    return [by_id.get(file.id, FilmScore(file.id, ALWAYS_TRAINED)) for file in held.listing.files]
