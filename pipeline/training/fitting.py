"""Crops first, films second: the loop, its running average of weights, its checkpoints."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from copy import deepcopy
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from pipeline.networks.fracture_net import FractureNet, FractureNetSettings
from pipeline.training.augmentation import Example, plain_film, random_crop, random_film
from pipeline.training.films import Film
from pipeline.training.losses import reading_loss


@dataclass(frozen=True)
class FittingSettings:
    """Everything that shapes a run; written into its folder."""

    size: int = 320
    film_side: int = 454
    crop_side: int = 160
    crop_epochs: int = 12
    film_epochs: int = 30
    batch_size: int = 16
    rate: float = 2e-3
    weight_decay: float = 0.02
    negatives_per_positive: float = 2.0
    seed: int = 1


@dataclass(frozen=True)
class Scores:
    """What the network says of films: logits and the heat, in the films' order."""

    fracture: npt.NDArray[np.float32]
    parts: npt.NDArray[np.float32]
    heat: npt.NDArray[np.float32]


class RunningAverage:
    """An exponential mean of the weights, short at first so that early epochs can be judged."""

    def __init__(self, net: FractureNet, decay: float = 0.998) -> None:
        self.net = deepcopy(net).eval()
        self.decay = decay
        self.steps = 0

    def update(self, net: FractureNet) -> None:
        """Moves the mean towards `net`."""
        self.steps += 1
        decay = min(self.decay, (1 + self.steps) / (10 + self.steps))
        with torch.no_grad():
            for mean, now in zip(
                self.net.state_dict().values(), net.state_dict().values(), strict=True
            ):
                if mean.dtype.is_floating_point:
                    mean.lerp_(now, 1 - decay)
                else:
                    mean.copy_(now)


def area_under_curve(scores: npt.NDArray[np.float32], labels: npt.NDArray[np.bool_]) -> float:
    """The chance that a fractured film scores above an unfractured one (Mann-Whitney), ties halved."""
    positive, negative = scores[labels], scores[~labels]
    if not len(positive) or not len(negative):
        return math.nan
    higher = (positive[:, None] > negative[None]).mean()
    return float(higher + 0.5 * (positive[:, None] == negative[None]).mean())


def score(net: FractureNet, films: Sequence[Film], size: int, batch: int = 16) -> Scores:
    """Reads films without augmentation."""
    net.eval()
    device = next(net.parameters()).device
    kept: list[tuple[Tensor, Tensor, Tensor]] = []
    with torch.inference_mode():
        for start in range(0, len(films), batch):
            images = np.stack([plain_film(film, size) for film in films[start : start + batch]])
            reading = net(torch.from_numpy(images)[:, None].to(device))
            kept.append((reading.fracture.cpu(), reading.parts.cpu(), reading.heat.cpu()))
    fracture, parts, heat = (torch.cat(column).numpy() for column in zip(*kept, strict=True))
    return Scores(fracture, parts, heat)


class Fitting:
    """One run: owns the network, the optimiser and their checkpoint."""

    def __init__(self, shape: FractureNetSettings, settings: FittingSettings, folder: Path) -> None:
        torch.manual_seed(settings.seed)
        self.settings, self.shape, self.folder = settings, shape, folder
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self.net = FractureNet(shape).to(self.device).to(memory_format=torch.channels_last)
        self.mean = RunningAverage(self.net)
        self.optimiser = torch.optim.AdamW(
            self.net.parameters(), lr=settings.rate, weight_decay=settings.weight_decay
        )
        self.epoch = 0
        self.best = -math.inf
        self.history: list[dict[str, float]] = []

    @property
    def epochs(self) -> int:
        """All epochs of the run, crops and films."""
        return self.settings.crop_epochs + self.settings.film_epochs

    def run(
        self,
        train: Sequence[Film],
        val: Sequence[Film],
        said: Callable[[str], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Fits to the end, writing `last.pt` after each epoch and `best.pt` at each gain on `val`."""
        while self.epoch < self.epochs:
            began = clock()
            loss = self._one_epoch(train)
            self.epoch += 1
            on_films = self.epoch >= self.settings.crop_epochs
            line = {"epoch": self.epoch, "loss": loss, "seconds": clock() - began}
            if val and on_films:
                line["val_auc"] = self._judge(val)
            self.history.append(line)
            self._write("last.pt")
            left = (self.epochs - self.epoch) * (clock() - began) / 60
            judged = f" val auc {line['val_auc']:.4f}" if "val_auc" in line else ""
            said(f"epoch {self.epoch}/{self.epochs} loss {loss:.4f}{judged} ({left:.0f} min left)")

    def _judge(self, val: Sequence[Film]) -> float:
        scores = score(self.mean.net, val, self.settings.size)
        area = area_under_curve(scores.fracture, np.array([film.fractured for film in val]))
        if area > self.best:
            self.best = area
            self._write("best.pt")
        return area

    def _write(self, name: str) -> None:
        state = {
            "net": self.net.state_dict(),
            "mean": self.mean.net.state_dict(),
            "mean_steps": self.mean.steps,
            "optimiser": self.optimiser.state_dict(),
            "epoch": self.epoch,
            "best": self.best,
            "history": self.history,
            "shape": asdict(self.shape),
            "settings": asdict(self.settings),
        }
        unfinished = self.folder / (name + ".part")
        torch.save(state, unfinished)
        unfinished.replace(self.folder / name)

    def resume(self, checkpoint: Path) -> None:
        """Goes on from a checkpoint; `weights_only` keeps a checkpoint from running code."""
        state: dict[str, Any] = torch.load(checkpoint, map_location=self.device, weights_only=True)
        self.net.load_state_dict(state["net"])
        self.mean.net.load_state_dict(state["mean"])
        self.mean.steps = state["mean_steps"]
        self.optimiser.load_state_dict(state["optimiser"])
        self.epoch, self.best, self.history = state["epoch"], state["best"], state["history"]

    def _one_epoch(self, train: Sequence[Film]) -> float:
        # Dropout draws from torch's own state, which a checkpoint does not hold: each epoch starts it anew.
        torch.manual_seed(self.settings.seed * 100_003 + self.epoch)
        chance = np.random.default_rng([self.settings.seed, self.epoch])
        films = self._drawn(train, chance)
        crops = self.epoch < self.settings.crop_epochs
        steps = len(films) // self.settings.batch_size
        self.net.train()
        total = 0.0
        for step, batch in enumerate(self._batches(films, crops, chance)):
            self._set_rate(crops, step / max(1, steps))
            total += self._step(batch, heat_weight=1.0 if crops else 0.5)
        return total / max(1, steps)

    def _drawn(self, train: Sequence[Film], chance: np.random.Generator) -> list[Film]:
        positive = [film for film in train if film.fractured]
        negative = [film for film in train if not film.fractured]
        wanted = min(len(negative), int(len(positive) * self.settings.negatives_per_positive))
        picked = chance.choice(len(negative), wanted, replace=False)
        films = positive + [negative[index] for index in picked]
        order = chance.permutation(len(films))
        return [films[index] for index in order]

    def _set_rate(self, crops: bool, within: float) -> None:
        stage = self.settings.crop_epochs if crops else self.settings.film_epochs
        done = self.epoch if crops else self.epoch - self.settings.crop_epochs
        share = (done + within) / max(1, stage)
        top = self.settings.rate * (1.0 if crops or not self.settings.crop_epochs else 0.5)
        warm = min(1.0, (share * stage + 0.05) / 1.0)
        rate = top * warm * (0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * share)))
        for group in self.optimiser.param_groups:
            group["lr"] = rate

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
        with ThreadPoolExecutor(2) as pool:
            ahead = [pool.submit(draw, index) for index in range(min(count * 3, len(films)))]
            for start in starts:
                batch = [ahead[start + offset].result() for offset in range(count)]
                reach = min(len(films), start + count * 4)
                ahead += [pool.submit(draw, index) for index in range(len(ahead), reach)]
                yield batch

    def _step(self, batch: list[Example], heat_weight: float) -> float:
        images = torch.from_numpy(np.stack([example.image for example in batch]))[:, None]
        heat = torch.from_numpy(np.stack([example.heat for example in batch]))
        fractured = torch.tensor([example.fractured for example in batch])
        parts = torch.tensor([example.parts for example in batch], dtype=torch.float32)
        images = images.to(self.device, memory_format=torch.channels_last)
        fast = self.device.type == "cuda"
        with torch.autocast(self.device.type, torch.bfloat16, enabled=fast):
            reading = self.net(images)
        loss = reading_loss(
            type(reading)(*(part.float() for part in reading)),
            fractured.to(self.device),
            parts.to(self.device),
            heat.to(self.device),
            heat_weight,
        )
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(self.net.parameters(), 5.0)
        self.optimiser.step()
        self.mean.update(self.net)
        return loss.item()
