"""Statuses and rejections of PS3.4, PS3.7 and PS3.8 as named constants, and what they mean to a sender."""

from __future__ import annotations

from enum import Enum, IntEnum


class StoreStatus(IntEnum):
    """C-STORE responses (PS3.4 B.2.3)."""

    SUCCESS = 0x0000
    OUT_OF_RESOURCES = 0xA700
    DATA_SET_DOES_NOT_MATCH_SOP_CLASS = 0xA900
    CANNOT_UNDERSTAND = 0xC000
    COERCED_ELEMENTS = 0xB000
    PROCESSING_FAILURE = 0x0110
    SOP_CLASS_NOT_SUPPORTED = 0x0122


class Rejection(Enum):
    """A-ASSOCIATE-RJ: result, source, reason (PS3.8 9.3.4)."""

    CALLED_AE_TITLE_NOT_RECOGNISED = (1, 1, 7)
    CALLING_AE_TITLE_NOT_RECOGNISED = (1, 1, 3)
    LOCAL_LIMIT_EXCEEDED = (2, 3, 2)


class Judgement(Enum):
    """What a response to our C-STORE means for the delivery."""

    DELIVERED = "delivered"
    DELIVERED_WITH_WARNING = "delivered with warning"
    RETRY = "retry"
    REFUSED = "refused"


def judge(status: int) -> Judgement:
    """How to go on after a C-STORE response (PS3.4 B.2.3, PS3.7 annex C).

    A7xx and 0110 may pass; A9xx, Cxxx and the other failures are the object's own.
    """
    if status == StoreStatus.SUCCESS:
        return Judgement.DELIVERED
    if status >> 12 == 0xB:
        return Judgement.DELIVERED_WITH_WARNING
    if status >> 8 == 0xA7 or status == StoreStatus.PROCESSING_FAILURE:
        return Judgement.RETRY
    return Judgement.REFUSED
