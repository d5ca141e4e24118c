"""The door: `Analyzer.open().analyze(radiograph)` -> `ImageFindings`."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Self

from pipeline.classification import body_part, fracture_probability, further_labels
from pipeline.engines.agreement import BF16_TOLERANCE
from pipeline.engines.choice import AUTO, EngineMemory, choose_engine
from pipeline.engines.engine import Engine, RawReading
from pipeline.errors import EngineError, ModelPackageError
from pipeline.findings import ImageFindings, ModelIdentity, NotProcessed, Outcome, Thresholds
from pipeline.golden import golden_batch, replay
from pipeline.heat_map import HeatMap
from pipeline.localization import find_regions, region_probabilities
from pipeline.model_input import ModelInput, make_model_input
from pipeline.model_package import ModelPackage, default_package, load_package
from pipeline.radiograph import Radiograph
from pipeline.site_profile import apply_site_profile


class Analyzer:
    """Reads films with one verified model; keeps nothing of the last film."""

    def __init__(
        self, package: ModelPackage, engine: Engine, *, thresholds: Thresholds | None = None
    ) -> None:
        description = package.description
        self._description = description
        self._engine = engine
        self.thresholds = thresholds or description.fracture.thresholds.thresholds()
        self.identity = ModelIdentity(
            description.name, description.version, package.digest, engine.name, package.profile
        )
        self._gate = package.gate

    @classmethod
    def open(
        cls,
        path: Path | None = None,
        *,
        profile: Path | None = None,
        fracture_threshold: float | None = None,
        doubt_threshold: float | None = None,
        threads: int = 0,
        engine: str = AUTO,
        memory: EngineMemory | None = None,
        said: Callable[[str], None] = lambda _: None,
    ) -> Self:
        """Loads and verifies a package (the shipped one by default) and replays its golden input.

        `threads`: 0 takes one per core. `profile`: a site profile, in place of the package's calibration and
        operating points; the thresholds replace either's. `engine`, `memory` and
        `said`: how the engine is chosen, see `engines.choice.choose_engine`.

        Raises:
            EngineUnavailableError: the engine that is asked for cannot run on this machine.
            ModelPackageError: the package is damaged, the golden answer does not come back on this
                machine, or the operating points contradict each other.
        """
        package = load_package(path or default_package())
        if profile is not None:
            package = apply_site_profile(package, profile)
        thresholds = chosen_thresholds(package, fracture_threshold, doubt_threshold)
        settings = package.description.input.settings()
        batch = golden_batch(package.golden.pixels, settings)
        chosen = choose_engine(
            package.network(),
            batch,
            wanted=engine,
            threads=threads,
            digest=package.digest,
            memory=memory,
            said=said,
        )
        refuse_wrong_answer(package, chosen)
        return cls(package, chosen, thresholds=thresholds)

    def analyze(self, radiograph: Radiograph) -> ImageFindings:
        """Body part, fracture or not, and where; not processed if the picture is none of a limb.

        Raises:
            EngineError: the engine failed this time, or said something that is not a number.
        """
        given, said, logit = self._infer(radiograph)
        refusal = self._gate.refusal(given, said.features[0]) if self._gate else None
        if refusal is not None:
            return self.not_processed(
                refusal.reason, radiograph.rows, radiograph.columns, refusal.detail
            )
        probability = fracture_probability(logit, self._description.fracture)
        outcome = self.thresholds.outcome(probability)
        return ImageFindings(
            outcome=outcome,
            rows=radiograph.rows,
            columns=radiograph.columns,
            model=self.identity,
            thresholds=self.thresholds,
            fracture_probability=probability,
            body_part=body_part(said.parts[0], self._description.body_parts),
            regions=find_regions(
                said.heat[0],
                logit,
                outcome,
                given.placement,
                self._description.regions,
                said.boxes[0],
            ),
            types=further_labels(said.types[0], self._description.types),
        )

    def heat(self, radiograph: Radiograph) -> HeatMap:
        """Where the network sees a fracture, and how likely; raises as `analyze` does.

        The gate is not asked: whoever shows it knows the film's findings.
        """
        given, said, logit = self._infer(radiograph)
        settings = self._description.regions
        return HeatMap(region_probabilities(said.heat[0], logit, settings), given.placement)

    def _infer(self, radiograph: Radiograph) -> tuple[ModelInput, RawReading, float]:
        """The input, what the engine says of it, and the film's logit."""
        given = make_model_input(
            radiograph.pixels,
            self._description.input.settings(),
            mask=radiograph.mask,
            pixel_aspect=radiograph.pixel_aspect,
        )
        said = self._engine.read(given.pixels[None])
        logit = float(said.fracture[0])
        if not math.isfinite(logit):
            # No comparison holds for it, so it would pass as "no fracture".
            raise EngineError(f"{self._engine.name}: the film's logit is {logit}")
        return given, said, logit

    def not_processed(
        self, reason: NotProcessed, rows: int = 0, columns: int = 0, detail: str = ""
    ) -> ImageFindings:
        """The findings of a film that was not read, and why; `rows` and `columns` as far as known."""
        return ImageFindings(
            outcome=Outcome.NOT_PROCESSED,
            rows=rows,
            columns=columns,
            model=self.identity,
            thresholds=self.thresholds,
            reason=reason,
            detail=detail,
        )


def chosen_thresholds(package: ModelPackage, fracture: float | None, doubt: float | None) -> Thresholds:
    """The package's operating points where none is given.

    Raises:
        ModelPackageError: doubt would lie above fracture.
    """
    own = package.description.fracture.thresholds
    chosen = Thresholds(
        own.fracture if fracture is None else fracture, own.doubt if doubt is None else doubt
    )
    if chosen.doubt > chosen.fracture:
        raise ModelPackageError(
            f"{package.folder}: doubt_threshold = {chosen.doubt} lies above fracture_threshold = "
            f"{chosen.fracture}; the package has {own.doubt} and {own.fracture}: set both, doubt the lower"
        )
    return chosen


def refuse_wrong_answer(package: ModelPackage, engine: Engine) -> None:
    """Replays the golden input.

    Raises:
        ModelPackageError: the answer lies further off than the package tolerates.
    """
    tolerance = package.golden.answer.tolerance
    if engine.name.endswith("bf16"):
        tolerance = max(tolerance, BF16_TOLERANCE)
    difference = replay(package.golden, package.description.input.settings(), engine)
    if not difference <= tolerance:
        raise ModelPackageError(
            f"{package.folder / 'golden' / 'answer.json'}: {engine.name} answers {difference:.3g} away "
            f"(in logits, {tolerance:.3g} is tolerated); this machine or its torch does not compute what "
            "the package was published with: restore the package, or use the release's own versions"
        )
