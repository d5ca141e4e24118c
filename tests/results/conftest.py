"""Misspelt DICOM keywords fail here: pydicom would otherwise set a plain Python attribute and write nothing."""

from __future__ import annotations

from collections.abc import Iterator

import pydicom.config
import pytest


@pytest.fixture(autouse=True)
def _misspelt_keywords_raise() -> Iterator[None]:
    before = pydicom.config.INVALID_KEYWORD_BEHAVIOR
    pydicom.config.INVALID_KEYWORD_BEHAVIOR = "RAISE"
    yield
    pydicom.config.INVALID_KEYWORD_BEHAVIOR = before
