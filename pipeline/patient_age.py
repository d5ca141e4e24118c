"""The patient's age when the film was taken, as the header gives it."""

from __future__ import annotations

import re
from datetime import date
from typing import Final

from pydicom.dataset import Dataset

from pipeline.header_values import text_of

# Age String (PS3.5 6.2): three digits and a unit.
_AGE: Final = re.compile(r"(\d{3})([DWMY])")
_DAYS: Final = {"D": 1.0, "W": 7.0, "M": 30.4375, "Y": 365.25}
_TAKEN: Final = ("AcquisitionDate", "ContentDate", "SeriesDate", "StudyDate")


def age_in_years(ds: Dataset) -> float | None:
    """From Patient's Age, else from birth date and the day of the film; None where neither says it.

    An age in years is taken as whole years, so "017Y" is under 18 and "018Y" is not.
    """
    given = _AGE.fullmatch(text_of(ds, "PatientAge"))
    if given:
        return int(given[1]) * _DAYS[given[2]] / _DAYS["Y"]
    born = _day(text_of(ds, "PatientBirthDate"))
    taken = next((day for keyword in _TAKEN if (day := _day(text_of(ds, keyword)))), None)
    if born is None or taken is None or taken < born:
        return None
    had_birthday = (taken.month, taken.day) >= (born.month, born.day)
    return float(taken.year - born.year - (not had_birthday))


def _day(text: str) -> date | None:
    try:
        return (
            date(int(text[:4]), int(text[4:6]), int(text[6:8]))
            if re.fullmatch(r"\d{8}", text)
            else None
        )
    except ValueError:
        return None
