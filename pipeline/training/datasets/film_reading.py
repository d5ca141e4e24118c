"""From a labelled file to a film: its bytes, its pixels, its boxes and its mask, each looked at."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace

import cv2
import numpy as np
import numpy.typing as npt

from pipeline.geometry import Box
from pipeline.model_input import normalise, reduce_film
from pipeline.training.datasets.labelled_file import LabelledFile
from pipeline.training.datasets.problems import Problem, ProblemKind
from pipeline.training.films import Film, Polygon, to_grey

Grey = npt.NDArray[np.uint8]

# Shares of a side: rounding is clipped silently, a slip of the annotator's hand is named, more is left out.
_ROUNDING, _SLIP = 0.002, 0.02
_JPEG, _JPEG_SCAN, _JPEG_END = b"\xff\xd8\xff", b"\xff\xda", b"\xff\xd9"
_PNG, _PNG_END = b"\x89PNG\r\n\x1a\n", b"IEND"


@dataclass(frozen=True)
class Look:
    """What came of one file: `film` is None when it cannot be used. `file` has the boxes that were kept."""

    file: LabelledFile
    film: Film | None
    problems: tuple[Problem, ...]
    digest: str = ""


def is_whole(data: bytes) -> bool:
    """Whether a JPEG or PNG has its end: decoders fill what is missing with grey and say nothing."""
    if data.startswith(_JPEG):
        # Entropy-coded bytes hold neither marker (ISO/IEC 10918-1 B.1.1.5); a thumbnail before them may.
        return data.rfind(_JPEG_END) > data.rfind(_JPEG_SCAN)
    return not data.startswith(_PNG) or _PNG_END in data[-64:]


def decode(data: bytes) -> Grey | None:
    """8-bit grey levels, upright by the EXIF orientation; None when the bytes are no whole image."""
    if not data or not is_whole(data):
        return None
    try:
        pixels = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_GRAYSCALE)
    except cv2.error:
        return None
    return None if pixels is None else np.asarray(pixels, np.uint8)


def look_at(file: LabelledFile, film_side: int) -> Look:
    """Reads one film; everything that is wrong with it is named."""
    if not file.path.is_file():
        return Look(file, None, (Problem(ProblemKind.NO_FILE, str(file.path)),))
    data = file.path.read_bytes()
    digest, stored = hashlib.sha256(data).hexdigest(), decode(data)
    if stored is None:
        return Look(file, None, (Problem(ProblemKind.CORRUPT, str(file.path)),), digest)
    wrong = _other_shape(file, stored)
    if wrong is not None:
        return Look(file, None, (wrong,), digest)
    problems: list[Problem] = []
    file = _with_mask(file, stored, problems)
    file = replace(file, boxes=_kept_boxes(file, problems), mask=None)
    if not file.fractured and (file.boxes or file.polygons):
        problems.append(
            Problem(
                ProblemKind.CONTRADICTION, file.id, "labelled as unfractured, but a fracture is drawn"
            )
        )
    return Look(file, _film(file, stored, film_side), tuple(problems), digest)


def _other_shape(file: LabelledFile, stored: Grey) -> Problem | None:
    """Boxes are shares, so a film that was only scaled may stay."""
    if file.drawn_on is None:
        return None
    rows, columns = file.drawn_on
    # Rounding either size to whole pixels moves the ratio by no more than this.
    if abs(stored.shape[1] * rows - stored.shape[0] * columns) <= max(*stored.shape, rows, columns):
        return None
    size = f"{columns} x {rows}, but the film is {stored.shape[1]} x {stored.shape[0]}"
    return Problem(ProblemKind.OTHER_SIZE, str(file.path), f"annotated as {size}; left out")


def _with_mask(file: LabelledFile, stored: Grey, problems: list[Problem]) -> LabelledFile:
    if file.mask is None:
        return file
    mask = decode(file.mask.read_bytes())
    if mask is None:
        problems.append(Problem(ProblemKind.CORRUPT, str(file.mask)))
        return file
    if mask.shape != stored.shape:
        sizes = f"{mask.shape[1]} x {mask.shape[0]}, its film {stored.shape[1]} x {stored.shape[0]}"
        problems.append(Problem(ProblemKind.MASK_SIZE, str(file.mask), f"the mask is {sizes}"))
        return file
    boxes, polygons = outlines(mask > 127)
    return replace(file, boxes=file.boxes or boxes, polygons=polygons)


def outlines(mask: npt.NDArray[np.bool_]) -> tuple[tuple[Box, ...], tuple[Polygon, ...]]:
    """Boxes and polygons of a mask's pieces, as shares of its width and height."""
    rows, columns = mask.shape
    contours, _ = cv2.findContours(mask.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    boxes, polygons = [], []
    for contour in contours:
        x, y, width, height = cv2.boundingRect(contour)
        boxes.append((x / columns, y / rows, (x + width) / columns, (y + height) / rows))
        points = contour.reshape(-1, 2).astype(np.float32) + 0.5
        if len(points) < 3:  # a line of pixels has no area as a polygon
            corners = [(x, y), (x + width, y), (x + width, y + height), (x, y + height)]
            points = np.array(corners, np.float32)
        polygons.append(points / np.array([columns, rows], np.float32))
    return tuple(boxes), tuple(polygons)


def _kept_boxes(file: LabelledFile, problems: list[Problem]) -> tuple[Box, ...]:
    kept: list[Box] = []
    for box in file.boxes:
        x0, y0, x1, y1 = (min(max(edge, 0.0), 1.0) for edge in box)
        over = max(-box[0], -box[1], box[2] - 1, box[3] - 1)
        said = ", ".join(f"{edge:.4g}" for edge in box)
        if x1 <= x0 or y1 <= y0 or over > _SLIP:
            problems.append(Problem(ProblemKind.BOX_OUTSIDE, file.id, f"box ({said}), as shares"))
            continue
        if over > _ROUNDING:
            problems.append(Problem(ProblemKind.BOX_CLIPPED, file.id, f"box ({said}), as shares"))
        kept.append((x0, y0, x1, y1))
    return tuple(kept)


def _film(file: LabelledFile, stored: Grey, film_side: int) -> Film:
    reduced = reduce_film(stored.astype(np.float32) / np.float32(255), film_side=film_side)
    height, width = reduced.shape
    size = np.array([width, height], np.float32)
    return Film(
        id=file.id,
        grey=to_grey(normalise(reduced)),
        fractured=file.fractured,
        parts=file.parts,
        boxes=tuple(
            (x0 * width, y0 * height, x1 * width, y1 * height) for x0, y0, x1, y1 in file.boxes
        ),
        polygons=tuple(np.clip(points, 0, 1) * size for points in file.polygons),
        cluster=file.cluster,
        split=file.split,
        hardware=file.hardware,
        view=file.view,
        types=file.types,
    )
