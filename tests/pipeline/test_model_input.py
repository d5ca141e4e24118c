"""Training and serving show the network the same picture."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from pipeline.image_file import read_image_file
from pipeline.model_input import InputSettings, make_model_input
from pipeline.training.augmentation import plain_film
from pipeline.training.datasets.fracatlas import read_fracatlas
from tests.made_films import make_fracatlas

# Training keeps films as bytes of 2.4 / 255 each; half of one is the most that rounding moves.
HALF_A_STEP = 2.4 / 255 / 2 + 1e-5


def test_a_film_looks_the_same_to_training_and_to_serving(tmp_path: Path) -> None:
    """Larger than the film side, smaller than it, landscape and portrait, from the same JPEG."""
    data = make_fracatlas(tmp_path / "films", films=8)
    for film_side, size in ((454, 96), (64, 96), (100, 64)):
        for film in read_fracatlas(data, film_side=film_side):
            grey = cv2.imread(str(data / "images" / f"{film.id}.jpg"), cv2.IMREAD_GRAYSCALE)
            served = make_model_input(grey.astype(np.float32) / 255, InputSettings(size, film_side))
            assert np.abs(served.pixels - plain_film(film, size)).max() <= HALF_A_STEP


def test_an_image_file_is_served_as_training_saw_it(tmp_path: Path) -> None:
    """From the file's bytes on: the reader of films and the reader of data sets agree."""
    data = make_fracatlas(tmp_path / "films", films=4)
    for film in read_fracatlas(data, film_side=96):
        radiograph = read_image_file(data / "images" / f"{film.id}.jpg")
        served = make_model_input(radiograph.pixels, InputSettings(64, 96), mask=radiograph.mask)
        # Two JPEG decoders may round a grey level differently: 1 of 255, stretched by the normalisation.
        assert np.abs(served.pixels - plain_film(film, 64)).max() <= HALF_A_STEP + 0.03
