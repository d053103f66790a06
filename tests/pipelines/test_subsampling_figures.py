"""Figures of the subsampling paper: that they can be drawn, always the same, and say what they show."""

from __future__ import annotations

import re

import pytest
from invented_subsampling import Invented, report

from pipelines.subsampling import (
    figures,
)
from shared.report.figures import render
from shared.report.results import Results
from shared.report.theme import SWAPS
from shared.runs import config


class Holes(Invented):
    """Without some arms, given as experiment/arm."""

    def __init__(self, without, **options):
        super().__init__(**options)
        self.without = set(without)

    def rows(self, experiment):
        return [row for row in super().rows(experiment) if f"{experiment}/{row[2]}" not in self.without]


def drawn(results):
    return {figure.name: figure for figure in figures.figures(results) if figure.draw}


@pytest.fixture(scope="module")
def full():
    return report(seeds=2)


@pytest.fixture(scope="module")
def rendered(full):
    return {name: render(figure) for name, figure in drawn(full).items()}


def test_every_figure_is_drawn_and_the_same_bytes_again(full, rendered):
    assert set(rendered) == {figure.name for figure in figures.figures(full)}
    again = {name: render(figure) for name, figure in drawn(report(seeds=2)).items()}
    assert [name for name in rendered if rendered[name] != again[name]] == []


def test_dark_mode_knows_every_color(rendered):
    """Other colors would stay as they are when the page turns dark."""
    for name, (svg, _) in rendered.items():
        colors = set(re.findall(r"#[0-9a-f]{6}\b", svg)) - {"#ffffff"}  # the ground, which the page removes
        assert colors <= set(SWAPS), name
        assert len(colors) > 1, name


def test_captions_name_tier_and_seeds(full):
    captions = {figure.name: figure.caption for figure in figures.figures(full)}
    untrained = {"figure1", "figure2", "figure3", "atlas", "invariance"}
    assert {name for name, caption in captions.items() if "2 seeds (paper)" not in caption} == untrained
    assert re.search(r": \d+ trainings \(paper\)", captions["invariance"])
    assert "MNIST (the first seed's, paper)" in captions["figure2"]


def test_nothing_recorded_means_the_command_and_figure_1():
    found = figures.figures(report(tiers=()))
    assert [figure.name for figure in found if figure.draw] == ["figure1"]
    for figure in found[1:]:
        assert figure.footnotes()[0].startswith(
            "Not run yet; computed by `python -m pipelines.subsampling run"
        )


def test_the_demo_is_never_beside_the_paper():
    results = report(demo=True, seeds=2, tiers=("demo",))
    for name, figure in drawn(results).items():
        figure.draw()
        assert "authors' logs" not in figure.caption, name
        if name not in ("figure1", "figure2", "figure3", "atlas"):
            assert "not comparable with the paper" in figure.caption, name


def missing():
    """Every second arm of each experiment."""
    declared = config.load("subsampling").experiments.values()
    return [f"{experiment.name}/{name}" for experiment in declared for name in experiment.arms[::2]]


def test_figures_are_drawn_without_some_arms(full):
    few = drawn(Results("subsampling", source=Holes(missing(), seeds=2)))
    assert set(few) == set(drawn(full))
    assert all(figure.draw().axes for figure in few.values())


@pytest.mark.parametrize(
    ("experiment", "names"),
    [
        ("figure2", {"figure2"}),
        ("figure4", {"figure4", "figure4_readings"}),
        ("figure6_images", {"figure6_images", "invariance"}),
        ("networks", {"atlas"}),
        ("repair", {"repair", "invariance"}),
    ],
)
def test_an_experiment_alone_makes_its_figure(experiment, names):
    assert set(drawn(report(seeds=2, only=(experiment,)))) == {"figure1"} | names
