"""Inputs of the library that make no sense end in one clear error, not in torch's own or a wrong number."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from shared import atlas, train
from shared.algebra import actions, groups, irreps, lie
from shared.base.errors import UserError
from shared.data import augment, prepare
from shared.nn import LConv, LiftingConv, ReplicaLinear, symmetries
from shared.nn.contraction import contract
from shared.report import verdicts
from shared.runs import records
from shared.testing import assert_equivariant

IRREP = irreps.irreps(groups.cyclic(8))[1]
SIGN = irreps.irreps(groups.cyclic(2))[1]
SETTINGS = train.FitSettings(epochs=1)


def fit(models: int = 1, seeds: int = 1, **options):
    images, labels = torch.zeros(4, 1, 2, 2), torch.zeros(4, dtype=torch.int64)
    made = [nn.Sequential(nn.Flatten(), nn.Linear(4, 2)) for _ in range(models)]
    data = train.TrainingSet(images, labels, [torch.arange(4)] * seeds, lambda x, g: x, lambda x: x)
    settings = train.FitSettings(epochs=1, replicas="one_by_one", **options.pop("settings", {}))
    return train.fit(made, data, settings, list(range(seeds)), **options)


CASES = {
    "one size or two": (lambda: atlas.atlas(nn.ReLU(), 8.0), UserError, "size must be pixels"),
    "kernels are whole": (lambda: atlas.Layer("a", "conv", kernel=3.0), UserError, "whole numbers"),
    "convolutions, too": (lambda: LiftingConv(1, 1, 3.0), ValueError, "one or two integers"),
    "no group of 6.0": (lambda: groups.cyclic(6.0), ValueError, "whole number"),
    "nor of text": (lambda: groups.dihedral("4"), ValueError, "whole number"),
    "integers do not turn": (
        lambda: actions.act_latent(IRREP, 1, torch.tensor([[10, 20]])),
        ValueError,
        "convert to floating",
    ),
    "bytes have no sign": (
        lambda: actions.act_latent(SIGN, 1, torch.ones(1, 1, dtype=torch.uint8)),
        ValueError,
        "changes signs",
    ),
    "precision": (lambda: train.precision("bfloat16", "cpu").__enter__(), UserError, "unknown precision"),
    "a seed for each model": (lambda: fit(models=2), ValueError, "2 models need as many seeds"),
    "a model for each seed": (lambda: fit(seeds=2), ValueError, "1 models need as many seeds"),
    "a model": (lambda: fit(models=0, seeds=0), ValueError, "one at least"),
    "best of nothing": (lambda: fit(settings={"selection": "best"}), ValueError, "needs validation images"),
    "no observations": (lambda: fit(observe_every=0), ValueError, "observe_every"),
    "rmsprop has no momentum": (
        lambda: train.FitSettings(epochs=1, optimizer="rmsprop", cycle_momentum=True),
        UserError,
        "no momentum",
    ),
    "three colors": (
        lambda: augment.standardize(torch.zeros(2, 1, 8, 8), augment.STANDARDS["cifar10"]),
        ValueError,
        "3, h, w",
    ),
    "rotated integers": (
        lambda: prepare.rotate(torch.zeros(1, 1, 4, 4, dtype=torch.int64), 30.0),
        ValueError,
        "values lie between",
    ),
    "resized integers": (
        lambda: prepare.resize(torch.zeros(1, 1, 4, 4, dtype=torch.int8), 5),
        ValueError,
        "values lie between",
    ),
    "resized image": (lambda: prepare.resize(torch.zeros(3, 8, 8), 4), ValueError, "n, c, h, w"),
    "resized to nothing": (lambda: prepare.resize(torch.zeros(1, 1, 8, 8), 0), ValueError, "at least 1"),
    "one bracket": (lambda: lie.killing_form(torch.eye(2)), ValueError, "n, d, d"),
    "a stack of algebras": (
        lambda: lie.structure_constants(torch.zeros(1, 2, 3, 3)),
        ValueError,
        "n, d, d",
    ),
    "along one generator": (
        lambda: lie.act(lie.group("se2", 3), torch.zeros(3, 3)),
        ValueError,
        "one generator",
    ),
    "no times": (
        lambda: symmetries.action(lie.group("so2", 3), torch.ones(3, 3), []),
        ValueError,
        "one time or more",
    ),
    "no control": (lambda: symmetries.control(lie.group("so2", 3), 0, None), ValueError, "at least 1"),
    "order of products": (
        lambda: contract(
            torch.zeros(1, 4, 1), (torch.zeros(1, 4, 4),), torch.zeros(1, 1, 1), None, "VUW", False
        ),
        ValueError,
        "unknown order",
    ),
    "replicas": (
        lambda: ReplicaLinear([nn.Linear(2, 2, bias=False), nn.Linear(2, 2)]),
        ValueError,
        "all of one shape",
    ),
    "no replicas": (lambda: ReplicaLinear([]), ValueError, "one or more layers"),
    "width of replicas": (
        lambda: ReplicaLinear([nn.Linear(2, 2)])(torch.zeros(1, 3)),
        ValueError,
        r"expects \(batch, 2\)",
    ),
    "trials": (
        lambda: assert_equivariant(nn.ReLU(), size=5, in_channels=1, trials=0),
        UserError,
        "trials must be 1",
    ),
    "spread": (lambda: verdicts.cell([1, 1.1, 1.2], 100.0, 1.0, spread_kind="sd"), ValueError, "spread kind"),
    "no row": (lambda: records.checked_rows([("a", 1.0)], "here"), UserError, "no row of metric, step"),
    "a step": (lambda: records.checked_rows([("a", None, 1.0)], "here"), UserError, "no row of metric, step"),
    "finite steps": (
        lambda: records.checked_rows([("a", float("nan"), 1.0)], "here"),
        UserError,
        "no row of metric, step",
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_it_is_refused(case):
    call, kind, message = CASES[case]
    with pytest.raises(kind, match=message):
        call()


def test_integers_of_numpy_are_integers():
    network = LiftingConv(1, 1, np.int64(3), stride=(np.int64(2), 2))
    assert network.kernel_size == (3, 3)
    assert type(network.kernel_size[0]) is int
    assert [found.exact for found in atlas.sizes(network, np.arange(5, 8))] == [True, False, True]
    assert groups.cyclic(np.int64(5)) == groups.cyclic(5)


def test_no_generators_and_no_images():
    for order in ("auto", "VUW", "VWU", "WVU", "LW", "WL", "plain"):
        layer = LConv(2, 3, 16, 2, rank=2, identity=False, order=order)
        out = layer(torch.zeros(0, 16, 2))
        assert out.shape == (0, 16, 3)
        out.sum().backward()
        assert not layer.weight.grad.any()
        assert LConv(2, 3, 16, 0, rank=2, order=order)(torch.ones(1, 16, 2)).shape == (1, 16, 3)


def test_errors_of_a_layer_that_makes_none_are_listed():
    found = assert_equivariant(nn.ReLU(), size=5, in_channels=1)
    assert list(found.elements) == ["r", "r^2", "r^3"]
    assert found.relative_max == 0


def test_the_axis_with_joined_ends_of_two_pixels():
    for interpolation in ("central", "shannon"):
        assert not lie.derivative(2, interpolation=interpolation, period=1).any()
