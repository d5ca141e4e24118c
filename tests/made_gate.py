"""A package with a gate, in seconds: the tiny package again, its gate fitted on drawn limbs."""

from __future__ import annotations

import hashlib
import shutil
from functools import cache
from pathlib import Path

import numpy as np
import tomlkit

from dicom_node.operating.phantom_drawing import LIMBS, draw_limb
from pipeline.gate_fitting.fitting import FittedGate, fit_gate
from pipeline.model_description import GATE
from pipeline.model_input import FloatImage, normalise, reduce_film
from pipeline.model_package import load_package
from pipeline.pixel_gate import pack_gate
from pipeline.training.films import Film, to_grey

FILMS, EACH = 48, 3


@cache
def drawn_limb(seed: int) -> FloatImage:
    """Presentation values of a drawn limb, 120 x 96."""
    film = draw_limb(120, 96, seed=seed, broken=bool(seed % 2), limb=LIMBS[seed % 3])
    return np.asarray(film / np.float32(4095), np.float32)


def drawn_film(seed: int) -> Film:
    """The same as a labelled film; two neighbours are one patient."""
    grey = to_grey(normalise(reduce_film(drawn_limb(seed), film_side=96)))
    return Film(f"f{seed:03d}", grey, bool(seed % 2), (True,) * 4, (), (), f"C{seed // 2}", "val")


def fit_tiny_gate(package: Path) -> FittedGate:
    """A gate for the tiny package of one member."""
    loaded = load_package(package)
    settings = loaded.description.input.settings()
    films = [drawn_film(seed) for seed in range(FILMS)]
    return fit_gate(films, [loaded.network()], [0] * FILMS, settings, each=EACH, said=lambda _: None)


def add_gate(package: Path, folder: Path, gate: FittedGate) -> Path:
    """A copy of the package that has the gate, as packaging would have written it."""
    copied = Path(shutil.copytree(package, folder))
    contents = pack_gate(gate.tensors)
    (copied / GATE).write_bytes(contents)
    toml = tomlkit.parse((copied / "model.toml").read_text(encoding="utf-8"))
    toml["gate"] = gate.record.model_dump(mode="json")
    toml["files"][GATE] = hashlib.sha256(contents).hexdigest()  # type: ignore[index]
    (copied / "model.toml").write_text(tomlkit.dumps(toml), encoding="utf-8")
    return copied
