"""Reads single values of a header that may be damaged: what cannot be read is as good as absent."""

from __future__ import annotations

import math
import struct

from pydicom.dataset import Dataset
from pydicom.errors import BytesLengthException
from pydicom.multival import MultiValue
from pydicom.sequence import Sequence

# What pydicom raises when it turns an element's bytes into a value.
UNREADABLE = (
    ValueError, TypeError, KeyError, AttributeError, NotImplementedError, OverflowError, struct.error,
    BytesLengthException,
)  # fmt: skip


def value_of(ds: Dataset, keyword: str) -> object:
    """The value of an attribute, None where it is absent, empty or unreadable."""
    try:
        value = ds.get(keyword)
    except UNREADABLE:
        return None
    return None if value is None or value == "" else value


def values_of(ds: Dataset, keyword: str) -> list[object]:
    """All values of an attribute, none where it is absent, empty or unreadable."""
    value = value_of(ds, keyword)
    if value is None:
        return []
    return list(value) if isinstance(value, MultiValue | list | tuple) else [value]


def numbers_of(ds: Dataset, keyword: str) -> tuple[float, ...]:
    """All values as finite numbers; none if one of them is no number."""
    try:
        numbers = tuple(float(str(value)) for value in values_of(ds, keyword))
    except ValueError:
        return ()
    return numbers if all(math.isfinite(number) for number in numbers) else ()


def number_of(ds: Dataset, keyword: str) -> float | None:
    """The first value as a finite number."""
    numbers = numbers_of(ds, keyword)
    return numbers[0] if numbers else None


def integer_of(ds: Dataset, keyword: str) -> int | None:
    """The first value as a whole number."""
    number = number_of(ds, keyword)
    return None if number is None or number != int(number) else int(number)


def text_of(ds: Dataset, keyword: str) -> str:
    """The first value as text in capitals without padding, empty where there is none."""
    values = values_of(ds, keyword)
    return str(values[0]).strip(" \0").upper() if values else ""


def items_of(ds: Dataset, keyword: str) -> list[Dataset]:
    """The items of a sequence, none where it is absent or is none."""
    value = value_of(ds, keyword)
    return list(value) if isinstance(value, Sequence) else []
