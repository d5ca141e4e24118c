"""An engine is chosen once by agreement and speed, and then stays the same."""

from __future__ import annotations

import itertools
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import get_args

import pytest

from dicom_node.operating.doctor import examine
from dicom_node.settings import EngineName, Settings
from pipeline.analysis import Analyzer
from pipeline.engines.building import ENGINES
from pipeline.engines.choice import AUTO, EngineMemory, choose_engine, fastest
from pipeline.engines.choice_record import RECORD
from pipeline.errors import EngineUnavailableError
from pipeline.golden import golden_batch
from pipeline.model_package import ModelPackage, load_package
from tests.receiving.running_scp import free_port


@pytest.fixture(scope="module")
def package(package_folder: Path) -> ModelPackage:
    """The tiny package."""
    return load_package(package_folder)


def steady() -> Callable[[], float]:
    """A clock by which every read takes as long as every other."""
    return itertools.count().__next__


def forbidden() -> float:
    """A clock that must not be read."""
    raise AssertionError("measured again")


def chosen(
    package: ModelPackage,
    memory: EngineMemory | None,
    heard: list[str],
    *,
    digest: str = "package",
    wanted: str = AUTO,
    bf16: bool = False,
) -> str:
    """The name of the engine that is taken."""
    batch = golden_batch(package.golden.pixels, package.description.input.settings())
    engine = choose_engine(
        package.network(), batch, wanted=wanted, threads=1, digest=digest, memory=memory, bf16=bf16,
        said=heard.append,
    )  # fmt: skip
    return engine.name


def record(folder: Path) -> list[dict]:
    """The choices that are kept."""
    return list(json.loads((folder / RECORD).read_text())["choices"].values())


def test_a_measured_choice_is_kept_and_taken_without_a_stopwatch(
    package: ModelPackage, tmp_path: Path
) -> None:
    """The engine's name is part of a result: the same machine reads with the same engine after each start."""
    heard: list[str] = []
    first = chosen(package, EngineMemory(tmp_path, steady()), heard)
    (kept,) = record(tmp_path)
    assert kept["engine"] == first
    assert {"torch fp32", "openvino fp32"} <= set(kept["milliseconds"])
    assert kept["facts"].keys() >= {
        "model",
        "processor",
        "flags",
        "threads",
        "torch",
        "openvino",
        "numpy",
    }
    assert chosen(package, EngineMemory(tmp_path, forbidden), heard) == first
    assert chosen(package, EngineMemory(tmp_path), heard) == first
    assert [line.partition(":")[0] for line in heard] == [
        f"{first}, measured now", f"{first}, as measured before", f"{first}, as measured before",
    ]  # fmt: skip


def test_what_was_chosen_is_taken_though_another_is_faster_now(
    package: ModelPackage, tmp_path: Path
) -> None:
    """Only another measurement, asked for, changes it."""
    heard: list[str] = []
    chosen(package, EngineMemory(tmp_path, steady()), heard)
    path = tmp_path / RECORD
    path.write_text(path.read_text().replace('"engine": "torch fp32"', '"engine": "openvino fp32"'))
    assert chosen(package, EngineMemory(tmp_path, forbidden), heard) == "openvino fp32"
    assert chosen(package, EngineMemory(tmp_path, steady(), again=True), heard) == "torch fp32"
    assert [choice["engine"] for choice in record(tmp_path)] == ["torch fp32"]


def test_another_package_is_measured_for_itself(package: ModelPackage, tmp_path: Path) -> None:
    """And the first one's choice stays."""
    for digest in ("one", "two"):
        chosen(package, EngineMemory(tmp_path, steady()), [], digest=digest)
    assert [choice["facts"]["model"] for choice in record(tmp_path)] == ["one", "two"]


def test_another_library_is_measured_anew(
    package: ModelPackage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A choice holds for the libraries that it was made with, and for no engine that is gone."""
    chosen(package, EngineMemory(tmp_path, steady()), [])
    monkeypatch.setitem(sys.modules, "openvino", None)
    heard: list[str] = []
    assert chosen(package, EngineMemory(tmp_path, steady()), heard) == "torch fp32"
    assert heard[-1].startswith("torch fp32, measured now")
    assert len(record(tmp_path)) == 2


@pytest.mark.parametrize(
    "contents", [b"", b"{", b'{"format": 2}', b'{"format": 1, "choices": {"x": 1}}', b"\xff"]
)
def test_a_damaged_record_is_said_and_written_anew(
    package: ModelPackage, tmp_path: Path, contents: bytes
) -> None:
    """A node starts all the same."""
    (tmp_path / RECORD).write_bytes(contents)
    heard: list[str] = []
    name = chosen(package, EngineMemory(tmp_path, steady()), heard)
    assert "no record of engines" in heard[0]
    assert [choice["engine"] for choice in record(tmp_path)] == [name]


def test_a_folder_that_cannot_be_written_gives_the_same_engine_at_each_start(
    package: ModelPackage, tmp_path: Path
) -> None:
    """One that was measured anew each time would not."""
    (tmp_path / "file").write_text("not a folder")
    heard: list[str] = []
    name = chosen(package, EngineMemory(tmp_path / "file", steady()), heard)
    assert name == chosen(package, None, []) == "torch fp32"
    assert heard[-1].endswith("torch fp32 without measuring")


def test_without_a_clock_nothing_is_measured_and_nothing_written(
    package: ModelPackage, tmp_path: Path
) -> None:
    """`check` looks; `serve` measures."""
    heard: list[str] = []
    assert chosen(package, EngineMemory(tmp_path), heard, bf16=True) == "torch bf16"
    assert heard == ["torch bf16, not measured yet on this machine"]
    assert not list(tmp_path.iterdir())


def test_an_engine_that_answers_otherwise_is_left_out_and_said(
    package: ModelPackage, tmp_path: Path
) -> None:
    """However fast it is."""
    batch = golden_batch(package.golden.pixels, package.description.input.settings())
    coarse = package.network()
    coarse.get_parameter("heads.fracture_head.weight").data.mul_(1e5)
    heard: list[str] = []
    engine = choose_engine(
        coarse, batch, threads=1, memory=EngineMemory(tmp_path, steady()), bf16=True, said=heard.append
    )
    assert engine.name == "torch fp32"
    left_out = [line for line in heard if "left out: it answers the golden input" in line]
    assert {line.partition(" left out")[0] for line in left_out} >= {"torch bf16", "openvino bf16"}
    assert not {"torch bf16", "openvino bf16"} & set(record(tmp_path)[0]["milliseconds"])


def test_a_faster_engine_must_be_faster_by_a_tenth() -> None:
    """Else the simpler one stays, and a noisy stopwatch decides nothing."""
    assert fastest({"torch fp32": 1.0, "openvino fp32": 0.95}) == "torch fp32"
    assert fastest({"torch fp32": 1.0, "torch bf16": 0.8, "openvino bf16": 0.79}) == "torch bf16"
    assert fastest({"torch fp32": 1.0, "torch bf16": 0.8, "openvino bf16": 0.4}) == "openvino bf16"


def test_an_engine_asked_for_is_taken_and_named_in_the_identity(package_folder: Path) -> None:
    """No measuring; one that is not there is refused."""
    analyzer = Analyzer.open(package_folder, threads=1, engine="openvino fp32")
    assert analyzer.identity.engine == "openvino fp32"
    with pytest.raises(EngineUnavailableError, match="'abacus' is not one of"):
        Analyzer.open(package_folder, threads=1, engine="abacus")


def test_check_tells_of_the_engine_and_measures_only_when_told_to(
    package_folder: Path, tmp_path: Path
) -> None:
    """`check` shows what a start would take, `check --measure` changes it."""
    archive = {"name": "archive", "ae_title": "ARCHIVE", "host": "127.0.0.1", "port": free_port()}
    settings = Settings.model_validate({
        "node": {"data": tmp_path, "port": free_port()},
        "model": {"path": package_folder, "threads": 1},
        "destinations": [archive],
    })  # fmt: skip

    def engine(measure: bool) -> str:
        (line,) = (one for one in examine(settings, measure=measure) if one.what == "engine")
        return line.said

    assert engine(False).endswith("not measured yet on this machine")
    assert "measured now: torch fp32 " in engine(True)
    assert "as measured before: torch fp32 " in engine(False)
    assert len(record(settings.engines_folder)) == 1


def test_the_settings_know_every_engine() -> None:
    """`model.engine` takes the names that there are, and "auto"."""
    assert get_args(EngineName) == (AUTO, *ENGINES)
