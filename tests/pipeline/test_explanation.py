"""Grad-CAM: the map is the gradient's, lies where the film has it, and the arrow points without covering."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from typer.testing import CliRunner, Result

from dicom_node.cli import app
from pipeline.activation_map import Explanation
from pipeline.analysis import Analyzer
from pipeline.explanation import HOT, Explainer, choose_arrow, class_activation, on_film
from pipeline.explanation_drawing import FAINT, LONGEST_SIDE, draw_explanation
from pipeline.findings import Outcome
from pipeline.model_input import InputSettings, make_model_input
from pipeline.networks.fracture_net import FractureNet, Members
from pipeline.radiograph import Radiograph
from tests.made_model import TINY

SIDE = 64


def network_of(seed: int) -> FractureNet:
    """A network with random weights, to which every feature speaks for a fracture."""
    torch.manual_seed(seed)
    network = FractureNet(TINY).eval()
    with torch.no_grad():
        network.heads.fracture_head.weight.abs_()
    return network


@pytest.fixture
def square() -> np.ndarray:
    """A model input of noise."""
    return np.random.default_rng(2).uniform(-1, 1, (SIDE, SIDE)).astype(np.float32)


def film_of(pixels: np.ndarray, mask: np.ndarray | None = None, aspect: float = 1.0) -> Radiograph:
    """A radiograph of these pixels."""
    return Radiograph(pixels.astype(np.float32), mask, None, aspect, "0" * 64)


def test_the_map_is_the_head_s_own_weights_where_the_head_is_a_mean(square: np.ndarray) -> None:
    """For a linear head on a mean-pooled stage Grad-CAM is the class activation map (Selvaraju, section 3.1)."""
    network = network_of(1)
    channels = network.encoder.widths[-1]
    with torch.no_grad():
        network.heads.fracture_head.weight[:, channels:] = 0  # nothing from the strongest cell
        network.evidence.weight.zero_()  # nor from the heat
        last = network.encoder(torch.from_numpy(square)[None, None])[-1][0]
        weights = network.heads.fracture_head.weight[0, :channels]
        cells = last.shape[1] * last.shape[2]
        wanted = (torch.einsum("c,chw->hw", weights, last) / cells).clamp(min=0)
    assert wanted.any()
    np.testing.assert_allclose(class_activation(network, square, stage=-1), wanted.numpy(), atol=1e-6)


def test_members_are_explained_by_their_mean(square: np.ndarray) -> None:
    """One network twice is that network; beside one that says nothing it counts half."""
    network, silent = network_of(1), network_of(1)
    with torch.no_grad():
        silent.heads.fracture_head.weight.zero_()
        silent.evidence.weight.zero_()
    alone = class_activation(network, square)
    assert alone.any()
    np.testing.assert_allclose(class_activation(Members([network, network]), square), alone, atol=1e-6)
    np.testing.assert_allclose(
        class_activation(Members([network, silent]), square), alone / 2, atol=1e-6
    )


def test_a_map_can_be_had_in_inference_mode(square: np.ndarray) -> None:
    """Whoever serves is in it, and its gradients are switched off."""
    network = network_of(1)
    with torch.inference_mode():
        said = class_activation(network, square)
    np.testing.assert_array_equal(said, class_activation(network, square))


def test_explaining_leaves_the_network_as_it_was(square: np.ndarray) -> None:
    """No gradient stays at a weight, no hook at a stage."""
    network = network_of(1)
    class_activation(network, square)
    assert all(weight.grad is None for weight in network.parameters())
    assert not any(stage._forward_hooks for stage in network.encoder.stages)


@settings(max_examples=25, deadline=None)
@given(
    rows=st.integers(40, 300),
    columns=st.integers(40, 300),
    aspect=st.sampled_from([1.0, 0.5, 1.7]),
    across=st.floats(0.15, 0.85),
    down=st.floats(0.15, 0.85),
)
def test_a_hot_cell_lies_on_the_film_where_the_input_has_it(
    rows: int, columns: int, aspect: float, across: float, down: float
) -> None:
    """The letterbox is undone, for portrait and landscape, square pixels and others."""
    film = np.zeros((rows, columns), np.float32)
    given_input = make_model_input(film, InputSettings(96, 120), pixel_aspect=aspect)
    placed = given_input.placement
    column, row = (
        int((across * columns * placed.scale_x + placed.left) / 96 * 24),
        int((down * rows * placed.scale_y + placed.top) / 96 * 24),
    )
    cells = np.zeros((24, 24), np.float32)
    cells[row, column] = 3.0
    hot = on_film(cells, placed)
    assert hot.shape == (rows, columns)
    assert hot.dtype == np.float32
    assert (hot.min(), hot.max()) == (0.0, pytest.approx(1.0))
    x0, y0, x1, y1 = placed.box_to_film((column * 4, row * 4, column * 4 + 4, row * 4 + 4))
    y, x = np.unravel_index(hot.argmax(), hot.shape)
    assert x0 - 1 <= x + 0.5 <= x1 + 1
    assert y0 - 1 <= y + 0.5 <= y1 + 1


def test_nothing_speaks_where_the_film_is_not_exposed() -> None:
    """Padding and blinds are no anatomy, whatever the network makes of their edges."""
    mask = np.zeros((100, 80), bool)
    mask[20:80, 20:60] = True
    placed = make_model_input(np.zeros((100, 80), np.float32), InputSettings(64, 96)).placement
    cells = np.random.default_rng(1).uniform(0, 1, (8, 8)).astype(np.float32)
    hot = on_film(cells, placed, mask)
    assert not hot[~mask].any()
    assert hot.max() == 1.0


def spot(rows: int, columns: int, x: float, y: float, reach: float) -> np.ndarray:
    """A round hot place."""
    down, across = np.mgrid[:rows, :columns]
    return np.exp(-((across - x) ** 2 + (down - y) ** 2) / (2 * reach**2)).astype(np.float32)


@pytest.mark.parametrize(
    "place", [(0, 0), (1, 0), (0, 1), (1, 1), (0.5, 0.5), (0.5, 0.02), (0.97, 0.4)]
)
@pytest.mark.parametrize("size", [(300, 200), (200, 300)])
def test_the_arrow_points_at_the_maximum_from_outside(
    size: tuple[int, int], place: tuple[float, float]
) -> None:
    """In corners and at edges too: the tail is in the film and not on what is hot."""
    rows, columns = size
    x, y = round(place[0] * (columns - 1)), round(place[1] * (rows - 1))
    hot = spot(rows, columns, x, y, 12)
    arrow = choose_arrow(hot)
    assert arrow is not None
    assert arrow.head == (x + 0.5, y + 0.5)
    assert 0 < arrow.tail[0] < columns
    assert 0 < arrow.tail[1] < rows
    assert hot[int(arrow.tail[1]), int(arrow.tail[0])] <= HOT
    assert np.hypot(arrow.tail[0] - x, arrow.tail[1] - y) > 20


def test_the_arrow_comes_from_where_it_covers_least() -> None:
    """A long lesion is pointed at from its side, never along it."""
    hot = np.zeros((300, 300), np.float32)
    hot[145:156, 40:260] = 0.8
    hot[150, 150] = 1.0
    arrow = choose_arrow(hot)
    assert arrow is not None
    assert abs(arrow.tail[1] - arrow.head[1]) > abs(arrow.tail[0] - arrow.head[0])


def test_an_empty_map_has_no_arrow() -> None:
    """Nothing speaks for a fracture."""
    assert choose_arrow(np.zeros((50, 40), np.float32)) is None


@pytest.fixture(scope="module")
def explained(package_folder: Path, phantom: Radiograph) -> Explanation:
    """The phantom through the tiny package."""
    return Explainer.open(package_folder).explain(phantom)


def test_a_film_is_explained_on_its_own_matrix(explained: Explanation, phantom: Radiograph) -> None:
    """Float32, 0 to 1, and the arrow's head where it is 1."""
    hot = explained.activation
    assert hot.shape == (phantom.rows, phantom.columns)
    assert hot.dtype == np.float32
    assert hot.min() >= 0
    assert hot.max() == 1
    assert explained.arrow is not None
    x, y = explained.arrow.head
    assert hot[int(y), int(x)] == 1


def test_the_picture_leaves_what_is_not_hot_as_it_is(package_folder: Path, phantom: Radiograph) -> None:
    """Square pixels, the film's own grey below the faint, words outside the film, an arrow that shows."""
    findings = Analyzer.open(package_folder, threads=1).analyze(phantom)
    hot = spot(phantom.rows, phantom.columns, 60, 80, 15)
    found = replace(findings, outcome=Outcome.FRACTURE)
    picture = draw_explanation(phantom, found, Explanation(hot, choose_arrow(hot)))
    width = round(phantom.columns * LONGEST_SIDE / phantom.rows)
    assert picture.shape[1] == width
    assert picture.shape[0] > LONGEST_SIDE
    top = int((picture[:, 0] != picture[0, 0]).any(1).argmax())  # the strip of words has one colour
    film = picture[top : top + LONGEST_SIDE]
    small = cv2.resize(hot, (width, LONGEST_SIDE), interpolation=cv2.INTER_AREA)
    without = draw_explanation(phantom, found, Explanation(hot, None))[top : top + LONGEST_SIDE]
    cold = without[small[: len(without)] < FAINT * 0.5]
    assert np.ptp(cold.astype(int), axis=1).max() == 0
    assert np.ptp(without[small[: len(without)] > 0.6].astype(int), axis=1).min() > 0
    assert (film != without).any()


def test_a_film_below_threshold_gets_no_arrow(package_folder: Path, phantom: Radiograph) -> None:
    """An arrow would point at a fracture that nobody suspects."""
    findings = Analyzer.open(package_folder, threads=1).analyze(phantom)
    hot = spot(phantom.rows, phantom.columns, 60, 80, 15)
    below = replace(findings, outcome=Outcome.NO_FRACTURE)
    pictures = [
        draw_explanation(phantom, below, Explanation(hot, arrow)) for arrow in (choose_arrow(hot), None)
    ]
    np.testing.assert_array_equal(*pictures)


@pytest.fixture(scope="module")
def films(tmp_path_factory: pytest.TempPathFactory, phantom: Radiograph) -> Path:
    """Two PNGs of the phantom."""
    folder = tmp_path_factory.mktemp("films")
    grey = (phantom.pixels * 255).round().astype(np.uint8)
    for name in ("one", "two"):
        Image.fromarray(grey).save(folder / f"{name}.png")
    return folder


def predict(*words: object) -> Result:
    """`dicom-node predict` in this process."""
    return CliRunner().invoke(app, ["predict", *map(str, words)], env={"COLUMNS": "200"})


def test_predict_writes_the_explanation_of_one_film(
    films: Path, package_folder: Path, tmp_path: Path
) -> None:
    """A PNG under the name that was given, in a folder that need not be there."""
    target = tmp_path / "new" / "why.png"
    done = predict(films / "one.png", "--gradcam", target, "--model", package_folder)
    assert done.exit_code == 0, done.output
    assert Image.open(target).mode == "RGB"


def test_predict_writes_the_explanations_of_several_films_into_a_folder(
    films: Path, package_folder: Path, tmp_path: Path
) -> None:
    """A single PNG for several is wrong usage, said before a film is read."""
    done = predict(films, "--gradcam", tmp_path / "why", "--model", package_folder)
    assert done.exit_code == 0, done.output
    assert {path.name for path in (tmp_path / "why").iterdir()} == {
        "one_gradcam.png",
        "two_gradcam.png",
    }
    refused = predict(films, "--gradcam", tmp_path / "why.png", "--model", package_folder)
    assert refused.exit_code == 2
    assert "name a folder" in refused.output
    assert not (tmp_path / "why.png").exists()
