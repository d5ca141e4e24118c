"""What a model input looks like, in numbers: grey levels, edge of the film, texture, repetition, symmetry.

About 20 milliseconds a film. Fitting and serving of the pixel gate call this one function.
"""

from __future__ import annotations

from itertools import pairwise

import cv2
import numpy as np
import numpy.typing as npt

from pipeline.model_input import FloatImage, ModelInput

Floats = npt.NDArray[np.float64]

# Changing a statistic changes every gate: the record of a gate names the set that it was fitted on.
STATISTICS = "film-statistics-1"
_BINS = 12
_LAGS = (1, 2, 4, 8, 16, 32)
_SPECTRUM_SIDE = 128
_BANDS = (1, 2, 4, 7, 12, 20, 32, 64)
_TILES = 8
# A step of grey below this (a byte is 0.0094) is flat: stored bits and JPEG do not count.
_FLAT = 0.03


def film_statistics(given: ModelInput) -> Floats:
    """The statistics of one film, float64 (F,), finite whatever the pixels; the bars around it do not count."""
    window = _window(given)
    parts = (
        _grey_levels(window),
        _edge(window),
        _texture(window),
        _repetition(window),
        _spectrum(window),
        _tiles(window),
        _symmetry(window),
        np.array([abs(np.log(window.shape[0] / window.shape[1]))]),
    )
    return np.nan_to_num(np.concatenate(parts).astype(np.float64), nan=0.0, posinf=20.0, neginf=-20.0)


def _window(given: ModelInput) -> FloatImage:
    place = given.placement
    height = max(1, round(place.rows * place.scale_y))
    width = max(1, round(place.columns * place.scale_x))
    top, left = round(place.top), round(place.left)
    window = given.pixels[top : top + height, left : left + width]
    # A film thinner than this has no texture to speak of; repeating its edge keeps every lag defined.
    rows, columns = (max(0, 48 - side) for side in window.shape)
    if rows or columns:
        window = np.pad(window, ((0, rows), (0, columns)), mode="edge")
    return np.ascontiguousarray(window, np.float32)


def _grey_levels(window: FloatImage) -> Floats:
    shares = np.histogram(window, bins=_BINS, range=(-1.21, 1.21))[0] / window.size
    mean, spread = float(window.mean()), float(window.std()) + 1e-6
    skew = float((((window - mean) / spread) ** 3).mean())
    return np.array([*np.sqrt(shares), mean, spread, skew, np.sqrt(shares.max())])


def _edge(window: FloatImage) -> Floats:
    rows, columns = window.shape
    y, x = max(2, rows // 20), max(2, columns // 20)
    sides = (window[:y], window[-y:], window[:, :x], window[:, -x:])
    means = sorted(float(side.mean()) for side in sides)
    spreads = sorted(float(side.std()) for side in sides)
    y, x = rows // 8, columns // 8
    corners = (window[:y, :x], window[:y, -x:], window[-y:, :x], window[-y:, -x:])
    dark = [float((side < -0.6).mean()) for side in sides]
    bright = [float((side > 0.4).mean()) for side in sides]
    inner = window[rows // 4 : -(rows // 4), columns // 4 : -(columns // 4)]
    return np.array(
        [*means, *spreads, *sorted(float(corner.mean()) for corner in corners), np.mean(dark), max(dark),
         np.mean(bright), max(bright), float(inner.mean()) - float(np.mean(means)), float(inner.std())]
    )  # fmt: skip


def _texture(window: FloatImage) -> Floats:
    values: list[float] = []
    image = window
    for _ in range(3):
        across, down = cv2.Sobel(image, cv2.CV_32F, 1, 0) / 8, cv2.Sobel(image, cv2.CV_32F, 0, 1) / 8
        steps = np.hypot(across, down)
        typical, strong, strongest = np.percentile(steps, (50, 90, 99))
        mean = float(steps.mean()) + 1e-4
        curved = float(np.abs(cv2.Laplacian(image, cv2.CV_32F)).mean()) + 1e-4
        uneven = abs(np.log((np.abs(across).mean() + 1e-4) / (np.abs(down).mean() + 1e-4)))
        flat = float((steps < _FLAT / 4).mean())
        values += [np.log(mean), np.log(curved / mean), np.log(typical + 1e-3), np.log(strong + 1e-3)]
        values += [np.log(strongest + 1e-3), uneven, flat]
        image = cv2.pyrDown(image)
    return np.array(values)


def _repetition(window: FloatImage) -> Floats:
    """How alike the film is to itself a few pixels on, over the two axes: mean and difference per lag."""
    values: list[float] = []
    for lag in _LAGS:
        down = _alike(window[lag:], window[:-lag])
        across = _alike(window[:, lag:], window[:, :-lag])
        values += [(down + across) / 2, abs(down - across)]
    return np.array(values)


def _alike(one: FloatImage, other: FloatImage) -> float:
    a, b = one - one.mean(), other - other.mean()
    return float((a * b).mean() / (np.sqrt((a * a).mean() * (b * b).mean()) + 1e-6))


def _spectrum(window: FloatImage) -> Floats:
    """Log power per octave or so of frequency, against the whole, and how far single waves stand out."""
    side = _SPECTRUM_SIDE
    small = cv2.resize(window, (side, side), interpolation=cv2.INTER_AREA)
    hann = np.hanning(side).astype(np.float32)
    power = np.abs(np.fft.rfft2((small - small.mean()) * hann[:, None] * hann[None])) ** 2
    y, x = np.fft.fftfreq(side, 1 / side), np.fft.rfftfreq(side, 1 / side)
    radius = np.hypot(y[:, None], x[None])
    total = float(power.sum()) + 1e-9
    values: list[float] = []
    for low, high in pairwise(_BANDS):
        band = power[(radius >= low) & (radius < high)]
        values += [
            np.log10(band.sum() / total + 1e-8),
            np.log10(band.max() / (band.mean() + 1e-12) + 1e-3),
        ]
    return np.array(values)


def _tiles(window: FloatImage) -> Floats:
    rows, columns = (side // _TILES for side in window.shape)
    cut = window[: rows * _TILES, : columns * _TILES].reshape(_TILES, rows, _TILES, columns)
    means, spreads = cut.mean((1, 3)), cut.std((1, 3))
    ordered = np.percentile(means, (5, 25, 50, 75, 95))
    rough = np.log(np.percentile(spreads, (5, 25, 50, 75, 95)) + 1e-2)
    return np.array([*ordered, *rough, float(means.std()), float((spreads < _FLAT).mean())])


def _symmetry(window: FloatImage) -> Floats:
    """Left against right, top against bottom, quarters against each other, and against a bright middle."""
    small = cv2.resize(window, (48, 48), interpolation=cv2.INTER_AREA)
    halves = (_alike(small, small[:, ::-1]), _alike(small, small[::-1]))
    a, b, c, d = small[:24, :24], small[:24, 24:], small[24:, :24], small[24:, 24:]
    tiled = (_alike(a, b) + _alike(c, d)) / 2, (_alike(a, c) + _alike(b, d)) / 2
    mirrored = (_alike(a, b[:, ::-1]) + _alike(c, d[:, ::-1])) / 2
    y, x = np.mgrid[0:48, 0:48].astype(np.float32) - 23.5
    middle = np.exp(-(x * x + y * y) / 400).astype(np.float32)
    column = np.exp(-(x * x) / 150).astype(np.float32)
    row = np.exp(-(y * y) / 150).astype(np.float32)
    shape = [_alike(small, pattern) for pattern in (middle, column, row)]
    ramps = sorted((abs(_alike(small, x)), abs(_alike(small, y))))
    return np.array(
        [max(halves), min(halves), *sorted(tiled), mirrored, shape[0], *sorted(shape[1:]), *ramps]
    )
