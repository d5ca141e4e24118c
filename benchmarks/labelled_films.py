"""Films of a fracatlas folder as the node reads them from disk."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from benchmarks.contestants import spread_over
from pipeline.engines.engine import FloatArray
from pipeline.film_file import read_film_file
from pipeline.model_input import InputSettings, make_model_input
from pipeline.training.datasets.fracatlas import list_fracatlas
from pipeline.training.datasets.labelled_file import LabelledFile


def split_files(data: Path, split: str, count: int) -> list[LabelledFile]:
    """At most `count` films of a split, evenly spaced in the table's order."""
    files = [file for file in list_fracatlas(data).files if file.split == split]
    if not files:
        raise SystemExit(f"{data / 'labels.csv'}: no film is in {split}")
    return spread_over(files, count)


def inputs(files: Sequence[LabelledFile], size: int, film_side: int) -> FloatArray:
    """Their model inputs, float32 (N, size, size)."""
    settings = InputSettings(size, film_side)
    made = []
    for file in files:
        film = read_film_file(file.path)[0]
        given = make_model_input(film.pixels, settings, mask=film.mask, pixel_aspect=film.pixel_aspect)
        made.append(given.pixels)
    return np.stack(made)
