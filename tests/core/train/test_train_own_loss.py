"""Trainings whose step is their own: a loss, a score, patience, rates by parameter, a cosine schedule."""

from __future__ import annotations

import dataclasses
import time
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from shared.base.errors import UserError
from shared.train import FitSettings, TrainingInterrupted, TrainingSet, fit

COUNT = 40
SETTINGS = FitSettings(epochs=5, batch_size=8, lr=0.02)


class Line(nn.Module):
    """y = slope x + offset, begun at one of a few values."""

    def __init__(self, seed: int) -> None:
        super().__init__()
        self.slope = nn.Parameter(torch.tensor(0.1 * seed))
        self.offset = nn.Parameter(torch.tensor(0.0))

    def forward(self, x: Tensor) -> Tensor:
        return self.slope * x + self.offset


def noisy_squares(network: nn.Module, stored: Tensor, labels: Tensor, generator: torch.Generator) -> Tensor:
    """Fits y = 2 x + 1 at points that are moved a little each time; the points are stored as numbers."""
    x = stored + 0.05 * torch.randn(stored.shape, generator=generator)
    return F.mse_loss(network(x), 2 * stored + 1)


def problem(seeds: list[int], **changes) -> TrainingSet:
    x = torch.linspace(-1, 1, COUNT)
    rows = [torch.randperm(COUNT, generator=torch.Generator().manual_seed(s)) for s in seeds]
    data = TrainingSet(x, torch.zeros(COUNT, dtype=torch.int64), [r[:32] for r in rows], loss=noisy_squares)
    score = lambda network, stored, labels: -F.mse_loss(network(stored), 2 * stored + 1).item()  # noqa: E731
    return dataclasses.replace(data, validation=[r[32:] for r in rows], score=score, **changes)


def train(seeds: list[int], settings: FitSettings = SETTINGS, data: TrainingSet | None = None, **options):
    lines = [Line(seed) for seed in seeds]
    return lines, fit(lines, data or problem(seeds), settings, seeds, **options)


def test_it_learns_by_its_own_loss():
    (line,), result = train([0], dataclasses.replace(SETTINGS, epochs=80))
    assert line.slope.item() == pytest.approx(2, abs=0.05)
    assert line.offset.item() == pytest.approx(1, abs=0.05)
    assert result.losses[0][-1] < 0.02 * result.losses[0][0]


def test_seeds_side_by_side_are_the_seeds_alone():
    _, both = train([1, 2])
    alone = [train([seed])[1] for seed in (1, 2)]
    assert both.losses == [one.losses[0] for one in alone]
    assert both.validations == [one.validations[0] for one in alone]


def test_the_score_chooses_the_best_epoch():
    settings = dataclasses.replace(SETTINGS, epochs=7, lr=0.8, selection="best")
    (line,), result = train([0], settings)
    scores = result.validations[0]
    assert max(scores.values()) > scores[7]  # such a rate overshoots, or the test would show nothing
    data = problem([0])
    rows = data.validation[0]
    assert data.score(line, data.images[rows], data.labels[rows]) == max(scores.values())


def test_scores_are_computed_in_eval_mode_without_gradients():
    seen = []

    def score(network: nn.Module, stored: Tensor, labels: Tensor) -> float:
        seen.append((network.training, torch.is_grad_enabled()))
        return 0.0

    train([0], data=dataclasses.replace(problem([0]), score=score))
    assert set(seen) == {(False, False)}


def test_a_killed_training_goes_on_where_it_stopped(tmp_path: Path):
    _, whole = train([3])
    path, calls = tmp_path / "state.pt", []

    def dies(network: nn.Module, stored: Tensor, labels: Tensor, generator: torch.Generator) -> Tensor:
        calls.append(None)
        if len(calls) == 11:
            raise KeyboardInterrupt
        return noisy_squares(network, stored, labels, generator)

    with pytest.raises(KeyboardInterrupt):
        train([3], data=dataclasses.replace(problem([3]), loss=dies), checkpoint=path)
    _, rest = train([3], checkpoint=path)
    assert rest.losses == whole.losses
    assert len(calls) == 11


def test_time_runs_out():
    with pytest.raises(TrainingInterrupted):
        train([0], deadline=time.monotonic() - 1)


@pytest.mark.parametrize(
    ("scores", "margin", "stops"),
    [
        ([1, 2, 3, 3, 2], 0.0, False),
        ([1, 2, 3, 3, 2, 3], 0.0, True),
        ([1, 2, 3, 3, 2, 3.1], 0.0, False),
        ([1, 1.05, 1.1, 1.15], 0.1, False),  # 1.15 is better than 1 by more than the margin
        ([1, 1.05, 1.1, 1.08], 0.1, True),
        ([], 0.0, False),
    ],
)
def test_patience_counts_validations_without_a_better_score(scores, margin, stops):
    settings = dataclasses.replace(SETTINGS, patience=3, margin=margin)
    assert settings.exhausted(scores) == stops
    assert not SETTINGS.exhausted(scores)


def test_patience_ends_each_seed_by_itself():
    ends = {0: 3, 1: 5}  # the epoch that is best, by seed

    def score(network: nn.Module, stored: Tensor, labels: Tensor) -> float:
        epochs[0] += 1
        return -abs(epochs[0] - ends[seed])

    lengths = {}
    for seed in ends:  # the score reads which
        epochs = [0]
        settings = dataclasses.replace(SETTINGS, epochs=20, patience=2)
        _, result = train([seed], settings, dataclasses.replace(problem([seed]), score=score))
        lengths[seed] = len(result.losses[0])
    assert lengths == {0: 5, 1: 7}
    settings = dataclasses.replace(SETTINGS, epochs=30, patience=2, margin=0.02)
    _, both = train([1, 2], settings)
    assert [len(losses) for losses in both.losses] == [
        len(train([seed], settings)[1].losses[0]) for seed in (1, 2)
    ]


def test_rates_by_parameter():
    still = dataclasses.replace(SETTINGS, rates=(("slope", 0.0),))
    (line,), _ = train([2], still)
    assert line.slope.item() == pytest.approx(0.2)
    assert line.offset.item() > 0.1
    with pytest.raises(ValueError, match=r"no parameter is called 'slop'"):
        train([2], dataclasses.replace(SETTINGS, rates=(("slop", 0.0),)))


def test_a_rate_of_one_changes_nothing():
    _, plain = train([2])
    _, grouped = train([2], dataclasses.replace(SETTINGS, rates=(("slope", 1.0),)))
    assert grouped.losses == plain.losses


def test_the_cosine_schedule_warms_up_and_falls_to_zero():
    settings = FitSettings(epochs=10, lr=0.1, schedule="cosine", warmup_epochs=2)
    rates = [settings.rate(step, steps_per_epoch=5) for step in range(50)]
    assert rates[:10] == pytest.approx([0.01 * (step + 1) for step in range(10)])
    assert rates[10] == pytest.approx(0.1)
    assert rates[30] == pytest.approx(0.05)  # half of what is left
    assert 0 < rates[49] < 2e-4
    assert rates[10:] == sorted(rates[10:], reverse=True)


def test_mistakes_are_told():
    with pytest.raises(ValueError, match="must be one number, the batch's mean"):
        train([0], data=dataclasses.replace(problem([0]), loss=lambda n, x, y, g: n(x)))
    with pytest.raises(ValueError, match="one seed at a time"):
        train([0, 1], dataclasses.replace(SETTINGS, replicas="together"))
    with pytest.raises(ValueError, match="patience needs validation images"):
        train(
            [0], dataclasses.replace(SETTINGS, patience=2), dataclasses.replace(problem([0]), validation=None)
        )
    with pytest.raises(UserError, match="patience counts validations"):
        FitSettings(epochs=1, patience=2, validate_every=0)
