"""Every engine says what torch in fp32 says, and one that cannot run here says what it needs."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from pipeline.engines.agreement import BF16_TOLERANCE, FP32_TOLERANCE, difference, tolerance_of
from pipeline.engines.building import ENGINES, EXACT, EngineBuilder
from pipeline.engines.engine import FloatArray
from pipeline.engines.kept_network import kept_network
from pipeline.engines.onnx_engine import OnnxEngine
from pipeline.engines.onnx_file import make_onnx
from pipeline.engines.openvino_engine import OpenVinoEngine
from pipeline.engines.torch_engine import TorchEngine
from pipeline.errors import EngineError, EngineUnavailableError
from pipeline.networks.fracture_net import FractureNet, FractureNetSettings, Members

SIDE = 64
WIDTHS, BLOCKS = (8, 16, 16, 16), (1, 1, 1, 1)


def network(**shape: object) -> FractureNet:
    """A tiny network; its weights are always the same."""
    torch.manual_seed(3)
    return FractureNet(FractureNetSettings(WIDTHS, BLOCKS, **shape)).eval()  # type: ignore[arg-type]


def films(count: int) -> FloatArray:
    """Noise of the input's range."""
    chance = np.random.default_rng(7)
    return chance.uniform(-1, 1, (count, SIDE, SIDE)).astype(np.float32)


def builder(net: torch.nn.Module) -> EngineBuilder:
    """All engines that this machine has, bf16 as well, as slow as it may be."""
    return EngineBuilder(net, lambda: make_onnx(net, SIDE), threads=1, bf16=True)


@pytest.mark.parametrize(
    "net",
    [
        network(),
        network(specialists=(0, 1), box_head=True, types=3),
        Members([network(box_head=True), network(box_head=True)]).eval(),
    ],
    ids=["bare", "every head", "members"],
)
def test_every_engine_says_what_torch_says(net: torch.nn.Module) -> None:
    """Every field, of one film and of several, within what its precision allows; empty fields stay empty."""
    made = builder(net)
    exact = made.build(EXACT)
    assert {"openvino fp32", "openvino bf16", "torch bf16"} <= set(made.names())
    engines = [made.build(name) for name in made.names()]
    assert [engine.name for engine in engines] == list(made.names())
    for engine in (*engines, OnnxEngine(make_onnx(net, SIDE), threads=1)):
        for count in (1, 3):
            apart = difference(exact.read(films(count)), engine.read(films(count)))
            assert apart <= tolerance_of(engine.name), engine.name


def test_precision_decides_what_is_tolerated() -> None:
    """The last word of an engine's name is its precision."""
    assert {tolerance_of(name) for name in ENGINES if "fp32" in name} == {FP32_TOLERANCE}
    assert {tolerance_of(name) for name in ENGINES if "bf16" in name} == {BF16_TOLERANCE}


@pytest.mark.parametrize(
    "head", ["heads.fracture_head", "heads.part_head", "decoder.heat", "decoder.boxes"]
)
def test_a_network_with_another_head_is_found_out(head: str) -> None:
    """Film, part, heat and boxes all count, so that no half-right engine passes."""
    other = network(box_head=True)
    other.get_parameter(f"{head}.bias").data.add_(0.5)
    engines = [TorchEngine(net, threads=1) for net in (network(box_head=True), other)]
    readings = [engine.read(films(1)) for engine in engines]
    assert difference(readings[0], readings[1]) > BF16_TOLERANCE


def test_a_reading_of_another_shape_or_without_numbers_is_infinitely_far() -> None:
    """It is comparable with nothing."""
    readings = [TorchEngine(net, threads=1).read(films(1)) for net in (network(), network(types=2))]
    assert difference(*readings) == np.inf
    readings[0].heat[0, 0, 0] = np.nan
    assert difference(readings[0], readings[0]) == np.inf


def test_an_engine_that_is_not_installed_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    """And is none of those to choose from."""
    for library in ("openvino", "onnxruntime"):
        monkeypatch.setitem(sys.modules, library, None)
    made = builder(network())
    assert not [name for name in made.names() if name.startswith("openvino")]
    onnx = make_onnx(network(), SIDE)
    with pytest.raises(EngineUnavailableError, match=r'pip install "fracture-node\[openvino\]"'):
        made.build("openvino fp32")
    with pytest.raises(EngineUnavailableError, match=r'pip install "fracture-node\[export\]"'):
        OnnxEngine(onnx)
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(EngineUnavailableError, match=r'onnx is .* "fracture-node\[export\]"'):
        make_onnx(network(), SIDE)


def test_a_processor_without_bf16_is_not_offered_it() -> None:
    """There it is slower than fp32; whoever asks for it by name gets it."""
    made = EngineBuilder(network(), lambda: b"", threads=1, bf16=False)
    assert not [name for name in made.names() if name in ("torch bf16", "openvino bf16")]
    assert made.build("torch bf16").name == "torch bf16"


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a GPU")
@pytest.mark.parametrize("name", ["cuda fp32", "cuda bf16"])
def test_a_machine_without_a_gpu_says_so(name: str) -> None:
    """By the engine's name; it is none of those to choose from."""
    made = builder(network())
    assert name not in made.names()
    with pytest.raises(EngineUnavailableError, match=rf"{name}.*no GPU"):
        made.build(name)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="this machine has no GPU")
def test_a_gpu_says_what_the_processor_says() -> None:
    """And leaves the network that it was given where it is."""
    net = network(box_head=True)
    exact = TorchEngine(net, threads=1).read(films(2))
    for precision in ("fp32", "bf16"):
        engine = TorchEngine(net, precision=precision, device="cuda")  # type: ignore[arg-type]
        assert difference(exact, engine.read(films(2))) <= tolerance_of(engine.name)
    assert next(net.parameters()).device.type == "cpu"


def test_an_unknown_engine_is_refused_with_the_names_there_are() -> None:
    """A typing error in a setting teaches."""
    with pytest.raises(EngineUnavailableError, match=r"'tensor fp64' is not one of torch fp32, "):
        builder(network()).build("tensor fp64")


@pytest.mark.parametrize("engine", [OpenVinoEngine, OnnxEngine])
def test_a_damaged_network_file_is_an_error_of_ours(
    engine: type[OpenVinoEngine | OnnxEngine], tmp_path: Path
) -> None:
    """Not a traceback of the library's own; so is an input that the network cannot take."""
    (tmp_path / "network.onnx").write_bytes(b"no network")
    with pytest.raises(EngineError, match=r"^(openvino|onnxruntime) fp32: "):
        engine(tmp_path / "network.onnx", threads=1)
    whole = engine(make_onnx(network(), SIDE), threads=1)
    with pytest.raises(EngineError, match=r"^(openvino|onnxruntime) fp32: "):
        whole.read(np.zeros((1, 50, 0), np.float32))


def test_a_network_is_made_once_and_again_if_it_was_damaged(tmp_path: Path) -> None:
    """Its name holds the digest of its bytes; networks of other packages go."""
    made: list[bytes] = []
    heard: list[str] = []

    def kept(key: str) -> bytes:
        def make() -> bytes:
            made.append(f"{key} {len(made)}".encode())
            return made[-1]

        return kept_network(tmp_path, key, make, heard.append)

    assert kept("one") == kept("one") == b"one 0"
    (path,) = tmp_path.iterdir()
    path.write_bytes(b"oNe 0")
    assert kept("one") == kept("one") == b"one 1"
    assert heard == [f"{path}: damaged; made anew"]
    assert kept("two") == b"two 2"
    assert [path.read_bytes() for path in tmp_path.iterdir()] == [b"two 2"]


def test_a_folder_that_cannot_be_written_costs_the_making_and_is_said(tmp_path: Path) -> None:
    """Nothing fails for it."""
    (tmp_path / "file").write_text("not a folder")
    heard: list[str] = []
    assert kept_network(tmp_path / "file", "one", lambda: b"one", heard.append) == b"one"
    assert "made at each start" in heard[-1]
