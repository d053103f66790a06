"""The line that says how far the trainings of a Snakemake run are."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from toy_results import execute

from shared.workflow import progress


def text(weights: dict[str, float], *ended: str) -> str:
    return "\n".join([json.dumps({"started": 1000.0, "weights": weights}), *ended]) + "\n"


@pytest.mark.parametrize(
    ("ended", "seconds", "said"),
    [
        (["done a"], 60, "1 of 3 runs, about 9 minutes left"),  # a tenth of the work in a minute
        (["done a", "done a"], 60, "1 of 3 runs, about 9 minutes left"),
        (["failed c"], 120, "1 of 3 runs (1 failed), about 3 minutes left"),
        (["done c", "done b"], 90, "2 of 3 runs, about a minute left"),
        (["done a", "failed b", "done c"], 90, "3 of 3 runs (1 failed)"),
        (["done elsewhere"], 90, "0 of 3 runs"),
    ],
)
def test_runs_that_take_longer_count_for_more(ended, seconds, said):
    assert progress.line(text({"a": 1.0, "b": 5.0, "c": 4.0}, *ended), 1000.0 + seconds) == said


def test_a_run_of_unknown_cost_counts_like_the_mean(toy, monkeypatch):
    monkeypatch.setenv(progress.FILE, "")
    progress.begin({"a": 1.0, "b": None, "c": 5.0})
    weights = json.loads(Path(os.environ[progress.FILE]).read_text())["weights"]
    assert weights == {"a": 1.0, "b": 3.0, "c": 5.0}


def test_each_run_is_told_once_and_a_failed_one_as_such(toy, monkeypatch):
    toy.declare("fast: {rate: 2}", "fast: {rate: 2, trouble: crash}")
    monkeypatch.setenv(progress.FILE, "")
    progress.begin({run.spec: None for run in toy.runs()})
    outcome = execute(toy.runs(), watch=progress.report)
    progress.report(outcome)
    _, *ended = Path(os.environ[progress.FILE]).read_text().splitlines()
    assert sorted(ended) == sorted(
        f"{'failed' if (run.arm, run.seed) == ('fast', 1) else 'done'} {run.spec}" for run in toy.runs()
    )


def test_without_snakemake_nothing_is_told(toy, monkeypatch):
    monkeypatch.delenv(progress.FILE, raising=False)
    assert len(execute(toy.runs(), watch=progress.report).done) == 6
