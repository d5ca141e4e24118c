"""DICOMscope, the viewer with which presentation states came into the standard, as a renderer under Xvfb."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from tests.real_parts import DICOMSCOPE_CONFIGURATION, dicomscope_options, program

Drawn = npt.NDArray[np.int_]


def draw_presentation_states(
    pairs: Sequence[tuple[Path, Path]], folder: Path, *, side: int
) -> list[Drawn]:
    """What its image canvas of `side` x `side` pixels shows of each presentation state and its image, grey 0 to 255."""
    options = dicomscope_options()
    classes = f"{options[-1]}:{folder}"
    launcher = Path(__file__).with_name("DrawPresentationStates.java")
    subprocess.run(
        [program("javac"), "-nowarn", "-cp", options[-1], "-d", str(folder), str(launcher)],
        check=True, timeout=170,
    )  # fmt: skip
    shutil.copy(DICOMSCOPE_CONFIGURATION, folder / "DICOMscope.cfg")
    (folder / "log").mkdir(exist_ok=True)
    pictures = [folder / f"drawn-{number}.png" for number in range(len(pairs))]
    named = [
        str(path) for pair, picture in zip(pairs, pictures, strict=True) for path in (*pair, picture)
    ]
    done = subprocess.run(
        [
            program("xvfb-run"), "-a", "-s", "-screen 0 1280x1280x24",
            program("java"), *options[:-1], classes,
            "DrawPresentationStates", "DICOMscope.cfg", str(side), *named,
        ],
        cwd=folder, capture_output=True, text=True, check=False, timeout=170,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return [np.asarray(Image.open(picture).convert("L")).astype(int) for picture in pictures]
