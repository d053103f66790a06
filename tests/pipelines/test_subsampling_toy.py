"""The toy of Figure 3: one p4 filter that is asked to tell an image from its quarter turn."""

from __future__ import annotations

import pytest
import torch

from pipelines.subsampling import data, toy
from pipelines.subsampling.settings import Settings
from shared.runs.api import Context, OutOfTime


def test_the_toy_cannot_learn_at_33_pixels_and_its_logits_never_part():
    settings = Settings(model="toy", dataset="", size=33, lr=0.1, steps=300)
    rows = toy.run(settings, [0], Context(log=lambda line: None))[0]
    gaps = [r.value for r in rows if r.metric == "logit_gap"]
    assert max(gaps) < 1e-6
    final = [r.value for r in rows if r.metric == "loss"][-1]
    assert final == pytest.approx(0.6931, abs=1e-3)
    assert [r.value for r in rows if r.metric == "accuracy"] == [50.0]


@pytest.mark.slow
def test_the_toy_returns_the_seeds_that_it_had_time_for():
    settings = Settings(model="toy", dataset="", size=33, steps=1)
    context = Context(log=lambda line: object.__setattr__(context, "deadline", 0.0))  # after the first seed
    assert list(toy.run(settings, [3, 4, 5], context)) == [3]
    with pytest.raises(OutOfTime):
        toy.run(settings, [4, 5], context)


def test_the_toy_learns_at_32_pixels():
    rows = toy.run(Settings(model="toy", dataset="", size=32, lr=0.1), [0], Context(log=lambda line: None))[0]
    assert [r.value for r in rows if r.metric == "loss"][-1] < 0.01
    assert [r.value for r in rows if r.metric == "accuracy"] == [100.0]


def test_the_panels_of_figure_3_coincide_at_33_pixels_only():
    for size, side, same in ((32, 16, False), (33, 17, True)):
        rows = toy.run(Settings(model="toy", size=size, steps=1), [0], Context(log=lambda line: None))[0]
        panel = {n: torch.tensor([r.value for r in rows if r.metric == n]) for n in ("map", "map_of_rotated")}
        assert len(panel["map"]) == side * side
        assert torch.allclose(panel["map"], panel["map_of_rotated"], atol=1e-6) == same


def test_the_line_figure_has_no_symmetry_and_is_the_same_figure_at_both_sizes():
    small, large = data.line_figure(32), data.line_figure(33)
    assert small.min() == 0
    assert small.max() == 1
    for turn in (1, 2, 3):
        assert (torch.rot90(small, turn, (-2, -1)) - small).abs().mean() > 0.05
    assert (small > 0.5).double().mean() == pytest.approx((large > 0.5).double().mean().item(), rel=0.1)
