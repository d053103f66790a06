"""The training engine: reproducible, resumable, honest about failures."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
import torch
from torch import nn

from shared.base.errors import UserError
from shared.nn import Dropout, GlobalAvgPool, GroupBatchNorm, GroupPool, LiftingConv
from shared.train import (
    Fit,
    FitSettings,
    TrainingDiverged,
    TrainingInterrupted,
    TrainingSet,
    accuracy,
    fit,
    predict,
)
from shared.train.rmsprop import RMSprop
from shared.train.session import Session


def network(seed: int) -> nn.Sequential:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return nn.Sequential(
            # no bias: before a batch norm it has no gradient, and Adam would move it by rounding alone
            LiftingConv(1, 4, 3, padding=1, bias=False),
            GroupBatchNorm(4),
            nn.ReLU(),
            Dropout(0.2),
            GlobalAvgPool(),
            GroupPool(),
            nn.Linear(4, 2),
        )


def plain(batch: torch.Tensor) -> torch.Tensor:
    return batch.float() / 255


def problem(seeds: list[int], count: int = 48, device: str = "cpu") -> TrainingSet:
    """Stripes against blobs; each seed trains on its own part."""
    g = torch.Generator().manual_seed(9)
    labels = torch.randint(0, 2, (count,), generator=g)
    images = torch.randint(0, 60, (count, 1, 8, 8), generator=g)
    images[labels == 1, :, ::2] += 190
    index = [torch.randperm(count, generator=torch.Generator().manual_seed(s)) for s in seeds]

    def noisy(batch: torch.Tensor, generators: list[torch.Generator]) -> torch.Tensor:
        noise = [torch.randn(x.shape, generator=g, device=g.device) for x, g in zip(batch, generators)]
        return plain(batch) + 0.05 * torch.stack(noise)

    stored = images.byte().to(device), labels.to(device)
    return TrainingSet(*stored, [i[:32] for i in index], noisy, plain, [i[32:] for i in index])


SETTINGS = FitSettings(epochs=6, batch_size=10, lr=0.02, schedule="step", step_every=2)


def weights(model: nn.Module) -> list[torch.Tensor]:
    return [v.clone() for v in model.state_dict().values()]


def test_it_learns_and_reports():
    lines: list[str] = []
    model = network(0)
    result = fit([model], problem([0]), SETTINGS, [0], log=lines.append)
    assert result.losses[0][-1] < result.losses[0][0]
    assert sorted(result.validations[0]) == [1, 2, 3, 4, 5, 6]
    assert "epoch 6/6" in lines[-1]
    assert "min left" in lines[0]
    data = problem([0])
    assert accuracy(predict(model, data.images, plain), data.labels) > 90


def test_same_seed_same_bits():
    runs = [fit([network(1)], problem([1]), SETTINGS, [1]).losses for _ in range(2)]
    assert runs[0] == runs[1]


@pytest.mark.parametrize("channels_last", [False, True])
def test_a_seed_does_not_depend_on_its_neighbors(channels_last):
    how = FitSettings(epochs=3, batch_size=10, lr=0.02, channels_last=channels_last, replicas="together")
    one = FitSettings(epochs=3, batch_size=10, lr=0.02, channels_last=channels_last)
    models = [network(s) for s in (1, 2, 3)]
    together = fit(models, problem([1, 2, 3]), how, [1, 2, 3])
    for i, seed in enumerate((1, 2, 3)):
        alone_model = network(seed)
        alone = fit([alone_model], problem([seed]), one, [seed])
        assert together.losses[i] == pytest.approx(alone.losses[0], rel=1e-4)
        for a, b in zip(weights(models[i]), weights(alone_model)):
            torch.testing.assert_close(a, b, atol=2e-4, rtol=1e-3)


def test_one_by_one_equals_alone_to_the_bit():
    how = FitSettings(epochs=2, batch_size=10, replicas="one_by_one")
    both = fit([network(1), network(2)], problem([1, 2]), how, [1, 2])
    assert both.losses[1] == fit([network(2)], problem([2]), how, [2]).losses[0]


def killed_and_resumed(path: Path, how: FitSettings, device: str = "cpu") -> tuple[list[Fit], list]:
    """What two seeds give when nothing happens, and after a kill in epoch 4; and the networks of both."""
    seeds, calls = [4, 5], []

    def stop(line: str) -> None:
        calls.append(line)
        if len(calls) == 4:
            raise KeyboardInterrupt

    whole, broken, again = ([network(s) for s in seeds] for _ in range(3))
    data, options = problem(seeds, device=device), {"device": device, "checkpoint": path}
    expected = fit(whole, data, how, seeds, device=device)
    with pytest.raises(KeyboardInterrupt):
        fit(broken, data, how, seeds, log=stop, **options)
    lines: list[str] = []
    result = fit(again, data, how, seeds, log=lines.append, **options)
    assert "resumed after epoch 3" in lines[0]
    return [expected, result], [whole, again]


@pytest.mark.parametrize("replicas", ["together", "one_by_one"])
def test_a_killed_training_ends_with_the_same_bits(tmp_path, replicas):
    how = FitSettings(epochs=6, batch_size=10, lr=0.02, schedule="step", step_every=2, replicas=replicas)
    fits, models = killed_and_resumed(tmp_path / "state.pt", how)
    assert fits[0].losses == fits[1].losses
    for a, b in zip(*models):
        assert all(torch.equal(x, y) for x, y in zip(weights(a), weights(b)))


@pytest.mark.parametrize("optimizer", ["adam", "sgd", "rmsprop"])
def test_a_training_killed_on_a_gpu_goes_on(tmp_path, gpu, optimizer):
    """Its state, numbers to draw and best weights come back to the device that each belongs on."""
    how = FitSettings(epochs=6, batch_size=10, lr=0.02, optimizer=optimizer, selection="best")
    fits, models = killed_and_resumed(tmp_path / "state.pt", how, gpu)
    assert fits[0].losses == [pytest.approx(losses, rel=1e-3) for losses in fits[1].losses]
    assert fits[0].validations == fits[1].validations
    for a, b in zip(*models):
        for x, y in zip(weights(a), weights(b)):
            torch.testing.assert_close(x.cpu(), y.cpu(), rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("replicas", ["together", "one_by_one"])
def test_observations_see_each_seed_and_survive_a_kill(tmp_path, replicas):
    how, seeds = FitSettings(epochs=5, batch_size=10, replicas=replicas), [4, 5]

    def observe(model: nn.Module) -> dict[str, float]:
        return {"norm": model[0].weight.norm().item()}

    models = [network(s) for s in seeds]
    starts = [observe(model) for model in models]
    whole = fit(models, problem(seeds), how, seeds, observe=observe, observe_every=2)
    assert [sorted(seen) for seen in whole.observed] == [[0, 2, 4, 5]] * 2
    assert [seen[0] for seen in whole.observed] == starts
    assert [seen[5] for seen in whole.observed] == [observe(model) for model in models]
    plain_losses = fit([network(s) for s in seeds], problem(seeds), how, seeds).losses
    assert whole.losses == plain_losses  # looking changes nothing

    def stop(line: str) -> None:
        if line.startswith("epoch 3/"):
            raise KeyboardInterrupt

    options = {"checkpoint": tmp_path / "state.pt", "observe": observe, "observe_every": 2}
    with pytest.raises(KeyboardInterrupt):
        fit([network(s) for s in seeds], problem(seeds), how, seeds, log=stop, **options)
    again = fit([network(s) for s in seeds], problem(seeds), how, seeds, **options)
    assert again.observed == whole.observed


@pytest.mark.parametrize("optimizer", ["adam", "sgd"])
def test_the_optimizer_gets_the_cycled_momentum(optimizer):
    how = FitSettings(epochs=4, schedule="one_cycle", optimizer=optimizer, cycle_momentum=True)
    session = Session([network(0)], [0], how, "cpu")
    for step, expected in ((0, 0.95), (11, 0.85), (39, 0.95)):
        session.set_rate(step, 10)
        group = session.optimizer.param_groups[0]
        assert (group["betas"][0] if optimizer == "adam" else group["momentum"]) == pytest.approx(expected)


def test_the_best_weights_are_the_best_and_do_not_move_on():
    how = FitSettings(epochs=8, batch_size=10, lr=0.3, selection="best")  # a wild rate, so that epochs differ
    model = network(2)
    result = fit([model], problem([2]), how, [2])
    data = problem([2])
    rows = data.validation[0]
    reached = accuracy(predict(model, data.images[rows], plain), data.labels[rows])
    assert reached == max(result.validations[0].values())


def test_a_loss_that_is_not_finite_is_named_with_its_seed():
    models = [network(1), network(2)]
    nn.init.constant_(models[1][-1].bias, float("nan"))
    how = FitSettings(epochs=2, batch_size=10, replicas="together")
    with pytest.raises(TrainingDiverged, match=r"loss of seed\(s\) 2 is not finite in epoch 1") as caught:
        fit(models, problem([1, 2]), how, [1, 2])
    assert caught.value.seeds == [2]


def test_the_deadline_stops_between_epochs_and_keeps_the_state(tmp_path):
    path = tmp_path / "state.pt"
    later = time.monotonic() + 1e6
    fit([network(1)], problem([1]), FitSettings(epochs=2), [1], checkpoint=path, deadline=later)
    with pytest.raises(TrainingInterrupted, match="after epoch 0 of 2"):
        fit([network(1)], problem([1]), FitSettings(epochs=2), [1], deadline=time.monotonic() - 1)


@pytest.mark.parametrize("settings", [{"precision": "bf16"}, {"channels_last": True}])
def test_faster_settings_stay_near_float32(settings, native_bf16):
    def losses(**extra: object) -> list[float]:
        model = network(3)
        how = FitSettings(epochs=3, batch_size=10, lr=0.02, **extra)
        return fit([model], problem([3]), how, [3]).losses[0]

    tolerance = 0.05 if "precision" in settings else 1e-3
    assert losses(**settings) == pytest.approx(losses(), rel=tolerance)


def test_rates_follow_the_schedules():
    step = FitSettings(epochs=50, lr=0.01, schedule="step", step_every=10, step_factor=0.5)
    assert [step.rate(e * 32, 32) for e in (0, 9, 10, 49)] == pytest.approx([0.01, 0.01, 0.005, 0.000625])
    drops = FitSettings(
        epochs=90, lr=1.0, schedule="milestones", milestones=(30, 60), step_factor=0.1, warmup_epochs=2
    )
    rates = [drops.rate(number, 4) for number in (0, 3, 7, 29 * 4 + 3, 30 * 4, 60 * 4)]
    assert rates == pytest.approx([1 / 8, 1 / 2, 1, 1, 0.1, 0.01])
    assert drops.cycled_momentum(0, 4) is None
    cycle = FitSettings(epochs=10, lr=1.0, schedule="one_cycle", cycle_momentum=True)
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=1.0, momentum=0.9)
    reference = torch.optim.lr_scheduler.OneCycleLR(optimizer, 1.0, total_steps=100)
    for number in range(100):
        assert cycle.rate(number, 10) == pytest.approx(optimizer.param_groups[0]["lr"], abs=1e-9)
        assert cycle.cycled_momentum(number, 10) == pytest.approx(optimizer.param_groups[0]["momentum"])
        optimizer.step()
        reference.step()


@pytest.mark.parametrize(
    ("wrong", "message"),
    [({"optimizer": "adm"}, "adam"), ({"lr": 0}, "positive")],
)
def test_wrong_settings_are_explained(wrong, message):
    with pytest.raises(UserError, match=message):
        FitSettings(epochs=1, **wrong)


def test_cuda_agrees_with_the_cpu(gpu):
    how = FitSettings(epochs=2, batch_size=10)
    fits = []
    for device in ("cpu", gpu):
        model, data = network(1), problem([1], device=device)
        model[3] = nn.Identity()
        data.transform = lambda batch, _: plain(batch)
        fits.append(fit([model], data, how, [1], device=device))
    on_cpu, on_gpu = fits
    assert on_gpu.losses[0] == pytest.approx(on_cpu.losses[0], rel=1e-3)


def test_rmsprop_is_that_of_torch_to_the_bit_where_gradients_vanish() -> None:
    """Dead units decay to denormal mean squares, which the library's own optimizer is slow on."""
    ours, theirs = (nn.Parameter(torch.ones(50, 40)) for _ in range(2))
    one = RMSprop([ours], lr=0.001, alpha=0.5, eps=1e-7)
    other = torch.optim.RMSprop([theirs], lr=0.001, alpha=0.5, eps=1e-7)
    generator = torch.Generator().manual_seed(0)
    for step in range(200):
        size = torch.logspace(-25, 0, 40) * (step < 20 or step > 190)
        grad = torch.randn(50, 40, generator=generator) * size
        for parameter, optimizer in ((ours, one), (theirs, other)):
            parameter.grad = grad.clone()
            optimizer.step()
        assert torch.equal(ours, theirs), f"step {step}"
    assert (one.state[ours]["square_avg"] == other.state[theirs]["square_avg"]).all()
    with pytest.raises(ValueError, match="eps must be at least"):
        RMSprop([ours], eps=1e-12)
