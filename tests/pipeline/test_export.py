"""An exported network says what the package says, and comes with what must be done before and after it."""

from __future__ import annotations

import hashlib
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from dicom_node.cli import app
from pipeline.analysis import Analyzer
from pipeline.engines.engine import Engine, FloatArray, RawReading
from pipeline.engines.onnx_engine import OnnxEngine
from pipeline.engines.openvino_engine import OpenVinoEngine
from pipeline.engines.torch_engine import TorchEngine
from pipeline.errors import EngineUnavailableError, ExportError
from pipeline.export.checking import check_export
from pipeline.export.record import ExportFormat, ExportRecord
from pipeline.export.writing import export_model
from pipeline.findings import ImageFindings
from pipeline.model_input import InputSettings, make_model_input
from pipeline.model_package import ModelPackage, load_package
from pipeline.radiograph import Radiograph
from tests.pipeline.conftest import drawn_radiograph

ENGINES = {"onnx": OnnxEngine, "openvino": OpenVinoEngine}
FILES = {"onnx": {"tiny-net-0.0.1.onnx"}, "openvino": {"tiny-net-0.0.1.xml", "tiny-net-0.0.1.bin"}}


@pytest.fixture(scope="module")
def package(package_folder: Path) -> ModelPackage:
    """The tiny package."""
    return load_package(package_folder)


@pytest.fixture(scope="module", params=list(ENGINES))
def exported(
    request: pytest.FixtureRequest, package: ModelPackage, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, ExportRecord]:
    """The folder and the record of an export that was checked on two films."""
    folder = tmp_path_factory.mktemp(request.param)
    films = [drawn_radiograph(300, 240, seed=seed) for seed in (5, 6)]
    path, record = export_model(package, request.param, folder, films=films, threads=1)
    assert path.parent == folder
    return folder, record


def engine_of(folder: Path, record: ExportRecord) -> Engine:
    """What reads the exported network, from its files alone."""
    name = next(name for name in record.files if not name.endswith(".bin"))
    return ENGINES[record.kind](folder / name, threads=1)


def unnamed(findings: ImageFindings) -> ImageFindings:
    """The findings without the engine's name and to four digits."""
    near = [replace(region, box=tuple(round(edge, 1) for edge in region.box),
                    probability=round(region.probability, 4)) for region in findings.regions]  # fmt: skip
    return replace(
        findings,
        model=replace(findings.model, engine=""),
        fracture_probability=round(findings.fracture_probability or 0, 4),
        body_part=None,
        regions=tuple(near),
    )


def test_the_record_tells_of_every_file_and_of_the_check(exported: tuple[Path, ExportRecord]) -> None:
    """By digest; nothing else is left in the folder, and the record on disk is the one returned."""
    folder, record = exported
    written = f"tiny-net-0.0.1.{record.kind}.json"
    assert {path.name for path in folder.iterdir()} == FILES[record.kind] | {written}
    for name, digest in record.files.items():
        assert hashlib.sha256((folder / name).read_bytes()).hexdigest() == digest
    assert set(record.files) == FILES[record.kind]
    assert ExportRecord.model_validate_json((folder / written).read_bytes()) == record
    assert record.check.films == 2
    assert record.check.largest_difference <= record.check.tolerance
    assert "not a medical device" in record.notice.lower()


def test_an_exported_network_gives_the_package_s_findings(
    exported: tuple[Path, ExportRecord], package: ModelPackage
) -> None:
    """Read back from the file and put through the same door: outcome, probability and regions."""
    film = drawn_radiograph(420, 310, seed=8)
    found = [
        Analyzer(package, engine).analyze(film)
        for engine in (TorchEngine(package.network(), threads=1), engine_of(*exported))
    ]
    assert found[0].regions
    assert found[0].model.engine != found[1].model.engine
    assert unnamed(found[0]) == unnamed(found[1])


def test_the_record_alone_leads_from_a_film_to_its_probability(
    exported: tuple[Path, ExportRecord], package: ModelPackage
) -> None:
    """Its numbers are the package's: size, film side, calibration, outputs."""
    folder, record = exported
    film = drawn_radiograph(420, 310, seed=8)
    settings = InputSettings(record.preparation.size, record.preparation.film_side)
    said = engine_of(folder, record).read(make_model_input(film.pixels, settings).pixels[None])
    for name, output in record.outputs.items():
        assert getattr(said, name).shape == (1, *output.shape), name
        assert output.meaning
    analyzer = Analyzer(package, TorchEngine(package.network(), threads=1))
    probability = record.fracture.calibration.probability(float(said.fracture[0]))
    assert probability == pytest.approx(analyzer.analyze(film).fracture_probability, abs=1e-4)


def test_the_preparation_s_numbers_are_those_of_the_model_input(
    exported: tuple[Path, ExportRecord],
) -> None:
    """Followed step by step on a film that needs no resizing, they give the very input."""
    said = exported[1].preparation
    film = drawn_radiograph(said.size, said.size, seed=4).pixels
    low, high = np.percentile(film, (said.low_percentile, said.high_percentile))
    levels = (film - low) * 2 / max(high - low, said.least_spread) - 1
    wanted = np.clip(levels, -said.most_level, said.most_level)
    made = make_model_input(film, InputSettings(said.size, said.film_side)).pixels
    assert made == pytest.approx(wanted, abs=1e-4)
    wide = make_model_input(film[: said.size // 2], InputSettings(said.size, said.film_side)).pixels
    assert set(wide[0]) == {said.black}


class ShiftedEngine:
    """A real engine whose film logits are off."""

    name = "onnxruntime fp32"

    def __init__(self, engine: Engine, shift: float) -> None:
        self.engine, self.shift = engine, shift

    def read(self, batch: FloatArray) -> RawReading:
        """The engine's reading, shifted."""
        said = self.engine.read(batch)
        return replace(said, fracture=said.fracture + np.float32(self.shift))


@pytest.mark.parametrize("shift", [0.05, -0.05, float("nan")])
def test_a_network_that_answers_otherwise_is_refused(package: ModelPackage, shift: float) -> None:
    """By the golden input, before any film."""
    exact = TorchEngine(package.network(), threads=1)
    assert check_export(package, exact, exact, [drawn_radiograph(90, 90, seed=1)]).films == 1
    with pytest.raises(ExportError, match=r"onnxruntime fp32 .* nothing was exported"):
        check_export(package, exact, ShiftedEngine(exact, shift), [])


class BlindEngine(ShiftedEngine):
    """A real engine that is off on every film but the golden one."""

    def __init__(self, engine: Engine, golden: FloatArray) -> None:
        super().__init__(engine, 0.05)
        self.golden = golden

    def read(self, batch: FloatArray) -> RawReading:
        """As the engine does, where it knows the film."""
        known = np.array_equal(batch[0], self.golden)
        return self.engine.read(batch) if known else super().read(batch)


def test_a_network_that_only_knows_the_golden_input_is_refused(package: ModelPackage) -> None:
    """The films that are given count as much."""
    exact = TorchEngine(package.network(), threads=1)
    settings = package.description.input.settings()
    blind = BlindEngine(exact, make_model_input(package.golden.pixels, settings).pixels)
    check_export(package, exact, blind, [])
    with pytest.raises(ExportError, match=r"lies up to 0.05 from torch fp32"):
        check_export(package, exact, blind, [drawn_radiograph(90, 90, seed=1)])


@pytest.mark.parametrize("kind", list(ENGINES))
def test_a_file_that_disagrees_is_not_left(
    kind: ExportFormat, package: ModelPackage, tmp_path: Path
) -> None:
    """Here the package's own golden answer is another network's."""
    answer = package.golden.answer
    other = answer.model_copy(update={"fracture": answer.fracture + 0.5})
    package = replace(package, golden=replace(package.golden, answer=other))
    with pytest.raises(ExportError, match="answers the golden input"):
        export_model(package, kind, tmp_path, threads=1)
    assert not list(tmp_path.iterdir())


def test_a_missing_library_is_named_with_its_extra(
    package: ModelPackage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And nothing is left."""
    for library, kind, extra in (("openvino", "openvino", "openvino"), ("onnx", "onnx", "export")):
        monkeypatch.setitem(sys.modules, library, None)
        with pytest.raises(EngineUnavailableError, match=rf'"fracture-node\[{extra}\]"'):
            export_model(package, kind, tmp_path / "out", threads=1)  # type: ignore[arg-type]
    assert not list((tmp_path / "out").iterdir())


def test_a_folder_that_cannot_be_written_is_named(package: ModelPackage, tmp_path: Path) -> None:
    """Not with a traceback."""
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(ExportError, match="file: cannot be written"):
        export_model(package, "onnx", tmp_path / "file", threads=1)


def test_the_command_exports_and_says_how_near_it_is(
    package_folder: Path, phantom: Radiograph, tmp_path: Path
) -> None:
    """Compared on the films that are named; what cannot be read is said and left out."""
    (tmp_path / "films").mkdir()
    Image.fromarray((phantom.pixels * 255).astype(np.uint8)).save(tmp_path / "films" / "film.png")
    (tmp_path / "films" / "broken.png").write_bytes(b"no picture")
    arguments = ["model", "export", "--model", package_folder, "--films", tmp_path / "films", "--out"]
    done = CliRunner().invoke(
        app, [*map(str, arguments), str(tmp_path / "out")], env={"COLUMNS": "300"}
    )
    assert done.exit_code == 0, done.output
    assert "broken.png: left out" in done.output
    record = ExportRecord.model_validate_json((tmp_path / "out/tiny-net-0.0.1.onnx.json").read_bytes())
    assert record.check.films == 1
    assert "on the golden input and 1 films, 0 outcomes changed" in done.output
