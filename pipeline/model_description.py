"""What `model.toml` says of a model: frozen records, one per label, nothing unknown."""

from __future__ import annotations

import math
from pathlib import PurePosixPath
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

from pipeline.findings import Thresholds
from pipeline.model_input import InputSettings

WEIGHTS = "weights.safetensors"
GATE = "gate.safetensors"
CARD = "MODEL_CARD.md"
GOLDEN_INPUT = "golden/input.png"
GOLDEN_ANSWER = "golden/answer.json"
PACKAGED_FILES = (WEIGHTS, CARD, GOLDEN_INPUT, GOLDEN_ANSWER)

PackageName = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9-]{0,63}$")]
PackageVersion = Annotated[str, StringConstraints(pattern=r"^\d{1,5}\.\d{1,5}\.\d{1,5}$")]
Digest = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
Share = Annotated[float, Field(gt=0, lt=1)]


class Record(BaseModel):
    """A table of the file."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Code(Record):
    """A coded concept (PS3.3 8.8): value, coding scheme designator, meaning."""

    value: str = Field(min_length=1, max_length=16)
    scheme: str = Field(min_length=1, max_length=16)
    meaning: str = Field(min_length=1, max_length=64)


class Calibration(Record):
    """A logit becomes a probability: sigmoid((logit + offset) / temperature).

    The offset is there because training shows more fractures than a department sees.
    """

    temperature: float = Field(1.0, gt=0)
    offset: float = 0.0

    def probability(self, logit: float) -> float:
        """0 to 1."""
        # tanh does not overflow, whatever the logit.
        return 0.5 * (1.0 + math.tanh((logit + self.offset) / self.temperature / 2.0))


class OperatingPoints(Record):
    """`fracture` is the specific point, `doubt` the sensitive one and not above it."""

    fracture: Share
    doubt: Share

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.doubt > self.fracture:
            raise ValueError(f"doubt = {self.doubt} is above fracture = {self.fracture}")
        return self

    def thresholds(self) -> Thresholds:
        """The same as findings carry them."""
        return Thresholds(self.fracture, self.doubt)


class FractureLabel(Record):
    """The film's label."""

    code: Code
    calibration: Calibration
    thresholds: OperatingPoints


class BodyPartLabel(Record):
    """One of the model's coarse body parts, in the order of the network's output."""

    name: str = Field(min_length=1, max_length=32)
    code: Code


class TypeLabel(Record):
    """A further label of a film, a fracture type for example, in the order of the network's output."""

    name: str = Field(min_length=1, max_length=64)
    code: Code | None = None


class RegionSettings(Record):
    """How a heat map becomes regions; lengths are cells of the heat map.

    A peak below `floor` (0 to 1) starts no region. A region is the peak's connected cells at or above
    `relative_level` times the peak, `minimum_cells` at least; its box gets a `margin` all around. Its
    logit is the peak's plus `film_weight` times the film's.
    """

    floor: Share = 0.03
    relative_level: Share = 0.4
    minimum_cells: int = Field(2, ge=1)
    margin: float = Field(0.0, ge=0, le=8)
    film_weight: float = Field(0.0, ge=0, le=4)
    calibration: Calibration = Calibration()
    thresholds: OperatingPoints = OperatingPoints(fracture=0.5, doubt=0.25)


class GateRecord(Record):
    """The gate of the pixels, whose tensors are in `gate.safetensors`.

    `statistics` names the set of film statistics that it was fitted on. A picture above `threshold` is not
    read; out of fold that refused the share `allowed` of the data set's own films.
    """

    statistics: str
    threshold: float
    allowed: Share


class Architecture(Record):
    """A name of `networks.fracture_net.ARCHITECTURES` and the shape that it is built in.

    With several `members` the weights file holds each under its number, and what they say is averaged.
    """

    name: str
    shape: dict[str, bool | int | str | tuple[int, ...]]
    members: int = Field(1, ge=1, le=16)


class InputRecord(Record):
    """Sides in pixels: the network's square, and the longest side a film is brought to before."""

    size: int = Field(ge=32, le=2048, multiple_of=32)
    film_side: int = Field(ge=32, le=4096)

    def settings(self) -> InputSettings:
        """The same as `make_model_input` takes it."""
        return InputSettings(self.size, self.film_side)


class TrainingRecord(Record):
    """Where the weights come from."""

    data: str
    citation: str
    licence: str
    split: str


class ModelDescription(Record):
    """The whole of `model.toml`; `files` holds the sha256 of every other file of the package."""

    format: Literal[1]
    name: PackageName
    version: PackageVersion
    architecture: Architecture
    input: InputRecord
    fracture: FractureLabel
    body_parts: tuple[BodyPartLabel, ...] = Field(min_length=1)
    types: tuple[TypeLabel, ...] = ()
    regions: RegionSettings
    gate: GateRecord | None = None
    training: TrainingRecord
    files: dict[str, Digest]

    @model_validator(mode="after")
    def _complete(self) -> Self:
        for name in PACKAGED_FILES:
            if name not in self.files:
                raise ValueError(f"files: {name!r} has no digest")
        if (GATE in self.files) != (self.gate is not None):
            raise ValueError(f"gate: [gate] and {GATE!r} in files belong together, one is missing")
        for name in self.files:
            path = PurePosixPath(name)
            if path.is_absolute() or ".." in path.parts or "\\" in name:
                raise ValueError(f"files: {name!r} leaves the package")
        for key, table, listed in (
            ("parts", "body_parts", len(self.body_parts)),
            ("types", "types", len(self.types)),
        ):
            said = self.architecture.shape.get(key, 0)
            if said != listed:
                raise ValueError(
                    f"architecture.shape.{key} = {said!r}, but {listed} {table} are listed"
                )
        return self
