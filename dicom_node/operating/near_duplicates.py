"""How a film looks, in 256 bits: the perceptual hash that finds copies which were coded or scaled anew."""

from __future__ import annotations

import imagehash
import numpy as np
import numpy.typing as npt
from PIL import Image

_SIDE = 16


def fingerprint(grey: npt.NDArray[np.uint8]) -> npt.NDArray[np.bool_]:
    """The signs of the 16 x 16 lowest frequencies (ImageHash's pHash), as 256 booleans."""
    return np.asarray(imagehash.phash(Image.fromarray(grey), hash_size=_SIDE).hash, np.bool_).ravel()
