"""One tiny package for the tests of this folder; whoever changes it copies it first."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from dicom_node.operating.phantom_drawing import draw_limb
from pipeline.radiograph import Radiograph
from tests.made_model import make_package


@pytest.fixture(autouse=True)
def one_thread() -> None:
    """Tiny networks on several threads mostly wait for one another, and for other programs' tests."""
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def package_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A verified package of a tiny network."""
    return make_package(tmp_path_factory.mktemp("model"))


@pytest.fixture(scope="session")
def phantom() -> Radiograph:
    """A drawn forearm, 300 x 240."""
    return drawn_radiograph(300, 240, seed=5)


def drawn_radiograph(rows: int, columns: int, *, seed: int) -> Radiograph:
    """A drawn limb in presentation values."""
    film = draw_limb(rows, columns, seed=seed, broken=True)
    pixels = (film / np.float32(4095)).astype(np.float32)
    return Radiograph(pixels, None, None, 1.0, f"{seed:064d}")
