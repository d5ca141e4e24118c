"""The reading room: the model in a process of its own, which may die of a film without anybody else noticing."""

from __future__ import annotations

import io
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import psutil
import pytest
from PIL import Image

from dicom_node.settings import Settings, read_settings
from dicom_node.web.problem import ProblemError
from dicom_node.web.reading_room import Picture, ReadingRoom, RoomLimits
from pipeline.analysis import Analyzer
from pipeline.explanation import Explainer
from pipeline.film_file import read_film_file
from pipeline.predict import read_and_analyze
from tests.node.running_node import SUSPECT_ALL, destination, settings_text
from tests.web.given_files import dicom_film, encoded, png_film

ROWS, COLUMNS = 256, 208


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory, tiny_package: Path) -> Settings:
    """A node that reads with the tiny network."""
    folder = tmp_path_factory.mktemp("narrow")
    text = settings_text([destination("archive", 11113)], model={"path": str(tiny_package)})
    (folder / "node.toml").write_text(text)
    return read_settings(folder / "node.toml")


@pytest.fixture(scope="module")
def narrow_room(settings: Settings) -> Iterator[ReadingRoom]:
    """A room with little patience and little memory, in which nobody may wait."""
    room = ReadingRoom(settings, RoomLimits(film_seconds=4, waiting=0, spare_bytes=192 << 20))
    yield room
    room.end()


@pytest.fixture
def film(tmp_path: Path) -> Path:
    """A drawn hand."""
    path = tmp_path / "hand.dcm"
    path.write_bytes(dicom_film())
    return path


@pytest.fixture
def stalling(tmp_path: Path) -> Path:
    """A file that never begins: nobody writes into this pipe."""
    path = tmp_path / "pipe"
    os.mkfifo(path)
    return path


def refusal(read: Callable[[], object]) -> ProblemError:
    """The problem that it ends with."""
    with pytest.raises(ProblemError) as caught:
        read()
    return caught.value


def grey(png: bytes) -> np.ndarray:
    """A PNG's pixels."""
    return np.asarray(Image.open(io.BytesIO(png)))


def test_the_room_says_what_the_analysis_says(
    shared_room: ReadingRoom, film: Path, tiny_package: Path
) -> None:
    """The same file, model, thresholds and engine: the same findings as the node's own reading, to the digit."""
    analyzer = Analyzer.open(
        tiny_package, fracture_threshold=SUSPECT_ALL, doubt_threshold=SUSPECT_ALL, threads=1, engine="torch fp32"
    )  # fmt: skip
    reading = shared_room.read(film)
    assert reading.findings == read_and_analyze(film, analyzer)
    assert reading.findings.reason is None
    assert not reading.pictures


def test_pictures_are_drawn_where_they_are_asked_for(shared_room: ReadingRoom, film: Path) -> None:
    """Film, overlay and Grad-CAM have the film's shape or strips around it; the thumbnail is small."""
    pictures = shared_room.read(film, frozenset(Picture)).pictures
    assert set(pictures) == set(Picture)
    assert grey(pictures[Picture.FILM]).shape == (ROWS, COLUMNS)
    assert max(grey(pictures[Picture.THUMBNAIL]).shape) == 240
    for picture in (Picture.OVERLAY, Picture.GRADCAM):
        drawn = grey(pictures[picture])
        assert drawn.shape[2] == 3
        assert np.ptp(drawn.astype(int), axis=2).max() > 60, f"{picture} has no colour"


def test_layers_lie_where_the_film_s_regions_are(
    shared_room: ReadingRoom, film: Path, tiny_package: Path
) -> None:
    """In a region's box heat reaches the region's probability; Grad-CAM and arrow are the explainer's own."""
    layers = shared_room.explain(film)
    findings = shared_room.read(film).findings
    assert layers.model_digest == findings.model.digest
    heat, activation = grey(layers.heat), grey(layers.activation)
    assert heat.shape == activation.shape == (ROWS, COLUMNS)
    assert findings.regions
    for region in findings.regions:
        x0, y0, x1, y1 = (round(edge) for edge in region.box)
        assert heat[y0:y1, x0:x1].max() / 255 == pytest.approx(region.probability, abs=0.1)
    said = Explainer.open(tiny_package).explain(read_film_file(film)[0])
    assert np.abs(activation / 255 - said.activation).max() < 0.01
    assert said.arrow is not None
    assert layers.arrow == pytest.approx((*said.arrow.tail, *said.arrow.head))


def test_a_file_without_a_film_has_an_outcome_and_no_layers(
    shared_room: ReadingRoom, tmp_path: Path
) -> None:
    """Reading ends in "not processed" with a card; layers are refused with the same reason."""
    path = tmp_path / "half.dcm"
    path.write_bytes(dicom_film()[:-5000])
    reading = shared_room.read(path, frozenset(Picture))
    assert reading.findings.reason == "FN-103"
    assert set(reading.pictures) == {Picture.OVERLAY}
    problem = refusal(lambda: shared_room.explain(path))
    assert problem.status == 422
    assert "FN-103" in problem.detail


def test_the_process_leaves_no_core_and_has_a_limit(shared_room: ReadingRoom, film: Path) -> None:
    """A crash writes nobody's film to disk; memory beyond the model is bounded; the node's own work goes before."""
    shared_room.read(film)
    assert shared_room.opened is not None
    process = psutil.Process(shared_room.opened.pid)
    assert process.rlimit(psutil.RLIMIT_CORE) == (0, 0)
    held = process.memory_info().data
    assert held < process.rlimit(psutil.RLIMIT_DATA)[0] < held + (3 << 30)
    assert process.nice() > psutil.Process().nice()


def stalls(room: ReadingRoom, film: Path, stalling: Path) -> None:
    """A film that is never through, and another that comes meanwhile."""
    problems: list[ProblemError] = []
    room.read(film)
    thread = threading.Thread(target=lambda: problems.append(refusal(lambda: room.read(stalling))))
    thread.start()
    while not room.is_busy:
        time.sleep(0.01)
    other = refusal(lambda: room.read(film))
    assert other.status == 429
    assert other.headers["Retry-After"]
    thread.join()
    assert problems[0].status == 422
    assert "longer than 4 s" in problems[0].detail


def bloats(room: ReadingRoom, film: Path, _stalling: Path) -> None:
    """A film that needs more than it may have."""
    path = film.parent / "wide.png"
    path.write_bytes(encoded(np.tile(np.arange(250, dtype=np.uint8), (8000, 40)), "PNG"))
    problem = refusal(lambda: room.read(path))
    assert problem.status == 422
    assert "memory" in problem.detail


def dies(room: ReadingRoom, film: Path, stalling: Path) -> None:
    """A process that somebody kills while it reads."""
    room.read(film)
    assert room.opened is not None
    problems: list[ProblemError] = []
    thread = threading.Thread(target=lambda: problems.append(refusal(lambda: room.read(stalling))))
    thread.start()
    while not room.is_busy:
        time.sleep(0.01)
    os.kill(room.opened.pid, signal.SIGKILL)
    thread.join()
    assert problems[0].status == 503
    assert problems[0].headers["Retry-After"]


@pytest.mark.parametrize("trouble", [stalls, bloats, dies])
def test_after_trouble_the_next_film_is_read_by_a_new_process(
    narrow_room: ReadingRoom,
    film: Path,
    stalling: Path,
    trouble: Callable[[ReadingRoom, Path, Path], None],
) -> None:
    """Each is said in words, its process is gone, and the next film is read as if nothing had been."""
    before = narrow_room.read(film)
    assert narrow_room.opened is not None
    old = narrow_room.opened.pid
    trouble(narrow_room, film, stalling)
    assert narrow_room.opened is None
    assert not psutil.pid_exists(old)
    assert narrow_room.read(film) == before
    assert narrow_room.opened.pid != old


def test_a_room_that_ends_gives_up_its_film(
    narrow_room: ReadingRoom, film: Path, stalling: Path
) -> None:
    """Whoever waits is answered, the process is gone, and nobody is let in any more."""
    narrow_room.read(film)
    assert narrow_room.opened is not None
    pid = narrow_room.opened.pid
    problems: list[ProblemError] = []
    thread = threading.Thread(
        target=lambda: problems.append(refusal(lambda: narrow_room.read(stalling)))
    )
    thread.start()
    while not narrow_room.is_busy:
        time.sleep(0.01)
    narrow_room.end()
    thread.join()
    assert problems[0].status == 503
    assert not psutil.pid_exists(pid)
    assert refusal(lambda: narrow_room.read(film)).status == 503


def test_memory_is_given_back_after_an_idle_while(settings: Settings, tmp_path: Path) -> None:
    """A room that nobody uses ends its process by itself."""
    (tmp_path / "hand.png").write_bytes(png_film())
    room = ReadingRoom(settings, RoomLimits(idle_seconds=0.2))
    room.read(tmp_path / "hand.png")
    until = time.monotonic() + 60
    while room.opened is not None:
        assert time.monotonic() < until, "it is still there"
        time.sleep(0.05)
    room.end()


def test_a_model_that_cannot_be_opened_is_said(settings: Settings, tmp_path: Path, film: Path) -> None:
    """The request is answered with what is wrong with the model, as the analysis would log it."""
    model = settings.model.model_copy(update={"path": tmp_path / "nowhere"})
    room = ReadingRoom(settings.model_copy(update={"model": model}))
    problem = refusal(lambda: room.read(film))
    room.end()
    assert problem.status == 503
    assert "nowhere" in problem.detail
