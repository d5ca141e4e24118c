"""Draws limbs that look like radiographs: no patient, nothing copied, the same seed the same film.

Bones are tubes seen from the side: a ray near the rim runs a long way through dense cortex and little marrow,
so the rim comes out bright, as in a real film.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import cv2
import numpy as np
import numpy.typing as npt

Limb = Literal["forearm", "lower leg", "hand"]
LIMBS: tuple[Limb, ...] = ("forearm", "lower leg", "hand")
Image = npt.NDArray[np.float32]

# Grey levels of 12 bits, larger is brighter (MONOCHROME2).
WHITE = 4095
BLADES, DIRECT_EXPOSURE, LETTERS = 24.0, 160.0, 3900.0
BRIGHT = 3300.0
NOTICE = "SYNTHETIC PHANTOM"
# How much one length unit (the film's shorter side) of each tissue brightens.
SOFT_TISSUE, MARROW, CORTEX = 3200.0, 6000.0, 26000.0
# How thick the cortex is, as a share of the bone's radius, and how much of the bone its wide end takes.
CORTEX_SHARE, END_SHARE = 0.28, 0.16


@dataclass(frozen=True)
class Shaft:
    """A long bone or a tube of flesh; positions are shares of columns and rows, radii of the shorter side.

    `flare` is how much wider the ends are; a `pebble` is round, as a carpal bone.
    """

    x0: float
    y0: float
    x1: float
    y1: float
    radius: float
    flare: float = 0.5
    pebble: bool = False


@dataclass(frozen=True)
class Break:
    """An oblique, displaced break: where along the bone, its slope, and how far the far end has slipped."""

    along: float
    slope: float
    slip: float
    gap: float


@dataclass(frozen=True)
class Anatomy:
    """What one limb is made of; `breakable` indexes the bones that may carry the fracture."""

    flesh: tuple[Shaft, ...]
    bones: tuple[Shaft, ...]
    breakable: tuple[int, ...]


def _finger(
    x0: float, y0: float, x1: float, y1: float, radius: float, parts: tuple[float, ...]
) -> list[Shaft]:
    """A ray of the hand from the wrist to the tip, cut into bones at `parts`, small joints between."""
    steps = (0.0, *parts, 1.0)
    return [
        Shaft(
            *(x0 + (x1 - x0) * (a + 0.012), y0 + (y1 - y0) * (a + 0.012)),
            *(x0 + (x1 - x0) * (b - 0.012), y0 + (y1 - y0) * (b - 0.012)),
            radius * (1.0 - 0.45 * a),
            0.35,
        )
        for a, b in pairwise(steps)
    ]


def _hand() -> Anatomy:
    rays = (
        (0.40, 0.66, 0.16, 0.40, 0.020, (0.42, 0.76)),
        (0.45, 0.63, 0.35, 0.16, 0.019, (0.42, 0.68, 0.87)),
        (0.50, 0.62, 0.49, 0.12, 0.020, (0.41, 0.67, 0.87)),
        (0.55, 0.63, 0.62, 0.16, 0.018, (0.41, 0.67, 0.87)),
        (0.59, 0.65, 0.74, 0.28, 0.016, (0.43, 0.68, 0.87)),
    )
    bones = [bone for ray in rays for bone in _finger(*ray)]
    carpals = [
        Shaft(x - 0.015, y - 0.008, x + 0.045, y + 0.016, 0.032, 0.0, pebble=True)
        for x, y in (
            (0.40, 0.69),
            (0.46, 0.68),
            (0.53, 0.68),
            (0.42, 0.73),
            (0.48, 0.735),
            (0.54, 0.73),
        )
    ]
    forearm = [Shaft(0.44, 0.765, 0.43, 1.10, 0.042), Shaft(0.57, 0.775, 0.58, 1.10, 0.028)]
    flesh = [Shaft(x0, y0, x1, y1 - 0.015, radius * 2.4, 0.0) for x0, y0, x1, y1, radius, _ in rays]
    palm = [Shaft(0.47, 0.50, 0.50, 0.72, 0.15, 0.0), Shaft(0.50, 0.70, 0.50, 1.2, 0.125, 0.0)]
    return Anatomy((*flesh, *palm), (*bones, *carpals, *forearm), breakable=(3, 4, 7, 11, 15))


_ANATOMIES: dict[Limb, Anatomy] = {
    "forearm": Anatomy(
        flesh=(Shaft(0.50, -0.15, 0.50, 1.15, 0.19, 0.0),),
        bones=(Shaft(0.40, 0.10, 0.43, 0.92, 0.040, 0.7), Shaft(0.60, 0.05, 0.56, 0.90, 0.036, 0.35)),
        breakable=(0, 1),
    ),
    "lower leg": Anatomy(
        flesh=(Shaft(0.51, -0.15, 0.49, 1.15, 0.25, 0.0),),
        bones=(Shaft(0.46, 0.06, 0.47, 0.93, 0.068, 0.6), Shaft(0.64, 0.10, 0.60, 0.96, 0.028, 0.5)),
        breakable=(0, 1),
    ),
    "hand": _hand(),
}


def draw_limb(
    rows: int, columns: int, *, seed: int, broken: bool, limb: Limb = "forearm"
) -> npt.NDArray[np.uint16]:
    """A drawn film: uint16 (rows, columns), 12 bits, MONOCHROME2.

    The same arguments give the same film. A marker and the words "SYNTHETIC PHANTOM" are burned in beside the limb.
    """
    chance = np.random.default_rng(seed)
    anatomy = _ANATOMIES[limb]
    film = np.full((rows, columns), DIRECT_EXPOSURE, np.float32)
    film += SOFT_TISSUE * _flesh(anatomy.flesh, (rows, columns))
    bones = np.zeros((rows, columns), np.float32)
    where = int(chance.choice(anatomy.breakable))
    fracture = Break(
        chance.uniform(0.3, 0.7), chance.uniform(-0.7, 0.7), chance.choice((-0.45, 0.45)), 0.16
    )
    for index, bone in enumerate(anatomy.bones):
        _add_bone(bones, _jitter(bone, chance), fracture if broken and index == where else None)
    sigma = max(0.6, min(rows, columns) / 900)
    film += np.asarray(cv2.GaussianBlur(bones, (0, 0), sigma), np.float32)
    film *= BRIGHT / float(np.percentile(film, 99.5))
    film += chance.normal(0.0, 1.0, film.shape).astype(np.float32) * (8.0 + 0.4 * np.sqrt(film))
    _collimate(film, chance)
    _burn_in(film, "R" if seed % 2 else "L")
    return np.clip(np.rint(film), 0, WHITE).astype(np.uint16)


def _jitter(bone: Shaft, chance: np.random.Generator) -> Shaft:
    """The bone a little elsewhere and a little thicker or thinner, so that no two films are alike."""
    dx, dy, thicker = (
        chance.uniform(-0.006, 0.006),
        chance.uniform(-0.004, 0.004),
        chance.uniform(0.95, 1.08),
    )
    return Shaft(
        bone.x0 + dx,
        bone.y0 + dy,
        bone.x1 + dx,
        bone.y1 + dy,
        bone.radius * thicker,
        bone.flare,
        bone.pebble,
    )


def _flesh(shafts: tuple[Shaft, ...], shape: tuple[int, int]) -> Image:
    """How far a ray runs through soft tissue, smooth where tubes meet."""
    depth = np.zeros(shape, np.float32)
    for shaft in shafts:
        box, along, across, side = _own_axes(shaft, shape, margin=1.0)
        beyond = np.maximum(np.maximum(-along, along - 1.0), 0.0) * _length(shaft, shape) / side
        depth[box] = np.maximum(depth[box], _chord(shaft.radius, np.hypot(across, beyond)))
    return np.asarray(cv2.GaussianBlur(depth, (0, 0), max(0.8, min(shape) / 120)), np.float32)


def _add_bone(film: Image, bone: Shaft, fracture: Break | None) -> None:
    """Adds what a bone brightens to `film`, in place."""
    box, along, across, _ = _own_axes(bone, film.shape, margin=1.0 + bone.flare)
    if fracture is None:
        film[box] += _tube(bone, along, across)
        return
    length = math.hypot(bone.x1 - bone.x0, bone.y1 - bone.y0)
    line = (along - fracture.along) * length - fracture.slope * across
    slipped = across - fracture.slip * bone.radius * (
        1.0 + 0.8 * np.maximum(along - fracture.along, 0.0)
    )
    drawn = np.where(line > 0, _tube(bone, along, slipped), _tube(bone, along, across))
    film[box] += drawn * np.where(np.abs(line) < fracture.gap * bone.radius, 0.25, 1.0)


def _tube(bone: Shaft, along: Image, across: Image) -> Image:
    """What a hollow bone brightens: rays through its cortex and its marrow."""
    to_end = np.clip(np.minimum(along, 1.0 - along) / END_SHARE, 0.0, 1.0)
    radius = bone.radius * (1.0 + bone.flare * (1.0 - to_end) ** 2)
    roundness = 1.0 - (2.0 * along - 1.0) ** 2 if bone.pebble else to_end * 6.0
    radius = radius * np.sqrt(np.clip(roundness, 0.0, 1.0)) * ((along > 0) & (along < 1))
    marrow = radius * (1.0 - CORTEX_SHARE * (0.4 + 0.6 * to_end))
    inside, hollow = _chord(radius, across), _chord(marrow, across)
    return np.asarray(CORTEX * (inside - hollow) + MARROW * hollow, np.float32)


def _chord(radius: Image | float, distance: Image) -> Image:
    """How far a ray at `distance` from the axis of a cylinder runs inside it."""
    return np.asarray(2.0 * np.sqrt(np.maximum(radius * np.abs(radius) - distance**2, 0.0)), np.float32)


def _length(shaft: Shaft, shape: tuple[int, ...]) -> float:
    """Length of a shaft in pixels."""
    return math.hypot((shaft.x1 - shaft.x0) * shape[1], (shaft.y1 - shaft.y0) * shape[0])


def _own_axes(
    shaft: Shaft, shape: tuple[int, ...], margin: float
) -> tuple[tuple[slice, slice], Image, Image, float]:
    """The part of the film that a shaft may touch, and there: share along it, distance from its axis."""
    rows, columns = shape[0], shape[1]
    side = float(min(rows, columns))
    ax, ay, bx, by = shaft.x0 * columns, shaft.y0 * rows, shaft.x1 * columns, shaft.y1 * rows
    reach = shaft.radius * side * (1.0 + margin) + 2
    top, bottom = _span(ay, by, reach, rows)
    left, right = _span(ax, bx, reach, columns)
    y, x = np.mgrid[top:bottom, left:right].astype(np.float32) + 0.5
    length = max(math.hypot(bx - ax, by - ay), 1.0)
    ux, uy = (bx - ax) / length, (by - ay) / length
    along = ((x - ax) * ux + (y - ay) * uy) / length
    across = ((x - ax) * uy - (y - ay) * ux) / side
    return (slice(top, bottom), slice(left, right)), along, across, side


def _span(first: float, second: float, reach: float, end: int) -> tuple[int, int]:
    low, high = min(first, second) - reach, max(first, second) + reach
    return int(np.clip(low, 0, end)), int(np.clip(high + 1, 0, end))


def _collimate(film: Image, chance: np.random.Generator) -> None:
    """Darkens what lies behind the collimator's blades, in place."""
    rows, columns = film.shape
    top, bottom = (int(rows * chance.uniform(0.02, 0.04)) for _ in range(2))
    left, right = (int(columns * chance.uniform(0.04, 0.07)) for _ in range(2))
    open_field = np.zeros(film.shape, bool)
    open_field[top : rows - bottom, left : columns - right] = True
    blades = BLADES + chance.normal(0.0, 4.0, film.shape).astype(np.float32)
    film[~open_field] = blades[~open_field]


def _burn_in(film: Image, marker: str) -> None:
    """Letters that belong to no anatomy: the side's marker above, what this is below."""
    rows, columns = film.shape
    scale = columns / 900
    thick = max(1, round(2 * scale))
    font = cv2.FONT_HERSHEY_SIMPLEX
    letters = np.zeros(film.shape, np.uint8)
    cv2.putText(
        letters, marker, (int(columns * 0.86), int(rows * 0.10)), font, 1.6 * scale, 255, thick + 1
    )
    cv2.putText(
        letters, NOTICE, (int(columns * 0.08), int(rows * 0.955)), font, 0.55 * scale, 255, thick
    )
    np.maximum(film, letters.astype(np.float32) * (LETTERS / 255.0), out=film)
