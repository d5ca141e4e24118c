"""From a PNG or JPEG file to a film."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps, UnidentifiedImageError

from pipeline.errors import ScopeError, UnreadableError
from pipeline.findings import NotProcessed
from pipeline.pixel_data import MAX_PIXELS
from pipeline.radiograph import Radiograph

FORMATS = ("PNG", "JPEG")
_DEEP_MODES = ("I", "I;16", "I;16B", "I;16L", "I;16N")
_COLOUR_MODES = ("RGB", "RGBA", "RGBX", "P", "PA")
_GREY_MODES = ("L", "LA", "La", "1")
# A grey scan saved as RGB differs by rounding only: this much, in all but this share of the pixels.
_LARGEST_TINT, _TINTED_SHARE = 8, 0.001

Grey = npt.NDArray[np.uint8] | npt.NDArray[np.uint16]


def read_image_file(path: Path) -> Radiograph:
    """A film from PNG or JPEG: grey of 8 or 16 bits, or grey stored as RGB; turned as its EXIF says.

    8 bits are shown from 0 to 255, 16 bits from their smallest to their largest value. There is no spacing: the
    dots per inch of such files are the scanner's or nobody's.

    Raises:
        OSError: there is no such file.
        UnreadableError: neither PNG nor JPEG, broken, or a single grey level.
        ScopeError: in colour, or too large.
    """
    grey = read_grey(path)
    low, high = int(grey.min()), int(grey.max())
    if low == high:
        raise UnreadableError(NotProcessed.BLANK)
    if grey.dtype == np.uint8:
        low, high = 0, 255
    pixels = (grey.astype(np.float32) - np.float32(low)) / np.float32(high - low)
    digest = hashlib.sha256(
        f"image file {grey.shape[0]} {grey.shape[1]} {grey.dtype.itemsize} ".encode()
    )
    digest.update(grey.astype(grey.dtype.newbyteorder("<")).tobytes())
    return Radiograph(
        pixels=pixels, mask=None, spacing=None, pixel_aspect=1.0, pixel_digest=digest.hexdigest()
    )


def read_grey(path: Path) -> Grey:
    """The grey values of an image file as uint8 or uint16 (rows, columns); raises as `read_image_file` does."""
    with path.open("rb") as file:
        try:
            with Image.open(file, formats=FORMATS) as image:
                if image.width * image.height > MAX_PIXELS:
                    raise ScopeError(NotProcessed.TOO_LARGE, f"{image.height} x {image.width}")
                image.load()
                return _to_grey(ImageOps.exif_transpose(image))
        except UnidentifiedImageError as error:
            raise UnreadableError(NotProcessed.NOT_AN_IMAGE) from error
        except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
            raise ScopeError(NotProcessed.TOO_LARGE) from error
        except (OSError, SyntaxError, ValueError, EOFError, IndexError, OverflowError) as error:
            # Pillow says SyntaxError of a broken PNG.
            raise UnreadableError(NotProcessed.UNDECODABLE, type(error).__name__) from error


def _to_grey(image: Image.Image) -> Grey:
    if image.mode in _DEEP_MODES:
        return np.asarray(np.clip(np.asarray(image), 0, 65535), np.uint16)
    if image.mode in _GREY_MODES:
        return np.asarray(image.convert("L"), np.uint8)
    if image.mode in _COLOUR_MODES:
        return _grey_of_colour(np.asarray(image.convert("RGB"), np.uint8))
    raise ScopeError(NotProcessed.PHOTOMETRIC, image.mode)


def _grey_of_colour(colour: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """The grey of an RGB image (rows, columns, 3) without colour.

    Raises:
        ScopeError: it has colour.
    """
    tint = colour.max(axis=2) - colour.min(axis=2)
    if np.mean(tint > _LARGEST_TINT) > _TINTED_SHARE:
        raise ScopeError(NotProcessed.PHOTOMETRIC, "RGB")
    return np.ascontiguousarray(colour[..., 1])
