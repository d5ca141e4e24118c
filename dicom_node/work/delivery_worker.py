"""Sending what is queued for a destination, whatever its kind: every response judged by itself."""

from __future__ import annotations

import logging
import random
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TypeGuard

from dicom_node.delivering.accepted_classes import remedy_for
from dicom_node.delivering.instance_query import instances_there
from dicom_node.delivering.object_sender import ObjectSender, sender_to
from dicom_node.dimse_status import Judgement, StoreStatus, judge
from dicom_node.errors import (
    ClassRefusedError,
    DestinationDownError,
    LedgerError,
    NothingAcceptedError,
    ObjectRefusedError,
)
from dicom_node.records import Delivery, DeliveryState
from dicom_node.settings import AnyDestination, DicomDestination, Settings
from dicom_node.work.deliveries import DeliveryQueue
from dicom_node.work.delivery_lookup import DeliveryLookup
from dicom_node.work.outbox import Outbox
from dicom_node.work.report_worker import ReportWorker

_MOST_IN_ONE_ASSOCIATION = 50
_REFUSALS_BEFORE_PARKING = 5
_FIRST_WAIT_SECONDS, _LONGEST_WAIT_SECONDS = 5.0, 900.0
# An object on which the archive aborts must not hold back the others; an archive that always aborts is down.
_MOST_BROKEN_ASSOCIATIONS = 3
log = logging.getLogger("dicom_node.work.delivery")


@dataclass(frozen=True)
class _Broken:
    """An association that could not be opened, or that broke."""

    error: DestinationDownError
    was_open: bool

    @property
    def detail(self) -> str:
        """As the delivery shows it; a down archive needs no remedy but time."""
        remedy = self.error.remedy if isinstance(self.error, NothingAcceptedError) else ""
        return f"{self.error}; {remedy}" if remedy else str(self.error)

    @property
    def status(self) -> int | None:
        """Where nothing was accepted, one: C-ECHO may well be answered there, and must not hurry it."""
        nothing = isinstance(self.error, NothingAcceptedError)
        return StoreStatus.SOP_CLASS_NOT_SUPPORTED if nothing else None


class DeliveryWorker:
    """The delivery process's sending task; one runs per destination at a time."""

    def __init__(
        self,
        settings: Settings,
        deliveries: DeliveryQueue,
        lookup: DeliveryLookup,
        reports: ReportWorker,
        outbox: Outbox,
        clock: Callable[[], datetime],
        chance: random.Random,
    ) -> None:
        self._settings, self._deliveries, self._lookup = settings, deliveries, lookup
        self._reports, self._outbox = reports, outbox
        self._clock, self._chance = clock, chance

    def deliver(self, delivery_id: str) -> None:
        """Sends this delivery and what else is queued for its destination; nothing if it was sent."""
        name = self._lookup.destination_of(delivery_id)
        if name is None:
            return
        batch = self._deliveries.queued(name, delivery_id, _MOST_IN_ONE_ASSOCIATION)
        if not batch:
            return
        place = self._settings.destination(name)
        if place is None:
            for delivery in batch:
                detail = f"destination {name!r} is no longer in the settings"
                self._end(delivery, DeliveryState.PARKED, None, detail)
            return
        self._send(place, batch)

    def _send(self, place: AnyDestination, batch: list[Delivery]) -> None:
        """Sends a batch. What breaks an association waits alone; the rest goes on in a new one."""
        waiting, breaks = self._without_those_there(place, batch), 0
        while (broken := self._send_in_one_association(place, waiting)) is not None:
            breaks += 1
            log.warning("destination=%s: %s; %d waiting", place.name, broken.detail, len(waiting))
            if broken.was_open and waiting:
                self._later(waiting.pop(0), None, broken.detail, refused=False)
            if not broken.was_open or not waiting or breaks == _MOST_BROKEN_ASSOCIATIONS:
                for delivery in waiting:
                    self._later(delivery, broken.status, broken.detail, refused=False)
                return

    def _without_those_there(self, place: AnyDestination, batch: list[Delivery]) -> list[Delivery]:
        """With `ask_before_sending_again`: ends what an earlier sending brought there, whatever we heard of it."""
        if not _asks(place):
            return list(batch)
        begun = self._lookup.begun([one.id for one in batch])
        if not begun:
            return list(batch)
        try:
            calling = self._settings.calling_ae_title(place)
            there = instances_there(place, calling, list(begun.values()))
        except DestinationDownError as error:
            # It is sent then: the same bytes under the same UID.
            log.warning("destination=%s cannot be asked what it has: %s", place.name, error)
            return list(batch)
        rest = []
        for delivery in batch:
            if delivery.id in begun and delivery.sop_instance_uid in there:
                self._end(delivery, DeliveryState.DELIVERED, None, "it has it (C-FIND)")
            else:
                rest.append(delivery)
        return rest

    def _send_in_one_association(
        self, place: AnyDestination, waiting: list[Delivery]
    ) -> _Broken | None:
        """Takes what was judged off `waiting`; how it broke, None if it did not."""
        offers = {(one.sop_class_uid, one.transfer_syntax_uid) for one in waiting}
        calling = self._settings.calling_ae_title(place)
        was_open = False
        try:
            with sender_to(place, calling, sorted(offers)) as sender:
                was_open = True
                self._learn(place, sender)
                while waiting:
                    if _asks(place):
                        now = self._clock().timestamp()
                        self._deliveries.begin_sending(waiting[0].id, now)
                    self._send_one(sender, waiting[0])
                    waiting.pop(0)
        except DestinationDownError as error:
            return _Broken(error, was_open)
        return None

    def _learn(self, place: AnyDestination, sender: ObjectSender) -> None:
        if sender.accepted is None:
            return
        now = self._clock().timestamp()
        if count := self._deliveries.learn(place.name, sender.accepted, now):
            log.info("destination=%s accepts more now; %d deliveries go again", place.name, count)

    def _send_one(self, sender: ObjectSender, delivery: Delivery) -> None:
        try:
            self._judge(delivery, sender.send(self._outbox.path(delivery.object_path)))
        except (DestinationDownError, LedgerError):
            raise
        except ObjectRefusedError as error:
            self._refused(delivery, error)
        except OSError as error:
            self._end(delivery, DeliveryState.PARKED, None, f"its file cannot be read: {error}")

    def _judge(self, delivery: Delivery, status: int) -> None:
        judgement = judge(status)
        words = f"status 0x{status:04X}"
        if judgement is Judgement.DELIVERED:
            self._end(delivery, DeliveryState.DELIVERED, status, "")
        elif judgement is Judgement.DELIVERED_WITH_WARNING:
            self._end(delivery, DeliveryState.DELIVERED, status, f"warning, {words}")
        else:
            refused = judgement is Judgement.REFUSED
            self._later(delivery, status, f"refused, {words}" if refused else words, refused)

    def _refused(self, delivery: Delivery, error: ObjectRefusedError) -> None:
        """Replaces a report whose class is refused; parks what else is refused, at once where that is final."""
        final = isinstance(error, ClassRefusedError) and error.is_final
        try:
            replaced = error.status is None and self._in_another_class(delivery)
        except LedgerError:
            raise
        except Exception:
            # One object must not hold up its destination, whatever is wrong with it.
            log.exception("delivery=%s cannot be composed in another class", delivery.id[:12])
            replaced = final = False
        detail = self._with_remedy(delivery, error)
        if replaced:
            self._end(delivery, DeliveryState.REPLACED, None, str(error))
        elif final:
            self._end(delivery, DeliveryState.PARKED, None, detail)
        else:
            self._later(delivery, error.status, detail, refused=True)

    def _with_remedy(self, delivery: Delivery, error: ObjectRefusedError) -> str:
        place = self._settings.destination(delivery.destination)
        if place is None or not isinstance(error, ClassRefusedError):
            return str(error)
        kind = self._lookup.kind_of(delivery.sop_instance_uid)
        return f"{error}; {remedy_for(place, [kind])}"

    def _in_another_class(self, delivery: Delivery) -> bool:
        report = self._lookup.report_of(delivery.sop_instance_uid)
        return report is not None and self._reports.recompose(*report, delivery)

    def _later(self, delivery: Delivery, status: int | None, detail: str, refused: bool) -> None:
        now = self._clock()
        place = self._settings.destination(delivery.destination)
        hours = place.deliver_within_hours if place else 0
        refusals = self._deliveries.refusals(delivery.id) + int(refused)
        if refusals >= _REFUSALS_BEFORE_PARKING:
            self._end(delivery, DeliveryState.PARKED, status, f"{detail}; refused {refusals} times")
        elif now >= delivery.trying_since + timedelta(hours=hours):
            self._end(delivery, DeliveryState.PARKED, status, f"{detail}; tried for {hours:g} h")
        else:
            until = now.timestamp() + self._pause(delivery.attempts)
            self._deliveries.wait(delivery.id, until, status, detail, refused)

    def _pause(self, attempts: int) -> float:
        """Seconds to the next try: doubled each time, half of it by chance, so that peers do not queue up."""
        full = min(_LONGEST_WAIT_SECONDS, _FIRST_WAIT_SECONDS * 2.0 ** min(attempts, 16))
        return full * self._chance.uniform(0.5, 1.0)

    def _end(self, delivery: Delivery, state: DeliveryState, status: int | None, detail: str) -> None:
        self._deliveries.end(delivery.id, state, self._clock().timestamp(), status, detail)
        log.info(
            "delivery=%s destination=%s %s %s", delivery.id[:12], delivery.destination, state, detail
        )


def _asks(place: AnyDestination) -> TypeGuard[DicomDestination]:
    return isinstance(place, DicomDestination) and place.ask_before_sending_again
