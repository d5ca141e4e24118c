"""The networks: shapes that everything after them relies on, and parts that must not leak into each other."""

from __future__ import annotations

import pytest
import torch

from pipeline.networks.fracture_net import FractureNet, FractureNetSettings, Members
from pipeline.networks.resnet_encoder import ResNetEncoder
from pipeline.training.losses import heat_loss

SMALL = FractureNetSettings((8, 8, 16, 16), (1, 1, 1, 1), parts=3)


def film(seed: int, count: int = 2) -> torch.Tensor:
    """Inputs of noise."""
    return torch.randn(count, 1, 64, 64, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("backbone", ["residual", "resnet18", "resnet34", "resnet50"])
@pytest.mark.parametrize("box_head", [False, True])
def test_every_backbone_says_the_same_fields(backbone: str, box_head: bool) -> None:
    """Shapes by the films' side, the parts, the types and the box head; boxes never end before they begin."""
    torch.manual_seed(1)
    shape = FractureNetSettings(
        SMALL.widths, SMALL.blocks, parts=3, types=2, box_head=box_head, backbone=backbone
    )
    network = FractureNet(shape).eval()
    with torch.inference_mode():
        said = network(film(1))
    assert said.fracture.shape == (2,)
    assert said.parts.shape == (2, 3)
    assert said.types.shape == (2, 2)
    assert said.heat.shape == (2, 16, 16)
    assert said.boxes.shape == (2, 4 if box_head else 0, 16, 16)
    assert said.features.shape == (2, 2 * network.encoder.widths[-1])
    assert not box_head or (said.boxes > 0).all()


def test_members_say_their_mean_and_keep_their_features() -> None:
    """Logits are averaged; features stand side by side."""
    torch.manual_seed(1)
    members = [FractureNet(SMALL).eval() for _ in range(3)]
    with torch.inference_mode():
        each = [member(film(1)) for member in members]
        said = Members(members)(film(1))
    torch.testing.assert_close(said.fracture, sum(one.fracture for one in each) / 3)
    torch.testing.assert_close(said.heat, sum(one.heat for one in each) / 3)
    torch.testing.assert_close(said.features, torch.cat([one.features for one in each], 1))


def test_a_fracture_does_not_teach_the_body_part() -> None:
    """A specialist is weighted by the part that is shown, and that weight takes no gradient from the fracture."""
    torch.manual_seed(1)
    network = FractureNet(FractureNetSettings(SMALL.widths, SMALL.blocks, 3, specialists=(0, 2)))
    network.eval()(film(1)).fracture.sum().backward()
    assert network.heads.part_head.weight.grad is None
    assert network.heads.fracture_head.weight.grad.shape[0] == 3


def test_a_specialist_speaks_as_loudly_as_its_part_is_shown() -> None:
    """Not at all where its part is surely absent."""
    torch.manual_seed(1)
    network = FractureNet(FractureNetSettings(SMALL.widths, SMALL.blocks, 3, specialists=(1,))).eval()
    said = {}
    with torch.inference_mode():
        for shown in (-40.0, 40.0):
            network.heads.part_head.weight.zero_()
            network.heads.part_head.bias.fill_(shown)
            before = network(film(1)).fracture
            network.heads.fracture_head.bias[1] += 5
            said[shown] = network(film(1)).fracture - before
            network.heads.fracture_head.bias[1] -= 5
    torch.testing.assert_close(said[-40.0], torch.zeros(2))
    torch.testing.assert_close(said[40.0], torch.full((2,), 5.0))


def test_the_strongest_heat_raises_the_film_s_logit() -> None:
    """One sixteenth of a percent of the film is enough: a hairline must not be averaged away."""
    torch.manual_seed(1)
    network = FractureNet(SMALL).eval()
    with torch.inference_mode():
        plain = network(film(1)).fracture
        network.decoder.heat.bias += 4
        torch.testing.assert_close(network(film(1)).fracture - plain, torch.full((2,), 4 * 0.5))


def test_a_frozen_backbone_keeps_its_statistics_while_the_rest_trains() -> None:
    """`train()` reaches the heads and not the frozen batch norms."""
    torch.manual_seed(1)
    network = FractureNet(FractureNetSettings(backbone="resnet18"))
    encoder = network.encoder
    assert isinstance(encoder, ResNetEncoder)
    names = {"stem.0": "conv1", "stem.1": "bn1"} | {f"stages.{n}": f"layer{n + 1}" for n in range(4)}
    state = {}
    for name, tensor in encoder.state_dict().items():
        room = next(own for own in names if name.startswith(own + "."))
        state[names[room] + name.removeprefix(room)] = tensor.clone()
    encoder.take(state, frozen=True)
    network.train()
    before = {name: tensor.clone() for name, tensor in encoder.state_dict().items()}
    network(film(1)).fracture.sum().backward()
    assert network.heads.training
    assert all(torch.equal(before[name], tensor) for name, tensor in encoder.state_dict().items())
    assert all(weight.grad is None for weight in encoder.parameters())
    assert network.heads.fracture_head.weight.grad is not None


def test_heat_is_not_learnt_where_the_fracture_was_not_drawn() -> None:
    """A film without a known place has no slope; with none known the loss is 0 and a number."""
    logits = torch.zeros(2, 8, 8, requires_grad=True)
    target = torch.zeros(2, 8, 8)
    heat_loss(logits, target, torch.tensor([1.0, 0.0])).backward()
    assert logits.grad[0].abs().sum() > 0
    assert logits.grad[1].abs().sum() == 0
    assert heat_loss(logits, target, torch.zeros(2)).item() == 0
