"""`/metrics`: figures for Prometheus, read from the ledger at each scrape. No patient and no study is in any label."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from typing import Annotated, TypeVar

from fastapi import APIRouter, Depends
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder
from prometheus_client.metrics_core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    InfoMetricFamily,
    Metric,
    SummaryMetricFamily,
)
from prometheus_client.registry import Collector
from starlette.requests import Request
from starlette.responses import Response

from dicom_node import __version__
from dicom_node.records import DeliveryState
from dicom_node.settings import Settings
from dicom_node.web.access import Permission, Person, may
from dicom_node.web.context import Context, WebContext
from dicom_node.web.health import PROCESSES, is_running
from dicom_node.work.ledger import DATABASE_NAME
from dicom_node.work.tallies import Stage, Tallied, Tallies
from dicom_node.work.workload import OPEN_STATES, Standing, Workload
from pipeline.findings import NotProcessed, Outcome

K = TypeVar("K")
router = APIRouter(include_in_schema=False)
OTHER_PEER = "other"
_ENDED = (
    DeliveryState.DELIVERED,
    DeliveryState.PARKED,
    DeliveryState.CANCELLED,
    DeliveryState.REPLACED,
)
_COMMITMENT_ENDED = ("committed", "sent again", "not committed", "never committed")


@router.get("/metrics")
def show_metrics(
    request: Request,
    context: Context,
    _person: Annotated[Person, Depends(may(Permission.METRICS))],
) -> Response:
    """In the form that the scraper asks for: Prometheus' text, or OpenMetrics."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(NodeCollector(context))
    encode, content_type = choose_encoder(request.headers.get("accept", ""))
    return Response(encode(registry), headers={"Content-Type": content_type})


class NodeCollector(Collector):
    """Reads counts, queues and disk once."""

    def __init__(self, context: WebContext) -> None:
        self._context = context

    def describe(self) -> list[Metric]:
        """Nothing beforehand: registering reads no database."""
        return []

    def collect(self) -> Iterator[Metric]:
        """Every figure.

        Raises:
            LedgerError: the ledger cannot be read; a scrape that fails is seen, one with half of it is not.
        """
        settings, now = self._context.settings, self._context.clock()
        tallies = Tallies.read(self._context.ledger)
        committing = [place.name for place in settings.committing_destinations]
        workload = Workload.read(self._context.ledger, committing)
        yield from _node(settings, workload)
        yield from _received(settings, tallies, workload)
        yield from _readings(tallies)
        yield from _deliveries(settings, tallies, workload, now)
        yield _stages(tallies)
        yield from _queues(workload, now)


def _node(settings: Settings, workload: Workload) -> Iterator[Metric]:
    yield InfoMetricFamily("fracture_node_build", "The version that runs", {"version": __version__})
    model = workload.model
    if model is not None:
        yield InfoMetricFamily(
            "fracture_node_model", "What read the film that came last",
            {"name": model.name, "version": model.version, "engine": model.engine},
        )  # fmt: skip
    up = GaugeMetricFamily(
        "fracture_node_process_up", "Whether a process of the node works", labels=["process"]
    )
    for name in ("supervisor", *PROCESSES):
        up.add_metric([name], is_running(settings, name))
    yield up
    disk = shutil.disk_usage(settings.node.data)
    ledger = settings.node.data / DATABASE_NAME
    yield _gauge("disk_free_bytes", "Free on the data folder's file system", disk.free)
    yield _gauge("disk_used_bytes", "Used on the data folder's file system", disk.used)
    yield _gauge(
        "disk_minimum_free_bytes", "With less free, images are answered A700",
        settings.retention.minimum_free_gb * 1e9,
    )  # fmt: skip
    yield _gauge("ledger_bytes", "Size of the ledger's file", ledger.stat().st_size)


def _received(settings: Settings, tallies: Tallies, workload: Workload) -> Iterator[Metric]:
    associations = _counter("associations", "Associations asked for", ["result", "reason"])
    for (result, reason), count in _with_zero(
        tallies.pairs(Tallied.ASSOCIATIONS),
        [("accepted", "released"), ("rejected", "calling AE title")],
    ).items():
        associations.add_metric([result, reason], count)
    yield associations
    for name, tallied, words in (
        ("instances_received", Tallied.RECEIVED, "Instances taken, by peer of the settings"),
        ("received_bytes", Tallied.RECEIVED_BYTES, "Bytes of the instances taken"),
    ):
        counter = _counter(name, words, ["peer"])
        for peer, count in _by_peer(settings, tallies.of(tallied)).items():
            counter.add_metric([peer], count)
        yield counter
    refused = _counter("instances_refused", "Instances refused, by status", ["status"])
    ignored = _counter("instances_ignored", "Instances answered Success and not kept")
    statuses = {int(label): count for label, count in tallies.of(Tallied.REFUSED).items()}
    for status, count in statuses.items():
        if status:
            refused.add_metric([f"{status:04X}"], count)
    ignored.add_metric([], statuses.get(0, 0))
    yield refused
    yield ignored
    if workload.last_received_at is not None:
        yield _gauge(
            "last_received_timestamp_seconds", "When the last instance came",
            workload.last_received_at.timestamp(),
        )  # fmt: skip


def _by_peer(settings: Settings, counts: Mapping[str, float]) -> dict[str, float]:
    """Peers of the settings by name; all others as one, for anybody can take a name."""
    found = {peer.ae_title: 0.0 for peer in settings.peers} | {OTHER_PEER: 0.0}
    for title, count in counts.items():
        found[title if settings.peer(title) else OTHER_PEER] += count
    return found


def _readings(tallies: Tallies) -> Iterator[Metric]:
    outcomes = _counter("outcomes", "Images whose reading ended, by outcome", ["outcome"])
    for outcome, count in _with_zero(tallies.of(Tallied.OUTCOMES), list(map(str, Outcome))).items():
        outcomes.add_metric([outcome], count)
    yield outcomes
    reasons = _counter(
        "not_processed", "Images that were not processed, by reason", ["reason", "meaning"]
    )
    meanings = {reason.value: reason.meaning for reason in NotProcessed}
    for reason, count in tallies.of(Tallied.NOT_PROCESSED).items():
        reasons.add_metric([reason, meanings.get(reason, "")], count)
    yield reasons


def _deliveries(
    settings: Settings, tallies: Tallies, workload: Workload, now: datetime
) -> Iterator[Metric]:
    names = [place.name for place in settings.destinations]
    ended = _counter("deliveries", "Deliveries that ended", ["destination", "state"])
    known = [(name, str(state)) for name in names for state in _ENDED]
    for pair, count in _with_zero(tallies.pairs(Tallied.DELIVERIES), known).items():
        ended.add_metric(pair, count)
    yield ended
    committed = _counter("commitments", "Storage commitments that ended", ["destination", "state"])
    committing = [place.name for place in settings.committing_destinations]
    known = [(name, state) for name in committing for state in _COMMITMENT_ENDED]
    for pair, count in _with_zero(tallies.pairs(Tallied.COMMITMENTS), known).items():
        committed.add_metric(pair, count)
    yield committed
    none = Standing(0, None)
    standing = {
        (name, state): workload.deliveries.get((name, state), none)
        for name in names
        for state in OPEN_STATES
    }
    yield _by_destination(
        "deliveries_open", "Deliveries queued, waiting or parked now",
        {pair: one.count for pair, one in standing.items()},
    )  # fmt: skip
    yield _by_destination(
        "deliveries_open_age_seconds", "Since when the oldest of them is tried",
        {pair: _age(one, now) for pair, one in standing.items()},
    )  # fmt: skip
    yield _by_destination(
        "commitments_open", "Delivered and not committed, in spite of being asked",
        workload.commitments,
    )  # fmt: skip
    down = GaugeMetricFamily(
        "fracture_node_destination_down", "Whether something waits because it could not be reached",
        labels=["destination"],
    )  # fmt: skip
    for name in names:
        down.add_metric([name], name in workload.down)
    yield down


def _stages(tallies: Tallies) -> Metric:
    stages = SummaryMetricFamily(
        "fracture_node_stage_seconds", "How long a stage of the walk took", labels=["stage"]
    )
    counts, seconds = tallies.of(Tallied.STAGES), tallies.of(Tallied.STAGE_SECONDS)
    for stage in Stage:
        stages.add_metric([stage], int(counts.get(stage, 0)), seconds.get(stage, 0.0))
    return stages


def _queues(workload: Workload, now: datetime) -> Iterator[Metric]:
    length = GaugeMetricFamily("fracture_node_queue_length", "What waits now", labels=["queue"])
    age = GaugeMetricFamily(
        "fracture_node_queue_age_seconds", "How long the oldest has waited", labels=["queue"]
    )
    queues = {
        "images": workload.images,
        "open studies": workload.studies,
        "reports": workload.reports,
    }
    for name, standing in queues.items():
        length.add_metric([name], standing.count)
        age.add_metric([name], _age(standing, now))
    yield length
    yield age


def _with_zero(counts: Mapping[K, float], known: Iterable[K]) -> dict[K, float]:
    """Counts with those that have not happened yet: a counter that begins at 1 hides its first rise."""
    return dict.fromkeys(known, 0.0) | dict(counts)


def _age(standing: Standing, now: datetime) -> float:
    return max(0.0, (now - standing.since).total_seconds()) if standing.since else 0.0


def _gauge(name: str, words: str, value: float) -> Metric:
    return GaugeMetricFamily(f"fracture_node_{name}", words, value)


def _counter(name: str, words: str, labels: list[str] | None = None) -> CounterMetricFamily:
    return CounterMetricFamily(f"fracture_node_{name}", words, labels=labels or [])


def _by_destination(name: str, words: str, values: Mapping[tuple[str, str], float]) -> Metric:
    family = GaugeMetricFamily(f"fracture_node_{name}", words, labels=["destination", "state"])
    for pair, value in values.items():
        family.add_metric(pair, value)
    return family
