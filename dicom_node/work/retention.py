"""Films, objects and their rows are deleted when their time is over; nothing that still goes on is touched."""

from __future__ import annotations

import logging
from datetime import datetime, timedelta
from pathlib import Path

from sqlalchemy import Connection, Select, delete, exists, func, or_, select

from dicom_node.settings import Settings
from dicom_node.work.commitments import GOES_ON
from dicom_node.work.ledger import Ledger
from dicom_node.work.tables import (
    association,
    association_detail,
    commitment,
    delivery,
    delivery_commitment,
    instance,
    negotiation,
    notice,
    rejection,
    result_object,
    sending,
    study,
    study_revision,
)

_ORPHAN_HOURS = 24
_MOST_STUDIES = 50
_UNANSWERED = select(delivery_commitment.c.transaction_uid).where(
    delivery_commitment.c.state.in_(GOES_ON)
)
_ENDED = ("delivered", "parked", "cancelled", "replaced")
log = logging.getLogger("dicom_node.work.retention")


class Retention:
    """Deletes by study: all of it, or nothing."""

    def __init__(self, settings: Settings, ledger: Ledger) -> None:
        self._settings, self._ledger = settings, ledger

    def sweep(self, at: datetime) -> int:
        """Deletes what ended `keep_days` ago, and files that no row names; returns the number of files."""
        limit = (at - timedelta(days=self._settings.retention.keep_days)).timestamp()
        paths = self._forget_studies(limit)
        with self._ledger.transaction() as connection:
            old = select(association.c.id).where(association.c.at < limit)
            connection.execute(
                delete(association_detail).where(association_detail.c.association_id.in_(old))
            )
            connection.execute(delete(association).where(association.c.at < limit))
            shown = select(association_detail.c.negotiation_digest)
            connection.execute(delete(negotiation).where(negotiation.c.digest.not_in(shown)))
            connection.execute(delete(notice).where(notice.c.at < limit))
            connection.execute(
                delete(commitment).where(
                    commitment.c.asked_at < limit, commitment.c.transaction_uid.not_in(_UNANSWERED)
                )
            )
        settled = (at - timedelta(hours=1)).timestamp()
        for path in paths:
            _delete_older(self._settings.node.data / path, settled)
        orphans = self._remove_orphans(at)
        if paths or orphans:
            log.info("deleted %d files whose time was over and %d orphans", len(paths), orphans)
        return len(paths) + orphans

    def _forget_studies(self, limit: float) -> list[Path]:
        """Deletes the rows of studies that ended before `limit`, a few at a time; returns the paths of their files.

        However many they are, nobody waits long for the ledger: the receiver would refuse what comes.
        """
        with self._ledger.read() as connection:
            ended = connection.execute(_ended_before(limit)).scalars().all()
        paths: list[Path] = []
        for first in range(0, len(ended), _MOST_STUDIES):
            some = study.c.study_instance_uid.in_(ended[first : first + _MOST_STUDIES])
            with self._ledger.transaction() as connection:
                # Asked anew: an image may have come, or somebody may have sent it again.
                for uid in connection.execute(_ended_before(limit).where(some)).scalars().all():
                    paths += _forget(connection, uid)
        return paths

    def _remove_orphans(self, at: datetime) -> int:
        """A file without a row was never answered Success, or its row is gone: its sender has it."""
        with self._ledger.read() as connection:
            known = set(connection.execute(select(instance.c.spool_path)).scalars())
            known |= set(connection.execute(select(result_object.c.path)).scalars())
        limit = (at - timedelta(hours=_ORPHAN_HOURS)).timestamp()
        data = self._settings.node.data
        unknown = [
            path
            for folder in ("spool", "outbox")
            for path in (data / folder).rglob("*.dcm")
            if str(path.relative_to(data)) not in known
        ]
        return sum(_delete_older(path, limit) for path in unknown)


def _delete_older(path: Path, before: float) -> bool:
    """Deletes a file last written before that moment: the same film may just have come again under its name."""
    try:
        if path.stat().st_mtime >= before:
            return False
        path.unlink()
    except FileNotFoundError:
        return False
    return True


def _ended_before(limit: float) -> Select[str]:
    going_on = or_(
        exists().where(
            instance.c.study_instance_uid == study.c.study_instance_uid,
            or_(
                instance.c.state == "received",
                func.coalesce(instance.c.finished_at, instance.c.received_at) >= limit,
            ),
        ),
        exists().where(
            result_object.c.study_instance_uid == study.c.study_instance_uid,
            delivery.c.sop_instance_uid == result_object.c.sop_instance_uid,
            or_(delivery.c.state.not_in(_ENDED), delivery.c.ended_at >= limit),
        ),
        exists().where(
            result_object.c.study_instance_uid == study.c.study_instance_uid,
            delivery.c.sop_instance_uid == result_object.c.sop_instance_uid,
            delivery_commitment.c.delivery_id == delivery.c.id,
            or_(
                delivery_commitment.c.state.in_(GOES_ON),
                delivery_commitment.c.ended_at >= limit,
            ),
        ),
        exists().where(
            study_revision.c.study_instance_uid == study.c.study_instance_uid,
            study_revision.c.state == "composing",
        ),
    )
    return select(study.c.study_instance_uid).where(study.c.opened_at.is_(None), ~going_on)


def _forget(connection: Connection, study_uid: str) -> list[Path]:
    of_study = result_object.c.study_instance_uid == study_uid
    objects = select(result_object.c.sop_instance_uid).where(of_study)
    films = instance.c.study_instance_uid == study_uid
    paths = [
        *connection.execute(select(instance.c.spool_path).where(films)).scalars(),
        *connection.execute(select(result_object.c.path).where(of_study)).scalars(),
    ]
    deliveries = select(delivery.c.id).where(delivery.c.sop_instance_uid.in_(objects))
    for table in (delivery_commitment, sending):
        connection.execute(delete(table).where(table.c.delivery_id.in_(deliveries)))
    connection.execute(delete(delivery).where(delivery.c.sop_instance_uid.in_(objects)))
    connection.execute(delete(rejection).where(rejection.c.sop_instance_uid.in_(objects)))
    connection.execute(delete(result_object).where(of_study))
    connection.execute(delete(instance).where(films))
    connection.execute(delete(study_revision).where(study_revision.c.study_instance_uid == study_uid))
    connection.execute(delete(study).where(study.c.study_instance_uid == study_uid))
    return [Path(path) for path in paths]
