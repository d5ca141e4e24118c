"""Examples for the gate: films that must pass, made outliers, pictures that only measure; each as numbers."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from pipeline.film_statistics import Floats, film_statistics
from pipeline.gate_fitting.altered_films import NO_LONGER_A_FILM, still_a_film
from pipeline.gate_fitting.made_bodies import BODIES
from pipeline.gate_fitting.made_patterns import PATTERNS
from pipeline.model_input import InputSettings, ModelInput, letterbox, make_model_input
from pipeline.radiograph import Radiograph
from pipeline.training.films import Film, from_grey

# Rows and columns as films have them, before they are brought to the side of the input.
_SHAPES = ((454, 373), (373, 454), (400, 400), (454, 300), (512, 640))
_BATCH = 8
KINDS = (*PATTERNS, *BODIES, *NO_LONGER_A_FILM)


@dataclass(frozen=True, eq=False)
class Examples:
    """K pictures: `kinds` (K,), `groups` (K,) for cross-fitting, `statistics` (K, F), `features` (K, M, N).

    `features` of a member that was not asked are not numbers.
    """

    kinds: npt.NDArray[np.str_]
    groups: npt.NDArray[np.intp]
    statistics: Floats
    features: Floats

    def __len__(self) -> int:
        return len(self.kinds)

    def where(self, chosen: npt.NDArray[np.bool_]) -> Examples:
        """Those of a mask (K,)."""
        return Examples(
            self.kinds[chosen], self.groups[chosen], self.statistics[chosen], self.features[chosen]
        )


@dataclass(frozen=True, eq=False)
class Picture:
    """A model input with its kind, the group that leaves it out, and the members to ask."""

    kind: str
    group: int
    given: ModelInput
    members: tuple[int, ...]


def film_pictures(
    films: Sequence[Film],
    groups: Sequence[int],
    folds: Sequence[int],
    size: int,
    *,
    altered: bool,
    seed: int = 1,
) -> Iterator[Picture]:
    """Each film as it is, or altered as `still_a_film` does, for the one member that never saw it."""
    for film, group, fold in zip(films, groups, folds, strict=True):
        pixels = from_grey(film.grey)
        if altered:
            pixels = still_a_film(pixels, np.random.default_rng([seed, *film.id.encode()]))
        kind = "film, altered" if altered else "film"
        yield Picture(kind, group, ModelInput(*letterbox(pixels, size)), (fold,))


def made_outliers(
    films: Sequence[Film],
    settings: InputSettings,
    members: int,
    *,
    each: int,
    groups: int,
    seed: int = 1,
) -> Iterator[Picture]:
    """`each` pictures of every kind, always the same for the same films and seed."""
    everyone = tuple(range(members))
    for place, kind in enumerate(KINDS):
        for index in range(each):
            chance = np.random.default_rng([seed, place, index])
            if kind in NO_LONGER_A_FILM:
                film = films[int(chance.integers(len(films)))]
                changed = NO_LONGER_A_FILM[kind](from_grey(film.grey), chance)
                given = ModelInput(*letterbox(changed, settings.size))
            else:
                rows, columns = _SHAPES[index % len(_SHAPES)]
                given = make_model_input((PATTERNS | BODIES)[kind](rows, columns, chance), settings)
            yield Picture(kind, index % groups, given, everyone)


def measured_pictures(
    pictures: Iterable[tuple[str, Radiograph]], settings: InputSettings, members: int
) -> Iterator[Picture]:
    """Real pictures with their kinds, made a model input as serving does."""
    for kind, film in pictures:
        given = make_model_input(film.pixels, settings, mask=film.mask, pixel_aspect=film.pixel_aspect)
        yield Picture(kind, 0, given, tuple(range(members)))


def take_examples(
    pictures: Iterable[Picture], networks: Sequence[nn.Module], said: Callable[[str], None] = print
) -> Examples:
    """Statistics of all pictures, and the features of the members that each of them asks."""
    source = iter(pictures)
    kinds: list[str] = []
    groups: list[int] = []
    statistics: list[Floats] = []
    features: list[Floats] = []
    while batch := list(islice(source, _BATCH)):
        kinds += [picture.kind for picture in batch]
        groups += [picture.group for picture in batch]
        statistics += [film_statistics(picture.given) for picture in batch]
        features.append(_features(batch, networks))
        if len(kinds) % (50 * _BATCH) == 0:
            said(f"{len(kinds)} pictures read for the gate")
    return Examples(np.array(kinds), np.array(groups), np.stack(statistics), np.concatenate(features))


def _features(batch: Sequence[Picture], networks: Sequence[nn.Module]) -> Floats:
    made: Floats | None = None
    for member, network in enumerate(networks):
        asked = [index for index, picture in enumerate(batch) if member in picture.members]
        if not asked:
            continue
        images = torch.from_numpy(np.stack([batch[index].given.pixels for index in asked]))[:, None]
        with torch.inference_mode():
            said = network(images.contiguous(memory_format=torch.channels_last)).features
        if made is None:
            made = np.full((len(batch), len(networks), said.shape[1]), np.nan)
        made[asked, member] = said.float().numpy()
    if made is None:
        raise ValueError("a picture asks no member of the network")
    return made
