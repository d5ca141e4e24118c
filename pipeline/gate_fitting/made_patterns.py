"""Pictures that are no film at all, made from nothing but a generator: noise, waves, boards, words.

Each maker takes rows, columns and a generator and gives float32 (rows, columns), about 0 to 1.
"""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
import numpy.typing as npt

FloatImage = npt.NDArray[np.float32]
Chance = np.random.Generator
Maker = Callable[[int, int, Chance], FloatImage]


def grid(rows: int, columns: int) -> tuple[FloatImage, FloatImage]:
    """y and x from -1 to 1."""
    y, x = np.mgrid[0:rows, 0:columns].astype(np.float32)
    return y * np.float32(2 / rows) - 1, x * np.float32(2 / columns) - 1


def fractal(rows: int, columns: int, chance: Chance, slope: float) -> FloatImage:
    """Noise whose power falls with frequency to the `slope`: 0 is white, 2 and more is a cloud; 0 to 1."""
    noise = np.fft.rfft2(chance.normal(size=(rows, columns)))
    y, x = np.fft.fftfreq(rows), np.fft.rfftfreq(columns)
    radius = np.hypot(y[:, None], x[None])
    radius[0, 0] = 1.0
    made = np.fft.irfft2(noise * radius ** (-slope / 2), (rows, columns))
    made -= made.min()
    return np.asarray(made / (made.max() + 1e-9), np.float32)


def _noise(rows: int, columns: int, chance: Chance) -> FloatImage:
    coarse = int(chance.integers(1, 9))
    small = chance.normal(0.5, 0.2, (max(2, rows // coarse), max(2, columns // coarse))).astype(
        np.float32
    )
    return np.asarray(
        cv2.resize(small, (columns, rows), interpolation=int(chance.choice([0, 1]))), np.float32
    )


def _texture(rows: int, columns: int, chance: Chance) -> FloatImage:
    return fractal(rows, columns, chance, float(chance.uniform(0.8, 3.2)))


def _scene(rows: int, columns: int, chance: Chance) -> FloatImage:
    """Something like a photograph: a sky, a ground, overlapping things with shade and texture."""
    picture = fractal(rows, columns, chance, 2.6) * np.float32(0.3)
    picture[int(rows * chance.uniform(0.3, 0.7)) :] += np.float32(chance.uniform(-0.3, 0.3))
    for _ in range(int(chance.integers(4, 30))):
        thing = np.zeros((rows, columns), np.uint8)
        points = chance.uniform(-0.1, 1.1, (int(chance.integers(3, 8)), 2)) * (columns, rows)
        cv2.fillConvexPoly(thing, cv2.convexHull(points.astype(np.int32)), 1)
        skin = fractal(rows, columns, chance, float(chance.uniform(1, 3))) * np.float32(0.3)
        picture = np.where(thing > 0, skin + np.float32(chance.uniform(0, 0.8)), picture)
    return picture


def _blank(rows: int, columns: int, chance: Chance) -> FloatImage:
    """Nothing but a speck, a line or a little grain on one level."""
    picture = np.full((rows, columns), chance.uniform(0, 1), np.float32)
    picture += chance.normal(0, chance.choice([0.0, 0.002, 0.02]), picture.shape).astype(np.float32)
    for _ in range(int(chance.integers(1, 4))):
        x, y = int(chance.integers(columns)), int(chance.integers(rows))
        cv2.circle(
            picture,
            (x, y),
            int(chance.integers(1, max(2, rows // 12))),
            float(chance.uniform(0, 1)),
            -1,
        )
    return picture


def _ramp(rows: int, columns: int, chance: Chance) -> FloatImage:
    y, x = grid(rows, columns)
    angle = chance.uniform(0, 2 * np.pi)
    flat = np.cos(angle) * x + np.sin(angle) * y
    kinds = (flat, np.hypot(x, y), flat * flat, np.round(flat * chance.uniform(2, 8)))
    picture = np.asarray(kinds[int(chance.integers(len(kinds)))], np.float32)
    return picture + chance.normal(0, chance.choice([0.0, 0.01]), picture.shape).astype(np.float32)


def _stripes(rows: int, columns: int, chance: Chance) -> FloatImage:
    y, x = grid(rows, columns)
    angle, waves = chance.uniform(0, np.pi), chance.uniform(2, 60)
    wave = np.sin((np.cos(angle) * x + np.sin(angle) * y) * waves * np.pi)
    return np.asarray(wave if chance.random() < 0.5 else np.sign(wave), np.float32)


def _board(rows: int, columns: int, chance: Chance) -> FloatImage:
    """A checkerboard, or a test pattern: steps of grey, line pairs, circles and a cross."""
    y, x = grid(rows, columns)
    count = float(chance.integers(2, 24))
    if chance.random() < 0.4:
        return np.asarray((np.floor(x * count) + np.floor(y * count)) % 2, np.float32)
    picture = np.full((rows, columns), chance.uniform(0.2, 0.6), np.float32)
    for step in range(11):
        left = columns * step // 11
        picture[rows // 2 : rows * 5 // 8, left : columns * (step + 1) // 11] = step / 10
    for size in (2, 4, 8):
        top = int(chance.integers(0, rows * 3 // 4))
        left = int(chance.integers(0, columns * 3 // 4))
        square = picture[top : top + rows // 5, left : left + columns // 5]
        square[:] = (np.indices(square.shape)[int(chance.integers(2))] // size) % 2
    for share in (0.2, 0.45):
        cv2.circle(picture, (columns // 2, rows // 2), int(min(rows, columns) * share), 1.0, 2)
    cv2.line(picture, (0, rows // 2), (columns, rows // 2), 1.0, 1)
    cv2.line(picture, (columns // 2, 0), (columns // 2, rows), 1.0, 1)
    return picture


def _page(rows: int, columns: int, chance: Chance) -> FloatImage:
    """Lines of words, black on white or white on black."""
    page = np.full((rows, columns), 255, np.uint8)
    size = float(chance.uniform(0.3, 0.9))
    left, step = int(columns * chance.uniform(0.02, 0.1)), int(26 * size) + 4
    letters = np.array(list("abcdefghijklmnopqrstuvwxyzABCDEFGH0123456789 ,.:"))
    for top in range(step, rows, step):
        if chance.random() < 0.85:
            words = "".join(
                chance.choice(letters, int(columns * chance.uniform(0.4, 1.0) / (14 * size)))
            )
            cv2.putText(page, words, (left, top), cv2.FONT_HERSHEY_SIMPLEX, size, 0, 1, cv2.LINE_AA)
    written = page.astype(np.float32) / np.float32(255)
    return written if chance.random() < 0.7 else 1 - written


PATTERNS: dict[str, Maker] = {
    "noise": _noise,
    "cloud texture": _texture,
    "photograph-like scene": _scene,
    "nearly blank": _blank,
    "gradient": _ramp,
    "stripes": _stripes,
    "test pattern": _board,
    "page of text": _page,
}
