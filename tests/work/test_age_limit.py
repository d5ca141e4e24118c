"""A site's minimum age, and what is said of a film whose patient's age nobody wrote down."""

from __future__ import annotations

from pathlib import Path

import pytest

from dicom_node.settings import Settings
from dicom_node.work.job_list import ImageLine, JobList
from pipeline.analysis import Analyzer
from pipeline.findings import NotProcessed
from tests.made_model import make_package
from tests.phantoms import phantom

from .conftest import Workplace
from .test_workers import settings_to, spool


@pytest.fixture(scope="module")
def analyzer(tmp_path_factory: pytest.TempPathFactory) -> Analyzer:
    """A tiny real model; what it says does not matter here."""
    return Analyzer.open(make_package(tmp_path_factory.mktemp("model")), threads=1)


def settings_from(folder: Path, years: float | None) -> Settings:
    """A node with a minimum age."""
    settings = settings_to(folder, 104)
    return settings.model_copy(
        update={"model": settings.model.model_copy(update={"minimum_age_years": years})}
    )


def read_of_age(
    place: Workplace, analyzer: Analyzer, name: str, age: str, years: float | None
) -> ImageLine:
    """The line of a film of a patient of that age, after it was read."""
    ds = phantom(study=name)
    ds.PatientAge, ds.PatientBirthDate = age, ""
    spool(place, name, ds)
    worker = place.analysis_worker(settings_from(place.folder, years), analyzer)
    worker.analyse(f"{name:0>64}")
    return JobList(place.ledger).images(1)[0]


def test_a_child_s_film_is_not_read_where_a_minimum_age_is_set(
    workplace: Workplace, analyzer: Analyzer
) -> None:
    """It has its own reason, and the age is in no list."""
    line = read_of_age(workplace, analyzer, "child", "009Y", 18)
    assert line.reason is NotProcessed.AGE
    assert "9" not in line.detail.replace("18", "")


def test_a_film_of_unknown_age_is_read_and_says_so(workplace: Workplace, analyzer: Analyzer) -> None:
    """An absent age is no reason to withhold a reading, but it is no silent pass either."""
    line = read_of_age(workplace, analyzer, "nobody", "", 18)
    assert line.reason is None
    assert "not compared with 18 years" in line.detail


@pytest.mark.parametrize(("age", "years"), [("009Y", None), ("018Y", 18.0)])
def test_a_film_that_is_old_enough_or_unlimited_is_read(
    workplace: Workplace, analyzer: Analyzer, age: str, years: float | None
) -> None:
    """With nothing to add."""
    line = read_of_age(workplace, analyzer, "grown", age, years)
    assert (line.reason, line.detail) == (None, "")
