"""What a training is asked for, refused before any film is read if it contradicts itself."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path

from pipeline.networks.fracture_net import FractureNetSettings
from pipeline.networks.resnet_encoder import RESNETS
from pipeline.training.datasets.grouping import Grouping
from pipeline.training.errors import TrainingError
from pipeline.training.fitting import FittingSettings

# oneDNN (torch 2.15) writes past its buffers when it trains fewer channels laid out channels last.
LEAST_WIDTH = 8
STRIDE = 32


@dataclass(frozen=True)
class RunSettings:
    """What a training is asked for. `layout` None: found by the files. `fold` None: every fold, one after another.

    `limit`: about so many films, to rehearse. `backbone_weights`: a state_dict of that ResNet, which `freeze`
    leaves as it is. `begin_with`: another run's best.pt, to go on from its weights. `box_head`, `specialists`: whether the network may have them.

    Raises:
        TrainingError: settings that contradict each other; before any film is read.
    """

    data: Path
    out: Path
    layout: str | None = None
    grouping: Grouping = field(default_factory=Grouping)
    limit: int | None = None
    folds: int | None = None
    fold: int | None = 0
    widths: tuple[int, ...] = FractureNetSettings.widths
    blocks: tuple[int, ...] = FractureNetSettings.blocks
    backbone: str = FractureNetSettings.backbone
    backbone_weights: Path | None = None
    freeze: bool = False
    begin_with: Path | None = None
    box_head: bool = True
    specialists: bool = True
    resume: bool = False
    fitting: FittingSettings = field(default_factory=FittingSettings)

    def __post_init__(self) -> None:
        for wrong, why in _contradictions(self):
            if wrong:
                raise TrainingError(why)


def _contradictions(asked: RunSettings) -> Iterable[tuple[bool, str]]:
    chosen = asked.fitting
    yield chosen.size % STRIDE > 0, f"size = {chosen.size}: give a multiple of {STRIDE}"
    yield chosen.crop_side % STRIDE > 0, f"crop_side = {chosen.crop_side}: give a multiple of {STRIDE}"
    yield (
        min(asked.widths) < LEAST_WIDTH,
        f"widths = {list(asked.widths)}: give {LEAST_WIDTH} at least",
    )
    yield chosen.batch_size < 2, f"batch_size = {chosen.batch_size}: batch norms need 2 at least"
    yield (
        min(chosen.crop_epochs, chosen.film_epochs) < 0 or not chosen.crop_epochs + chosen.film_epochs,
        f"epochs = {chosen.crop_epochs} + {chosen.film_epochs}: give one at least",
    )
    yield (
        asked.folds is not None and asked.fold is not None and not 0 <= asked.fold < asked.folds,
        f"fold = {asked.fold}: of {asked.folds} folds give 0 to {(asked.folds or 1) - 1}, or all",
    )
    yield (
        asked.folds is not None and chosen.patience > 0,
        f"patience = {chosen.patience}: a fold is judged once, at its end; to stop by it would be choosing by "
        "the answer: leave patience or folds out",
    )
    yield (
        asked.folds is None and asked.fold not in (None, 0),
        f"fold = {asked.fold}: give folds, how many there are",
    )
    known = ("residual", *RESNETS)
    yield asked.backbone not in known, f"backbone = {asked.backbone!r}: give one of {', '.join(known)}"
    yield (
        asked.backbone_weights is not None and asked.backbone not in RESNETS,
        f"backbone_weights: backbone = {asked.backbone!r} takes none; give one of {', '.join(RESNETS)}",
    )
    yield (
        asked.freeze and asked.backbone_weights is None,
        "freeze: only weights from a file are worth keeping; give backbone_weights",
    )


def with_epochs(settings: FittingSettings, epochs: int) -> FittingSettings:
    """So many epochs in all, crops and films in the default proportion, one on films at least."""
    usual = FittingSettings()
    crops = round(epochs * usual.crop_epochs / (usual.crop_epochs + usual.film_epochs))
    crops = max(0, min(crops, epochs - 1))
    return replace(settings, crop_epochs=crops, film_epochs=epochs - crops)


def with_size(settings: FittingSettings, size: int) -> FittingSettings:
    """An input of that side, with crops of half of it and films large enough for it."""
    crop = max(STRIDE, round(size / 2 / STRIDE) * STRIDE)
    return replace(settings, size=size, crop_side=crop, film_side=max(FittingSettings.film_side, size))
