"""The phantoms that ship with the product and those that the tests are made of."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Literal

import numpy as np
import pytest
from pydicom.dataset import Dataset

from dicom_node.operating.phantom_drawing import LIMBS, Limb, draw_limb
from dicom_node.operating.phantoms import wrap_film
from tests.phantoms import (
    ACQUIRED_AT,
    HEADER_CASES,
    TRANSFER_SYNTAXES,
    encode,
    header_case,
    phantom,
    uid_of,
)
from tests.real_parts import program


def errors_of(ds: Dataset, folder: Path) -> list[str]:
    """What dciodvfy calls an error."""
    path = folder / "instance.dcm"
    ds.save_as(path, enforce_file_format=True)
    said = subprocess.run(
        [program("dciodvfy"), "-new", str(path)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return [line for line in said.stderr.splitlines() if line.startswith("Error")]


@pytest.mark.real_part
@pytest.mark.parametrize("monochrome1", [False, True])
@pytest.mark.parametrize("limb", LIMBS)
@pytest.mark.parametrize(("modality", "for_processing"), [("CR", False), ("DX", False), ("DX", True)])
def test_phantoms_are_complete_instances(
    modality: Literal["CR", "DX"], for_processing: bool, limb: Limb, monochrome1: bool, tmp_path: Path
) -> None:
    """dciodvfy finds no error in any class, limb and polarity."""
    ds = phantom(modality=modality, limb=limb, monochrome1=monochrome1, for_processing=for_processing)
    assert errors_of(ds, tmp_path) == []


@pytest.mark.real_part
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_wrapped_films_are_complete_instances(dtype: type[np.generic], tmp_path: Path) -> None:
    """A film of odd size from an image file is a complete DX for presentation."""
    grey = np.arange(35 * 41).reshape(35, 41).astype(dtype)
    ds = wrap_film(
        grey, uid_of=uid_of, study="s", film="a.jpg", acquired_at=ACQUIRED_AT, lossy_ratio=8.0
    )
    assert errors_of(ds, tmp_path) == []
    assert "nominal" in ds.ImageComments


def test_the_same_arguments_make_the_same_bytes() -> None:
    """A phantom is a function of its arguments; broken or not, or another seed, is another instance."""
    syntax = TRANSFER_SYNTAXES[1]
    assert encode(phantom(), syntax) == encode(phantom(), syntax)
    uids = {
        phantom(broken=broken, seed=seed).SOPInstanceUID for broken in (True, False) for seed in (1, 2)
    }
    assert len(uids) == 4


@pytest.mark.parametrize("limb", LIMBS)
def test_a_break_changes_the_bone_and_nothing_else(limb: Limb) -> None:
    """Broken and whole differ in one place: less than a tenth of the film."""
    whole, broken = (
        draw_limb(512, 416, seed=5, broken=broken, limb=limb).astype(int) for broken in (False, True)
    )
    changed = np.abs(whole - broken) > 150
    assert 0.0003 < changed.mean() < 0.1
    assert whole.min() >= 0
    assert whole.max() <= 4095


def test_header_cases_are_instances_of_their_own() -> None:
    """Every case has its own SOP Instance UID, the same in the file meta information."""
    cases = [header_case(name) for name in HEADER_CASES]
    assert len({ds.SOPInstanceUID for ds in cases}) == len(HEADER_CASES)
    assert all(ds.SOPInstanceUID == ds.file_meta.MediaStorageSOPInstanceUID for ds in cases)
