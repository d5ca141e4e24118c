"""Every object, in every pair of the cases that sources and sites make, stands before the validators."""

from __future__ import annotations

from pathlib import Path

import pytest
from allpairspy import AllPairs

from tests.results.every_object import AXES, Case, complaints, objects_of
from tests.validators import pixelmed_says

pytestmark = pytest.mark.real_part
PAIRS = [Case(*values) for values in AllPairs([list(values) for values in AXES.values()])]
# Cases go to the validators in bundles: a test each would cost more than what it tests.
BUNDLES = 10


@pytest.mark.parametrize("bundle", range(BUNDLES))
def test_no_object_has_an_error_that_its_source_does_not_have(bundle: int, tmp_path: Path) -> None:
    """Each value of each axis meets each value of every other; `every_object` runs the full product."""
    faulty = {}
    for number, case in enumerate(PAIRS[bundle::BUNDLES]):
        folder = tmp_path / str(number)
        folder.mkdir()
        if found := complaints(case, folder):
            faulty[str(case)] = found
    assert not faulty


def test_pixelmed_finds_reports_and_key_objects_valid_in_every_destination(tmp_path: Path) -> None:
    """Language, character set and class of a destination leave the templates as they are."""
    paths = []
    for destination in AXES["destination"]:
        for reading in ("positive", "failed"):
            case = Case("IR 87 name", reading, destination, "portrait", "MONOCHROME1", "DX")
            for kind, result in objects_of(case).items():
                if kind in ("sr", "kos", "rejection"):
                    paths.append(tmp_path / f"{len(paths)}-{kind}.dcm")
                    paths[-1].write_bytes(result.data)
    said = pixelmed_says(paths, tmp_path)
    assert said.count("Root Template Validation Complete") == len(paths), said
    assert "Error" not in said, "\n".join(line for line in said.splitlines() if "Error" in line)


def test_the_same_case_gives_the_same_bytes() -> None:
    """Chance, clock and machine shape nothing; a UID names bytes."""
    for case in PAIRS[:6]:
        first, second = objects_of(case), objects_of(case)
        assert {kind: one.data for kind, one in first.items()} == {
            kind: one.data for kind, one in second.items()
        }
        uids = [one.sop_instance_uid for one in first.values()]
        assert len(set(uids)) == len(uids)
