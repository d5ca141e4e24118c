"""Single header values made fit to be written again; what cannot be read becomes empty."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import date, timedelta, timezone

from pydicom.dataelem import DataElement
from pydicom.multival import MultiValue

# ACR-NEMA wrote dates as 1995.07.20 and times as 10:15:00; PS3.5 6.2 lets readers accept them.
_DATE = re.compile(r"(\d{4})[.\-/]?(\d{2})[.\-/]?(\d{2})")
_TIME = re.compile(r"([01]\d|2[0-3]):?(?:([0-5]\d):?(?:([0-5]\d|60)(\.\d{1,6})?)?)?")
_OFFSET = re.compile(r"([+-])(\d{2})([0-5]\d)")
_AGE = re.compile(r"\d{3}[DWMY]")


def clean_date(text: str) -> str:
    """A DA of PS3.5 6.2, or nothing: 00000000 and the like are no dates."""
    found = _DATE.fullmatch(text.strip())
    if not found:
        return ""
    try:
        date(*(int(part) for part in found.groups()))
    except ValueError:
        return ""
    return "".join(found.groups())


def clean_time(text: str) -> str:
    """A TM of PS3.5 6.2, or nothing."""
    found = _TIME.fullmatch(text.strip())
    return "".join(part or "" for part in found.groups()) if found else ""


def clean_sex(text: str) -> str:
    """Patient's Sex is M, F, O or empty (PS3.3 C.7.1.1)."""
    letter = text.strip().upper()
    return letter if letter in ("M", "F", "O") else ""


def clean_offset(text: str) -> str:
    """Timezone Offset From UTC, `&ZZXX` from -1200 to +1400 (PS3.3 C.12.1.1.8), or nothing."""
    return text.strip() if zone_of(text.strip()) else ""


def clean_age(text: str) -> str:
    """An AS of PS3.5 6.2, or nothing."""
    return text.strip() if _AGE.fullmatch(text.strip()) else ""


def zone_of(offset: str) -> timezone | None:
    """The time zone of an offset such as `-0430`; None if it is none."""
    found = _OFFSET.fullmatch(offset)
    if not found:
        return None
    minutes = int(found[2]) * 60 + int(found[3])
    minutes = -minutes if found[1] == "-" else minutes
    # -0000 is not allowed by the standard: it says nothing of a zone.
    if offset == "-0000" or not -12 * 60 <= minutes <= 14 * 60:
        return None
    return timezone(timedelta(minutes=minutes))


CLEANERS: dict[str, Callable[[str], str]] = {
    "PatientBirthDate": clean_date,
    "StudyDate": clean_date,
    "AcquisitionDate": clean_date,
    "ContentDate": clean_date,
    "StudyTime": clean_time,
    "AcquisitionTime": clean_time,
    "ContentTime": clean_time,
    "PatientSex": clean_sex,
    "PatientAge": clean_age,
    "TimezoneOffsetFromUTC": clean_offset,
}


def plain_value(element: DataElement, vr: str) -> object:
    """A value as plain text or numbers, free of the encoding and validation of the data set it came from.

    Raises:
        ValueError: the value is of another kind than its VR promises.
    """
    value = element.value
    if isinstance(value, bytes):
        raise ValueError("bytes where text belongs")
    if isinstance(value, MultiValue | list | tuple):
        return [_plain(one, vr) for one in value]
    return None if value is None else _plain(value, vr)


def _plain(value: object, vr: str) -> object:
    if vr == "UI" and not isinstance(value, str):
        raise ValueError("numbers where a UID belongs")
    # Decimal and integer strings keep the digits that were sent; str() of them does that.
    return value if vr in ("FD", "FL", "SL", "SS", "UL", "US") else str(value)
