"""Films made into something else: still a film of a limb (to be read), or no longer one (to be refused)."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np

from pipeline.gate_fitting.made_patterns import Chance, FloatImage
from pipeline.model_input import normalise

Alteration = Callable[[FloatImage, Chance], FloatImage]


def still_a_film(film: FloatImage, chance: Chance) -> FloatImage:
    """What another console, detector or collimation might have made of the same limb; levels -1.2 to 1.2."""
    turned = np.rot90(film, int(chance.integers(4)))
    turned = turned[:, ::-1] if chance.random() < 0.5 else turned
    rows, columns = turned.shape
    share = chance.uniform(0.72, 1.0, 2)
    high, wide = int(rows * share[0]), int(columns * share[1])
    top, left = int(chance.integers(rows - high + 1)), int(chance.integers(columns - wide + 1))
    cut = np.clip((turned[top : top + high, left : left + wide] + 1) / 2, 0, 1)
    made = np.asarray(cut ** np.float32(np.exp(chance.normal(0, 0.3))), np.float32)
    if chance.random() < 0.5:
        made = np.asarray(cv2.GaussianBlur(made, (0, 0), float(chance.uniform(0.3, 1.1))), np.float32)
    if chance.random() < 0.3:
        blurred = np.asarray(cv2.GaussianBlur(made, (0, 0), 3.0), np.float32)
        made = made + np.float32(0.6) * (made - blurred)
    if chance.random() < 0.3:
        made = _collimated(made, chance)
    if chance.random() < 0.3:
        pad = (int(chance.integers(0, rows // 6)), int(chance.integers(0, columns // 6)))
        made = np.pad(made, ((pad[0], pad[0]), (pad[1], pad[1])))
    grain = chance.normal(0, chance.choice([0.0, 0.01, 0.025]), made.shape)
    return normalise(np.ascontiguousarray(made + grain, np.float32))


def _collimated(film: FloatImage, chance: Chance) -> FloatImage:
    """A window, often turned a little; beside it black as a shutter, or white as a plate that saw no ray."""
    rows, columns = film.shape
    share = chance.uniform(0.6, 0.95, 2)
    middle = (columns * chance.uniform(0.4, 0.6), rows * chance.uniform(0.4, 0.6))
    turn = float(chance.normal(0, 6)) if chance.random() < 0.4 else 0.0
    corners = cv2.boxPoints((middle, (columns * share[0], rows * share[1]), turn))
    window = np.zeros((rows, columns), np.uint8)
    cv2.fillConvexPoly(window, np.round(corners).astype(np.int32), 1)
    if chance.random() < 0.4:  # not all four blades are in
        window[:, :: -1 if chance.random() < 0.5 else 1][:, : columns // 2] |= window.max(
            1, keepdims=True
        )
    if chance.random() < 0.4:
        window[:: -1 if chance.random() < 0.5 else 1][: rows // 2] |= window.max(0, keepdims=True)
    soft = cv2.GaussianBlur(window.astype(np.float32), (0, 0), float(chance.uniform(0.5, 3.0)))
    white = chance.random() < 0.6
    beside = float(chance.uniform(0.85, 1.1) if white else chance.uniform(0.0, 0.1))
    return np.asarray(film * soft + beside * (1 - soft), np.float32)


def _inverted(film: FloatImage, chance: Chance) -> FloatImage:
    return normalise(-still_a_film(film, chance) if chance.random() < 0.5 else -film)


def _zoomed(film: FloatImage, chance: Chance) -> FloatImage:
    """A square of a tenth of the film, the liveliest of a few: no outline of a limb is left."""
    rows, columns = film.shape
    side = max(12, int(max(rows, columns) * chance.uniform(0.06, 0.14)))
    cuts = []
    for _ in range(8):
        top, left = (int(chance.integers(max(1, length - side))) for length in (rows, columns))
        cuts.append(film[top : top + side, left : left + side])
    liveliest = max(cuts, key=lambda cut: float(cut.std()))
    return normalise(
        np.asarray(cv2.resize(liveliest, (384, 384), interpolation=cv2.INTER_CUBIC), np.float32)
    )


def _tiled(film: FloatImage, chance: Chance) -> FloatImage:
    """The film and its mirror images side by side, several times."""
    count = int(chance.integers(2, 4))
    small = cv2.resize(
        film,
        (max(16, film.shape[1] // count), max(16, film.shape[0] // count)),
        interpolation=cv2.INTER_AREA,
    )
    pair = (
        np.concatenate([small, small[:, ::-1]], 1) if chance.random() < 0.6 else np.tile(small, (1, 2))
    )
    sheet = np.concatenate([pair, pair[::-1] if chance.random() < 0.6 else pair], 0)
    return np.asarray(np.tile(sheet, (max(1, count - 1), 1)), np.float32)


def _shuffled(film: FloatImage, chance: Chance) -> FloatImage:
    """The film cut into squares and laid in another order."""
    count = int(chance.integers(3, 7))
    rows, columns = (side // count for side in film.shape)
    cells = film[: rows * count, : columns * count].reshape(count, rows, count, columns).swapaxes(1, 2)
    cells = cells.reshape(count * count, rows, columns)[chance.permutation(count * count)]
    laid = cells.reshape(count, count, rows, columns).swapaxes(1, 2)
    return np.ascontiguousarray(laid.reshape(rows * count, columns * count), np.float32)


INVERTED = "inverted film"
NO_LONGER_A_FILM: dict[str, Alteration] = {
    INVERTED: _inverted,
    "film zoomed to a patch": _zoomed,
    "film tiled": _tiled,
    "film cut and shuffled": _shuffled,
}
