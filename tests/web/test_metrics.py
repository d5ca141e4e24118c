"""The figures for Prometheus: right, lasting, bounded, and without anybody's identity."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client import Metric
from prometheus_client.openmetrics.parser import (
    text_string_to_metric_families as open_metrics,
)
from prometheus_client.parser import text_string_to_metric_families

from dicom_node.records import AssociationRecord, DeliveryState
from dicom_node.register.credentials import Credentials
from dicom_node.work.intake import LedgerIntake
from dicom_node.work.ledger import DATABASE_NAME, Ledger
from dicom_node.work.retention import Retention
from dicom_node.work.tallies import Stage, Tallied, Tallies
from dicom_node.work.workload import Workload
from tests.phantoms import phantom
from tests.results.hand_made import DOUBTFUL, NEGATIVE, NOT_ATTEMPTED, POSITIVE

from .conftest import PASSWORD, Site, make_site
from .studies import Walk

ALERTS = Path(__file__).resolve().parent.parent.parent / "docs" / "alerts.yml"
NAME = "Röntgen^Wilhelm"
PEERS = [{"ae_title": "PACS", "hosts": ["127.0.0.1"]}]


@dataclass(frozen=True)
class Walked:
    """A node that took, read and delivered a study of four films."""

    site: Site
    walk: Walk
    identity: frozenset[str]


@pytest.fixture
def walked(tmp_path: Path) -> Iterator[Walked]:
    """One film waits unread beside them; an association of each kind came."""
    for site in make_site(tmp_path, peers=PEERS):
        walk = Walk(site)
        films = [phantom(seed=seed) for seed in range(1, 6)]
        for film in films:
            film.PatientName = NAME
        readings = (POSITIVE, DOUBTFUL, NEGATIVE, NOT_ATTEMPTED)
        walk.whole(list(zip(films[:4], readings, strict=True)))
        films[4].StudyInstanceUID = "1.2.3.4"
        walk.receive(films[4])
        note(walk, accepted=True, reason="released", stored=5)
        note(walk, accepted=False, reason="calling AE title is no peer")
        note(walk, accepted=False, reason="max_associations = 20 of this peer are open")
        identity = {NAME, *(str(one.PatientID) for one in films)}
        for film in films:
            identity |= {str(film.SOPInstanceUID), str(film.StudyInstanceUID)}
        yield Walked(site, walk, frozenset(identity))


def note(walk: Walk, **more: Any) -> None:
    """An association that ended."""
    record = AssociationRecord("PACS", "FRACTURE", "127.0.0.1", walk.site.now, **more)
    LedgerIntake(walk.site.ledger, walk.engine, walk.deliveries).note_association(record)


def scraped(site: Site) -> dict[str, Metric]:
    """The families of a scrape by name."""
    answer = site.program().get("/metrics")
    assert answer.status_code == 200
    return {family.name: family for family in text_string_to_metric_families(answer.text)}


def samples(site: Site) -> dict[tuple[str, ...], float]:
    """Every sample: its name and label values in the order of the labels' names."""
    return {
        (one.name, *(one.labels[label] for label in sorted(one.labels))): one.value
        for family in scraped(site).values()
        for one in family.samples
    }


def test_the_figures_are_those_of_what_happened(walked: Walked) -> None:
    """Received, read, refused, delivered, waiting: as the study went."""
    found = samples(walked.site)
    prefix = "fracture_node_"
    assert found[prefix + "instances_received_total", "PACS"] == 5
    assert found[prefix + "received_bytes_total", "PACS"] > 5 * len(phantom().PixelData)
    for outcome, count in {"fracture": 1, "doubt": 1, "no fracture": 1, "not processed": 1}.items():
        assert found[prefix + "outcomes_total", outcome] == count
    reason = NOT_ATTEMPTED.reason
    assert reason is not None
    assert found[prefix + "not_processed_total", reason.meaning, reason.value] == 1
    assert found[prefix + "associations_total", "released", "accepted"] == 1
    assert found[prefix + "associations_total", "calling AE title", "rejected"] == 1
    assert found[prefix + "associations_total", "limit", "rejected"] == 1
    # A report, and an overlay each for the fracture and the doubt.
    assert found[prefix + "deliveries_total", "archive", "delivered"] == 3
    assert found[prefix + "deliveries_open", "archive", "queued"] == 0
    assert found[prefix + "queue_length", "images"] == 1
    assert found[prefix + "queue_length", "open studies"] == 1
    assert found[
        prefix + "model_info", POSITIVE.model.engine, POSITIVE.model.name, POSITIVE.model.version
    ]


def test_stages_are_timed(walked: Walked) -> None:
    """How often each stage ended and how long it took, as the walk's own clock went."""
    found = samples(walked.site)

    def stage(name: Stage) -> tuple[float, float]:
        prefix = "fracture_node_stage_seconds"
        return found[f"{prefix}_count", name], found[f"{prefix}_sum", name]

    # The walk waits a second before each reading, half of one for it, and 61 until it closes.
    assert stage(Stage.WAITING) == (4, 4.0)
    assert stage(Stage.READING) == (4, 2.0)
    assert stage(Stage.GATHERING) == (1, 4 * 1.5 + 61)
    assert stage(Stage.COMPOSING)[0] == 1
    # Two overlays from their readings on, the report from its closing.
    assert stage(Stage.DELIVERY)[0] == 3
    assert stage(Stage.DELIVERY)[1] > 3 * 2
    assert stage(Stage.COMMITMENT) == (0, 0)


def test_counters_outlive_what_they_count(walked: Walked) -> None:
    """Retention deletes the study and the associations; no counter falls."""
    before = samples(walked.site)
    site = walked.site
    site.later(days=400)
    Retention(site.settings, site.ledger).sweep(site.now)
    with closing(sqlite3.connect(site.settings.node.data / DATABASE_NAME)) as database:
        rows = "SELECT (SELECT count(*) FROM instance), (SELECT count(*) FROM association)"
        # The film that waits unread stays.
        assert database.execute(rows).fetchone() == (1, 0)
    after = samples(walked.site)
    counters = [key for key in before if key[0].endswith(("_total", "_count", "_sum"))]
    assert len(counters) > 20
    assert {key: after[key] for key in counters} == {key: before[key] for key in counters}


def test_a_delivery_that_is_given_up_and_goes_again_is_counted_each_time(walked: Walked) -> None:
    """Parked, then delivered: once each, and the gauges show where it stands."""
    walk, site = walked.walk, walked.site
    walk.read(walk.receive(phantom(seed=9)), phantom(seed=9), POSITIVE)
    with site.ledger.read() as connection:
        (one,) = connection.exec_driver_sql("SELECT id FROM delivery WHERE state = 'queued'").scalars()
    walk.deliveries.end(one, DeliveryState.PARKED, site.now.timestamp(), None, "no")
    assert samples(site)["fracture_node_deliveries_open", "archive", "parked"] == 1
    with site.ledger.transaction() as connection:
        walk.deliveries.requeue(connection, [one], anew_at=site.now.timestamp())
    walk.deliveries.end(one, DeliveryState.DELIVERED, site.now.timestamp(), 0, "")
    found = samples(site)
    assert found["fracture_node_deliveries_total", "archive", "parked"] == 1
    assert found["fracture_node_deliveries_total", "archive", "delivered"] == 4
    assert found["fracture_node_deliveries_open", "archive", "parked"] == 0


def test_a_destination_that_cannot_be_reached_is_down(walked: Walked) -> None:
    """While something waits for it to come up; with how long it has been tried."""
    walk, site = walked.walk, walked.site
    walk.read(walk.receive(phantom(seed=9)), phantom(seed=9), POSITIVE)
    with site.ledger.read() as connection:
        (one,) = connection.exec_driver_sql("SELECT id FROM delivery WHERE state = 'queued'").scalars()
    walk.deliveries.wait(one, site.now.timestamp() + 60, None, "connection refused", refused=False)
    site.later(seconds=30)
    found = samples(site)
    assert found["fracture_node_destination_down", "archive"] == 1
    assert found["fracture_node_deliveries_open_age_seconds", "archive", "waiting"] == 30


def test_names_and_types_are_as_prometheus_wants_them(walked: Walked) -> None:
    """Help and type for each, counters end in _total, nothing else does, base units; OpenMetrics reads it too."""
    for name, family in scraped(walked.site).items():
        assert family.documentation, name
        assert re.fullmatch(r"fracture_node_[a-z_]+", name), name
        assert family.type in ("counter", "gauge", "summary"), name
        assert name.endswith("_total") is False or family.type == "counter", name
        assert not re.search(r"_(ms|milliseconds|minutes|mb|kb)(_|$)", name), name
        if family.type == "counter":
            assert all(one.name == f"{name}_total" for one in family.samples)
    wanted = {"accept": "application/openmetrics-text; version=1.0.0"}
    answer = walked.site.program().get("/metrics", headers=wanted)
    assert answer.headers["content-type"].startswith("application/openmetrics-text; version=1.0.0")
    assert {family.name for family in open_metrics(answer.text)} > {"fracture_node_associations"}


def test_nobody_can_be_told_from_the_figures(walked: Walked) -> None:
    """No name, no patient ID, no UID of a study or an image."""
    text = walked.site.program().get("/metrics").text
    assert [one for one in walked.identity if one in text] == []


def test_names_that_anybody_can_take_make_no_labels(tmp_path: Path) -> None:
    """Titles that are no peers are one label, and the ledger keeps a bounded number of them."""
    for site in make_site(tmp_path, peers=PEERS):
        with site.ledger.transaction() as connection:
            for number in range(700):
                connection.exec_driver_sql(
                    "INSERT INTO instance (id, sop_instance_uid, sop_class_uid, study_instance_uid, "
                    "series_instance_uid, transfer_syntax_uid, bytes_digest, byte_count, spool_path, "
                    "calling_ae_title, called_ae_title, address, priority, modality, received_at, state, "
                    "round, attempts, is_current, detail) VALUES (?, '1', '1', '1', '1', '1', 'd', 10, 'p', "
                    "?, 'F', 'a', 10, 'DX', 1, 'received', 1, 0, 0, '')",
                    (str(number), f"TITLE{number}"),
                )
        assert len(Tallies.read(site.ledger).of(Tallied.RECEIVED)) == 501
        received = {key: value for key, value in samples(site).items() if "received" in key[0]}
        assert received["fracture_node_instances_received_total", "other"] == 700
        assert received["fracture_node_received_bytes_total", "other"] == 7000
        assert {key[1] for key in received if len(key) > 1} == {"PACS", "other"}


def test_an_older_ledger_begins_to_count(tmp_path: Path) -> None:
    """A database without counts, or with another version's triggers, gets this one's; what was counted stays."""
    ledger = Ledger.open(tmp_path)
    ledger.create(1.0)
    with ledger.transaction() as connection:
        connection.exec_driver_sql("DROP TRIGGER tally_0")
        connection.exec_driver_sql("DROP INDEX study_revision_composing")
        connection.exec_driver_sql("INSERT INTO tally VALUES ('outcomes', 'doubt', 7)")
    ledger.create(2.0)
    with ledger.transaction() as connection:
        connection.exec_driver_sql(
            "INSERT INTO association (calling_ae_title, called_ae_title, address, at, accepted, reason, "
            "stored, refused) VALUES ('A', 'B', 'c', 1, 1, 'released', 0, 0)"
        )
        names = "SELECT name FROM sqlite_master WHERE name = 'study_revision_composing'"
        assert connection.exec_driver_sql(names).scalar()
    tallies = Tallies.read(ledger)
    assert tallies.pairs(Tallied.ASSOCIATIONS) == {("accepted", "released"): 1}
    assert tallies.of(Tallied.OUTCOMES) == {"doubt": 7}
    assert Workload.read(ledger).images.count == 0
    ledger.close()


# Who may


def test_only_who_may_see_figures_sees_them(site: Site) -> None:
    """This machine while nobody is registered; then an administrator, or a token of that permission alone."""
    text = {"accept": "text/plain"}
    assert site.program().get("/metrics").status_code == 200
    assert site.browser("192.0.2.9").get("/metrics", headers=text).status_code == 401
    site.accounts.add("chief", "administrator", PASSWORD, site.now)
    assert site.program().get("/metrics").status_code == 401
    assert site.logged_in("viewer").get("/metrics", headers=text).status_code == 403
    tokens = Credentials(site.register)
    right = tokens.make_token("chief", "prometheus", ["metrics"], site.now, 30)
    wrong = tokens.make_token("chief", "reader", ["read"], site.now, 30)
    assert site.program(right).get("/metrics").status_code == 200
    assert site.program(right).get("/traffic").status_code == 403
    assert site.program(wrong).get("/metrics").status_code == 403
    site.now += timedelta(days=31)
    assert site.program(right).get("/metrics").status_code == 401


# The example alerts


def test_every_alert_asks_for_figures_that_there_are(walked: Walked) -> None:
    """No rule waits for a name, or for a label's value, that is never written; each is explained in the docs."""
    families = scraped(walked.site)
    known = {one.name for family in families.values() for one in family.samples}
    known |= {f"{name}_total" for name, family in families.items() if family.type == "counter"}
    rules = [rule for group in yaml.safe_load(ALERTS.read_text())["groups"] for rule in group["rules"]]
    assert len(rules) > 8
    guide = ALERTS.with_name("monitoring.md").read_text()
    for rule in rules:
        asked = set(re.findall(r"fracture_node_\w+", rule["expr"]))
        assert asked <= known | {"fracture_node_commitments_open"}, rule["alert"]
        assert rule["alert"] in guide


def test_every_figure_is_explained(walked: Walked) -> None:
    """The guide names each."""
    guide = ALERTS.with_name("monitoring.md").read_text()
    assert [name for name in scraped(walked.site) if name not in guide] == []
