"""A run's curves as a picture, drawn with opencv: a bare training machine has no plotting library."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

BgrImage = npt.NDArray[np.uint8]
Colour = tuple[int, int, int]
History = Sequence[Mapping[str, float]]

WIDTH, HEIGHT = 640, 400
_LEFT, _RIGHT, _TOP, _BOTTOM = 64, 16, 44, 40
_TICKS = 5
_INK: Colour = (60, 60, 60)
_GRID: Colour = (225, 225, 225)
# Blue and vermilion of Okabe and Ito (2008), told apart by every eye.
_COLOURS: tuple[Colour, Colour] = ((178, 114, 0), (0, 94, 213))


@dataclass(frozen=True)
class _Panel:
    """A box of axes: epochs 1 to `epochs` across, `low` to `high` up."""

    epochs: int
    low: float
    high: float

    def place(self, epoch: float, value: float) -> tuple[int, int]:
        """Column and row of a point."""
        across = (epoch - 1) / max(1, self.epochs - 1)
        up = (value - self.low) / (self.high - self.low)
        return (
            round(_LEFT + across * (WIDTH - _LEFT - _RIGHT)),
            round(HEIGHT - _BOTTOM - up * (HEIGHT - _TOP - _BOTTOM)),
        )


def draw_curves(history: History, *, crop_epochs: int = 0) -> BgrImage:
    """Loss at the left, what the held-out films say at the right; uint8 (400, 1280, 3), BGR.

    `history` has a line per epoch with `epoch`, `loss` and, where the films were judged, `val_loss`, `val_auc`,
    `val_accuracy`. A grey line stands where whole films begin.
    """
    return np.hstack(
        [
            _panel(history, {"loss": "training loss", "val_loss": "held-out films"}, crop_epochs),
            _panel(history, {"val_auc": "AUC", "val_accuracy": "accuracy at logit 0"}, crop_epochs),
        ]
    )


def _panel(history: History, names: Mapping[str, str], crop_epochs: int) -> BgrImage:
    picture = np.full((HEIGHT, WIDTH, 3), 255, np.uint8)
    values = [line[name] for line in history for name in names if name in line]
    epochs = max((int(line["epoch"]) for line in history), default=1)
    low, high = (min(values), max(values)) if values else (0.0, 1.0)
    room = max((high - low) * 0.06, 0.01)
    panel = _Panel(epochs, low - room, high + room)
    _axes(picture, panel)
    if 0 < crop_epochs < epochs:
        place = panel.place(crop_epochs + 0.5, panel.low)[0]
        cv2.line(picture, (place, _TOP), (place, HEIGHT - _BOTTOM), (150, 150, 150), 1)
    for index, ((name, title), colour) in enumerate(zip(names.items(), _COLOURS, strict=True)):
        points = [panel.place(line["epoch"], line[name]) for line in history if name in line]
        cv2.polylines(
            picture, [np.array(points, np.int32).reshape(-1, 1, 2)], False, colour, 2, cv2.LINE_AA
        )
        for point in points if len(points) < 60 else ():
            cv2.circle(picture, point, 3, colour, -1, cv2.LINE_AA)
        said = title if points else f"{title}: none"
        _write(picture, said, (_LEFT + index * 250, 26), colour)
    return picture


def _axes(picture: BgrImage, panel: _Panel) -> None:
    for value in np.linspace(panel.low, panel.high, _TICKS):
        left, row = panel.place(1, float(value))
        cv2.line(picture, (left, row), (WIDTH - _RIGHT, row), _GRID, 1)
        _write(picture, f"{value:.2f}", (10, row + 4), _INK)
    for epoch in np.unique(np.linspace(1, panel.epochs, _TICKS).round()):
        column, row = panel.place(float(epoch), panel.low)
        _write(picture, f"{epoch:.0f}", (column - 8, row + 18), _INK)
    _write(picture, "epoch", (WIDTH // 2, HEIGHT - 6), _INK)
    corner, other = panel.place(1, panel.low), panel.place(panel.epochs, panel.high)
    cv2.rectangle(picture, corner, (WIDTH - _RIGHT, other[1]), _INK, 1)


def _write(picture: BgrImage, words: str, place: tuple[int, int], colour: Colour) -> None:
    cv2.putText(picture, words, place, cv2.FONT_HERSHEY_SIMPLEX, 0.45, colour, 1, cv2.LINE_AA)
