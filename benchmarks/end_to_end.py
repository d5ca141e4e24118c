"""From the last byte of a C-STORE to its overlay in the archive, beside the same parts called in a line.

    python benchmarks/end_to_end.py --images 20

The node is `dicom-node serve` with an archive on loopback. The parts are the node's own functions, called one
after the other in this process, with the same model, ledger, disk and archive: spool and register, decode,
analyse, compose, outbox and finish, C-STORE. Image by image, first the one way, then the other; medians
and their ratio are printed.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

PROJECT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(PROJECT))

from pynetdicom import AE, evt  # noqa: E402

from dicom_node import __version__  # noqa: E402
from dicom_node.delivering.storage_scu import Sender  # noqa: E402
from dicom_node.dimse_status import StoreStatus  # noqa: E402
from dicom_node.receiving.spool import Spool  # noqa: E402
from dicom_node.records import Priority, ReceivedInstance, StudyImage  # noqa: E402
from dicom_node.results.composition import CompositionContext, DestinationProfile  # noqa: E402
from dicom_node.results.secondary_capture import compose_overlay  # noqa: E402
from dicom_node.results.source_context import header_digest, read_source_header  # noqa: E402
from dicom_node.settings import Settings  # noqa: E402
from dicom_node.supervisor import prepare_data  # noqa: E402
from dicom_node.work.deliveries import DeliveryQueue, NewDelivery  # noqa: E402
from dicom_node.work.engine import WorkEngine  # noqa: E402
from dicom_node.work.intake import LedgerIntake  # noqa: E402
from dicom_node.work.ledger import Ledger  # noqa: E402
from dicom_node.work.outbox import Outbox  # noqa: E402
from dicom_node.work.readings import FinishedReading, Readings  # noqa: E402
from pipeline.analysis import Analyzer  # noqa: E402
from pipeline.film_file import read_dataset  # noqa: E402
from pipeline.pixel_conversion import read_radiograph  # noqa: E402
from tests.node.running_node import SUSPECT_ALL, destination, running_node, settings_text  # noqa: E402
from tests.phantoms import phantom  # noqa: E402

ROWS, COLUMNS = 2500, 2048


class Archive:
    """Stores nothing; says when the last byte of an overlay had come."""

    def __init__(self) -> None:
        self.arrived = threading.Event()
        self.at = 0.0
        ae = AE(ae_title="ARCHIVE")
        for uid in ("1.2.840.10008.1.1", "1.2.840.10008.5.1.4.1.1.7", "1.2.840.10008.5.1.4.1.1.88.34"):
            ae.add_supported_context(uid)
        handlers: Any = [(evt.EVT_C_STORE, self._store)]
        self._server: Any = ae.start_server(("127.0.0.1", 0), block=False, evt_handlers=handlers)
        self.port = int(self._server.socket.getsockname()[1])

    def _store(self, event: Any) -> int:
        if str(event.request.AffectedSOPClassUID).endswith(".1.7"):
            self.at = time.perf_counter()
            self.arrived.set()
        return int(StoreStatus.SUCCESS)

    def wait(self) -> float:
        """When the overlay came."""
        if not self.arrived.wait(120):
            raise SystemExit("no overlay came within 120 s")
        self.arrived.clear()
        return self.at


class Modality:
    """A sender that knows when its last byte was given to the network."""

    def __init__(self, port: int) -> None:
        self._port, self._last = port, 0.0
        self._ae = AE(ae_title="MODALITY")
        self._ae.add_requested_context("1.2.840.10008.5.1.4.1.1.1")

    def send(self, ds: Any) -> float:
        """Sends a film; when its last byte went."""
        last = 0.0

        def note(_event: Any) -> None:
            nonlocal last
            last = time.perf_counter()

        association = self._ae.associate("127.0.0.1", self._port, ae_title="FRACTURE")
        association.bind(evt.EVT_DATA_SENT, note)
        status = association.send_c_store(ds)
        sent = last
        association.release()
        if status.get("Status") != StoreStatus.SUCCESS:
            raise SystemExit(f"the node answered {status}")
        return sent


class InALine:
    """The node's parts in one process."""

    def __init__(self, data: Path, settings: Settings) -> None:
        self.settings = settings
        prepare_data(settings)
        ledger = Ledger.open(data)
        engine = WorkEngine(ledger)
        deliveries = DeliveryQueue(ledger, engine)
        self.intake = LedgerIntake(ledger, engine, deliveries)
        self.readings = Readings(ledger, engine, deliveries)
        self.spool, self.outbox = Spool(data, 0), Outbox(data)
        self.spool.prepare()
        self.analyzer = Analyzer.open(
            fracture_threshold=SUSPECT_ALL, doubt_threshold=SUSPECT_ALL,
            threads=settings.model.threads,
        )  # fmt: skip
        self.installation = ledger.installation_id()

    def run(self, ds: Any) -> dict[str, float]:
        """Seconds of each part for a film."""
        encoded = _data_set_bytes(ds)
        seconds: dict[str, float] = {}

        def timed(name: str, part: Callable[[], Any]) -> Any:
            began = time.perf_counter()
            value = part()
            seconds[name] = time.perf_counter() - began
            return value

        received = timed("spool and register", lambda: self._receive(ds, encoded))
        job, source, radiograph = timed("decode", lambda: self._open(received))
        findings = timed("analyse", lambda: self.analyzer.analyze(radiograph))
        result = timed("compose", lambda: self._compose(job, source, radiograph, findings))
        timed("outbox and ledger", lambda: self._finish(job, radiograph, findings, result))
        timed("C-STORE", lambda: self._send(result))
        return seconds

    def _receive(self, ds: Any, encoded: bytes) -> ReceivedInstance:
        data_set = self.spool.begin(ds.SOPClassUID, ds.SOPInstanceUID, "1.2.840.10008.1.2.1")
        data_set.write(memoryview(encoded))
        kept = self.spool.keep(ds.SOPInstanceUID, data_set)
        received = ReceivedInstance(
            kept.id, ds.SOPInstanceUID, ds.SOPClassUID, ds.StudyInstanceUID, ds.SeriesInstanceUID,
            "1.2.840.10008.1.2.1", kept.bytes_digest, kept.byte_count, kept.path, "MODALITY", "FRACTURE",
            "127.0.0.1", Priority.ROUTINE, "CR", datetime.now(UTC),
        )  # fmt: skip
        self.intake.register(received)
        return received

    def _open(self, received: ReceivedInstance) -> Any:
        job = self.readings.begin(received.id, datetime.now(UTC))
        assert job is not None
        source = read_dataset(self.settings.node.data / job.spool_path)
        return job, source, read_radiograph(source)

    def _compose(self, job: Any, source: Any, radiograph: Any, findings: Any) -> Any:
        image = StudyImage(
            job.instance_id, job.sop_instance_uid, job.sop_class_uid, radiograph.pixel_digest,
            header_digest(source), findings,
        )  # fmt: skip
        context = CompositionContext(self.installation, __version__, job.begun_at)
        profile = DestinationProfile.of(self.settings.destinations[0])
        header = read_source_header(source)
        return compose_overlay(
            image, header, radiograph, profile, context, revision=1, instance_number=1
        )

    def _finish(self, job: Any, radiograph: Any, findings: Any, result: Any) -> None:
        stored = self.outbox.store(result)
        reading = FinishedReading(findings, radiograph.pixel_digest, "")
        delivery = NewDelivery(result, stored, "archive", 1, job.instance_id, Priority.ROUTINE)
        self.readings.finish(job, reading, (delivery,), datetime.now(UTC))

    def _send(self, result: Any) -> None:
        with Sender(self.settings.destinations[0], "FRACTURE") as sender:
            sender.send(result.data)


def _data_set_bytes(ds: Any) -> bytes:
    from pynetdicom.dsutils import encode

    encoded = encode(ds, False, True)
    assert encoded is not None
    return bytes(encoded)


def main() -> None:
    """Runs both ways, image by image, and prints medians and ratio."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=20)
    count = parser.parse_args().images
    archive = Archive()
    with tempfile.TemporaryDirectory() as folder:
        text = settings_text(
            [destination("archive", archive.port, objects=["sc"])],
            study={"quiet_seconds": 600, "longest_wait_seconds": 600},
            model={"threads": 0},
        )
        with running_node(Path(folder) / "node", text) as node:
            node.wait_for(lambda: "model " in node.log)
            data = Path(folder) / "line"
            line = InALine(
                data,
                node.settings.model_copy(
                    update={"node": node.settings.node.model_copy(update={"data": data})}
                ),
            )
            modality = Modality(node.port)
            films = [
                phantom(
                    rows=ROWS,
                    columns=COLUMNS,
                    seed=number + 1,
                    study=f"s{number}",
                    instance_number=number + 1,
                )
                for number in range(count + 2)
            ]
            ends, parts = [], []
            for ds in films:
                sent = modality.send(ds)
                ends.append(archive.wait() - sent)
                parts.append(line.run(ds))
                archive.wait()
    _report(ends[2:], parts[2:])


def _report(ends: list[float], parts: list[dict[str, float]]) -> None:
    print(
        f"{len(ends)} films of {ROWS} x {COLUMNS}, 12 bit, uncompressed; medians, after two to warm up"
    )
    for name in parts[0]:
        print(f"  {name:<20} {1000 * statistics.median(part[name] for part in parts):8.1f} ms")
    total = statistics.median(sum(part.values()) for part in parts)
    end = statistics.median(ends)
    print(f"  {'sum of the parts':<20} {1000 * total:8.1f} ms")
    print(
        f"  {'the node':<20} {1000 * end:8.1f} ms  (90th percentile {1000 * sorted(ends)[int(len(ends) * 0.9)]:.1f})"
    )
    print(f"  ratio                {end / total:8.2f}")


if __name__ == "__main__":
    main()
