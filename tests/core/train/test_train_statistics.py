"""Statistics of batch norm estimated after training."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from shared.nn import Dropout, GroupBatchNorm, LiftingConv
from shared.train.statistics import estimate_statistics

IMAGES = torch.randn(24, 1, 8, 8, generator=torch.Generator().manual_seed(0))


def network() -> nn.Sequential:
    """A plain and a group norm, both behind dropout."""
    torch.manual_seed(0)
    plain = (nn.Conv2d(1, 3, 3), nn.Dropout(0.5), nn.BatchNorm2d(3), nn.ReLU())
    return nn.Sequential(*plain, LiftingConv(3, 2, 3), Dropout(0.5), GroupBatchNorm(2)).eval()


@pytest.mark.parametrize("channels_last", [False, True])
def test_statistics_are_the_mean_over_batches_without_dropout(channels_last):
    model = network()
    estimate_statistics(model, IMAGES, batch_size=8, channels_last=channels_last)
    seen = [model[0](batch) for batch in IMAGES.split(8)]
    mean = torch.stack([x.mean((0, 2, 3)) for x in seen]).mean(0)
    variance = torch.stack([x.transpose(0, 1).flatten(1).var(1) for x in seen]).mean(0)
    torch.testing.assert_close(model[2].running_mean, mean)
    torch.testing.assert_close(model[2].running_var, variance)
    # the second norm behind the first, which worked as in training
    hidden = []
    for x in seen:
        m, v = x.mean((0, 2, 3), keepdim=True), x.var((0, 2, 3), correction=0, keepdim=True)
        hidden.append(model[4](torch.relu((x - m) / (v + model[2].eps).sqrt())))
    fields = torch.stack([h.transpose(0, 1).flatten(1).mean(1) for h in hidden]).mean(0)
    torch.testing.assert_close(model[6].running_mean, fields, rtol=1e-4, atol=1e-5)


def test_everything_else_stays_as_it_was():
    model = network().train()
    model[0].eval()  # a frozen part stays frozen
    weights = {name: value.clone() for name, value in model.named_parameters()}
    flags = [module.training for module in model.modules()]
    estimate_statistics(model, IMAGES * 3 + 1, lambda batch: batch - 1)
    assert [module.training for module in model.modules()] == flags
    assert (model[2].momentum, model[6].momentum) == (0.1, 0.1)
    assert all(torch.equal(value, weights[name]) for name, value in model.named_parameters())
    assert all(value.grad is None for value in model.parameters())


def test_modes_and_momenta_are_restored_when_the_network_raises():
    model = network().train()
    with pytest.raises(RuntimeError, match="channels"):
        estimate_statistics(model, IMAGES.expand(-1, 2, -1, -1))
    assert all(module.training for module in model.modules())
    assert (model[2].momentum, model[6].momentum) == (0.1, 0.1)


def test_a_constant_shift_of_the_inputs_moves_the_means_alone():
    first, second = network(), network()
    estimate_statistics(first, IMAGES)
    estimate_statistics(second, IMAGES, lambda batch: batch + 2)
    torch.testing.assert_close(first[2].running_var, second[2].running_var, rtol=1e-4, atol=1e-6)
    moved = second[2].running_mean - first[2].running_mean
    torch.testing.assert_close(moved, 2 * first[0].weight.sum((1, 2, 3)), rtol=1e-4, atol=1e-5)


def test_norms_without_statistics_are_left_alone_and_no_images_are_refused():
    model = nn.Sequential(nn.Conv2d(1, 2, 1), nn.BatchNorm2d(2, track_running_stats=False))
    estimate_statistics(model, IMAGES)
    with pytest.raises(ValueError, match="at least one image"):
        estimate_statistics(model, IMAGES[:0])
