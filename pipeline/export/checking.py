"""An exported network beside torch in fp32, on the same inputs."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from pipeline.classification import fracture_probability
from pipeline.engines.agreement import FP32_TOLERANCE, difference
from pipeline.engines.engine import Engine, FloatArray
from pipeline.errors import ExportError
from pipeline.export.record import ExportCheck
from pipeline.findings import Outcome
from pipeline.golden import golden_batch, replay
from pipeline.model_input import make_model_input
from pipeline.model_package import ModelPackage
from pipeline.radiograph import Radiograph


def check_export(
    package: ModelPackage, exact: Engine, exported: Engine, films: Iterable[Radiograph]
) -> ExportCheck:
    """Reads the golden input, alone and twice at once, and every film with both engines.

    Raises:
        ExportError: the exported network answers otherwise.
        EngineError: an engine failed this time.
    """
    settings = package.description.input.settings()
    golden = golden_batch(package.golden.pixels, settings)
    largest, count, changed = _apart(exact, exported, np.concatenate([golden, golden])), 0, 0
    for film in films:
        batch = make_model_input(
            film.pixels, settings, mask=film.mask, pixel_aspect=film.pixel_aspect
        ).pixels[None]
        largest = max(largest, _apart(exact, exported, batch))
        changed += _outcome(package, exact, batch) is not _outcome(package, exported, batch)
        count += 1
    check = ExportCheck(
        engine=exported.name,
        films=count,
        largest_difference=largest,
        golden_difference=replay(package.golden, settings, exported),
        tolerance=FP32_TOLERANCE,
        outcomes_changed=changed,
    )
    refuse_disagreement(package, check)
    return check


def refuse_disagreement(package: ModelPackage, check: ExportCheck) -> None:
    """Raises ExportError unless everything that was compared is within its tolerance."""
    golden = package.golden.answer.tolerance
    if not check.golden_difference <= golden:
        raise ExportError(
            f"{package.folder}: {check.engine} answers the golden input {check.golden_difference:.3g} away "
            f"(in logits, {golden:g} is tolerated); nothing was exported"
        )
    if not check.largest_difference <= check.tolerance or check.outcomes_changed:
        raise ExportError(
            f"{package.folder}: {check.engine} lies up to {check.largest_difference:.3g} from torch fp32 "
            f"({check.tolerance:g} is tolerated) and changes {check.outcomes_changed} of {check.films} "
            "outcomes; nothing was exported"
        )


def _apart(exact: Engine, exported: Engine, batch: FloatArray) -> float:
    return difference(exact.read(batch), exported.read(batch))


def _outcome(package: ModelPackage, engine: Engine, batch: FloatArray) -> Outcome:
    label = package.description.fracture
    logit = float(engine.read(batch).fracture[0])
    return label.thresholds.thresholds().outcome(fracture_probability(logit, label))
