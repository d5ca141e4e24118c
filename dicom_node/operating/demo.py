"""The demo: a whole node on loopback with a small archive of its own, and what it showed."""

from __future__ import annotations

import shutil
import socket
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pydicom
from PIL import Image

from dicom_node.delivering.file_sending import send_files
from dicom_node.errors import NodeError
from dicom_node.identifiers import derive_uid
from dicom_node.operating.demo_films import DemoFilm, draw_phantoms, wrap_films
from dicom_node.operating.small_archive import SmallArchive
from dicom_node.settings import DicomDestination, Settings, read_settings
from dicom_node.work.job_list import DeliveryLine, ImageLine, JobList, StudyLine
from dicom_node.work.ledger import Ledger
from pipeline.findings import Outcome

_MARK = ".fracture-node-demo"
_LONGEST_SECONDS_PER_IMAGE, _LONGEST_START_SECONDS = 30.0, 60.0
_SETTINGS = """# The demo's node. For research only; not a medical device.
[node]
ae_titles = ["FRACTURE"]
port = {port}
[study]
quiet_seconds = 1.5
longest_wait_seconds = 30
[model]
# Nothing is measured at the start of a node that lives for seconds.
engine = "torch fp32"
[retention]
minimum_free_gb = 0.2
[web]
enabled = false
[log]
level = "warning"
[[destinations]]
name = "archive"
ae_title = "ARCHIVE"
host = "127.0.0.1"
port = {archive_port}
overlay_for = ["fracture", "doubt", "no fracture", "not processed"]
"""


@dataclass(frozen=True)
class DemoStep:
    """One thing that happened, so many seconds after the start."""

    seconds: float
    text: str


@dataclass(frozen=True)
class DemoImage:
    """What became of one film that was sent."""

    sent: str
    outcome: Outcome
    reason: str
    probability: float | None
    body_part: str
    picture: str


Say = Callable[[DemoStep], None]


def clear_folder(folder: Path) -> bool:
    """Makes the folder empty if it holds an earlier demo's results or nothing; false if it holds other things."""
    if folder.is_dir() and any(folder.iterdir()):
        if not (folder / _MARK).is_file():
            return False
        shutil.rmtree(folder)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / _MARK).write_text("written by `dicom-node demo`; cleared by the next one\n")
    return True


def run_demo(folder: Path, images: Sequence[Path], say: Say) -> list[DemoImage]:
    """Sends films through a node and leaves SR, SC and pictures in `folder`.

    Raises:
        NodeError: a film cannot be sent, or not every film came to an outcome and every object to the archive.
    """
    began = time.monotonic()

    def tell(text: str) -> None:
        say(DemoStep(time.monotonic() - began, text))

    films = _films(folder, images)
    with _archive(folder) as archive, _node(folder, archive.port, tell) as settings:
        tell(
            f"small archive ARCHIVE on port {archive.port}, node FRACTURE on port {settings.node.port}"
        )
        _send(films, settings, tell)
        _follow(films, settings, tell)
    ledger = Ledger.open(settings.node.data)
    try:
        lines = {line.sop_instance_uid: line for line in JobList(ledger).images(len(films) * 2)}
    finally:
        ledger.close()
    pictures = _pictures(folder)
    return [_shown(film, lines.get(film.sop_instance_uid), pictures) for film in films]


def _films(folder: Path, images: Sequence[Path]) -> list[DemoFilm]:
    from dicom_node.processes import now

    namespace = uuid.uuid4()

    def uid_of(key: str) -> str:
        return derive_uid(namespace, key)

    sent = folder / "sent"
    return wrap_films(images, sent, uid_of, now()) if images else draw_phantoms(sent, uid_of, now())


@contextmanager
def _archive(folder: Path) -> Iterator[SmallArchive]:
    archive = SmallArchive(folder, ae_title="ARCHIVE")
    archive.start()
    try:
        yield archive
    finally:
        archive.stop()


@contextmanager
def _node(folder: Path, archive_port: int, tell: Callable[[str], None]) -> Iterator[Settings]:
    """The node of `dicom-node serve`, for as long as it is needed."""
    from dicom_node.supervisor import Supervisor, prepare_data

    home = folder / "node"
    home.mkdir()
    path = home / "node.toml"
    path.write_text(_SETTINGS.format(port=_free_port(), archive_port=archive_port))
    settings = read_settings(path)
    prepare_data(settings)
    stop = threading.Event()
    thread = threading.Thread(target=Supervisor(path.resolve(), settings).run, args=(stop,))
    thread.start()
    try:
        _wait_for_port(settings.node.port)
        yield settings
        tell("the node ends: its processes are drained")
    finally:
        stop.set()
        thread.join()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _wait_for_port(port: int) -> None:
    until = time.monotonic() + _LONGEST_START_SECONDS
    while time.monotonic() < until:
        with socket.socket() as probe:
            probe.settimeout(1)
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.1)
    raise NodeError(f"the node did not listen on port {port} within {_LONGEST_START_SECONDS:.0f} s")


def _send(films: Sequence[DemoFilm], settings: Settings, tell: Callable[[str], None]) -> None:
    node = DicomDestination(name="node", ae_title="FRACTURE", host="127.0.0.1", port=settings.node.port)
    names = {film.path: film.name for film in films}
    for sent in send_files([film.path for film in films], node, "MODALITY"):
        if not sent.taken:
            raise NodeError(f"{names[sent.path]}: the node did not take it: {sent.reason}")
        tell(f"sent {names[sent.path]}: Success, it is on disk")


def _follow(films: Sequence[DemoFilm], settings: Settings, tell: Callable[[str], None]) -> None:
    """Tells what the ledger sees until nothing goes on any more."""
    ledger = Ledger.open(settings.node.data)
    jobs = JobList(ledger)
    names = {film.sop_instance_uid: film.name for film in films}
    told: set[str] = set()

    def once(text: str) -> None:
        if text not in told:
            told.add(text)
            tell(text)

    until = time.monotonic() + _LONGEST_START_SECONDS + _LONGEST_SECONDS_PER_IMAGE * len(films)
    try:
        while time.monotonic() < until:
            unfinished = jobs.unfinished()
            for image in reversed(jobs.images(len(films) * 2)):
                _tell_image(image, names.get(image.sop_instance_uid, "film"), once)
            for study in reversed(jobs.studies(len(films))):
                _tell_study(study, once)
            if not unfinished:
                return
            time.sleep(0.1)
    finally:
        ledger.close()
    raise NodeError(
        "not everything came to its end in time; the ledger is in the demo's folder, under node/data"
    )


def _tell_image(image: ImageLine, name: str, once: Callable[[str], None]) -> None:
    if image.findings is not None:
        probability = image.findings.fracture_probability
        sure = f", {probability:.0%}" if probability is not None else ""
        once(f"read {name}: {image.findings.outcome}{sure}")
    for delivery in image.deliveries:
        _tell_delivery(delivery, f"overlay of {name}", once)


def _tell_study(study: StudyLine, once: Callable[[str], None]) -> None:
    name = f"study …{study.study_instance_uid[-6:]}"
    once(f"{name} is quiet: its findings close, {study.images} images, revision {study.revision}")
    if study.state not in ("composing", "composed"):
        once(f"{name}: {study.state}, {study.detail or 'no report'}")
    for delivery in study.deliveries:
        _tell_delivery(delivery, f"report of {name}", once)


def _tell_delivery(delivery: DeliveryLine, what: str, once: Callable[[str], None]) -> None:
    if delivery.state == "delivered":
        once(f"{what} is in the archive (…{delivery.sop_instance_uid[-6:]})")


def _pictures(folder: Path) -> dict[str, str]:
    """A PNG of each overlay that came to the archive, by the SOP Instance UID of its source."""
    pictures = {}
    for path in sorted(folder.glob("*_sc.dcm")):
        overlay = pydicom.dcmread(path)
        picture = path.with_suffix(".png")
        Image.fromarray(overlay.pixel_array).save(picture)
        source = overlay.SourceImageSequence[0].ReferencedSOPInstanceUID
        pictures[str(source)] = picture.name
    return pictures


def _shown(film: DemoFilm, line: ImageLine | None, pictures: dict[str, str]) -> DemoImage:
    if line is None or line.findings is None:
        raise NodeError(f"{film.name}: came to no outcome")
    findings = line.findings
    return DemoImage(
        sent=film.name,
        outcome=findings.outcome,
        reason=findings.reason.meaning if findings.reason else "",
        probability=findings.fracture_probability,
        body_part=findings.body_part.name if findings.body_part else "",
        picture=pictures.get(film.sop_instance_uid, ""),
    )
