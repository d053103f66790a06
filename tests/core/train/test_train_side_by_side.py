"""Seeds trained side by side end as those trained alone, whatever networks, transforms and generators do."""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from shared.base.errors import UserError
from shared.nn import Dropout, GlobalAvgPool, GroupBatchNorm, GroupConv, GroupPool, LiftingConv
from shared.nn.random_state import random_states
from shared.train import Fit, FitSettings, TrainingSet, fit
from shared.train.replicas import stack
from shared.train.side_by_side import difference

_DICE = torch.Generator().manual_seed(0)
IMAGES = torch.randint(0, 256, (40, 1, 7, 7), dtype=torch.uint8, generator=_DICE)
LABELS = torch.randint(0, 3, (40,), generator=_DICE)
SETTINGS = FitSettings(epochs=2, batch_size=16, lr=0.05, optimizer="sgd", replicas="auto")
SEEDS = [3, 5]


def plain(batch: Tensor) -> Tensor:
    return batch.double() / 255


def data(**changes: Any) -> TrainingSet:
    rows = [torch.randperm(40, generator=torch.Generator().manual_seed(seed))[:32] for seed in SEEDS]
    made = TrainingSet(IMAGES, LABELS, rows, lambda batch, generators: plain(batch), plain)
    return dataclasses.replace(made, **changes)


class Net(nn.Module):
    """Convolutions around something, in float64, so that rounding hides no mixing."""

    def __init__(self, inner: Callable[[Tensor], Tensor] = torch.relu, into: int = 4, width: int = 4) -> None:
        super().__init__()
        self.first, self.inner, self.last = nn.Conv2d(1, width, 3), inner, nn.Linear(into, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.last(self.inner(self.first(x)).mean((-2, -1)))


class Skip(nn.Module):
    """Concatenation, as in a DenseNet or U-Net, of regular features."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = LiftingConv(1, 4, 3, padding=1), GroupConv(4, 4, 3, padding=1)
        self.c, self.norm, self.last = GroupConv(8, 4, 3), GroupBatchNorm(4), nn.Linear(4, 3)

    def forward(self, x: Tensor) -> Tensor:
        a = self.a(x).relu()
        y = self.norm(self.c(torch.cat([a, self.b(a).relu()], 1))).amax(2)
        return self.last(y.mean((-2, -1)))


class Hidden(nn.Module):
    """A branch that mixes the channels, and is multiplied by a weight that begins at zero."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(4)
        nn.init.zeros_(self.norm.weight)

    def forward(self, x: Tensor) -> Tensor:
        return x.relu() + self.norm(x.softmax(1)) * self.norm(x).amax(1, keepdim=True)


class Deep(nn.Module):
    """Drops its branch now and then (stochastic depth)."""

    def __init__(self, drawn: Callable[[], Any]) -> None:
        super().__init__()
        self.conv, self.drawn = nn.Conv2d(4, 4, 3, padding=1), drawn

    def forward(self, x: Tensor) -> Tensor:
        return x + self.conv(x).relu() if self.training and float(self.drawn()) < 0.5 else x


def built(make: Callable[[], nn.Module]) -> list[nn.Module]:
    models = []
    for seed in SEEDS:
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            models.append(make().double())
    return models


def train(make: Callable[[], nn.Module], mode: str, **options: Any) -> tuple[list[nn.Module], Fit, list[str]]:
    models, lines, given = built(make), [], options.pop("data", None) or data()
    settings = dataclasses.replace(SETTINGS, replicas=mode)
    return models, fit(models, given, settings, SEEDS, log=lines.append, **options), lines


def reason(lines: list[str]) -> str:
    found = [line.partition(": ")[2] for line in lines if line.startswith("the seeds are trained one by one")]
    return found[0] if found else ""


def assert_as_alone(make: Callable[[], nn.Module], **options: Any) -> str:
    """Train side by side and alone, compare all that comes out, and return why it was one by one."""
    models, both, lines = train(make, "auto", **options)
    for index, (model, seed) in enumerate(zip(models, SEEDS)):
        alone, given = built(make)[index], options.get("data") or data()
        own = dataclasses.replace(given, train=given.train[index : index + 1])
        one = fit([alone], own, SETTINGS, [seed])
        assert both.losses[index] == pytest.approx(one.losses[0], rel=1e-6)
        for (name, a), b in zip(model.state_dict().items(), alone.state_dict().values()):
            torch.testing.assert_close(a, b, atol=1e-9, rtol=1e-9, msg=name)
    return reason(lines)


MIXING = {
    "concatenation": Skip,
    "gated linear unit": lambda: Net(lambda x: F.glu(x, 1), width=8),
    "split": lambda: Net(lambda x: torch.mul(*x.chunk(2, 1)), width=8),
    "slice": lambda: Net(lambda x: x[:, :2] * x[:, 2:], into=2),
    "layer norm": lambda: Net(lambda x: F.layer_norm(x, x.shape[1:])),
    "group norm": lambda: Net(lambda x: F.group_norm(x, 2)),
    "local response norm": lambda: Net(nn.LocalResponseNorm(3)),
    "unit length": lambda: Net(lambda x: F.normalize(x, dim=1)),
    "softmax": lambda: Net(lambda x: x.softmax(1)),
    "spatial attention": lambda: Net(lambda x: x * x.mean(1, keepdim=True).sigmoid()),
    "maxout": lambda: Net(lambda x: x.unflatten(1, (4, 2)).amax(2), width=8),
    "shuffle": lambda: Net(lambda x: x.unflatten(1, (2, -1)).transpose(1, 2).flatten(1, 2)),
    "flip": lambda: Net(lambda x: x.flip(1).relu()),
    "roll": lambda: Net(lambda x: x + x.roll(1, 1).relu()),
    "sort": lambda: Net(lambda x: x.sort(1).values),
    "sum so far": lambda: Net(lambda x: x.cumsum(1).relu()),
    "products of channels": lambda: Net(lambda x: torch.einsum("bchw,bdhw->bcd", x, x)[..., None]),
    "norm of the batch": lambda: Net(lambda x: (x - x.mean()) / x.std()),
    "largest of all": lambda: Net(lambda x: x / x.abs().max()),
    "channels by a constant": lambda: Net(lambda x: x * torch.arange(x.shape[1]).view(-1, 1, 1)),
    "a number of channels": lambda: Net(lambda x: x / x.shape[1]),
    "batch for channels": lambda: Net(lambda x: x.transpose(0, 1).softmax(0).transpose(0, 1)),
    "hidden by a zero": lambda: Net(Hidden()),
}


@pytest.mark.parametrize("make", MIXING.values(), ids=MIXING)
def test_networks_that_mix_channels_train_as_alone(make) -> None:
    assert assert_as_alone(make)
    with pytest.raises(UserError, match=r"seeds cannot train together: .*set replicas to 'auto'"):
        train(make, "together")


APART = {
    "plain": Net,
    "norm": lambda: Net(nn.Sequential(nn.BatchNorm2d(4), nn.ReLU(), nn.MaxPool2d(2))),
    "groups": lambda: Net(nn.Sequential(nn.ReLU(), nn.Conv2d(4, 4, 3, groups=2, bias=False))),
    "own dropout": lambda: Net(Dropout(0.5)),
    "pixel shuffle": lambda: Net(nn.PixelShuffle(2), into=1),
    "over the batch": lambda: Net(lambda x: x - x.mean(0, keepdim=True)),
    "over the pixels": lambda: Net(lambda x: x.flatten(2).softmax(2).view_as(x) * x),
    "p4": lambda: nn.Sequential(
        LiftingConv(1, 4, 3), GroupBatchNorm(4), nn.ReLU(), GlobalAvgPool(), GroupPool(), nn.Linear(4, 3)
    ),
}


@pytest.mark.parametrize("make", APART.values(), ids=APART)
def test_networks_whose_channels_stay_apart_train_side_by_side(make) -> None:
    assert assert_as_alone(make) == ""


def tied(*names: tuple[str, str]) -> nn.Module:
    layers = [nn.Conv2d(1, 4, 1), nn.Conv2d(4, 4, 3), nn.ReLU(), nn.Conv2d(4, 4, 3), GlobalAvgPool()]
    net = nn.Sequential(*layers, nn.Linear(4, 4), nn.Tanh(), nn.Linear(4, 4), nn.Linear(4, 3))
    for first, second in names:
        parent, _, leaf = second.rpartition(".")
        setattr(net.get_submodule(parent), leaf, net.get_parameter(first))
    return net


def reused() -> nn.Module:
    """One layer in two places."""
    net = tied()
    net[3], net[7] = net[1], net[5]
    return net


def frozen(*names: str, norm: bool = False) -> nn.Module:
    net = tied()
    for name in names:
        net.get_submodule(name).requires_grad_(False)
    return net


KEPT = {
    "two convolutions": lambda: tied(("1.weight", "3.weight")),
    "weight and bias of linear layers": lambda: tied(("5.weight", "7.weight"), ("5.bias", "7.bias")),
    "bias of a convolution and of a linear layer": lambda: tied(("3.bias", "5.bias")),
    "one layer twice": reused,
    "a frozen linear layer": lambda: frozen("5"),
    "a frozen convolution": lambda: frozen("1"),
    "frozen and tied": lambda: frozen("8", "1"),
    "all but one": lambda: frozen("0", "1", "3", "5", "7"),
}


@pytest.mark.parametrize("make", KEPT.values(), ids=KEPT)
def test_tied_weights_stay_tied_and_frozen_ones_frozen(make) -> None:
    assert_as_alone(make)
    models, _, _ = train(make, "auto")
    for model, start in zip(models, built(make)):
        pairs = dict(start.named_parameters())
        assert all(torch.equal(p, pairs[n]) for n, p in model.named_parameters() if not p.requires_grad)


def test_ties_and_frozen_weights_are_joined() -> None:
    joint = stack(built(lambda: tied(("1.weight", "3.weight"), ("5.bias", "7.bias"))))
    assert joint[1].weight is joint[3].weight
    assert joint[5].bias is joint[7].bias
    joint = stack(built(reused))
    assert joint[3] is joint[1]
    assert joint[7] is joint[5]
    assert not stack(built(lambda: frozen("5")))[5].weight.requires_grad


@pytest.mark.parametrize("change", ["dropout", "frozen", "tie", "stride"])
def test_networks_that_differ_between_the_seeds(change: str) -> None:
    made: list[nn.Module] = []

    def make() -> nn.Module:
        number = len(made) % 2
        net = tied(("1.weight", "3.weight")) if change == "tie" and number else tied()
        made.append(net)
        if change == "dropout":
            net[2] = Dropout(0.2 + 0.5 * number)
        if change == "stride" and number:
            net[3].stride = (2, 2)
        if change == "frozen":
            net[1].requires_grad_(number == 0)
        return net

    assert assert_as_alone(make)


def hooked(kind: str) -> nn.Module:
    net = Net()
    if kind == "forward hook":
        net.first.register_forward_hook(lambda module, inputs, output: output * output.mean().sign())
    if kind == "hook that looks":
        net.first.register_forward_pre_hook(lambda module, inputs: None)
    if kind == "backward hook":
        net.last.register_full_backward_hook(lambda module, inputs, outputs: (2 * inputs[0],))
    if kind == "hook of a gradient":
        net.double().first.weight.register_hook(lambda grad: grad.sign())
    if kind == "forward of its own":
        net.forward = lambda x: net.last(net.first(x).relu().mean((-2, -1)))
    return net


@pytest.mark.parametrize(
    "kind", ["forward hook", "hook that looks", "backward hook", "hook of a gradient", "forward of its own"]
)
def test_hooks_belong_to_one_network(kind: str) -> None:
    assert assert_as_alone(lambda: hooked(kind))


RANDOM = {
    "nn.Dropout": lambda: Net(nn.Dropout(0.5)),
    "F.dropout": lambda: Net(lambda x: F.dropout(x, 0.5)),
    "channels dropped": lambda: Net(nn.Dropout2d(0.5)),
    "random slopes": lambda: Net(nn.RReLU()),
    "stochastic depth by torch": lambda: Net(Deep(lambda: torch.rand(()))),
    "stochastic depth by numpy": lambda: Net(Deep(np.random.rand)),
    "stochastic depth by Python": lambda: Net(Deep(random.random)),
}


@pytest.mark.parametrize("make", RANDOM.values(), ids=RANDOM)
def test_what_is_drawn_from_the_generators_of_the_process_follows_from_the_seed(make, tmp_path) -> None:
    before = random_states()
    assert "random generator" in assert_as_alone(make)
    _, whole, _ = train(make, "auto")
    assert random_states() == before
    torch.rand(7), np.random.rand(7), random.random()  # what was drawn before does not matter

    def kill(line: str) -> None:
        if line.startswith("epoch 2/"):
            raise KeyboardInterrupt

    options = {"checkpoint": tmp_path / "state.pt"}
    with pytest.raises(KeyboardInterrupt):
        fit(built(make), data(), SETTINGS, SEEDS, log=kill, **options)
    assert fit(built(make), data(), SETTINGS, SEEDS, **options).losses == whole.losses


def test_validations_and_observations_draw_the_same_numbers_each_time() -> None:
    def run() -> Fit:
        settings = dataclasses.replace(SETTINGS, replicas="one_by_one")
        given = data(validation=[torch.arange(20)] * 2, plain=lambda x: plain(x) + torch.rand(()))
        observe = lambda model: {"noise": random.random()}  # noqa: E731
        return fit(built(Net), given, settings, SEEDS, observe=observe)

    first, again = run(), run()
    assert first.validations == again.validations
    assert first.observed == again.observed
    assert first.observed[0] != first.observed[1]


TRANSFORMS = {
    "normalized over all": lambda batch, _: (plain(batch) - plain(batch).mean()) / plain(batch).std(),
    "by place": lambda batch, _: plain(batch) * torch.arange(1, len(batch) + 1).view(-1, 1, 1, 1, 1),
    "by the first generator": lambda batch, g: plain(batch) + torch.rand((), generator=g[0]),
    "by torch": lambda batch, _: plain(batch) + torch.rand(len(batch), 1, 1, 1, 1),
    "by numpy": lambda batch, _: plain(batch) + np.random.rand(),
}


@pytest.mark.parametrize("transform", TRANSFORMS.values(), ids=TRANSFORMS)
def test_transforms_that_see_all_seeds_at_once(transform) -> None:
    assert "the transform of the images" in assert_as_alone(Net, data=data(transform=transform))


def test_seeds_with_training_images_in_different_numbers() -> None:
    assert "different numbers" in assert_as_alone(Net, data=data(train=[torch.arange(32), torch.arange(20)]))


class Counting(nn.Module):
    """Scales more with each call."""

    calls = 0

    def forward(self, x: Tensor) -> Tensor:
        self.calls += 1
        return x * self.calls


def test_what_a_network_keeps_in_attributes_stays_its_own() -> None:
    assert "attributes" in assert_as_alone(lambda: Net(Counting()))
    models, _, _ = train(lambda: Net(Counting()), "auto")
    assert [model.inner.calls for model in models] == [4, 4]


def test_the_probe_changes_nothing() -> None:
    layers = lambda: [nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), Dropout(0.5), GlobalAvgPool(), nn.Linear(4, 3)]  # noqa: E731
    models, states = built(lambda: nn.Sequential(*layers())), random_states()
    before = [{k: v.clone() for k, v in model.state_dict().items()} for model in models]
    assert difference(models, data(), SEEDS, "cpu") is None
    for model, old in zip(models, before):
        assert all(torch.equal(value, old[key]) for key, value in model.state_dict().items())
        assert all(p.grad is None for p in model.parameters())
        assert model.training
        assert model[2].generators == [None]
    assert random_states() == states


def test_pixels_with_a_class_each() -> None:
    labels = (IMAGES[:, 0] > 128).long()
    make = lambda: nn.Sequential(nn.Conv2d(1, 4, 3, padding=1), nn.ReLU(), nn.Conv2d(4, 2, 1))  # noqa: E731
    assert assert_as_alone(make, data=data(labels=labels)) == ""
    models, fitted, _ = train(make, "auto", data=data(labels=labels, validation=[torch.arange(10)] * 2))
    for model, found in zip(models, fitted.validations):
        right = (model(plain(IMAGES[:10])).argmax(1) == labels[:10]).double().mean().item()
        assert found[2] == pytest.approx(100 * right)


def test_each_seed_needs_a_network_of_its_own(tmp_path) -> None:
    net = Net().double()
    shared_layer = built(Net)
    shared_layer[1].last = shared_layer[0].last
    for models in ([net, net], shared_layer):
        with pytest.raises(ValueError, match="a network of its own"):
            fit(models, data(), SETTINGS, SEEDS)
    with pytest.raises(ValueError, match="seeds that are saved must differ"):
        fit(built(Net), data(), SETTINGS, [3, 3], checkpoint=tmp_path / "state.pt")
