"""Muon for convolutions, AdamW for the rest: one optimiser, which a checkpoint holds."""

from __future__ import annotations

from copy import deepcopy

import pytest
import torch

from pipeline.networks.fracture_net import FractureNet, FractureNetSettings
from pipeline.training.optimiser import Optimiser

SHAPE = FractureNetSettings((8, 8, 8, 8), (1, 1, 1, 1), box_head=True)


def small_network() -> FractureNet:
    """The same small network each time."""
    torch.manual_seed(3)
    return FractureNet(SHAPE).to(memory_format=torch.channels_last)


def optimiser_of(net: FractureNet, matrix_rate: float = 0.02) -> Optimiser:
    """With the usual rates."""
    return Optimiser(net, rate=2e-3, matrix_rate=matrix_rate, weight_decay=0.02)


def fall(net: FractureNet, optimiser: Optimiser, steps: int) -> list[float]:
    """Losses of a small task: no heat at all, and no fracture."""
    films = torch.rand(4, 1, 64, 64, generator=torch.Generator().manual_seed(1))
    losses = []
    net.train()
    torch.manual_seed(7)  # of the dropout
    for _ in range(steps):
        said = net(films)
        loss = said.heat.sigmoid().mean() + torch.nn.functional.softplus(said.fracture).mean()
        loss.backward()
        optimiser.step()
        losses.append(float(loss.detach()))
    return losses


def test_every_weight_that_has_a_gradient_moves() -> None:
    """A view that lost its memory would leave a convolution as it was."""
    net = small_network()
    before = {name: weight.detach().clone() for name, weight in net.named_parameters()}
    reading = net(torch.rand(2, 1, 64, 64))
    (reading.heat.sum() + reading.fracture.sum() + reading.boxes.sum() + reading.parts.sum()).backward()
    moved_by_gradient = {name for name, weight in net.named_parameters() if weight.grad is not None}
    optimiser_of(net).step()
    after = dict(net.named_parameters())
    still = [name for name in moved_by_gradient if torch.equal(before[name], after[name])]
    assert moved_by_gradient
    assert not still
    assert all(weight.grad is None for weight in after.values())


def test_a_convolution_moves_along_an_orthogonal_matrix() -> None:
    """Muon's step has singular values near one, whatever the gradient's size (Jordan et al., 2024)."""
    net = small_network()
    weight = next(w for w in net.encoder.parameters() if w.ndim == 4 and w.shape[1] > 1)
    before = weight.detach().clone()
    net(torch.rand(2, 1, 64, 64)).fracture.sum().backward()
    optimiser = Optimiser(net, rate=2e-3, matrix_rate=1.0, weight_decay=0.0)
    optimiser.step()
    step = (before - weight.detach()).reshape(weight.shape[0], -1)
    values = torch.linalg.svdvals(step)
    assert values.max() < 1.4
    assert values.median() > 0.5


def test_the_loss_falls() -> None:
    """Both parts move towards what is asked."""
    net = small_network()
    losses = fall(net, optimiser_of(net), 15)
    assert losses[-1] < losses[0] / 2


def test_a_rate_of_zero_stops_everything() -> None:
    """The schedule reaches both parts."""
    net = small_network()
    optimiser = optimiser_of(net)
    optimiser.set_rate(0.0)
    before = [weight.detach().clone() for weight in net.parameters()]
    fall(net, optimiser, 2)
    assert all(torch.equal(a, b) for a, b in zip(before, net.parameters(), strict=True))


@pytest.mark.parametrize("matrix_rate", [0.02, 0.0])
def test_a_checkpoint_goes_on_exactly(matrix_rate: float) -> None:
    """Momentum and second moments come back, with Muon and without."""
    net = small_network()
    optimiser = optimiser_of(net, matrix_rate)
    fall(net, optimiser, 3)
    other = small_network()
    other.load_state_dict(net.state_dict())
    resumed = optimiser_of(other, matrix_rate)
    resumed.load_state_dict(deepcopy(optimiser.state_dict()))
    assert fall(net, optimiser, 2) == fall(other, resumed, 2)


def test_a_checkpoint_of_other_optimisers_is_refused() -> None:
    """Half a momentum would train on in silence."""
    with_muon, without = optimiser_of(small_network()), optimiser_of(small_network(), 0.0)
    with pytest.raises(ValueError, match="other optimisers"):
        without.load_state_dict(with_muon.state_dict())
