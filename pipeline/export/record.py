"""What lies beside an exported network: how a film becomes its input, and its outputs become findings."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from pydantic import BaseModel, ConfigDict

from pipeline.engines.onnx_file import INPUT
from pipeline.findings import RESEARCH_NOTICE
from pipeline.model_description import BodyPartLabel, FractureLabel, RegionSettings, TypeLabel
from pipeline.model_input import BLACK, HIGH_PERCENTILE, LEAST_SPREAD, LOW_PERCENTILE, MOST_LEVEL
from pipeline.model_package import ModelPackage

ExportFormat = Literal["onnx", "openvino"]
_MEANINGS = {
    "fracture": "logit of the film; `fracture.calibration` makes a probability of it, "
    "sigmoid((logit + offset) / temperature), and `fracture.thresholds` an outcome",
    "parts": "logits of `body_parts`, in their order; a sigmoid each",
    "types": "logits of `types`, in their order; a sigmoid each",
    "heat": "logits of a fracture in each cell of size / 4; `regions` says how they become boxes, and "
    "`pipeline.localization.find_regions` is the reference",
    "boxes": "from each cell's centre to the left, top, right and bottom edge of its lesion's box, in cells",
    "features": "pooled features of the last stage, by which a package's gate judges",
}


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class FilmPreparation(_Record):
    """The input of a film: float32 (n, 1, size, size). `steps` in words; the numbers are those that they name.

    `pipeline.model_input.make_model_input` is the reference.
    """

    size: int
    film_side: int
    low_percentile: float = LOW_PERCENTILE
    high_percentile: float = HIGH_PERCENTILE
    least_spread: float = LEAST_SPREAD
    most_level: float = MOST_LEVEL
    black: float = BLACK
    steps: tuple[str, ...] = (
        "grey levels from 0 to 1 in which larger is brighter (MONOCHROME2, after modality and VOI LUT)",
        "square pixels, and the longest side brought to film_side by area averaging; never enlarged",
        "levels spread linearly: low_percentile to -1, high_percentile to 1 (least_spread at least between "
        "them), clipped at -most_level and most_level; padding and shutter do not count and become black",
        "the longest side brought to size, area averaging to reduce and bilinear to enlarge; centred in a "
        "square of black, the odd pixel to the right and below",
    )


class Output(_Record):
    """An output of the network: its shape after the number of films, and what it means."""

    shape: tuple[int, ...]
    meaning: str


class ExportCheck(_Record):
    """What the exported file was compared with before it was left: torch in fp32, on the same inputs.

    `largest_difference`: of logits; of box edges in cells and of features, the largest mean. `golden_difference`:
    from the package's own golden answer.
    """

    engine: str
    films: int
    largest_difference: float
    golden_difference: float
    tolerance: float
    outcomes_changed: int


class ExportRecord(_Record):
    """The JSON beside an exported network; `files` holds the sha256 of each file of it."""

    format: Literal[1] = 1
    notice: str = RESEARCH_NOTICE
    kind: ExportFormat
    name: str
    version: str
    package_digest: str
    files: dict[str, str]
    input_name: str = INPUT
    preparation: FilmPreparation
    outputs: dict[str, Output]
    fracture: FractureLabel
    body_parts: tuple[BodyPartLabel, ...]
    types: tuple[TypeLabel, ...]
    regions: RegionSettings
    check: ExportCheck


def record_of(
    package: ModelPackage,
    kind: ExportFormat,
    *,
    files: Mapping[str, str],
    shapes: Mapping[str, tuple[int, ...]],
    check: ExportCheck,
) -> ExportRecord:
    """The record of an exported network; `shapes` are its outputs', without the number of films."""
    said = package.description
    return ExportRecord(
        kind=kind,
        name=said.name,
        version=said.version,
        package_digest=package.digest,
        files=dict(files),
        preparation=FilmPreparation(size=said.input.size, film_side=said.input.film_side),
        outputs={name: Output(shape=shape, meaning=_MEANINGS[name]) for name, shape in shapes.items()},
        fracture=said.fracture,
        body_parts=said.body_parts,
        types=said.types,
        regions=said.regions,
        check=check,
    )
