"""A film as a picture, frames around regions of it, and lines of text: what all pictures of results share.

A solid frame is a fracture suspected at the specific operating point, a dashed one a doubt at the sensitive one.
"""

from __future__ import annotations

from functools import lru_cache

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw

from dicom_node.results.typeface import Font
from pipeline.findings import Outcome
from pipeline.geometry import Box
from pipeline.radiograph import FloatImage

RgbImage = npt.NDArray[np.uint8]
Colour = tuple[int, int, int]

STRIP: Colour = (15, 17, 20)
CARD: Colour = (26, 29, 33)
BRIGHT: Colour = (238, 240, 242)
DIM: Colour = (158, 164, 172)
_HALO = (0, 0, 0, 120)
# Told apart by lightness too, so that no one needs to see the hue.
COLOURS: dict[Outcome, Colour] = {
    Outcome.FRACTURE: (255, 138, 76),
    Outcome.DOUBT: (250, 214, 105),
    Outcome.NO_FRACTURE: (126, 168, 190),
    Outcome.NOT_PROCESSED: (140, 146, 156),
}


def grey_film(pixels: FloatImage, width: int, height: int) -> RgbImage:
    """Presentation values 0 to 1 as RGB of that size."""
    way = cv2.INTER_AREA if width < pixels.shape[1] else cv2.INTER_CUBIC
    resized = cv2.resize(pixels, (width, height), interpolation=way)
    grey = grey_levels(np.asarray(resized, dtype=np.float32))
    return np.asarray(cv2.cvtColor(grey, cv2.COLOR_GRAY2RGB), dtype=np.uint8)


def grey_levels(pixels: FloatImage) -> npt.NDArray[np.uint8]:
    """Presentation values 0 to 1 as bytes of the same shape, 255 is white; what is no number becomes black."""
    return np.asarray(cv2.convertScaleAbs(np.clip(pixels, 0.0, 1.0), alpha=255), dtype=np.uint8)


def frame_around(box: Box, film: tuple[int, int, int, int], stroke: int) -> Box:
    """The frame around a box, so that its line covers nothing of the region; within the film."""
    left, top, right, bottom = film
    x0 = min(max(round(box[0]) - stroke, left), right - 2 * stroke)
    y0 = min(max(round(box[1]) - stroke, top), bottom - 2 * stroke)
    x1 = max(min(round(box[2]) + stroke, right), x0 + 2 * stroke)
    y1 = max(min(round(box[3]) + stroke, bottom), y0 + 2 * stroke)
    return (x0, y0, x1, y1)


def draw_frame(pen: ImageDraw.ImageDraw, frame: Box, stroke: int, colour: Colour, *, dash: int) -> None:
    """A frame from `frame_around`; `dash`: the length of a dash in pixels, 0 for a solid line."""
    x0, y0, x1, y1 = frame
    # A dark edge on both sides, and dark gaps, keep the line visible on white bone.
    for grown in (stroke, 0, -stroke) if dash else (stroke, -stroke):
        halo = (x0 - grown, y0 - grown, x1 + grown - 1, y1 + grown - 1)
        if halo[0] <= halo[2] and halo[1] <= halo[3]:
            pen.rectangle(halo, outline=_HALO, width=stroke)
    if not dash:
        pen.rectangle((x0, y0, x1 - 1, y1 - 1), outline=colour, width=stroke)
        return
    for start, end in _dashes(x0, x1, dash):
        pen.rectangle((start, y0, end, y0 + stroke - 1), fill=colour)
        pen.rectangle((start, y1 - stroke, end, y1 - 1), fill=colour)
    for start, end in _dashes(y0, y1, dash):
        pen.rectangle((x0, start, x0 + stroke - 1, end), fill=colour)
        pen.rectangle((x1 - stroke, start, x1 - 1, end), fill=colour)


def write_line(
    canvas: Image.Image, corner: tuple[int, int], text: str, colour: Colour, font: Font
) -> None:
    """A line of text on an RGB canvas; `corner`: its left end, at the height of the ascenders."""
    mask, left, top = _letters(text, font)
    canvas.paste(colour, (corner[0] + left, corner[1] + top), mask)


# Notice, model and thresholds stand on every picture, and shaping letters costs more than laying them down.
@lru_cache(maxsize=256)
def _letters(text: str, font: Font) -> tuple[Image.Image, int, int]:
    """A line as a mask, and where its upper left corner lies from the line's."""
    left, top, right, bottom = (int(edge) for edge in font.getbbox(text))
    mask = Image.new("L", (right - left, bottom - top))
    ImageDraw.Draw(mask).text((-left, -top), text, fill=255, font=font)
    return mask, left, top


def _dashes(start: float, end: float, dash: int) -> list[tuple[float, float]]:
    """An odd number of dashes and gaps, so that every corner is drawn."""
    pieces = max(3, int((end - start) / dash) // 2 * 2 + 1)
    step = (end - start) / pieces
    places = [
        (round(start + step * piece), round(start + step * (piece + 1)))
        for piece in range(0, pieces, 2)
    ]
    return [(first, max(last - 1, first)) for first, last in places]
