"""Drawn pictures of other examinations: slices, sectors, trunks, jaws, breasts, vessels, scopes, sheets.

They have the outline and the grey levels of their kind and nothing of its anatomy.
"""

from __future__ import annotations

import cv2
import numpy as np

from pipeline.gate_fitting.made_patterns import Chance, FloatImage, Maker, fractal, grid


def _blob(rows: int, columns: int, chance: Chance, middle: tuple[float, float], radii: tuple[float, float], wobble: float) -> FloatImage:  # fmt: skip
    """An ellipse with an uneven rim, 0 or 1, softened; lengths are shares of columns and rows, -1 to 1."""
    y, x = grid(rows, columns)
    y, x = (y - middle[1]) / radii[1], (x - middle[0]) / radii[0]
    angle, radius = np.arctan2(y, x), np.hypot(x, y)
    rim = np.ones_like(angle)
    for wave in (2, 3, 4, 5):
        rim += wobble / wave * np.sin(wave * angle + chance.uniform(0, 6.28)) * chance.normal()
    inside = (radius < rim).astype(np.float32)
    return np.asarray(cv2.GaussianBlur(inside, (0, 0), float(chance.uniform(0.6, 2.5))), np.float32)


def _grain(rows: int, columns: int, chance: Chance, strength: float) -> FloatImage:
    grain = fractal(rows, columns, chance, float(chance.uniform(0.3, 2.0))) - np.float32(0.5)
    return np.asarray(grain * np.float32(strength), np.float32)


def _slice(rows: int, columns: int, chance: Chance) -> FloatImage:
    """A section as CT or MR shows it: a body on black, a bright or dark rim, organs inside."""
    wide, high = chance.uniform(0.55, 0.95), chance.uniform(0.5, 0.95)
    middle = (chance.uniform(-0.08, 0.08), chance.uniform(-0.08, 0.08))
    body = _blob(rows, columns, chance, middle, (wide, high), 0.06)
    share = chance.uniform(0.8, 0.97)
    inner = _blob(rows, columns, chance, middle, (wide * share, high * share), 0.06)
    level = chance.uniform(0.25, 0.6)
    picture = body * np.float32(chance.uniform(0.1, 1.0)) * (1 - inner) + inner * np.float32(level)
    for _ in range(int(chance.integers(3, 14))):
        place = (middle[0] + chance.normal(0, wide / 2.6), middle[1] + chance.normal(0, high / 2.6))
        radii = (wide * chance.uniform(0.05, 0.4), high * chance.uniform(0.05, 0.4))
        organ = _blob(rows, columns, chance, place, radii, 0.15) * inner
        picture = picture * (1 - organ) + organ * np.float32(
            np.clip(level + chance.normal(0, 0.3), 0, 1)
        )
    grain = _grain(rows, columns, chance, float(chance.uniform(0.05, 0.35)))
    return np.asarray(picture + body * grain, np.float32)


def _sheet(rows: int, columns: int, chance: Chance) -> FloatImage:
    """Several sections on one printed sheet."""
    down, across = int(chance.integers(2, 6)), int(chance.integers(2, 6))
    sheet = np.zeros((rows, columns), np.float32)
    for row in range(down):
        for column in range(across):
            top, left = rows * row // down, columns * column // across
            cell = sheet[top : rows * (row + 1) // down, left : columns * (column + 1) // across]
            cell[:] = _slice(cell.shape[0], cell.shape[1], chance)
    return sheet


def _sector(rows: int, columns: int, chance: Chance) -> FloatImage:
    """Ultrasound: speckle in a fan on black, with dark cavities and words at the edge."""
    y, x = grid(rows, columns)
    apex, opening = chance.uniform(-1.3, -0.9), chance.uniform(0.4, 1.0)
    radius, angle = np.hypot(x, y - apex), np.arctan2(x, y - apex)
    fan = (
        (np.abs(angle) < opening) & (radius < 1.8 + apex + 0.9) & (radius > chance.uniform(0, 0.5))
    ).astype(np.float32)
    speckle = fractal(rows, columns, chance, float(chance.uniform(0.2, 1.2))) ** np.float32(2)
    tissue = fractal(rows, columns, chance, 2.8)
    picture = fan * (np.float32(0.2) + speckle) * tissue
    for _ in range(int(chance.integers(0, 4))):
        place = (chance.normal(0, 0.3), chance.normal(0, 0.3))
        picture *= 1 - 0.85 * _blob(
            rows, columns, chance, place, (chance.uniform(0.05, 0.3), chance.uniform(0.05, 0.3)), 0.1
        )
    words = np.zeros((rows, columns), np.uint8)
    for line in range(int(chance.integers(0, 6))):
        said = "MI 0.9 TIS 0.4"[: int(chance.integers(4, 14))]
        cv2.putText(words, said, (4, 14 + 14 * line), cv2.FONT_HERSHEY_SIMPLEX, 0.35, 255, 1)
    return np.asarray(np.where(words > 0, picture.max(), picture), np.float32)


def _trunk(rows: int, columns: int, chance: Chance) -> FloatImage:
    """A chest or a belly: a bright trunk that fills the film, two dark lungs or loops, ribs, a spine."""
    y, x = grid(rows, columns)
    picture = np.full((rows, columns), 0.62, np.float32) + _grain(rows, columns, chance, 0.12)
    picture *= 1 - np.float32(chance.uniform(0, 0.9)) * (
        1 - _blob(rows, columns, chance, (0, 0.1), (0.98, 1.25), 0.05)
    )
    lungs = chance.random() < 0.75
    for side in (-1, 1):
        place = (side * chance.uniform(0.36, 0.5), chance.uniform(-0.25, 0.1))
        radii = (chance.uniform(0.24, 0.36), chance.uniform(0.5, 0.75))
        if lungs:
            picture -= _blob(rows, columns, chance, place, radii, 0.08) * np.float32(
                chance.uniform(0.25, 0.5)
            )
    for _ in range(0 if lungs else int(chance.integers(3, 12))):
        place = (chance.normal(0, 0.4), chance.normal(0, 0.4))
        radii = (chance.uniform(0.05, 0.25), chance.uniform(0.05, 0.25))
        picture -= _blob(rows, columns, chance, place, radii, 0.3) * np.float32(0.15)
    if lungs:
        picture += _blob(rows, columns, chance, (0.12, 0.2), (0.28, 0.36), 0.05) * np.float32(0.15)
    ribs = np.sin((y + 0.45 * np.abs(x)) * chance.uniform(18, 34)) > 0.4
    picture += ribs * np.float32(chance.uniform(0.02, 0.12)) * (np.abs(x) < 0.9)
    picture += np.exp(-((x / chance.uniform(0.06, 0.14)) ** 2)) * np.float32(chance.uniform(0.05, 0.25))
    return np.asarray(cv2.GaussianBlur(picture, (0, 0), float(chance.uniform(0.8, 2.5))), np.float32)


def _jaw(rows: int, columns: int, chance: Chance) -> FloatImage:
    """A panoramic view or a head: an arch, a row of bright teeth, or a bright shell with a mottled inside."""
    y, x = grid(rows, columns)
    if chance.random() < 0.4:
        shell = _blob(rows, columns, chance, (0, -0.1), (0.8, 0.85), 0.05)
        inner = _blob(rows, columns, chance, (0, -0.1), (0.73, 0.79), 0.05)
        return (
            0.15
            + shell * np.float32(0.8)
            - inner * np.float32(0.35)
            + _grain(rows, columns, chance, 0.35)
        )
    picture = 0.35 + _grain(rows, columns, chance, 0.3)
    bow = chance.uniform(0.1, 0.5)
    for row, lift in enumerate((-0.12, 0.14)):
        for tooth in range(-8, 9):
            place = (
                tooth * 0.085 + chance.normal(0, 0.008),
                lift + bow * (tooth / 8) ** 2 * (1 if row else -1) * 0.3,
            )
            radii = (0.036, chance.uniform(0.09, 0.16))
            picture += _blob(rows, columns, chance, place, radii, 0.05) * np.float32(
                chance.uniform(0.25, 0.6)
            )
    arch = np.exp(-(((y - 0.55 + bow * x * x) / 0.12) ** 2))
    return np.asarray(picture + arch * np.float32(0.3), np.float32)


def _breast(rows: int, columns: int, chance: Chance) -> FloatImage:
    """A half disc against one side, veined, on black."""
    side = float(chance.choice([-1, 1]))
    body = _blob(
        rows,
        columns,
        chance,
        (side, chance.uniform(-0.2, 0.2)),
        (chance.uniform(0.7, 1.5), chance.uniform(0.6, 0.95)),
        0.04,
    )
    veins = fractal(rows, columns, chance, float(chance.uniform(1.6, 2.6)))
    picture = body * (np.float32(0.25) + veins ** np.float32(chance.uniform(1, 3)))
    return np.asarray(picture, np.float32)


def _vessels(rows: int, columns: int, chance: Chance) -> FloatImage:
    """Angiography: dark branching lines on an even ground."""
    picture = 0.6 + _grain(rows, columns, chance, 0.25)
    lines = np.zeros((rows, columns), np.float32)
    for _ in range(int(chance.integers(3, 10))):
        point = chance.uniform(0.2, 0.8, 2) * (columns, rows)
        heading, width = chance.uniform(0, 6.28), chance.uniform(2, 9)
        for _ in range(int(chance.integers(20, 70))):
            heading += chance.normal(0, 0.25)
            further = point + 6 * np.array([np.cos(heading), np.sin(heading)])
            cv2.line(
                lines,
                tuple(point.astype(int).tolist()),
                tuple(further.astype(int).tolist()),
                1.0,
                max(1, int(width)),
            )
            point, width = further, width * 0.985
    picture -= cv2.GaussianBlur(lines, (0, 0), 1.2) * np.float32(chance.uniform(0.15, 0.5))
    y, x = grid(rows, columns)
    return np.asarray(
        np.where(np.hypot(x, y) < 1.02, picture, 0) if chance.random() < 0.5 else picture, np.float32
    )


def _scope(rows: int, columns: int, chance: Chance) -> FloatImage:
    """A round or eight-cornered field of smooth, shining folds, as a scope or a camera gives it."""
    y, x = grid(rows, columns)
    field = np.maximum(np.maximum(np.abs(x), np.abs(y)), (np.abs(x) + np.abs(y)) * 0.72) < 0.92
    depth = fractal(rows, columns, chance, float(chance.uniform(2.4, 3.6)))
    shade = np.exp(
        -((x - chance.normal(0, 0.3)) ** 2 + (y - chance.normal(0, 0.3)) ** 2)
        / chance.uniform(0.2, 1.0)
    )
    picture = 0.25 + 0.6 * depth - np.float32(chance.uniform(0, 0.8)) * shade + (depth > 0.8) * 0.4
    return np.asarray(np.where(field, np.clip(picture, 0, 1.2), 0.0), np.float32)


BODIES: dict[str, Maker] = {
    "drawn section (CT, MR)": _slice,
    "drawn sheet of sections": _sheet,
    "drawn ultrasound sector": _sector,
    "drawn trunk": _trunk,
    "drawn jaw or head": _jaw,
    "drawn breast": _breast,
    "drawn vessels": _vessels,
    "drawn scope view": _scope,
}
