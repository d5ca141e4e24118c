"""The process that holds the model for the page: it opens strangers' films, within limits, and hands back values.

Its functions are called by `reading_room` through a pool; this module itself holds no torch, for the page imports it.
"""

from __future__ import annotations

import os
import re
import resource
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from dicom_node.logs import configure_logs
from dicom_node.settings import Log, Model
from pipeline.findings import ImageFindings, NotProcessed

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from pipeline.analysis import Analyzer
    from pipeline.explanation import Explainer
    from pipeline.radiograph import Radiograph

    Pixels = npt.NDArray[np.uint8]

LONGEST_SIDE = 2048
LAYER_SIDE, GRADCAM_SIDE, THUMBNAIL_SIDE = 1024, 1280, 240
# The node's own films go before.
_NICENESS = 10
# zlib: quick; the smallest file would cost more time than the reading.
_COMPRESSION = 3


class Picture(StrEnum):
    """What can be drawn of a film, each a PNG."""

    FILM = "film"
    OVERLAY = "overlay"
    GRADCAM = "gradcam"
    THUMBNAIL = "thumbnail"


@dataclass(frozen=True)
class RoomSettings:
    """What the process needs to know. `spare_bytes`: so much more memory than the opened model a film may take."""

    model: Model
    engines_folder: Path
    log: Log
    spare_bytes: int


@dataclass(frozen=True)
class OpenedRoom:
    """The process, once the model is open. `byte_count`: what it holds in memory by then."""

    pid: int
    engine: str
    byte_count: int


@dataclass(frozen=True)
class TrialReading:
    """A film's findings and the pictures that were asked for, as far as there is a film."""

    findings: ImageFindings
    pictures: dict[Picture, bytes] = field(default_factory=dict)


@dataclass(frozen=True)
class Layers:
    """What is laid over a film, each a grey PNG of its shape with no side above 1024.

    heat: 255 is a probability of 1 that a fracture lies there, calibrated as the regions' is.
    activation: Grad-CAM, 255 its strongest place.
    arrow: tail x, y and head x, y in the film's pixels; None where nothing speaks for a fracture.
    """

    heat: bytes
    activation: bytes
    arrow: tuple[float, float, float, float] | None
    model_digest: str


@dataclass(frozen=True)
class Refused:
    """A file that has no layers, and why."""

    reason: NotProcessed
    detail: str


def limit_process(log: Log) -> None:
    """What holds from the start: no core file with somebody's film in it, last at the processor."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    os.nice(_NICENESS)
    configure_logs("reading", log)


def open_room(settings: RoomSettings) -> OpenedRoom:
    """Opens the model, if it is not open yet.

    Raises:
        ModelPackageError, EngineUnavailableError: the model of the settings cannot be opened.
    """
    room = _room(settings)
    return OpenedRoom(os.getpid(), room.analyzer.identity.engine, _memory("VmRSS") or 0)


def read(settings: RoomSettings, path: Path, wanted: frozenset[Picture]) -> TrialReading:
    """The reading of a file, whatever it holds.

    Raises:
        EngineError: the engine failed this time.
        MemoryError: the film needs more than it may have.
    """
    from pipeline.predict import read_film

    room = _room(settings)
    findings, film = read_film(path, room.analyzer, minimum_age_years=settings.model.minimum_age_years)
    drawn = {picture: room.draw(picture, findings, film) for picture in sorted(wanted)}
    return TrialReading(findings, {name: png for name, png in drawn.items() if png is not None})


def explain(settings: RoomSettings, path: Path) -> Layers | Refused:
    """The layers of a film; raises as `read` does."""
    from pipeline.errors import ScopeError, UnreadableError
    from pipeline.film_file import read_film_file

    try:
        film, _ = read_film_file(path, minimum_age_years=settings.model.minimum_age_years)
    except (ScopeError, UnreadableError) as error:
        return Refused(error.reason, error.detail)
    except OSError as error:
        return Refused(NotProcessed.NOT_AN_IMAGE, error.strerror or "")
    return _room(settings).layers(film)


class _Room:
    """An opened model and what draws; keeps nothing of the last film."""

    def __init__(self, analyzer: Analyzer, explainer: Explainer) -> None:
        self.analyzer, self._explainer = analyzer, explainer

    def draw(self, picture: Picture, findings: ImageFindings, film: Radiograph | None) -> bytes | None:
        """A PNG; None where there is no film that could be shown. Of the overlay there is a card then."""
        from dicom_node.results.overlay_drawing import draw_card, draw_overlay

        if picture is Picture.OVERLAY:
            drawn = (
                draw_card(findings, longest_side=LONGEST_SIDE)
                if film is None
                else draw_overlay(film, findings, longest_side=LONGEST_SIDE)
            )
            return _png(drawn[:, :, ::-1])
        if film is None:
            return None
        if picture is Picture.GRADCAM:
            return None if findings.reason else self._gradcam(findings, film)
        return _png(_plain(film, THUMBNAIL_SIDE if picture is Picture.THUMBNAIL else LONGEST_SIDE))

    def _gradcam(self, findings: ImageFindings, film: Radiograph) -> bytes:
        from dicom_node.results.explanation_capture_drawing import draw_explanation_capture

        said = self._explainer.explain(film)
        drawn = draw_explanation_capture(film, findings, said, longest_side=GRADCAM_SIDE)
        return _png(drawn[:, :, ::-1])

    def layers(self, film: Radiograph) -> Layers:
        """Heat and Grad-CAM of a film."""
        import cv2
        import numpy as np

        heat = self.analyzer.heat(film).on_film(LAYER_SIDE)
        said = self._explainer.explain(film)
        size = (heat.shape[1], heat.shape[0])
        activation = cv2.resize(said.activation, size, interpolation=cv2.INTER_AREA)
        arrow = (*said.arrow.tail, *said.arrow.head) if said.arrow else None
        steps = [
            np.asarray(cv2.convertScaleAbs(layer, alpha=255), np.uint8) for layer in (heat, activation)
        ]
        return Layers(_png(steps[0]), _png(steps[1]), arrow, self.analyzer.identity.digest)


@lru_cache(maxsize=1)
def _room(settings: RoomSettings) -> _Room:
    import cv2
    from PIL import Image

    from pipeline.analysis import Analyzer
    from pipeline.engines.choice import EngineMemory
    from pipeline.explanation import Explainer
    from pipeline.pixel_data import MAX_PIXELS
    from pipeline.processor import threads_wanted

    model = settings.model
    analyzer = Analyzer.open(
        model.path,
        profile=model.profile,
        fracture_threshold=model.fracture_threshold,
        doubt_threshold=model.doubt_threshold,
        # As the analysis has it, or its choice of an engine would not hold here.
        threads=model.threads,
        engine=model.engine,
        memory=EngineMemory(settings.engines_folder),
        said=_said(),
    )
    cv2.setNumThreads(threads_wanted(model.threads))
    Image.MAX_IMAGE_PIXELS = MAX_PIXELS
    room = _Room(analyzer, Explainer.open(model.path))
    _limit_memory(settings.spare_bytes)
    return room


def _said() -> Callable[[str], None]:
    import logging

    log = logging.getLogger("dicom_node.web.reading_process")
    return lambda line: log.info("engine: %s", line)


def _limit_memory(spare_bytes: int) -> None:
    """Writable memory of our own from here on; not the address space, of which torch maps much and uses little."""
    held = _memory("VmData")
    if held is not None:
        resource.setrlimit(resource.RLIMIT_DATA, (held + spare_bytes, held + spare_bytes))


def _memory(name: str) -> int | None:
    """A line of Linux' account of this process, in bytes; None on other systems, which do not limit it either."""
    try:
        account = Path("/proc/self/status").read_text(encoding="ascii")
    except OSError:
        return None
    found = re.search(rf"^{name}:\s*(\d+) kB$", account, re.MULTILINE)
    return int(found[1]) * 1024 if found else None


def _plain(film: Radiograph, longest_side: int) -> Pixels:
    """The film alone in grey, square pixels, no side above `longest_side`."""
    import cv2
    import numpy as np

    tall = film.rows * film.pixel_aspect
    share = min(1.0, longest_side / max(tall, film.columns))
    size = (max(1, round(film.columns * share)), max(1, round(tall * share)))
    way = cv2.INTER_AREA if share < 1.0 else cv2.INTER_LINEAR
    shown = cv2.resize(film.pixels, size, interpolation=way)
    return np.asarray(cv2.convertScaleAbs(np.clip(shown, 0.0, 1.0), alpha=255), np.uint8)


def _png(pixels: Pixels) -> bytes:
    """Uint8 (rows, columns) or, blue first, (rows, columns, 3)."""
    import cv2

    _, encoded = cv2.imencode(".png", pixels, [cv2.IMWRITE_PNG_COMPRESSION, _COMPRESSION])
    return encoded.tobytes()
