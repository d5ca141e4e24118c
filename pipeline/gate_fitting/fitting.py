"""`fit_gate`: the gate of a network, its threshold from films that neither network nor gate has seen."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from torch import nn

from pipeline.errors import PipelineError
from pipeline.film_statistics import STATISTICS
from pipeline.gate_fitting.cross_fitting import GROUPS, Material, cross_judge, fit_tensors, groups_of
from pipeline.gate_fitting.examples import (
    Picture,
    film_pictures,
    made_outliers,
    measured_pictures,
    take_examples,
)
from pipeline.gate_fitting.refusal_counts import (
    RefusalCount,
    count,
    count_films,
    count_made,
    count_others,
)
from pipeline.model_description import GateRecord
from pipeline.model_input import InputSettings
from pipeline.pixel_gate import GateTensors
from pipeline.radiograph import Radiograph
from pipeline.training.films import Film

# The share of the films that the threshold refuses out of fold; the promise is one in a hundred.
ALLOWED = 0.006
FEWEST_FILMS = 40
FILM, ALTERED = "film that no network saw", "the same, altered"
ALWAYS_SEEN, MOST_ALWAYS_SEEN = "film that every network saw", 200
Said = Callable[[str], None]


class GateFittingError(PipelineError):
    """No gate can be fitted on these films; says why."""


@dataclass(frozen=True, eq=False)
class FittedGate:
    """What goes into the package, and the counts for its card."""

    record: GateRecord
    tensors: GateTensors
    figures: tuple[RefusalCount, ...]

    def card_figures(self) -> dict[str, str]:
        """Each kind with its counts."""
        return {figure.title: figure.counts for figure in self.figures}


def fit_gate(
    films: Sequence[Film],
    networks: Sequence[nn.Module],
    folds: Sequence[int],
    settings: InputSettings,
    *,
    measured: Iterable[tuple[str, Radiograph]] = (),
    each: int = 60,
    seed: int = 1,
    said: Said = print,
) -> FittedGate:
    """The gate of a network of one or more members.

    `folds`: for each film the member that was not trained on it (0 for the val films of a single network), or a
    negative number if all were. `measured`: (kind, picture) that are only counted. `each`: made outliers
    of every kind, two at least.

    Raises:
        GateFittingError: a member has too few films that it was not trained on.
    """
    _refuse_few(folds, len(networks))
    for network in networks:
        network.eval()
    material = _material(films, networks, folds, settings, each, seed, said)
    said("fitting the gate")
    plain, altered, outliers = cross_judge(material)
    threshold = round(float(np.quantile(plain.scores, 1 - ALLOWED)), 4)
    tensors = fit_tensors(material)
    figures = [count_films(FILM, plain, material.plain, ALLOWED)]
    figures.append(count(ALTERED, altered.scores > threshold, altered.inverted))
    figures += count_made(material, outliers, threshold)
    others = list(_others(films, folds, settings, len(networks), measured))
    if others:
        figures += count_others(tensors, threshold, take_examples(others, networks, said))
    record = GateRecord(statistics=STATISTICS, threshold=threshold, allowed=ALLOWED)
    return FittedGate(record, tensors, tuple(figures))


def _refuse_few(folds: Sequence[int], members: int) -> None:
    for member in range(members):
        held = sum(fold == member for fold in folds)
        if held < FEWEST_FILMS:
            raise GateFittingError(
                f"the gate needs {FEWEST_FILMS} films that member {member} was not trained on, there are {held}"
            )


def _material(
    films: Sequence[Film],
    networks: Sequence[nn.Module],
    folds: Sequence[int],
    settings: InputSettings,
    each: int,
    seed: int,
    said: Said,
) -> Material:
    held = [(film, fold) for film, fold in zip(films, folds, strict=True) if fold >= 0]
    chosen, asked = [film for film, _ in held], [fold for _, fold in held]
    groups = groups_of(chosen)
    plain, altered = (
        film_pictures(chosen, groups, asked, settings.size, altered=changed, seed=seed)
        for changed in (False, True)
    )
    outliers = made_outliers(chosen, settings, len(networks), each=each, groups=GROUPS, seed=seed)
    return Material(*(take_examples(part, networks, said) for part in (plain, altered, outliers)))


def _others(
    films: Sequence[Film],
    folds: Sequence[int],
    settings: InputSettings,
    members: int,
    measured: Iterable[tuple[str, Radiograph]],
) -> Iterator[Picture]:
    """Some of the films that no member held out, and real pictures of other kinds."""
    seen = [film for film, fold in zip(films, folds, strict=True) if fold < 0]
    seen = seen[:: max(1, len(seen) // MOST_ALWAYS_SEEN)]
    nothing = [0] * len(seen)
    for picture in film_pictures(seen, nothing, nothing, settings.size, altered=False):
        yield replace(picture, kind=ALWAYS_SEEN, members=tuple(range(members)))
    yield from measured_pictures(measured, settings, members)
