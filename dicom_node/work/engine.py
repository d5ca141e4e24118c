"""The seam to the durable engine (DBOS Transact): these few methods are all that the node knows of it.

Work is enqueued in the ledger's own transaction; what was enqueued runs at least once, also after a
kill. Every handler is therefore written so that doing it again is nothing.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import IO, Any

from dbos import DBOS, DBOSClient, Serializer
from dbos._dbos import _get_dbos_instance
from sqlalchemy import Connection

from dicom_node.process_lock import hold_lock
from dicom_node.records import Priority
from dicom_node.work.database_watch import WakingStopEvent
from dicom_node.work.ledger import Ledger

_APPLICATION = "fracture-node"
# Constant: by default it is a hash of the source, and queued work of an older hash never runs.
_APPLICATION_VERSION = "1"
_LIVE = ["ENQUEUED", "PENDING", "DELAYED"]
# Only a safety net: `serve` has the queues looked at whenever the database changed.
_POLLING_SECONDS = 2.0

Handler = Callable[[str], None]


class Queue(StrEnum):
    """One queue per working process; the delivery queue is partitioned so that nobody waits for another."""

    ANALYSIS = "analysis"
    DELIVERY = "delivery"


@dataclass(frozen=True)
class Work:
    """A piece of work: `key` names what is to be done, `round` tells a wanted repetition from an echo."""

    task: str
    key: str
    queue: Queue
    round: int = 1
    priority: Priority = Priority.ROUTINE
    partition: str | None = None

    @property
    def workflow_id(self) -> str:
        """The business key: a second enqueue of the same is nothing."""
        return f"{self.task}:{self.key}:{self.round}"


class _JsonSerializer(Serializer):
    """Plain JSON: a database row never runs code, as a pickle would."""

    def serialize(self, data: Any) -> str:
        return json.dumps(data, default=repr)

    def deserialize(self, serialized_data: str) -> Any:
        return json.loads(serialized_data)

    def name(self) -> str:
        return "fracture_node_json"


class WorkEngine:
    """Enqueues from any process; `serve` makes this process work one queue."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._client = DBOSClient(
            system_database_engine=ledger.engine,
            serializer=_JsonSerializer(),
            application_name=_APPLICATION,
        )
        self._lock: IO[str] | None = None
        self._queue: Queue | None = None
        self._stranded: set[str] = set()

    @staticmethod
    def prepare(ledger: Ledger, destinations: int) -> None:
        """Makes the engine's tables and queues. Once, before the processes start."""
        DBOS(config=_config(ledger, "prepare"))
        DBOS.listen_queues([])
        try:
            DBOS.launch()
            DBOS.register_queue(
                Queue.ANALYSIS, worker_concurrency=2, polling_interval_sec=_POLLING_SECONDS
            )
            DBOS.register_queue(
                Queue.DELIVERY,
                partition_concurrency=1,
                worker_concurrency=destinations + 2,
                polling_interval_sec=_POLLING_SECONDS,
            )
        finally:
            DBOS.destroy()

    def enqueue(self, connection: Connection, work: Work) -> None:
        """Enqueues as part of the caller's transaction."""
        options: Any = {
            "workflow_name": work.task,
            "queue_name": str(work.queue),
            "workflow_id": work.workflow_id,
            "priority": int(work.priority),
            "app_version": _APPLICATION_VERSION,
        }
        if work.partition is not None:
            options["queue_partition_key"] = work.partition
        self._client.enqueue_in_transaction(connection, options, work.key)

    def serve(self, queue: Queue, handlers: Mapping[str, Handler], locks: Path) -> None:
        """Works `queue` in this process until `stop`; unfinished work of a killed one comes first.

        Raises:
            NodeError: another process works this queue.
        """
        self._lock, self._queue = hold_lock(locks / f"{queue}.lock"), queue
        DBOS(config=_config(self._ledger, str(queue)))
        for task, handler in handlers.items():
            DBOS.workflow(name=task, max_recovery_attempts=1000)(_plain(handler, task))
        DBOS.listen_queues([str(queue)])
        DBOS.launch()
        self._wake_on_change(f"queue-worker-{queue}")

    def _wake_on_change(self, thread: str) -> None:
        """Has the engine's queue thread poll when there may be work, not twenty times a second.

        DBOS sleeps between polls by waiting on its stop event, and offers no other way in: the event is
        made one that wakes. A test holds this: it would notice a DBOS that sleeps otherwise.
        """
        database = self._ledger.engine.url.database
        assert database is not None  # noqa: S101 - for the type checker: a ledger is a file
        for stop in _get_dbos_instance().background_thread_stop_events:
            WakingStopEvent.take_over(stop, Path(database), thread)

    def live(self, task: str) -> set[str]:
        """Ids of the work of a task that will run or is running."""
        found = self._client.list_workflows(
            status=_LIVE, name=task, load_input=False, load_output=False
        )
        return {workflow.workflow_id for workflow in found}

    def waiting(self, workflow_ids: list[str]) -> set[str]:
        """Which of these have not begun."""
        if not workflow_ids:
            return set()
        found = self._client.list_workflows(
            workflow_ids=workflow_ids,
            status=["ENQUEUED", "DELAYED"],
            load_input=False,
            load_output=False,
        )
        return {workflow.workflow_id for workflow in found}

    def revive(self) -> int:
        """Enqueues again what counts as running here but has no thread, seen so twice; how many that was.

        A full disk brings that about: a handler ended, and the engine could not write that it did. Its place in
        the queue would be taken until the next start.
        """
        pending = self._client.list_workflows(
            status=["PENDING"], queue_name=str(self._queue), load_input=False, load_output=False
        )
        engine = _get_dbos_instance()
        active = set(engine._active_workflows_set.activeList())
        found = {workflow.workflow_id for workflow in pending} - active
        sure, self._stranded = found & self._stranded, found - self._stranded
        for workflow_id in sure:
            engine._sys_db.reenqueue_for_recovery(workflow_id, [str(self._queue)], str(self._queue))
        return len(sure)

    def cancel(self, workflow_ids: list[str]) -> None:
        """Takes work back that has not begun; what runs goes on.

        The engine would give the place of running work away at once: the next would run beside it.
        """
        waiting = self.waiting(workflow_ids)
        if waiting:
            self._client.cancel_workflows(sorted(waiting))

    def forget_before(self, moment: datetime, most: int = 500) -> int:
        """Deletes the record of work that ended before `moment`; the ledger keeps what people see."""
        found = self._client.list_workflows(
            status=["SUCCESS", "ERROR", "CANCELLED", "MAX_RECOVERY_ATTEMPTS_EXCEEDED"],
            completed_before=moment.isoformat(),
            limit=most,
            load_input=False,
            load_output=False,
        )
        if found:
            self._client.delete_workflows([workflow.workflow_id for workflow in found])
        return len(found)

    def stop(self, drain_seconds: float) -> None:
        """Takes no more work; lets what is running finish within `drain_seconds`."""
        DBOS.destroy(workflow_completion_timeout_sec=int(drain_seconds))
        self._client.destroy()
        if self._lock is not None:
            self._lock.close()


def _config(ledger: Ledger, executor_id: str) -> Any:
    logging.getLogger("dbos").setLevel(logging.WARNING)
    return {
        "name": _APPLICATION,
        "system_database_engine": ledger.engine,
        "application_version": _APPLICATION_VERSION,
        "executor_id": executor_id,
        "serializer": _JsonSerializer(),
        "log_level": "WARNING",
        "run_admin_server": False,
    }


def _plain(handler: Handler, task: str) -> Callable[[str], None]:
    """A handler as the engine wants it: errors are the handler's own business and are logged here."""
    log = logging.getLogger("dicom_node.work")

    def run(key: str) -> None:
        try:
            handler(key)
        except Exception:
            # The top of the worker's loop: the reconciler brings unfinished rows back.
            log.exception("%s failed: key=%s", task, key)
            raise

    run.__qualname__ = run.__name__ = task
    return run
