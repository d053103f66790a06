"""SMOKE: the loss of a roll-out, its defects, the errors that are reported, and what a run gives."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from pipelines.regular_latent import smoke, smoke_models
from pipelines.regular_latent.settings import Settings
from pipelines.regular_latent.smoke_flows import Flows, turn, turn_maps
from shared.runs.api import Context

QUIET = Context(log=lambda line: None)
TINY = {"size": 8, "channels": 4, "starts": (4, 2, 2, 2), "simulations": (2, 1), "epochs": 2, "batch_size": 4}


def settings(**other) -> Settings:
    given = {"kind": "smoke", "dataset": "", "shifted": 0.0, "channels": 4, "size": 8, "lr": 0.001}
    return Settings(**{**given, **other})


@pytest.fixture(scope="module")
def flows() -> Flows:
    """Noise: nothing is like another frame."""
    fields = torch.randn(2, 50, 2, 8, 8, generator=torch.Generator().manual_seed(0))
    windows = torch.tensor([[0, 1], [1, 5], [0, 7], [1, 0], [1, 9]])
    return Flows(fields, dict.fromkeys(("train", "valid", "future", "domain"), windows))


def network(**other) -> smoke_models.Predictor:
    """In evaluation, so that a sample's prediction hangs on no other."""
    return smoke_models.build(settings(**other), seed=0).eval()


def mse(a, b):
    return (a - b).square().mean()


def value(flows, net, **other) -> float:
    of_batch = smoke.loss(settings(**other), flows)
    windows = flows.windows["train"]
    return of_batch(net, windows, torch.zeros(len(windows)), torch.Generator().manual_seed(3)).item()


def by_hand(flows, net):
    """Inputs, targets by step, and predictions by step, each fed the ones before it."""
    clips = flows.clips(flows.windows["train"], 16)
    frames = list(clips[:, :10].unbind(1))
    for _ in range(6):
        frames.append(net(torch.cat(frames[-10:], 1)))
    return clips[:, :10].flatten(1, 2), clips[:, 10:].unbind(1), frames[10:]


def test_the_plain_loss_is_the_sum_over_six_steps(flows):
    net = network()
    _, targets, outputs = by_hand(flows, net)
    expected = sum(mse(a, b) for a, b in zip(outputs, targets)).item()
    assert value(flows, net) == pytest.approx(expected, rel=1e-5)


def test_half_of_the_first_step_is_that_of_a_turned_copy(flows):
    net = network()
    x, targets, outputs = by_hand(flows, net)
    turns = torch.randint(4, (len(x),), generator=torch.Generator().manual_seed(3))
    assert len(set(turns.tolist())) > 1
    of_copies = mse(net(turn(x, turns)), turn(targets[0], turns))
    expected = of_copies / 2 - mse(outputs[0], targets[0]) / 2 + value(flows, net)
    assert value(flows, net, shifted=0.5) == pytest.approx(expected.item(), rel=1e-5)


@pytest.mark.parametrize("defect", ["each", "released"])
def test_the_latent_loss_compares_turned_maps(flows, defect):
    net = network()
    x, _, _ = by_hand(flows, net)
    turns = torch.randint(4, (len(x),), generator=torch.Generator().manual_seed(3))
    turned, found = turn_maps(net.encoder(x), turns), net.encoder(turn(x, turns))
    if defect == "released":
        turned = torch.stack([turned[0]] * len(x))
    expected = value(flows, net, shifted=0.5) + 7 * mse(turned, found).item()
    other = {"shifted": 0.5, "weight": 7.0, "latent_loss": defect}
    assert value(flows, net, **other) == pytest.approx(expected, rel=1e-5)


def test_gradients_flow_through_both_latents_and_all_steps(flows):
    net = smoke_models.build(settings(), seed=0).train()
    seen = []
    net.encoder.register_forward_hook(lambda module, inputs, output: seen.append(output))
    of_batch = smoke.loss(settings(shifted=0.5, weight=1.0), flows)
    of_batch(net, flows.windows["train"], torch.zeros(5), torch.Generator().manual_seed(3)).backward()
    assert len(seen) == 2 + 5
    assert all(latent.requires_grad for latent in seen)


def test_the_penalty_of_a_system_is_in_its_loss(flows):
    net = network()
    before = value(flows, net)
    net.penalty = lambda: torch.tensor(11.0)
    assert value(flows, net) == pytest.approx(before + 11, rel=1e-5)


def test_errors_are_roots_of_means_over_batches_that_count_alike(flows, monkeypatch):
    monkeypatch.setattr(smoke, "TEST_BATCH", 4)  # so that the last batch has one window
    net = network()
    windows = flows.windows["future"]
    found = smoke.errors(net, flows, windows, 20)
    by_batch = []
    for part in (windows[:4], windows[4:]):
        clips = flows.clips(part, 30)
        frames = list(clips[:, :10].unbind(1))
        with torch.no_grad():
            for _ in range(20):
                frames.append(net(torch.cat(frames[-10:], 1)))
        by_batch.append([mse(a, b).item() for a, b in zip(frames[10:], clips[:, 10:].unbind(1))])
    for steps in (6, 20):
        expected = math.sqrt(sum(sum(batch[:steps]) / steps for batch in by_batch) / 2)
        assert found[steps] == pytest.approx(expected, rel=1e-5)
    everything_alike = math.sqrt((4 * sum(by_batch[0]) + sum(by_batch[1])) / 5 / 20)
    assert abs(found[20] - everything_alike) > 1e-4


def test_symmetry_errors_vanish_for_a_symmetric_network(flows):
    class Symmetric(nn.Module):
        """The last frame, blurred by a filter that looks the same from all sides; its speed as latent."""

        def encoder(self, x):
            return x[:, -2:].square().sum(1, keepdim=True)

        def forward(self, x):
            return 0.5 * x[:, -2:] + x[:, -2:].mean((2, 3), keepdim=True)

    found = smoke.symmetry_errors(Symmetric(), flows, latent=True)
    assert max(found.values()) < 1e-6
    found = smoke.symmetry_errors(network(), flows, latent=True)
    assert min(found["output_error"], found["latent_error"]) > 0.01


@pytest.fixture(scope="module")
def rows():
    found = smoke.run(settings(**TINY, shifted=0.5, weight=0.01), [0, 3], QUIET)
    return {seed: {(r.metric, r.step): r.value for r in part} for seed, part in found.items()}


def test_a_run_gives_its_rows(rows):
    one = rows[0]
    errors = {f"{p}rmse_{t}_{n}" for p in ("", "last_") for t in ("future", "domain") for n in (6, 20)}
    once = {"parameters", "images_per_second"} | errors
    assert {metric for metric, step in one if step == ""} == once
    assert {step for metric, step in one if metric == "train_loss"} == {1, 2}
    assert {step for metric, step in one if metric == "validation_rmse"} == {1, 2}
    assert {step for metric, step in one if metric == "latent_error"} == {0, 2}
    assert {step for metric, step in one if metric == "output_error"} == {0, 2}
    assert all(math.isfinite(v) for v in one.values())
    assert all(v > 0 for (metric, _), v in one.items() if "rmse" in metric)
    assert one["train_loss", 1] != rows[3]["train_loss", 1]


def test_a_seed_gives_the_same_rows_alone(rows):
    again = smoke.run(settings(**TINY, shifted=0.5, weight=0.01), [3], QUIET)[3]
    timed = {"images_per_second"}
    assert {(r.metric, r.step): r.value for r in again if r.metric not in timed} == {
        key: v for key, v in rows[3].items() if key[0] not in timed
    }


def test_the_epoch_that_validated_best_is_tested(monkeypatch):
    """Where each epoch seems to validate worse than the one before, the first one's weights are reported."""
    real, calls = smoke.errors, []

    def errors(predictor, flows, windows, steps):
        found = real(predictor, flows, windows, steps)
        if steps == 6:
            calls.append(len(calls))
            return {6: float(len(calls))}
        return found

    monkeypatch.setattr(smoke, "errors", errors)
    found = smoke.run(settings(**TINY), [0], QUIET)[0]
    known = {(r.metric, r.step): r.value for r in found}
    assert known["validation_rmse", 1] < known["validation_rmse", 2]
    first = smoke.run(settings(**{**TINY, "epochs": 1}), [0], QUIET)[0]
    assert known["rmse_future_20", ""] == {r.metric: r.value for r in first}["last_rmse_future_20"]
    assert known["rmse_future_20", ""] != known["last_rmse_future_20", ""]


def test_the_layout_matters_to_augmentation_alone():
    """A plain network sees mirrored flows in either layout; what a turned copy shows differs."""
    losses = {}
    for layout in ("turned", "released"):
        for shifted in (0.0, 0.5):
            given = settings(**TINY, layout=layout, shifted=shifted)
            flows = smoke.load(given, "cpu")
            net = smoke_models.build(given, 0).eval()
            for layer in net.modules():
                if isinstance(layer, nn.Conv2d):
                    layer.weight.data *= 3  # predictions as large as the flow
                    if layout == "released":  # the same network upside down
                        layer.weight.data = layer.weight.flip(-2)
            of_batch = smoke.loss(given, flows)
            windows = flows.windows["train"]
            generator = torch.Generator().manual_seed(0)
            losses[layout, shifted] = of_batch(net, windows, torch.zeros(len(windows)), generator).item()
    assert losses["turned", 0.0] == pytest.approx(losses["released", 0.0], rel=1e-5)
    assert losses["turned", 0.5] != pytest.approx(losses["released", 0.5], rel=1e-3)
