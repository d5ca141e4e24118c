"""The door: a film in, findings out, from a model that has proved itself at the start."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from pipeline.analysis import Analyzer, refuse_wrong_answer
from pipeline.engines.choice import choose_engine
from pipeline.engines.engine import FloatArray, RawReading
from pipeline.engines.torch_engine import TorchEngine
from pipeline.errors import EngineError, ModelPackageError
from pipeline.findings import NotProcessed, Outcome, dump_findings, load_findings
from pipeline.golden import golden_batch
from pipeline.model_package import load_package
from pipeline.processor import has_bf16
from pipeline.radiograph import Radiograph
from tests.pipeline.conftest import drawn_radiograph


@pytest.fixture(scope="module")
def analyzer(package_folder: Path) -> Analyzer:
    """An analyzer of the tiny package."""
    return Analyzer.open(package_folder, threads=1)


def test_findings_describe_the_film_they_are_of(analyzer: Analyzer, phantom: Radiograph) -> None:
    """Its matrix, a probability, one of the model's body parts, regions inside it and in order."""
    findings = analyzer.analyze(phantom)
    assert (findings.rows, findings.columns) == (300, 240)
    assert findings.fracture_probability is not None
    assert findings.outcome is analyzer.thresholds.outcome(findings.fracture_probability)
    assert findings.body_part is not None
    assert findings.body_part.name in ("hand", "leg", "hip", "shoulder")
    assert findings.regions, "the tiny network is made so that it shows regions"
    chances = [region.probability for region in findings.regions]
    assert chances == sorted(chances, reverse=True)
    for x0, y0, x1, y1 in (region.box for region in findings.regions):
        assert 0 <= x0 < x1 <= 240
        assert 0 <= y0 < y1 <= 300
    assert load_findings(dump_findings(findings)) == findings


def test_findings_name_the_package_and_the_engine(
    analyzer: Analyzer, package_folder: Path, phantom: Radiograph
) -> None:
    """So that a result says what made it."""
    model = analyzer.analyze(phantom).model
    digest = hashlib.sha256((package_folder / "model.toml").read_bytes()).hexdigest()
    assert (model.name, model.version, model.digest) == ("tiny-net", "0.0.1", digest)
    assert model.engine in ("torch fp32", "torch bf16")


def test_nothing_is_remembered_of_the_last_film(analyzer: Analyzer, phantom: Radiograph) -> None:
    """The same film reads the same before and after another one."""
    first = analyzer.analyze(phantom)
    other = analyzer.analyze(drawn_radiograph(200, 320, seed=9))
    assert other.fracture_probability != first.fracture_probability
    assert analyzer.analyze(phantom) == first


def test_a_finer_copy_of_a_film_reads_as_the_film(analyzer: Analyzer) -> None:
    """Sharpness is no label: both are brought to the same side first, and boxes stay in their own pixels."""
    film = drawn_radiograph(300, 240, seed=5)
    finer = replace(film, pixels=np.kron(film.pixels, np.ones((3, 3), np.float32)))
    coarse, fine = analyzer.analyze(film), analyzer.analyze(finer)
    assert fine.fracture_probability == pytest.approx(coarse.fracture_probability, abs=1e-4)
    assert fine.regions[0].box == pytest.approx([3 * edge for edge in coarse.regions[0].box], abs=0.5)


def test_what_lies_behind_the_shutter_does_not_change_the_reading(
    analyzer: Analyzer, phantom: Radiograph
) -> None:
    """Only exposed pixels count, in the statistics and in the picture."""
    mask = np.ones(phantom.pixels.shape, np.bool_)
    mask[:, :60] = False
    black, white = phantom.pixels.copy(), phantom.pixels.copy()
    black[:, :50], white[:, :50] = 0.0, 1.0
    first = analyzer.analyze(replace(phantom, pixels=black, mask=mask))
    assert analyzer.analyze(replace(phantom, pixels=white, mask=mask)) == first


def test_operating_points_of_the_settings_replace_the_package_s(
    package_folder: Path, phantom: Radiograph
) -> None:
    """And are written into the findings."""
    low = Analyzer.open(package_folder, threads=1, fracture_threshold=1e-6, doubt_threshold=1e-7)
    high = Analyzer.open(
        package_folder, threads=1, fracture_threshold=1 - 1e-6, doubt_threshold=1 - 1e-5
    )
    between = Analyzer.open(
        package_folder, threads=1, fracture_threshold=1 - 1e-6, doubt_threshold=1e-6
    )
    outcomes = [opened.analyze(phantom).outcome for opened in (low, between, high)]
    assert outcomes == [Outcome.FRACTURE, Outcome.DOUBT, Outcome.NO_FRACTURE]
    assert low.analyze(phantom).thresholds.fracture == 1e-6


def test_a_film_without_a_fracture_shows_no_region(package_folder: Path, phantom: Radiograph) -> None:
    """They are kept for the record, but none is drawn."""
    high = Analyzer.open(
        package_folder, threads=1, fracture_threshold=1 - 1e-6, doubt_threshold=1 - 1e-5
    )
    findings = high.analyze(phantom)
    assert findings.regions
    assert findings.visible_regions == ()


def test_operating_points_that_contradict_each_other_are_refused(package_folder: Path) -> None:
    """Before any film is read."""
    with pytest.raises(
        ModelPackageError, match=r"doubt_threshold = 0.6 lies above fracture_threshold = 0.5"
    ):
        Analyzer.open(package_folder, threads=1, fracture_threshold=0.5, doubt_threshold=0.6)


def test_a_film_that_was_not_read_says_why_and_nothing_else(analyzer: Analyzer) -> None:
    """Never a probability, never "no fracture"."""
    findings = analyzer.not_processed(NotProcessed.NO_DECODER, 10, 20, "1.2.840.10008.1.2.4.51")
    assert findings.outcome is Outcome.NOT_PROCESSED
    assert (findings.reason, findings.rows, findings.columns) == (NotProcessed.NO_DECODER, 10, 20)
    assert (findings.fracture_probability, findings.body_part, findings.regions) == (None, None, ())


def test_a_reading_that_is_no_number_is_an_error_and_not_a_negative(
    analyzer: Analyzer, phantom: Radiograph
) -> None:
    """Nothing is above a threshold that it cannot be compared with."""
    broken = phantom.pixels.copy()
    broken[10, 10] = np.nan
    with pytest.raises(EngineError, match="nan"):
        analyzer.analyze(replace(phantom, pixels=broken))


class ShiftedEngine:
    """A real engine whose film logits are off, as a miscompiled one's would be."""

    name = "torch fp32"

    def __init__(self, engine: TorchEngine, shift: float) -> None:
        self.engine, self.shift = engine, shift

    def read(self, batch: FloatArray) -> RawReading:
        """The engine's reading, shifted."""
        said = self.engine.read(batch)
        return replace(said, fracture=said.fracture + np.float32(self.shift))


@pytest.mark.parametrize("shift", [0.1, -0.1, float("nan")])
def test_an_engine_that_computes_otherwise_is_found_out(package_folder: Path, shift: float) -> None:
    """By the golden input, before it reads a patient's film."""
    package = load_package(package_folder)
    engine = TorchEngine(package.network(), threads=1)
    refuse_wrong_answer(package, engine)
    with pytest.raises(ModelPackageError, match=r"answers .* away"):
        refuse_wrong_answer(package, ShiftedEngine(engine, shift))


def test_bf16_is_taken_only_where_the_processor_has_it_and_the_answer_agrees(
    package_folder: Path,
) -> None:
    """Its name is then part of every result."""
    package = load_package(package_folder)
    batch = golden_batch(package.golden.pixels, package.description.input.settings())
    assert choose_engine(package.network(), batch, bf16=False, threads=1).name == "torch fp32"
    assert choose_engine(package.network(), batch, bf16=True, threads=1).name == "torch bf16"
    coarse = package.network()
    coarse.get_parameter("heads.fracture_head.weight").data.mul_(1e5)
    assert choose_engine(coarse, batch, bf16=True, threads=1).name == "torch fp32"


def test_the_processor_s_own_flags_say_whether_it_has_bf16(tmp_path: Path) -> None:
    """A processor without the flag, or a system without the record, has not."""
    record = tmp_path / "cpuinfo"
    assert not has_bf16(record)
    record.write_text("processor : 0\nflags\t\t: fpu avx512f amx_tile\n")
    assert not has_bf16(record)
    record.write_text("processor : 0\nflags\t\t: fpu avx512f avx512_bf16\n")
    assert has_bf16(record)


def test_an_input_that_the_network_cannot_take_is_a_transient_error(package_folder: Path) -> None:
    """Torch's own error does not leave the room."""
    engine = TorchEngine(load_package(package_folder).network(), threads=1)
    with pytest.raises(EngineError, match="torch fp32"):
        engine.read(np.zeros((1, 0, 0), np.float32))
