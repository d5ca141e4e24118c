"""Crops first, films second: the loop, its running average of weights, its checkpoints."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, fields
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from pipeline.networks.fracture_net import FractureNet, FractureNetSettings
from pipeline.networks.resnet_encoder import ResNetEncoder
from pipeline.processor import has_bf16
from pipeline.training.augmentation import Example, plain_film, random_crop, random_film
from pipeline.training.checkpoint import (
    films_digest,
    load_tensors,
    refuse_other_run,
    refuse_other_shape,
)
from pipeline.training.errors import TrainingError
from pipeline.training.films import Film
from pipeline.training.losses import Target, reading_loss
from pipeline.training.optimiser import Optimiser
from pipeline.training.progress import Progress, Watched, unwatched
from pipeline.training.running_average import RunningAverage


@dataclass(frozen=True)
class FittingSettings:
    """Everything that shapes a run; written into its folder.

    `size`: side of the network's input; `film_side`: longest side a film is brought to before; `crop_side`: of a
    crop at the scale of `size`. `rate`, `matrix_rate`: of `Optimiser`. Each epoch draws all fractured films and so
    many others for each. `patience`: stop after so many judgements on val without a gain (0: never).
    """

    size: int = 320
    film_side: int = 454
    crop_side: int = 160
    crop_epochs: int = 12
    film_epochs: int = 30
    batch_size: int = 16
    rate: float = 2e-3
    matrix_rate: float = 0.02
    weight_decay: float = 0.02
    negatives_per_positive: float = 2.0
    crop_negatives_per_positive: float = 0.7
    seed: int = 1
    judge_every: int = 1
    patience: int = 0
    threads: int = 0


@dataclass(frozen=True)
class Scores:
    """What the network says of films, in their order; fields and shapes as `Reading` has them."""

    fracture: npt.NDArray[np.float32]
    parts: npt.NDArray[np.float32]
    heat: npt.NDArray[np.float32]
    boxes: npt.NDArray[np.float32]
    types: npt.NDArray[np.float32]
    features: npt.NDArray[np.float32]


def area_under_curve(scores: npt.NDArray[np.float32], labels: npt.NDArray[np.bool_]) -> float:
    """The chance that a fractured film scores above an unfractured one (Mann-Whitney), ties halved."""
    positive, negative = scores[labels], scores[~labels]
    if not len(positive) or not len(negative):
        return math.nan
    higher = (positive[:, None] > negative[None]).mean()
    return float(higher + 0.5 * (positive[:, None] == negative[None]).mean())


def film_loss(scores: npt.NDArray[np.float32], labels: npt.NDArray[np.bool_]) -> float:
    """Mean cross-entropy of the films' logits with their labels."""
    return float(np.logaddexp(0, np.where(labels, -scores, scores)).mean()) if len(scores) else math.nan


def score(net: nn.Module, films: Sequence[Film], size: int, batch: int = 16) -> Scores:
    """Reads films without augmentation."""
    net.eval()
    device = next(net.parameters()).device
    kept: list[tuple[Tensor, ...]] = []
    with torch.inference_mode():
        for start in range(0, len(films), batch):
            images = np.stack([plain_film(film, size) for film in films[start : start + batch]])
            given = torch.from_numpy(images)[:, None].contiguous(memory_format=torch.channels_last)
            kept.append(tuple(part.float().cpu() for part in net(given.to(device))))
    return Scores(*(torch.cat(column).numpy() for column in zip(*kept, strict=True)))


def croppable(films: Sequence[Film]) -> list[Film]:
    """Films whose crops have a label: fractured films without a box or mask could be fractured anywhere."""
    return [film for film in films if not film.fractured or film.boxes or film.polygons]


def target_of(batch: Sequence[Example]) -> Target:
    """What should be said of a batch of examples."""

    def stacked(name: str) -> Tensor:
        return torch.from_numpy(np.stack([np.asarray(getattr(one, name), np.float32) for one in batch]))

    return Target(**{field.name: stacked(field.name) for field in fields(Target)})


class Fitting:
    """One run: owns the network, the optimiser and their checkpoint."""

    def __init__(
        self,
        shape: FractureNetSettings,
        settings: FittingSettings,
        folder: Path,
        *,
        keeps_best: bool = True,
    ) -> None:
        torch.manual_seed(settings.seed)
        self.settings, self.shape, self.folder = settings, shape, folder
        self.keeps_best = keeps_best
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self.fast = self.device.type == "cuda" or has_bf16()
        if settings.threads:
            torch.set_num_threads(settings.threads)
        self.net = FractureNet(shape).to(self.device).to(memory_format=torch.channels_last)
        self.mean = RunningAverage(self.net)
        self.optimiser = self._new_optimiser()
        self.epoch = 0
        self.best = -math.inf
        self.history: list[dict[str, float]] = []
        self.films = ""

    def _new_optimiser(self) -> Optimiser:
        chosen = self.settings
        return Optimiser(
            self.net,
            rate=chosen.rate,
            matrix_rate=chosen.matrix_rate,
            weight_decay=chosen.weight_decay,
        )

    @property
    def epochs(self) -> int:
        """All epochs of the run, crops and films."""
        return self.settings.crop_epochs + self.settings.film_epochs

    def run(
        self,
        train: Sequence[Film],
        val: Sequence[Film],
        said: Callable[[str], None],
        watched: Watched = unwatched,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Fits to the end, writing `last.pt` after each epoch and `best.pt` at each gain on `val`.

        Without films of both kinds in `val` nothing can be chosen by: `best.pt` is then the last epoch's.

        Raises:
            TrainingError: an epoch's loss is no number, or the run was begun with other films.
        """
        digest = films_digest(train)
        if self.films not in ("", digest):
            raise TrainingError(
                f"{self.folder / 'last.pt'}: begun with other training films; resume with the same data and "
                "options, or begin in another folder"
            )
        self.films = digest
        both = {film.fractured for film in val} == {True, False}
        if self.keeps_best and not both:
            said("the held-out films are not of both kinds: no AUC, the last epoch's weights are kept")
        if not self.epoch:
            self._write("last.pt")  # whoever stops the first epoch can resume too
        while self.epoch < self.epochs and not self._gained_nothing_for_long():
            began = clock()
            loss = self._one_epoch(train, watched)
            self.epoch += 1
            line = {"epoch": self.epoch, "loss": loss, "seconds": clock() - began}
            if val and self._is_judged():
                line |= self._judge(val)
            self.history.append(line)
            if not (self.keeps_best and both) and self.epoch == self.epochs:
                self._write("best.pt")
            self._write("last.pt")
            left = (self.epochs - self.epoch) * (clock() - began) / 60
            judged = f" val auc {line['val_auc']:.4f}" if "val_auc" in line else ""
            said(f"epoch {self.epoch}/{self.epochs} loss {loss:.4f}{judged} ({left:.0f} min left)")
        if self._gained_nothing_for_long():
            said(f"no gain in {self.settings.patience} judgements: stopped, the best weights are kept")

    def _is_judged(self) -> bool:
        on_films = self.epoch >= max(1, self.settings.crop_epochs)
        return on_films and (self.epoch == self.epochs or self.epoch % self.settings.judge_every == 0)

    def _gained_nothing_for_long(self) -> bool:
        judged = [line["val_auc"] for line in self.history if "val_auc" in line]
        patience = self.settings.patience
        return 0 < patience < len(judged) and max(judged[-patience:]) <= max(judged[:-patience])

    def _judge(self, val: Sequence[Film]) -> dict[str, float]:
        logits = score(self.mean.net, val, self.settings.size).fracture
        fractured = np.array([film.fractured for film in val])
        said = {
            "val_loss": film_loss(logits, fractured),
            "val_accuracy": float(((logits > 0) == fractured).mean()),
        }
        area = area_under_curve(logits, fractured)
        if math.isnan(area):
            return said
        if self.keeps_best and area > self.best:
            self.best = area
            self._write("best.pt")
        return said | {"val_auc": area}

    def _write(self, name: str) -> None:
        state = {
            "net": self.net.state_dict(),
            "mean": self.mean.net.state_dict(),
            "mean_steps": self.mean.steps,
            "optimiser": self.optimiser.state_dict(),
            "epoch": self.epoch,
            "best": self.best,
            "history": self.history,
            "films": self.films,
            "shape": asdict(self.shape),
            "settings": asdict(self.settings),
        }
        unfinished = self.folder / (name + ".part")
        torch.save(state, unfinished)
        unfinished.replace(self.folder / name)

    def start_from(self, weights: Path, *, frozen: bool) -> None:
        """Takes a backbone's weights from a file; `weights_only` keeps it from running code.

        Raises:
            TrainingError: this network's backbone is not one of torchvision's, or the file not its weights.
        """
        if not isinstance(self.net.encoder, ResNetEncoder):
            raise TrainingError(
                f"{weights}: backbone = {self.shape.backbone!r} takes no weights; choose a ResNet"
            )
        state = load_tensors(weights, self.device)
        try:
            self.net.encoder.take(state, frozen=frozen)
        except RuntimeError as error:
            reason = " ".join(str(error).split())[:300]
            raise TrainingError(
                f"{weights}: not the weights of {self.shape.backbone} ({reason}); give torchvision's "
                f"state_dict of that network, or another --backbone"
            ) from error
        self.mean = RunningAverage(self.net)

    def begin_with(self, weights: Path) -> None:
        """Begins with the best weights of another run, or of a package's member, of the same shape.

        Raises:
            TrainingError: the file cannot be read, or is of another network.
        """
        state = load_tensors(weights, self.device)
        refuse_other_shape(weights, state, self.shape)
        try:
            self.net.load_state_dict(state["mean"])
        except (KeyError, RuntimeError) as error:
            reason = " ".join(str(error).split())[:300]
            raise TrainingError(
                f"{weights}: not the weights of this network ({reason}); give a run's best.pt"
            ) from error
        self.mean = RunningAverage(self.net)

    def resume(self, checkpoint: Path) -> None:
        """Goes on from a checkpoint; `weights_only` keeps a checkpoint from running code.

        Raises:
            TrainingError: it cannot be read, or is of another network.
        """
        state = load_tensors(checkpoint, self.device)
        refuse_other_run(checkpoint, state, self.shape)
        self.films = str(state.get("films", ""))
        self.net.load_state_dict(state["net"])
        self.mean.net.load_state_dict(state["mean"])
        self.mean.steps = state["mean_steps"]
        try:
            self.optimiser.load_state_dict(state["optimiser"])
        except (KeyError, ValueError) as error:
            raise TrainingError(
                f"{checkpoint}: its weights were moved otherwise ({error}); resume with the same rates, or begin "
                "in another folder with --begin-with"
            ) from error
        self.epoch, self.best, self.history = state["epoch"], state["best"], state["history"]

    def _one_epoch(self, train: Sequence[Film], watched: Watched) -> float:
        # Dropout draws from torch's own state, which a checkpoint does not hold: each epoch starts it anew.
        torch.manual_seed(self.settings.seed * 100_003 + self.epoch)
        chance = np.random.default_rng([self.settings.seed, self.epoch])
        crops = self.epoch < self.settings.crop_epochs
        films = self._drawn(croppable(train) if crops else train, crops, chance)
        steps = len(films) // self.settings.batch_size
        if not steps:
            raise TrainingError(
                f"batch_size = {self.settings.batch_size}: an epoch draws {len(films)} films of "
                f"{len(train)}; give --batch-size {max(1, len(films))} or less, or more films"
            )
        self.net.train()
        total = 0.0
        for step, batch in enumerate(self._batches(films, crops, chance)):
            self._set_rate(crops, step / steps)
            loss = self._step(batch, heat_weight=1.0 if crops else 0.5)
            total += loss
            watched(
                Progress(
                    self.epoch + 1,
                    self.epochs,
                    "crops" if crops else "films",
                    loss,
                    self._share((step + 1) / steps),
                )
            )
        if not math.isfinite(total):
            raise TrainingError(
                f"epoch {self.epoch + 1}: the loss is {total}; last.pt holds the epoch before: "
                f"start again with a lower --rate than {self.settings.rate}"
            )
        return total / steps

    def _share(self, within: float) -> float:
        """Of the run's pixels, those that were trained on `within` (0 to 1) the present epoch."""
        chosen = self.settings
        crop, film = chosen.crop_side**2, chosen.size**2
        done = self.epoch + within
        crops = min(done, chosen.crop_epochs)
        whole = chosen.crop_epochs * crop + chosen.film_epochs * film
        return (crops * crop + (done - crops) * film) / whole

    def _drawn(self, train: Sequence[Film], crops: bool, chance: np.random.Generator) -> list[Film]:
        settings = self.settings
        each = settings.crop_negatives_per_positive if crops else settings.negatives_per_positive
        positive = [film for film in train if film.fractured]
        negative = [film for film in train if not film.fractured]
        wanted = min(len(negative), int(len(positive) * each))
        picked = chance.choice(len(negative), wanted, replace=False)
        films = positive + [negative[index] for index in picked]
        order = chance.permutation(len(films))
        return [films[index] for index in order]

    def _set_rate(self, crops: bool, within: float) -> None:
        stage = self.settings.crop_epochs if crops else self.settings.film_epochs
        done = self.epoch if crops else self.epoch - self.settings.crop_epochs
        share = (done + within) / max(1, stage)
        top = 1.0 if crops or not self.settings.crop_epochs else 0.5
        warm = min(1.0, (share * stage + 0.05) / 1.0)
        self.optimiser.set_rate(top * warm * (0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * share))))

    def _batches(
        self, films: Sequence[Film], crops: bool, chance: np.random.Generator
    ) -> Iterator[list[Example]]:
        size, side = self.settings.size, self.settings.crop_side
        seeds = chance.integers(0, 2**63, len(films))

        def draw(index: int) -> Example:
            own = np.random.default_rng(seeds[index])
            if crops:
                return random_crop(films[index], size, side, own)
            return random_film(films[index], size, own)

        count = self.settings.batch_size
        starts = range(0, len(films) - count + 1, count)
        with ThreadPoolExecutor(os.cpu_count() or 2) as pool:
            ahead = [pool.submit(draw, index) for index in range(min(count * 3, len(films)))]
            for start in starts:
                batch = [ahead[start + offset].result() for offset in range(count)]
                reach = min(len(films), start + count * 4)
                ahead += [pool.submit(draw, index) for index in range(len(ahead), reach)]
                yield batch

    def _step(self, batch: list[Example], heat_weight: float) -> float:
        images = torch.from_numpy(np.stack([example.image for example in batch]))[:, None]
        images = images.to(self.device, memory_format=torch.channels_last)
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.fast):
            reading = self.net(images)
        said = type(reading)(*(part.float() for part in reading))
        loss = reading_loss(said, target_of(batch).to(self.device), heat_weight)
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(self.net.parameters(), 5.0)
        self.optimiser.step()
        self.mean.update(self.net)
        return loss.item()
