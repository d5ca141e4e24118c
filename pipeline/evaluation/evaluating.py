"""The door: a model package and a labelled data set, or committed scores and their labels, into figures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from pydantic import ValidationError

from pipeline.engines.engine import Engine
from pipeline.engines.torch_engine import TorchEngine
from pipeline.errors import EvaluationError
from pipeline.evaluation.figures import FIGURES, Figures, measure
from pipeline.evaluation.film_reading import (
    Said,
    Watched,
    candidates_of,
    dice_at,
    film_score,
    found_regions,
    read_films,
    with_boxes,
)
from pipeline.evaluation.film_scores import (
    ALWAYS_TRAINED,
    OUT_OF_FOLD,
    SCORES,
    FilmScore,
    read_film_scores,
)
from pipeline.evaluation.sample import Sample
from pipeline.model_package import ModelPackage
from pipeline.networks.fracture_net import Members
from pipeline.training.datasets.grouping import Grouping
from pipeline.training.datasets.labelled_file import LabelledFile, Listing
from pipeline.training.datasets.layouts import list_dataset

SPLITS = ("val", "train", "all")
# Where the package says nothing better.
DICE_LEVEL = 0.3


@dataclass(frozen=True)
class Labelled:
    """Which films of a folder: as `dicom-node evaluate` is asked."""

    folder: Path
    layout: str | None = None
    grouping: Grouping = field(default_factory=Grouping)
    split: str = "all"
    limit: int | None = None

    def listing(self, said: Said) -> Listing:
        """The films of the split with their labels, whether they can be read or not.

        Raises:
            DatasetError: the folder cannot be used.
            EvaluationError: the split is unknown or empty.
        """
        if self.split not in SPLITS:
            raise EvaluationError(f"--split {self.split}: there is {', '.join(SPLITS)}")
        listing = list_dataset(self.folder, layout=self.layout, grouping=self.grouping, said=said)
        files = [file for file in listing.files if self.split in ("all", file.split)]
        if not files:
            raise EvaluationError(f"{self.folder}: no film in split {self.split}; try --split all")
        step = max(1, len(files) // self.limit) if self.limit else 1
        return replace(listing, files=tuple(with_boxes(file) for file in files[::step]))


@dataclass(frozen=True, eq=False)
class Evaluation:
    """What came of it; `seen` is how many of the films the model was trained on or fitted with."""

    sample: Sample
    figures: Figures
    seen: int


def evaluate_committed(
    package: ModelPackage, scores: Path, labelled: Labelled, *, draws: int, said: Said = print
) -> Evaluation:
    """The package's own figures from its committed scores and the data set's labels: no film is read.

    Raises:
        DatasetError: the data cannot be used.
        EvaluationError: scores and labels do not belong together.
    """
    recorded = recorded_figures(package.folder)
    if recorded is None:
        raise EvaluationError(
            f"{package.folder / FIGURES}: missing; the package has no committed scores"
        )
    sample = _sample(package, labelled.listing(said), read_film_scores(scores))
    figures = measure(
        sample,
        model=recorded.model,
        protocol=recorded.protocol,
        dice_level=recorded.dice_level,
        draws=draws,
    )
    return Evaluation(sample, figures, 0)


def evaluate_package(
    package: ModelPackage,
    labelled: Labelled,
    *,
    out_of_fold: bool = False,
    draws: int = 1000,
    threads: int = 0,
    said: Said = print,
    watched: Watched = iter,
) -> Evaluation:
    """Reads the films with the package's weights, in fp32, and measures.

    `out_of_fold`: each film by the member that never saw it, films that every member saw left out.

    Raises:
        DatasetError: the data cannot be used.
        EvaluationError: the package knows no folds, or the films make no figure.
        EngineError: the engine failed.
    """
    listing = labelled.listing(said)
    files = listing.files
    folds = recorded_folds(package.folder)
    seen = sum(file.id in folds for file in files)
    recorded = recorded_figures(package.folder)
    level = _dice_level(recorded)
    if out_of_fold:
        _refuse_without_folds(package, folds, seen)
        engines = member_engines(package, threads)
        read = [file for file in files if folds.get(file.id, ALWAYS_TRAINED) != ALWAYS_TRAINED]
        members = [engines[folds[file.id]] for file in read]
        scores = _read(package, read, members, folds, level, said, watched)
        scores += [FilmScore(file.id) for file in files if folds.get(file.id) == ALWAYS_TRAINED]
        protocol = "out of fold: each film was read by the network that never saw it"
    else:
        engine = TorchEngine(package.network(), threads=threads)
        scores = _read(package, files, [engine] * len(files), {}, level, said, watched)
        protocol = f"{labelled.split} films of {labelled.folder.name}, read by the whole package"
        if seen:
            protocol += f"; {seen} of {len(files)} were seen in training, so the figures are too good"
    sample = _sample(package, listing, scores)
    identity = f"{package.description.name} {package.description.version}"
    figures = measure(
        sample,
        model=identity,
        protocol=recorded.protocol if out_of_fold and recorded else protocol,
        dice_level=level,
        draws=draws,
    )
    return Evaluation(sample, figures, 0 if out_of_fold else seen)


def member_engines(package: ModelPackage, threads: int = 0) -> tuple[Engine, ...]:
    """One engine per network of the package, in the order of the folds that they never saw."""
    network = package.network()
    members = list(network.networks) if isinstance(network, Members) else [network]
    return tuple(TorchEngine(member, threads=threads) for member in members)


def recorded_figures(package: Path) -> Figures | None:
    """The package's own figures, if it has any.

    Raises:
        EvaluationError: the file holds something else.
    """
    path = package / FIGURES
    if not path.is_file():
        return None
    try:
        return Figures.model_validate_json(path.read_text(encoding="utf-8"))
    except ValidationError as error:
        raise EvaluationError(f"{path}: not figures: {error}; restore the file") from error


def recorded_folds(package: Path) -> dict[str, int]:
    """Id -> fold, of every film that the package was trained or fitted on."""
    if not (package / OUT_OF_FOLD / SCORES).is_file():
        return {}
    return {score.id: score.fold for score in read_film_scores(package / OUT_OF_FOLD)}


def _refuse_without_folds(package: ModelPackage, folds: dict[str, int], seen: int) -> None:
    members = package.description.architecture.members
    if not folds or max(folds.values()) >= members:
        raise EvaluationError(
            f"{package.folder / OUT_OF_FOLD / SCORES}: does not say which of {members} networks never saw a film; "
            "leave --out-of-fold out"
        )
    if not seen:
        raise EvaluationError(
            "--out-of-fold: none of these films is one of the training's; leave it out, they are all new"
        )


def _read(
    package: ModelPackage,
    files: Sequence[LabelledFile],
    engines: Sequence[Engine],
    folds: dict[str, int],
    level: float,
    said: Said,
    watched: Watched,
) -> list[FilmScore]:
    regions = package.description.regions
    engine_of = {file.id: engine for file, engine in zip(files, engines, strict=True)}
    made = []
    for reading in read_films(
        files,
        lambda file: engine_of[file.id],
        package.description.input.settings(),
        said=said,
        watched=watched,
    ):
        found = found_regions(reading, regions, candidates_of(reading, regions))
        dice = dice_at(reading, (level,))
        made.append(
            film_score(
                reading,
                folds.get(reading.file.id, ALWAYS_TRAINED),
                found,
                None if dice is None else float(dice[0]),
            )
        )
    return made


def _dice_level(recorded: Figures | None) -> float:
    return DICE_LEVEL if recorded is None or recorded.dice_level is None else recorded.dice_level


def _sample(package: ModelPackage, listing: Listing, scores: Sequence[FilmScore]) -> Sample:
    description = package.description
    names = tuple(part.name for part in description.body_parts)
    # Where the data set names other parts than the model, none of them can be judged.
    known = names if names == listing.part_names else ()
    return Sample.of(listing.files, scores, description.fracture, known)
