"""Is all well? One finding per thing that must be right, in the order in which a radiograph meets them."""

from __future__ import annotations

import shutil
import socket
import time
from collections.abc import Iterator
from datetime import datetime

from dicom_node.delivering.verification import verify
from dicom_node.errors import NodeError
from dicom_node.operating.destination_check import examine_destination
from dicom_node.operating.examined import Examined, Verdict
from dicom_node.operating.page_check import examine_page
from dicom_node.settings import DicomDestination, Settings
from dicom_node.work.job_list import JobList
from dicom_node.work.ledger import DATABASE_NAME, Ledger


def examine(settings: Settings, *, measure: bool = False) -> Iterator[Examined]:
    """Everything that `check` shows, one after the other as it is found; `measure` times the engines anew."""
    yield _disk(settings)
    yield from _model(settings, measure)
    yield _port(settings)
    yield from examine_page(settings)
    for place in settings.destinations:
        yield from examine_destination(settings, place)
    yield from _ledger(settings)


def _disk(settings: Settings) -> Examined:
    data = settings.node.data
    existing = next(folder for folder in (data, *data.parents) if folder.exists())
    free = shutil.disk_usage(existing).free / 1e9
    least = settings.retention.minimum_free_gb
    said = f"{data}: {free:.1f} GB free"
    if free < least:
        return Examined(
            "disk",
            Verdict.FAILED,
            f"{said}, retention.minimum_free_gb is {least:g}: make room, else A700",
        )
    return Examined("disk", Verdict.GOOD, said)


def _model(settings: Settings, measure: bool) -> Iterator[Examined]:
    from pipeline.analysis import Analyzer
    from pipeline.engines.choice import EngineMemory
    from pipeline.errors import PipelineError

    heard: list[str] = []
    memory = EngineMemory(settings.engines_folder, time.perf_counter if measure else None, measure)
    try:
        analyzer = Analyzer.open(
            settings.model.path,
            profile=settings.model.profile,
            fracture_threshold=settings.model.fracture_threshold,
            doubt_threshold=settings.model.doubt_threshold,
            threads=settings.model.threads,
            engine=settings.model.engine,
            memory=memory,
            said=heard.append,
        )
    except PipelineError as error:
        yield Examined("model", Verdict.FAILED, str(error))
        return
    model, points = analyzer.identity, analyzer.thresholds
    yield Examined(
        "model",
        Verdict.GOOD,
        f"{model.name} {model.version}, {model.engine}, golden answer given; "
        f"fracture from {points.fracture:.3f}, doubt from {points.doubt:.3f}"
        + (f", site profile {model.profile[:12]}" if model.profile else ""),
    )
    yield Examined("engine", Verdict.NOTE, "; ".join(heard))


def _port(settings: Settings) -> Examined:
    """Free, or held by this node: told apart by a C-ECHO."""
    node = settings.node
    host = "127.0.0.1" if node.address == "0.0.0.0" else node.address  # noqa: S104 - a comparison
    where = f"{node.address}:{node.port}"
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, node.port))
        except OSError as error:
            busy = error
        else:
            return Examined("port", Verdict.NOTE, f"{where} is free: the node is not running")
    title = next(iter(node.called))
    calling = settings.peers[0].ae_title if settings.peers else "CHECK"
    answer = verify(
        DicomDestination(name="self", ae_title=title, host=host, port=node.port, timeout_seconds=5),
        calling,
    )
    if answer.answered:
        return Examined(
            "port", Verdict.GOOD, f"{where}: the node answers in {answer.milliseconds or 0:.0f} ms"
        )
    rejected = "rejected" in answer.reason
    said = f"{where} is taken ({busy.strerror}); as {calling!r}: {answer.reason}"
    return Examined("port", Verdict.NOTE if rejected else Verdict.FAILED, said)


def _ledger(settings: Settings) -> Iterator[Examined]:
    if not (settings.node.data / DATABASE_NAME).is_file():
        yield Examined("ledger", Verdict.NOTE, "not there yet; `dicom-node serve` makes it")
        return
    try:
        ledger = Ledger.open(settings.node.data)
        jobs = JobList(ledger)
        going_on = jobs.unfinished()
        seen = {line.calling_ae_title: line for line in jobs.peers()}
        parked, uncommitted = jobs.parked(), jobs.uncommitted()
        awaiting = jobs.awaiting_commitment()
    except NodeError as error:
        yield Examined("ledger", Verdict.FAILED, str(error))
        return
    said = f"{going_on} in work"
    if parked:
        said += f", {parked} parked deliveries (`dicom-node jobs list --state parked`)"
    if awaiting:
        said += f", {awaiting} deliveries wait for storage commitment"
    if uncommitted:
        said += f", {uncommitted} deliveries that no archive is responsible for"
    yield Examined("ledger", Verdict.GOOD, said)
    for title in [peer.ae_title for peer in settings.peers] or sorted(seen):
        line = seen.get(title)
        if line is None:
            yield Examined(f"peer {title}", Verdict.NOTE, "has not associated yet")
            continue
        came = "accepted" if line.accepted else f"rejected: {line.reason}"
        yield Examined(
            f"peer {title}", Verdict.NOTE,
            f"last seen {_local(line.at)} from {line.address}, {came}, {line.stored} stored, {line.refused} refused",
        )  # fmt: skip
    ledger.close()


def _local(moment: datetime) -> str:
    return moment.astimezone().strftime("%Y-%m-%d %H:%M:%S")
