"""What the demo sends: phantoms, or real films, as DICOM files."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Literal

import pydicom
from pydicom.errors import InvalidDicomError

from dicom_node.errors import NodeError
from dicom_node.operating.phantom_drawing import Limb
from dicom_node.operating.phantoms import phantom_instance, wrap_film
from pipeline.errors import ScopeError, UnreadableError
from pipeline.image_file import read_grey

UidOf = Callable[[str], str]
_PICTURES = {".png", ".jpg", ".jpeg"}
_FILMS = {".dcm", ".dicom", ".ima", "", *_PICTURES}


@dataclass(frozen=True)
class DemoFilm:
    """A file to send and what to call it."""

    path: Path
    name: str
    sop_instance_uid: str


@dataclass(frozen=True)
class _Phantom:
    study: str
    modality: Literal["CR", "DX"]
    limb: Limb
    broken: bool
    monochrome1: bool


_PHANTOMS = (
    _Phantom("arm", "DX", "forearm", True, False),
    _Phantom("arm", "DX", "forearm", False, False),
    _Phantom("arm", "DX", "hand", False, True),
    _Phantom("leg", "CR", "lower leg", True, True),
    _Phantom("leg", "CR", "lower leg", False, False),
)


def draw_phantoms(folder: Path, uid_of: UidOf, at: datetime) -> list[DemoFilm]:
    """Five drawn limbs in two studies: CR and DX, both polarities, with and without a break."""
    films = []
    for number, phantom in enumerate(_PHANTOMS, 1):
        ds = phantom_instance(
            modality=phantom.modality,
            broken=phantom.broken,
            seed=number,
            uid_of=uid_of,
            study=phantom.study,
            acquired_at=at,
            instance_number=number,
            rows=1536,
            columns=1248,
            monochrome1=phantom.monochrome1,
            limb=phantom.limb,
        )
        state = "with a break" if phantom.broken else "whole"
        name = f"synthetic {phantom.limb}, {state} ({phantom.modality})"
        films.append(_save(ds, folder, number, name))
    return films


def wrap_films(paths: Sequence[Path], folder: Path, uid_of: UidOf, at: datetime) -> list[DemoFilm]:
    """Real files: DICOM as it is, PNG and JPEG wrapped as DX, each in a study of its own.

    Raises:
        NodeError: a file is none of these; names it.
    """
    films = []
    for number, path in enumerate(_files(paths), 1):
        ds = _wrapped(path, number, uid_of, at) if path.suffix.lower() in _PICTURES else _read(path)
        films.append(_save(ds, folder, number, path.name))
    if not films:
        raise NodeError(f"no DICOM, PNG or JPEG file in {', '.join(map(str, paths))}")
    return films


def _files(paths: Sequence[Path]) -> list[Path]:
    found: list[Path] = []
    for path in paths:
        inside = sorted(path.rglob("*")) if path.is_dir() else [path]
        found += [
            file
            for file in inside
            if file.is_file() and (file == path or file.suffix.lower() in _FILMS)
        ]
    return found


def _wrapped(path: Path, number: int, uid_of: UidOf, at: datetime) -> pydicom.Dataset:
    try:
        grey = read_grey(path)
    except (ScopeError, UnreadableError) as error:
        raise NodeError(f"{path}: {error}") from error
    lossy = path.suffix.lower() != ".png"
    return wrap_film(
        grey,
        uid_of=uid_of,
        study=f"film {number}",
        film=path.name,
        acquired_at=at,
        lossy_ratio=max(1.0, grey.size / path.stat().st_size) if lossy else None,
    )


def _read(path: Path) -> pydicom.Dataset:
    try:
        return pydicom.dcmread(path)
    except (InvalidDicomError, OSError) as error:
        raise NodeError(f"{path}: neither DICOM, PNG nor JPEG: {error}") from error


def _save(ds: pydicom.Dataset, folder: Path, number: int, name: str) -> DemoFilm:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{number:02d}.dcm"
    ds.save_as(path, enforce_file_format=True)
    return DemoFilm(path, name, str(ds.SOPInstanceUID))
