"""Our own results are known when they come back, and nobody else's films are taken for them."""

from __future__ import annotations

import pytest
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from dicom_node.results.loop_guard import is_own_result
from tests.phantoms import phantom
from tests.results.hand_made import CONTEXT, POSITIVE, overlay, read_back, report


@pytest.mark.parametrize(
    "compose", [lambda ds: report([(ds, POSITIVE)]), lambda ds: overlay(ds, POSITIVE)]
)
def test_both_kinds_of_result_are_known_again(compose) -> None:  # type: ignore[no-untyped-def]
    """Even after an archive rewrote the equipment module, by Contributing Equipment."""
    result = read_back(compose(phantom()))
    assert is_own_result(result, CONTEXT.device_uid)
    result.Manufacturer = "ARCHIVE"
    del result.DeviceUID
    assert is_own_result(result, CONTEXT.device_uid)
    del result.ContributingEquipmentSequence
    assert not is_own_result(result, CONTEXT.device_uid)


def test_another_installations_result_is_not_ours() -> None:
    """Manufacturer and model alone do not say which device."""
    assert not is_own_result(read_back(report([(phantom(), POSITIVE)])), "2.25.1")


def test_a_film_that_an_archive_compressed_again_is_not_ours() -> None:
    """DERIVED, burned in, under 2.25, with the archive as contributing equipment: still an acquired film."""
    film = phantom()
    film.ImageType, film.BurnedInAnnotation = ["DERIVED", "SECONDARY"], "YES"
    archive = Dataset()
    archive.Manufacturer = "ARCHIVE"
    film.ContributingEquipmentSequence = Sequence([archive])
    assert film.SOPInstanceUID.startswith("2.25.")
    assert not is_own_result(film, CONTEXT.device_uid)
