"""The golden input: a drawn film, so that no patient's film is ever inside a package."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

ROWS, COLUMNS = 480, 400


def draw_golden_film() -> npt.NDArray[np.uint8]:
    """Two shafts with cortex and marrow in soft tissue, one of them broken; always the same bytes."""
    film = np.full((ROWS, COLUMNS), 18, np.float32)
    cv2.ellipse(film, (200, 240), (130, 300), 0, 0, 360, 70, -1)
    for left, broken in ((150, True), (230, False)):
        for half, level in ((24, 190), (13, 130)):
            cv2.rectangle(film, (left - half, 20), (left + half, 460), level, -1)
        if broken:
            cv2.line(film, (left - 30, 262), (left + 30, 236), 74, 5)
    film = cv2.GaussianBlur(film, (0, 0), 2.0)
    # Written out, not drawn at random: a generator may change with the version of numpy.
    y, x = np.mgrid[0:ROWS, 0:COLUMNS]
    grain = ((x * 37 + y * 101 + x * y * 7) % 23 - 11) * 0.5
    return np.asarray(np.clip(np.round(film + grain), 0, 255), dtype=np.uint8)
