"""A node that never ran, with a ledger and a worklist of as many made-up studies as are wanted."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import insert

from dicom_node.register.register import Register
from dicom_node.register.worklist import Worklist
from dicom_node.register.worklist_study import StudyHeader, WorklistStudy
from dicom_node.settings import Settings, read_settings
from dicom_node.supervisor import prepare_data
from dicom_node.work.ledger import Ledger
from dicom_node.work.study_changes import StudyChanges
from dicom_node.work.tables import delivery, instance, result_object, study, study_revision
from pipeline.findings import dump_findings
from tests.node.running_node import destination, settings_text
from tests.phantoms import phantom
from tests.results.hand_made import POSITIVE

END = datetime(2026, 1, 2, tzinfo=UTC)
FAMILIES = ("Meier", "Müller", "Schmidt", "Øster", "Rossi", "García", "Nowak", "Ito", "Chen", "Diallo")
GIVEN = ("Anna", "Ben", "Carla", "David", "Eva", "Finn", "Gül", "Hugo", "Ida", "Jan")
OUTCOMES = (
    ("no fracture", 80),
    ("fracture", 12),
    ("doubt", 6),
    ("not processed", 1.9),
    ("being read", 0.1),
)
STATES = (("delivered", 60), ("committed", 38), ("waiting", 1), ("queued", 0.9), ("parked", 0.1))
FILM = "spool/00/film.dcm"
_BATCH = 2000


def studies(count: int, chance: random.Random) -> Iterator[WorklistStudy]:
    """Made up, a year of them, the oldest first."""
    for number in range(count):
        at = END - timedelta(days=365) * (1 - number / count)
        outcome = chance.choices(*zip(*OUTCOMES, strict=True))[0]
        state = chance.choices(*zip(*STATES, strict=True))[0]
        images = chance.randint(1, 4)
        refused = outcome in ("not processed", "being read")
        yield WorklistStudy(
            study_instance_uid=f"1.2.826.0.1.3680043.10.{chance.randrange(10**30)}.{number}",
            header=StudyHeader(
                f"{chance.choice(FAMILIES)}^{chance.choice(GIVEN)}",
                f"P{number:07}",
                f"A{chance.randrange(10**9)}",
                f"Radiograph {chance.choice(('hand', 'wrist', 'ankle', 'hip'))}",
                f"{at:%Y%m%d}",
            ),
            modalities=(chance.choice(("CR", "DX")),),
            calling_ae_title=chance.choice(("CR_ROOM1", "DX_ROOM2", "ER_DX")),
            images=images,
            unread=int(outcome == "being read"),
            revision=1,
            first_received_at=at,
            last_received_at=at + timedelta(seconds=20),
            outcome=outcome,
            outcomes={outcome: 1, "no fracture": images - 1} if images > 1 else {outcome: 1},
            reasons="Body part outside the model's scope" if outcome == "not processed" else "",
            body_parts=() if refused else (chance.choice(("hand", "leg", "hip", "shoulder")),),
            probability=None if refused else round(chance.random(), 4),
            priority=chance.choice((1, 5, 10, 10, 10)),
            delivery_state=state,
            deliveries={state: images + 1},
        )


def made_up_settings(folder: Path, **tables: Any) -> Settings:
    """A node's settings and its empty data folder."""
    (folder / "node.toml").write_text(settings_text([destination("archive", 11113)], **tables))
    settings = read_settings(folder / "node.toml")
    prepare_data(settings)
    return settings


def fill(settings: Settings, made: Sequence[WorklistStudy], ledger: Ledger, register: Register) -> None:
    """Both databases: of each study one image in the ledger, its overlay and its report; one film for them all."""
    film = settings.node.data / FILM
    film.parent.mkdir(parents=True, exist_ok=True)
    phantom(rows=256, columns=208).save_as(film)
    worklist = Worklist(register)
    for first in range(0, len(made), _BATCH):
        batch = made[first : first + _BATCH]
        with ledger.transaction() as connection:
            for table, rows in _ledger_rows(batch).items():
                connection.execute(insert(table), rows)
        worklist.write([(line, "") for line in batch], [], StudyChanges(ledger).last())


def _ledger_rows(made: Sequence[WorklistStudy]) -> dict[Any, list[dict[str, Any]]]:
    findings = dump_findings(POSITIVE)
    rows: dict[Any, list[dict[str, Any]]] = {
        table: [] for table in (instance, study, study_revision, result_object, delivery)
    }
    for line in made:
        uid, at = line.study_instance_uid, line.last_received_at.timestamp()
        number = uid.rpartition(".")[2]
        of_study = {"study_instance_uid": uid, "series_instance_uid": f"{uid}.1"}
        rows[instance].append({
            **of_study, "id": f"{number:0>64}", "sop_instance_uid": f"{uid}.1.1", "sop_class_uid": "1.2.3",
            "transfer_syntax_uid": "1.2.840.10008.1.2.1", "bytes_digest": number, "byte_count": 10_000_000,
            "spool_path": FILM, "calling_ae_title": line.calling_ae_title, "called_ae_title": "FRACTURE",
            "address": "10.0.0.1", "priority": line.priority, "modality": line.modalities[0],
            "received_at": at, "state": "done", "revision": 1, "is_current": 1, "pixel_digest": number,
            "header_digest": number, "findings": findings, "outcome": "fracture", "model": "m",
            "begun_at": at, "finished_at": at + 1,
        })  # fmt: skip
        rows[study].append({"study_instance_uid": uid, "last_received_at": at, "revision": 1})
        rows[study_revision].append({
            "study_instance_uid": uid, "revision": 1, "closed_at": at + 60, "instance_ids": "[]",
            "state": "composed",
        })  # fmt: skip
        for kind in ("sr", "sc"):
            made_of = None if kind == "sr" else f"{number:0>64}"
            rows[result_object].append({
                **of_study, "sop_instance_uid": f"{uid}.2.{kind}", "kind": kind, "sop_class_uid": "1.2.3",
                "transfer_syntax_uid": "1.2.840.10008.1.2.1", "instance_id": made_of, "revision": 1,
                "path": f"outbox/{number}.{kind}.dcm", "digest": number, "byte_count": 1000,
                "created_at": at + 60,
            })  # fmt: skip
            rows[delivery].append({
                "id": f"{number}{kind}", "sop_instance_uid": f"{uid}.2.{kind}", "destination": "archive",
                "priority": line.priority, "state": "delivered", "created_at": at + 60,
                "trying_since": at + 60, "ended_at": at + 61, "status": 0,
            })  # fmt: skip
    return rows
