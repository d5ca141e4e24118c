"""A film with its Grad-CAM and an arrow, drawn with opencv; above and below, what it is and what it is not."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from pipeline.activation_map import Arrow, Explanation
from pipeline.findings import RESEARCH_NOTICE, ImageFindings, Outcome
from pipeline.radiograph import FloatImage, Radiograph

BgrImage = npt.NDArray[np.uint8]
Colour = tuple[int, int, int]

LONGEST_SIDE = 1024
# Nothing of the film is covered where the map is below FAINT; nowhere more than MOST of it.
FAINT, MOST = 0.15, 0.55
_STRIP: Colour = (20, 17, 15)
_BRIGHT: Colour = (242, 240, 238)
_DIM: Colour = (172, 164, 158)
_ARROW: Colour = (255, 255, 255)
_FONT, _LINE = cv2.FONT_HERSHEY_SIMPLEX, 24
_LEAST_WIDTH = 480
_READ = (Outcome.FRACTURE, Outcome.DOUBT)


def draw_explanation(
    radiograph: Radiograph, findings: ImageFindings, explanation: Explanation
) -> BgrImage:
    """Uint8 (rows, columns, 3), BGR; the film has square pixels and 1024 of them along its longer side.

    A film below both operating points gets no arrow: it would point at a fracture that is not suspected.
    """
    width, height = _size(radiograph)
    activation = cv2.resize(explanation.activation, (width, height), interpolation=cv2.INTER_AREA)
    film = _coloured(_grey(radiograph.pixels, width, height), activation)
    if explanation.arrow is not None and findings.outcome in _READ:
        scale = np.array([width / radiograph.columns, height / radiograph.rows])
        _draw_arrow(film, explanation.arrow, scale)
    said = str(findings.outcome)
    if findings.fracture_probability is not None:
        said += f", probability {findings.fracture_probability:.2f}"
    above = ("Grad-CAM of the fracture's logit", said)
    below = (f"{findings.model.name} {findings.model.version}. Colour: share of the strongest place.",)
    return _framed(film, above, below + tuple(_wrapped(RESEARCH_NOTICE, max(width, _LEAST_WIDTH))))


def _size(radiograph: Radiograph) -> tuple[int, int]:
    """Width and height with square pixels."""
    tall = radiograph.rows * radiograph.pixel_aspect
    scale = LONGEST_SIDE / max(tall, radiograph.columns)
    return max(1, round(radiograph.columns * scale)), max(1, round(tall * scale))


def _grey(pixels: FloatImage, width: int, height: int) -> BgrImage:
    way = cv2.INTER_AREA if width < pixels.shape[1] else cv2.INTER_CUBIC
    resized = cv2.resize(pixels, (width, height), interpolation=way)
    grey = (np.nan_to_num(np.clip(resized, 0.0, 1.0)) * 255.0 + 0.5).astype(np.uint8)
    return np.asarray(cv2.cvtColor(grey, cv2.COLOR_GRAY2BGR), dtype=np.uint8)


def _coloured(film: BgrImage, activation: FloatImage) -> BgrImage:
    """The film under inferno, whose lightness rises with the value (van der Walt and Smith, 2015)."""
    levels = np.clip(activation, 0, 1)
    colours = cv2.applyColorMap((levels * 255).astype(np.uint8), cv2.COLORMAP_INFERNO)
    alpha = np.clip((levels - FAINT) / (1 - FAINT), 0, 1)[:, :, None] ** 0.7 * MOST
    return np.asarray(np.round(film * (1 - alpha) + colours * alpha), dtype=np.uint8)


def _draw_arrow(film: BgrImage, arrow: Arrow, scale: npt.NDArray[np.float64]) -> None:
    """A white arrow with a dark edge, which shows on bone and on black."""
    tail, head = (
        tuple(np.round(np.array(end) * scale - 0.5).astype(int).tolist())
        for end in (arrow.tail, arrow.head)
    )
    length = max(1.0, float(np.hypot(head[0] - tail[0], head[1] - tail[1])))
    stroke = max(2, round(max(film.shape) / 400))
    for colour, thickness in (((0, 0, 0), stroke + 3), (_ARROW, stroke)):
        cv2.arrowedLine(
            film, tail, head, colour, thickness, cv2.LINE_AA, tipLength=min(0.3, 26 / length)
        )


def _framed(film: BgrImage, above: tuple[str, ...], below: tuple[str, ...]) -> BgrImage:
    """The film in the middle, words above and below it and never on it."""
    width = max(film.shape[1], _LEAST_WIDTH)
    left = (width - film.shape[1]) // 2
    middle = np.full((film.shape[0], width, 3), _STRIP, np.uint8)
    middle[:, left : left + film.shape[1]] = film
    return np.vstack([_words(above, width, _BRIGHT), middle, _words(below, width, _DIM)])


def _words(lines: tuple[str, ...], width: int, colour: Colour) -> BgrImage:
    strip = np.full((_LINE * len(lines) + 14, width, 3), _STRIP, np.uint8)
    for index, line in enumerate(lines):
        cv2.putText(strip, line, (10, _LINE * (index + 1)), _FONT, 0.5, colour, 1, cv2.LINE_AA)
    return strip


def _wrapped(text: str, width: int) -> list[str]:
    """Lines that fit into so many pixels."""
    lines = [""]
    for word in text.split():
        longer = f"{lines[-1]} {word}".strip()
        if cv2.getTextSize(longer, _FONT, 0.5, 1)[0][0] > width - 20 and lines[-1]:
            lines.append(word)
        else:
            lines[-1] = longer
    return lines
