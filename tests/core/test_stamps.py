"""Reports and dvc.lock are made again after a change, and only then."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from toy_plans import Plan, plan, stamp_texts

from shared.report import render
from shared.workflow import cli, orchestrate, staleness


def snakemake(toy: Any) -> Plan:
    """What the rules of the report and of dvc.lock do, in their order; returns the plan."""
    made = plan()
    for part in staleness.PARTS:
        assert cli.main(["table", "--part", part], paper="toy") == 0
    assert cli.main(["sync"]) == 0
    (toy.root / staleness.SYNC_DONE).touch()
    return made


REPORT = Path(staleness.of_report("toy", "reports")).name


def test_reports_are_rendered_again_only_after_a_change(toy):
    orchestrate.finish(snakemake(toy))
    report, name = toy.root / "reports/toy/report.md", REPORT
    before = stamp_texts(toy.root)
    demo = Path(staleness.of_report("toy", "reports/demo")).name

    plan()
    assert stamp_texts(toy.root)[name] == before[name]
    assert stamp_texts(toy.root)["dvc.stamp"] == before["dvc.stamp"]
    assert stamp_texts(toy.root)[demo] != before[demo]  # never rendered

    os.utime(toy.folder / "paper.csv", (0, 0))
    plan()
    assert stamp_texts(toy.root)[name] == before[name]
    toy.edit("paper.csv", "0.1", "0.2")
    plan()
    assert stamp_texts(toy.root)[name] != before[name]

    before = stamp_texts(toy.root)
    report.write_text("edited by hand")
    plan()
    assert stamp_texts(toy.root)[name] != before[name]


@pytest.mark.parametrize("part", staleness.PARTS)
def test_an_edit_while_a_part_is_rendered_is_rendered_the_next_time(toy, monkeypatch, part):
    assert staleness.PARTS == render.PARTS
    finish_rendering = render.render

    def edited_meanwhile(paper: str, demo: bool, which: str | None) -> Path:
        where = finish_rendering(paper, demo, which)
        if which == part:
            toy.edit("paper.csv", "0.1", "0.2")
        return where

    monkeypatch.setattr(render, "render", edited_meanwhile)
    orchestrate.finish(snakemake(toy))
    before = stamp_texts(toy.root)
    plan()
    assert stamp_texts(toy.root)[REPORT] != before[REPORT]
    monkeypatch.setattr(render, "render", finish_rendering)
    orchestrate.finish(snakemake(toy))
    before = stamp_texts(toy.root)
    plan()
    assert stamp_texts(toy.root)[REPORT] == before[REPORT]


def test_an_edit_while_others_are_rendered_is_rendered_the_next_time(toy):
    orchestrate.finish(snakemake(toy))
    made, before = plan(), stamp_texts(toy.root)
    toy.edit("paper.csv", "0.1", "0.2")  # after the plan, which has no rule for this report
    orchestrate.finish(made)
    plan()
    assert stamp_texts(toy.root)[REPORT] != before[REPORT]


def test_an_edit_while_dvc_is_asked_is_looked_at_the_next_time(toy, monkeypatch):
    finish_sync = orchestrate.sync
    monkeypatch.setattr(orchestrate, "sync", lambda: (finish_sync(), toy.declare("A toy", "The toy")))
    orchestrate.finish(snakemake(toy))
    before = stamp_texts(toy.root)
    plan()
    assert stamp_texts(toy.root)["dvc.stamp"] != before["dvc.stamp"]


def test_what_failed_to_render_is_rendered_again(toy):
    report = toy.root / "reports/toy/report.md"
    report.parent.mkdir(parents=True)
    report.write_text("of last week")
    os.utime(report, (0, 0))
    made = plan()
    orchestrate.finish(made)
    before = stamp_texts(toy.root)
    plan()
    assert all(text != before[name] for name, text in stamp_texts(toy.root).items())
