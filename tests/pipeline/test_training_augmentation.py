"""What bends a film bends its mask and its boxes with it; grey levels move nothing."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from pipeline.training.augmentation import HEAT_STRIDE, Example, random_crop, random_film
from pipeline.training.films import Film, to_grey

ROWS, COLUMNS, SIZE, CROP = 240, 180, 160, 96
# A bright square on black: left, top, right, bottom.
SQUARE = (70.0, 90.0, 118.0, 126.0)
SEEDS = range(60)


def made_film(**changes: object) -> Film:
    """A film whose only bright place is its labelled square."""
    levels = np.full((ROWS, COLUMNS), -1.0, np.float32)
    left, top, right, bottom = map(int, SQUARE)
    levels[top:bottom, left:right] = 1.0
    corners = [[left, top], [right, top], [right, bottom], [left, bottom]]
    film = Film(
        "made", to_grey(levels), True, (True, False), (SQUARE,), (np.array(corners, np.float32),), "C0",
        "train", types=(True,),
    )  # fmt: skip
    return replace(film, **changes)


def seen(example: Example) -> np.ndarray:
    """The bright place's share of each cell; None of noise, blur and erasing moves it far."""
    cells = example.image.shape[0] // HEAT_STRIDE
    blocks = example.image.reshape(cells, HEAT_STRIDE, cells, HEAT_STRIDE).mean((1, 3))
    dark, bright = np.percentile(blocks, 20), blocks[example.heat > 0.99].mean()
    return np.asarray((blocks - dark) / (bright - dark))


def drawn(seed: int, film: Film, crop: bool) -> Example:
    """An example of that film."""
    chance = np.random.default_rng(seed)
    return random_crop(film, SIZE, CROP, chance) if crop else random_film(film, SIZE, chance)


@pytest.mark.parametrize("crop", [False, True], ids=["film", "crop"])
def test_image_and_mask_stay_together(crop: bool) -> None:
    """After any turn, flip, scale and shift the bright place and the heat cover each other."""
    judged = 0
    for seed in SEEDS:
        example = drawn(seed, made_film(), crop)
        # A part pushed out of the picture, or erased, says nothing of geometry.
        if (example.heat > 0.99).sum() < 12:
            continue
        bright, hot = seen(example) > 0.5, example.heat > 0.5
        shared = (bright & hot).sum() / (bright | hot).sum()
        judged += shared > 0.75
        assert shared > 0.75 or erased(example), seed
    assert judged > len(SEEDS) / 2


def erased(example: Example) -> bool:
    """Whether a rectangle of one grey level was put on it: no noise inside, or no dark ground left."""
    values, counts = np.unique(np.round(example.image, 5), return_counts=True)
    return bool(counts[(values > -0.9) & (values < 0.9)].max(initial=0) > 40)


@pytest.mark.parametrize("crop", [False, True], ids=["film", "crop"])
def test_mask_and_boxes_stay_together(crop: bool) -> None:
    """In every cell that is asked, the four edges are those of the heat's own extent."""
    judged = 0
    for seed in SEEDS:
        example = drawn(seed, made_film(), crop)
        rows, columns = np.nonzero(example.in_box)
        if not len(rows):
            continue
        down, across = np.nonzero(example.heat > 0)
        extent = np.array([across.min(), down.min(), across.max() + 1, down.max() + 1])
        left, top, right, bottom = example.boxes[:, rows, columns]
        boxes = np.stack(
            [columns + 0.5 - left, rows + 0.5 - top, columns + 0.5 + right, rows + 0.5 + bottom]
        )
        # A cell that is touched counts as a whole, so the heat reaches up to one cell further.
        assert np.abs(boxes - extent[:, None]).max() <= 1.3, seed
        judged += 1
    assert judged > len(SEEDS) / 2


def test_films_without_a_mask_get_an_ellipse_in_their_box() -> None:
    """A box alone is a label too; its corners are not."""
    example = drawn(3, made_film(polygons=()), crop=False)
    whole = drawn(3, made_film(), crop=False)
    assert 0.6 < example.heat.sum() / whole.heat.sum() < 0.95
    assert (example.known, example.fractured) == (1.0, 1.0)


def test_a_fracture_that_nobody_drew_teaches_no_heat() -> None:
    """It is fractured, but where is not known; an unfractured film is known to have it nowhere."""
    unmarked = drawn(3, made_film(polygons=(), boxes=()), crop=False)
    assert (unmarked.known, unmarked.fractured, unmarked.heat.max()) == (0.0, 1.0, 0.0)
    healthy = drawn(3, made_film(polygons=(), boxes=(), fractured=False), crop=False)
    assert (healthy.known, healthy.fractured) == (1.0, 0.0)


def test_a_crop_beside_the_lesion_is_no_fracture() -> None:
    """Neither is its type: plaster and metal beside it must not become signs of a fracture."""
    film = made_film(grey=np.full((ROWS, COLUMNS), 200, np.uint8))  # anatomy everywhere
    away = [drawn(seed, film, crop=True) for seed in range(200)]
    away = [example for example in away if example.heat.max() == 0]
    assert away
    assert all(not example.fractured and not any(example.types) for example in away)


def test_the_same_seed_draws_the_same_example() -> None:
    """What a resumed run rests on."""
    for crop in (False, True):
        one, other = (drawn(7, made_film(), crop) for _ in range(2))
        np.testing.assert_array_equal(one.image, other.image)
        np.testing.assert_array_equal(one.heat, other.heat)
        np.testing.assert_array_equal(one.boxes, other.boxes)
