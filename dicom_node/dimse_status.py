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


class ContextResult(IntEnum):
    """Answers to a proposed presentation context (PS3.8 table 9-18)."""

    ACCEPTANCE = 0
    USER_REJECTION = 1
    NO_REASON = 2
    ABSTRACT_SYNTAX_NOT_SUPPORTED = 3
    TRANSFER_SYNTAXES_NOT_SUPPORTED = 4

    @property
    def words(self) -> str:
        """As people read it."""
        return self.name.lower().replace("_", " ")


class Judgement(Enum):
    """What a response to our C-STORE means for the delivery."""

    DELIVERED = "delivered"
    DELIVERED_WITH_WARNING = "delivered with warning"
    RETRY = "retry"
    REFUSED = "refused"


_DUPLICATE_REJECTION_NOTE = 0xA770
_REJECTION_REFUSED = range(0xA771, 0xA775)


def judge(status: int) -> Judgement:
    """How to go on after a C-STORE response (PS3.4 B.2.3, PS3.7 annex C).

    A7xx and 0110 may pass; A9xx, Cxxx and the other failures are the object's own. dcm4chee says of rejections
    with A770 that it has this note, and with A771 to A774 what will not pass: an object that was rejected comes
    again, or the note names what is not there or was rejected before.
    """
    if status == StoreStatus.SUCCESS:
        return Judgement.DELIVERED
    if status >> 12 == 0xB or status == _DUPLICATE_REJECTION_NOTE:
        return Judgement.DELIVERED_WITH_WARNING
    if status in _REJECTION_REFUSED:
        return Judgement.REFUSED
    if status >> 8 == 0xA7 or status == StoreStatus.PROCESSING_FAILURE:
        return Judgement.RETRY
    return Judgement.REFUSED
