"""One film, ready to be read: what pixel conversion gives to the model and to the overlay."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pipeline.greyscale import Greyscale

FloatImage = npt.NDArray[np.float32]
Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Spacing:
    """Millimetres between pixel centres; `source` names the attribute that said so."""

    row_mm: float
    column_mm: float
    source: str


@dataclass(frozen=True, eq=False)
class Radiograph:
    """A film in presentation values.

    Attributes:
        pixels: float32 (rows, columns), 0 to 1, larger is brighter (MONOCHROME2 polarity).
        mask: true where the film is exposed (no padding, no shutter); None if all of it is.
        spacing: None where the source gives none.
        pixel_aspect: height of a pixel over its width; 1.0 for square pixels.
        pixel_digest: sha256 of the decoded stored values, their shape and how they are to be shown:
            the same film has the same digest in every lossless transfer syntax.
        greyscale: how a DICOM film's stored values became `pixels`; None for other films.
    """

    pixels: FloatImage
    mask: Mask | None
    spacing: Spacing | None
    pixel_aspect: float
    pixel_digest: str
    greyscale: Greyscale | None = None

    @property
    def rows(self) -> int:
        """Height of the matrix."""
        return int(self.pixels.shape[0])

    @property
    def columns(self) -> int:
        """Width of the matrix."""
        return int(self.pixels.shape[1])
