"""The pixels' gate: what is no film of a limb is not read, and what it costs."""

from __future__ import annotations

import hashlib
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest
import safetensors.numpy
import tomlkit

from pipeline.analysis import Analyzer
from pipeline.engines.engine import FloatArray, RawReading
from pipeline.engines.torch_engine import TorchEngine
from pipeline.errors import ModelPackageError
from pipeline.film_statistics import film_statistics
from pipeline.findings import NotProcessed, Outcome
from pipeline.gate_fitting.fitting import FittedGate
from pipeline.model_description import GATE
from pipeline.model_input import InputSettings, make_model_input
from pipeline.model_package import load_package
from pipeline.radiograph import Radiograph
from tests.made_gate import add_gate, drawn_limb, fit_tiny_gate

SETTINGS = InputSettings(64, 96)


def radiograph(pixels: np.ndarray) -> Radiograph:
    """A film of these presentation values."""
    return Radiograph(np.asarray(pixels, np.float32), None, None, 1.0, "0" * 64)


@pytest.fixture(scope="module")
def fitted(package_folder: Path) -> FittedGate:
    """The tiny network's gate."""
    return fit_tiny_gate(package_folder)


@pytest.fixture(scope="module")
def gated(package_folder: Path, fitted: FittedGate, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny package with it."""
    return add_gate(package_folder, tmp_path_factory.mktemp("gated") / "0.0.2", fitted)


@pytest.fixture(scope="module")
def analyzer(gated: Path) -> Analyzer:
    """An analyzer that has the gate."""
    return Analyzer.open(gated, threads=1)


@pytest.mark.parametrize("kind", ["noise", "stripes", "cloud"])
def test_a_picture_that_is_no_limb_is_not_read(analyzer: Analyzer, kind: str) -> None:
    """It ends as not processed with its own reason, and with no probability that could pass for a negative."""
    chance = np.random.default_rng(99)
    y, x = np.mgrid[0:120, 0:96]
    made = {
        "noise": chance.random((120, 96)),
        "stripes": (x // 4 + y // 7) % 2,
        "cloud": np.cumsum(np.cumsum(chance.normal(size=(120, 96)), 0), 1),
    }[kind]
    findings = analyzer.analyze(radiograph((made - made.min()) / (made.max() - made.min())))
    assert findings.outcome is Outcome.NOT_PROCESSED
    assert findings.reason in (NotProcessed.NOT_A_LIMB, NotProcessed.INVERTED)
    assert (findings.fracture_probability, findings.body_part, findings.regions) == (None, None, ())
    assert (findings.rows, findings.columns) == (120, 96)
    assert "score" in findings.detail


def test_an_inverted_film_has_a_reason_of_its_own(analyzer: Analyzer) -> None:
    """So that whoever sends such films learns what to mend; most of them, the gate is a guess."""
    reasons = [analyzer.analyze(radiograph(1 - drawn_limb(seed))).reason for seed in range(200, 212)]
    assert reasons.count(NotProcessed.INVERTED) >= 9


def test_limbs_that_the_gate_has_not_seen_are_read(analyzer: Analyzer, package_folder: Path) -> None:
    """And read exactly as without a gate."""
    ungated = Analyzer.open(package_folder, threads=1)
    read = 0
    for seed in range(300, 320):
        film = radiograph(drawn_limb(seed))
        findings, wanted = analyzer.analyze(film), ungated.analyze(film)
        if findings.outcome is not Outcome.NOT_PROCESSED:
            read += 1
            assert replace(findings, model=wanted.model) == wanted
    assert read >= 18


class CountingEngine:
    """A real engine that counts its passes."""

    def __init__(self, engine: TorchEngine) -> None:
        self.engine, self.passes = engine, 0

    @property
    def name(self) -> str:
        """The engine's."""
        return self.engine.name

    def read(self, batch: FloatArray) -> RawReading:
        """One pass more."""
        self.passes += 1
        return self.engine.read(batch)


def test_a_refusal_costs_one_pass_of_the_network(gated: Path) -> None:
    """As a reading does."""
    package = load_package(gated)
    engine = CountingEngine(TorchEngine(package.network(), threads=1))
    noise = np.random.default_rng(5).random((120, 96))
    findings = Analyzer(package, engine).analyze(radiograph(noise))
    assert findings.outcome is Outcome.NOT_PROCESSED
    assert engine.passes == 1


def test_a_package_without_a_gate_reads_whatever_it_is_given(package_folder: Path) -> None:
    """Older packages stay usable; `gate` says that there is none."""
    package = load_package(package_folder)
    assert package.gate is None
    noise = radiograph(np.random.default_rng(5).random((120, 96)))
    assert Analyzer.open(package_folder, threads=1).analyze(noise).outcome is not Outcome.NOT_PROCESSED


def described(folder: Path, gate: FittedGate, package: Path, changes: dict[str, object]) -> Path:
    """A gated package whose [gate] table is changed."""
    copied = add_gate(package, folder, gate)
    toml = tomlkit.parse((copied / "model.toml").read_text())
    toml["gate"].update(changes)  # type: ignore[union-attr]
    (copied / "model.toml").write_text(tomlkit.dumps(toml))
    return copied


def test_a_gate_that_other_statistics_were_fitted_on_is_refused(
    package_folder: Path, fitted: FittedGate, tmp_path: Path
) -> None:
    """Never scored with numbers that mean something else."""
    changed = described(tmp_path / "0.0.2", fitted, package_folder, {"statistics": "film-statistics-0"})
    with pytest.raises(
        ModelPackageError, match=r"gate.safetensors: gate.statistics = 'film-statistics-0'"
    ):
        load_package(changed)


def test_a_gate_comes_back_as_it_was_fitted(gated: Path, fitted: FittedGate) -> None:
    """Every number of every tensor, however its memory lies: a fit leaves transposed arrays."""
    assert not fitted.tensors.feature_basis.flags.c_contiguous
    served = load_package(gated).gate
    assert served is not None
    for field in fields(fitted.tensors):
        came, went = (getattr(one, field.name) for one in (served.tensors, fitted.tensors))
        assert np.array_equal(came, went), field.name


def test_a_gate_without_its_record_and_a_record_without_its_gate_are_refused(
    package_folder: Path, fitted: FittedGate, tmp_path: Path
) -> None:
    """Half a gate would look like none."""
    copied = add_gate(package_folder, tmp_path / "0.0.2", fitted)
    whole = (copied / "model.toml").read_text()
    for key in ("gate", "files"):
        toml = tomlkit.parse(whole)
        if key == "gate":
            del toml["gate"]
        else:
            del toml["files"][GATE]  # type: ignore[union-attr]
        (copied / "model.toml").write_text(tomlkit.dumps(toml))
        with pytest.raises(ModelPackageError, match="belong together"):
            load_package(copied)


@pytest.mark.parametrize(
    ("name", "spoil"), [("weights", "shape"), ("bias", "nan"), ("mean", "missing")]
)
def test_a_damaged_gate_is_refused_by_the_tensor_s_name(
    package_folder: Path, fitted: FittedGate, tmp_path: Path, name: str, spoil: str
) -> None:
    """Also when its digest fits."""
    copied = add_gate(package_folder, tmp_path / "0.0.2", fitted)
    tensors = safetensors.numpy.load((copied / GATE).read_bytes())
    if spoil == "missing":
        del tensors[name]
    else:
        tensors[name] = (
            tensors[name][..., :-1].copy() if spoil == "shape" else tensors[name] * np.float32("nan")
        )
    contents = safetensors.numpy.save(tensors)
    (copied / GATE).write_bytes(contents)
    toml = tomlkit.parse((copied / "model.toml").read_text())
    toml["files"][GATE] = hashlib.sha256(contents).hexdigest()  # type: ignore[index]
    (copied / "model.toml").write_text(tomlkit.dumps(toml))
    with pytest.raises(ModelPackageError, match=rf"gate.safetensors.*{name}"):
        load_package(copied)


@pytest.mark.parametrize("shape", [(120, 96), (96, 120), (300, 6), (1, 200)])
@pytest.mark.parametrize("level", [0.0, 0.5])
def test_statistics_are_numbers_whatever_the_picture(shape: tuple[int, int], level: float) -> None:
    """Flat, thin and tall: as many as ever, each finite."""
    flat = film_statistics(make_model_input(np.full(shape, level, np.float32), SETTINGS))
    usual = film_statistics(make_model_input(drawn_limb(1), SETTINGS))
    assert flat.shape == usual.shape
    assert np.isfinite(flat).all()


def test_the_bars_around_a_film_are_not_part_of_its_statistics() -> None:
    """They are the letter box's, not the film's."""
    given = make_model_input(drawn_limb(1), SETTINGS)
    place = given.placement
    painted = np.full_like(given.pixels, 0.7)
    inside = np.s_[:, round(place.left) : round(place.left + place.columns * place.scale_x)]
    painted[inside] = given.pixels[inside]
    assert (painted != given.pixels).any()
    assert np.array_equal(film_statistics(replace(given, pixels=painted)), film_statistics(given))
