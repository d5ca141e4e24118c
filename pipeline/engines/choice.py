"""Which engine reads: one that agrees with torch in fp32 on the golden input, and of those the fastest here.

A stopwatch alone would not do: the engine's name is part of a result's identity, so what was measured
is kept, and holds until model, processor or libraries change or somebody measures again.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import numpy as np
import torch
from torch import nn

from pipeline.engines.agreement import difference, tolerance_of
from pipeline.engines.building import EXACT, EngineBuilder
from pipeline.engines.choice_record import Choice, Facts, keep_choice, known_choice
from pipeline.engines.engine import Engine, FloatArray, RawReading
from pipeline.engines.kept_network import kept_network
from pipeline.engines.onnx_file import make_onnx
from pipeline.errors import EngineError, EngineUnavailableError
from pipeline.processor import read_processor, threads_wanted

AUTO = "auto"
# Torch in bf16, which needs no other library, is what an unmeasured machine takes where it has bf16.
UNMEASURED = "torch bf16"
# So many reads, and no new one after so many seconds: the median of the reads counts.
MOST_READS, SECONDS_PER_ENGINE = 9, 0.15
# An engine must beat a simpler one by so much, or a noisy stopwatch would decide.
WORTH_CHANGING = 0.9
Said = Callable[[str], None]


@dataclass(frozen=True)
class EngineMemory:
    """Where choices and compiled networks are kept.

    `clock`: seconds that only rise, to measure with where no choice is known; None measures nothing.
    `again`: measures although a choice is known.
    """

    folder: Path
    clock: Callable[[], float] | None = None
    again: bool = False


def choose_engine(
    network: nn.Module,
    batch: FloatArray,
    *,
    wanted: str = AUTO,
    threads: int = 0,
    digest: str = "",
    memory: EngineMemory | None = None,
    bf16: bool | None = None,
    said: Said = lambda _: None,
) -> Engine:
    """An engine for a package's network; `batch` is the golden input, `digest` the package's.

    `wanted` is a name of `building.ENGINES`, or "auto": without a memory, or where nothing may be measured,
    bf16 if the processor has it (`bf16` overrules) and it agrees, else fp32. `said` hears how it was chosen.

    Raises:
        EngineUnavailableError: the engine that is wanted cannot run here.
        EngineError: it failed this time.
    """
    processor = read_processor()

    def onnx() -> bytes:
        def make() -> bytes:
            return make_onnx(network, batch.shape[-1])

        key = f"{digest} torch {torch.__version__}"
        return kept_network(memory.folder, key, make, said) if memory and digest else make()

    has_bf16 = processor.has_bf16 if bf16 is None else bf16
    builder = EngineBuilder(network, onnx, threads=threads, bf16=has_bf16)
    if wanted != AUTO:
        said(f"{wanted}, as asked for; none is measured")
        return builder.build(wanted)
    trial = _Trial(builder, batch, said)
    if memory is None:
        return trial.unmeasured()
    facts: Facts = {
        "model": digest,
        "processor": processor.name,
        "flags": processor.flags_digest,
        "threads": threads_wanted(threads),
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        "numpy": np.__version__,
        "torch": str(torch.__version__),
        "openvino": _version("openvino"),
        "engines": ", ".join(builder.names()),
    }
    return _remembered(trial, memory, facts) or _measured(trial, memory, facts)


class _Trial:
    """What agrees with torch in fp32 on the golden input."""

    def __init__(self, builder: EngineBuilder, batch: FloatArray, said: Said) -> None:
        self.builder, self.batch, self.said = builder, batch, said
        self.exact = builder.build(EXACT)
        self._expected: RawReading = self.exact.read(batch)

    def agreeing(self, name: str) -> Engine | None:
        """The engine of that name, or None where it does not run or answers otherwise, which is said."""
        if name == EXACT:
            return self.exact
        try:
            engine = self.builder.build(name)
            apart = difference(self._expected, engine.read(self.batch))
        except (EngineError, EngineUnavailableError) as error:
            self.said(f"{name} left out: {error}")
            return None
        if apart <= tolerance_of(name):
            return engine
        self.said(
            f"{name} left out: it answers the golden input {apart:.3g} away from {EXACT}, "
            f"{tolerance_of(name):g} is tolerated"
        )
        return None

    def unmeasured(self) -> Engine:
        """By agreement alone."""
        usable = UNMEASURED in self.builder.names()
        return (self.agreeing(UNMEASURED) if usable else None) or self.exact


def _remembered(trial: _Trial, memory: EngineMemory, facts: Facts) -> Engine | None:
    if memory.again and memory.clock is not None:
        return None
    choice = known_choice(memory.folder, facts, trial.said)
    if choice is None or choice.engine not in trial.builder.names():
        return None
    engine = trial.agreeing(choice.engine)
    if engine is not None:
        trial.said(f"{engine.name}, as measured before: {_listed(choice)}")
    return engine


def _measured(trial: _Trial, memory: EngineMemory, facts: Facts) -> Engine:
    if memory.clock is None:
        engine = trial.unmeasured()
        trial.said(f"{engine.name}, not measured yet on this machine")
        return engine
    tried = [trial.agreeing(name) for name in trial.builder.names()]
    engines = {engine.name: engine for engine in tried if engine is not None}
    times = {name: _seconds(engine, trial.batch, memory.clock) for name, engine in engines.items()}
    best = fastest(times)
    choice = Choice(
        engine=best,
        milliseconds={name: round(1000 * seconds, 3) for name, seconds in times.items()},
        facts=dict(facts),
    )
    try:
        keep_choice(memory.folder, choice)
    except OSError as error:
        # Measured anew at each start it could be another each time.
        unmeasured = trial.unmeasured()
        trial.said(
            f"{memory.folder}: cannot be written: {error.strerror}; {unmeasured.name} without measuring"
        )
        return unmeasured
    trial.said(f"{best}, measured now: {_listed(choice)}")
    return engines[best]


def fastest(seconds: dict[str, float]) -> str:
    """The fastest, where a later name must beat the best before it by a tenth; the order is that of `seconds`."""
    best, *others = seconds
    for name in others:
        if seconds[name] < WORTH_CHANGING * seconds[best]:
            best = name
    return best


def _seconds(engine: Engine, batch: FloatArray, clock: Callable[[], float]) -> float:
    """The median time of a few reads; the first, which makes buffers, has been."""
    engine.read(batch)
    began, times = clock(), list[float]()
    while len(times) < MOST_READS:
        before = clock()
        if times and before - began > SECONDS_PER_ENGINE:
            break
        engine.read(batch)
        times.append(clock() - before)
    return statistics.median(times)


def _listed(choice: Choice) -> str:
    return ", ".join(f"{name} {spent:.1f} ms" for name, spent in choice.milliseconds.items())


def _version(library: str) -> str | None:
    try:
        return version(library)
    except PackageNotFoundError:
        return None
