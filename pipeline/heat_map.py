"""What the network says of each place of a film: a map of its input's cells, and the way back to the film."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from pipeline.geometry import Placement
from pipeline.radiograph import FloatImage


@dataclass(frozen=True, eq=False)
class HeatMap:
    """`cells`: float32 (S / 4, S / 4) of the input, the probability of a fracture there, calibrated as a region's is."""

    cells: FloatImage
    placement: Placement

    def on_film(self, longest_side: int) -> FloatImage:
        """Float32 of the film's shape with no side above `longest_side`, 0 to 1; stretch it over the film."""
        rows, columns = self.placement.rows, self.placement.columns
        share = min(1.0, longest_side / max(rows, columns))
        reduced = self.placement.reduced(max(1, round(rows * share)), max(1, round(columns * share)))
        spread = spread_over_film(self.cells, reduced)
        return np.asarray(np.clip(spread, 0.0, 1.0), dtype=np.float32)


def spread_over_film(cells: FloatImage, placement: Placement) -> FloatImage:
    """A map of the input's cells as float32 (rows, columns) of the film: the letterbox is undone.

    Between cells it is cubic, so it may overshoot a little.
    """
    size, rows, columns = placement.size, placement.rows, placement.columns
    fine = cv2.resize(cells, (size, size), interpolation=cv2.INTER_CUBIC)
    # Pixel centres: film (x + 0.5) * scale + left = input u + 0.5.
    to_input = np.array(
        [
            [placement.scale_x, 0, 0.5 * placement.scale_x + placement.left - 0.5],
            [0, placement.scale_y, 0.5 * placement.scale_y + placement.top - 0.5],
        ]
    )
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    film = cv2.warpAffine(fine, to_input, (columns, rows), flags=flags, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(film, dtype=np.float32)
