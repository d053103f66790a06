"""Snakemake and DVC on real clones with arbitrary file times: what trains, and what both then say."""

from __future__ import annotations

import os
import re
import shutil
import signal
import time
import zipfile
from pathlib import Path

import pytest
from conftest import Clone

EXPERIMENTS = "pipelines/tiny/experiments.yaml"
DEMO = ["p4cnn 0 40", "p4cnn 1 40", "z2cnn 0 40", "z2cnn 1 40"]
LITE = ["p4cnn 0 60", "p4cnn 1 60", "z2cnn 0 60", "z2cnn 1 60"]
CLEAN = "Data and pipelines are up to date."
pytestmark = pytest.mark.skipif(
    not (shutil.which("snakemake") and shutil.which("dvc")),
    reason='needs the workflow engines: "make setup", or "pip install dvc snakemake"',
)


def of(model: str, runs: list[str]) -> list[str]:
    """The runs of one model."""
    return [run for run in runs if run.startswith(model)]


@pytest.fixture(scope="module")
def recorded(tiny_repository: Clone, tmp_path_factory: pytest.TempPathFactory) -> Clone:
    """A repository with recorded results of the lite tier and reports, all committed by a contributor."""
    made = tiny_repository.clone(tmp_path_factory.mktemp("recorded") / "repository")
    made.snakemake("tier=lite")
    assert made.trained() == LITE
    made.commit()
    return made


@pytest.fixture
def clone(recorded: Clone, tmp_path: Path) -> Clone:
    """A fresh clone of it."""
    return recorded.clone(tmp_path / "clone")


def test_a_fresh_clone_trains_the_demo_once_and_leaves_git_and_dvc_clean(clone: Clone) -> None:
    clone.snakemake()
    assert clone.trained() == DEMO
    assert clone.changes() == ""
    assert clone.run("dvc status").strip() == CLEAN
    for name in ("index.html", "tiny/report.md", "tiny/table1.csv", "tiny/figure1.svg"):
        assert (clone.path / "reports" / name).is_file()
        assert (clone.path / "reports" / "demo" / name).is_file()
    assert "Nothing to be done" in clone.snakemake()


def test_recorded_results_are_never_trained_again_and_changed_ones_exactly(clone: Clone) -> None:
    clone.snakemake("tier=lite")
    assert clone.trained() == []
    assert clone.changes() == ""
    assert "didn't change" in clone.run("dvc repro tiny@table1")
    clone.edit(EXPERIMENTS, r"model: z2cnn\n", "model: z2cnn\n          lr: 0.02\n")
    clone.run("dvc repro tiny@table1")
    assert clone.trained() == of("z2cnn", LITE)
    assert clone.run("dvc status").strip() == CLEAN


def steps(printed: str) -> list[str]:
    """The steps other than trainings that Snakemake did, by what `scripts/logged.sh` says of each."""
    return re.findall(r"^(\w+): done$", printed, re.MULTILINE)


def test_one_table_or_figure_is_made_by_its_name_without_any_training(clone: Clone) -> None:
    """Also where the whole folder is gone: the names are declared, not read from what is there."""
    shutil.rmtree(clone.path / "reports/tiny")
    assert steps(clone.run("snakemake --cores 1 reports/tiny/figure1.svg")) == ["reports_tiny"]
    assert clone.changes() == ""
    assert "Nothing to be done" in clone.run("snakemake --cores 1 reports/tiny/claims.csv")
    listed = clone.run("snakemake --cores 1 --summary reports/index.html")
    outputs = set(re.findall(r"^(reports/tiny/\S+)\t", listed, re.MULTILINE))
    assert outputs == set(clone.run("git ls-files reports/tiny").split())
    assert clone.trained() == []


@pytest.mark.slow
def test_a_change_of_one_artefact_runs_its_report_and_nothing_else(clone: Clone) -> None:
    clone.snakemake()
    assert clone.trained() == DEMO
    table, picture = (clone.path / "reports/tiny" / name for name in ("table1.csv", "figure1.png"))
    drawn = picture.read_bytes()
    os.utime(table)
    os.utime(picture, (1, 1))  # for Snakemake, 0 is no time
    assert steps(clone.snakemake()) == []
    (clone.path / "reports/tiny/figure1.svg").unlink()
    assert steps(clone.snakemake()) == ["reports_tiny", "reports_page"]
    table.write_text("edited by hand")
    assert steps(clone.run("snakemake --cores 1 reports/tiny/figure1.svg")) == ["reports_tiny"]
    clone.edit("reports/demo/tiny/report.md", "^# ", "# Edited: ")
    assert "demo_page" in (found := steps(clone.snakemake()))
    assert set(found) <= {"demo_tiny", "demo_page", "reports_page"}
    (clone.path / "reports/index.md").unlink()
    assert steps(clone.snakemake()) == ["reports_page"]
    assert picture.read_bytes() == drawn
    assert clone.changes() == ""
    assert clone.trained() == []
    assert steps(clone.snakemake()) == []


@pytest.mark.slow
def test_snakemakes_own_report_holds_every_table_and_figure(clone: Clone) -> None:
    clone.snakemake("train=never")
    clone.run("snakemake --cores 1 --config train=never --report report.zip -- reports")
    with zipfile.ZipFile(clone.path / "report.zip") as packed:
        held = {Path(name).name for name in packed.namelist()}
        assert held >= {file.name for file in (clone.path / "reports/tiny").iterdir()}
        page = "".join(packed.read(n).decode() for n in packed.namelist() if n.endswith((".html", ".js")))
    assert "Template: p4 convolutions on turned digits" in page  # the category
    assert "pipelines.tiny table</tt>" in page  # the caption
    assert clone.changes() == ""


@pytest.mark.slow
def test_file_times_branches_and_edits_train_exactly_what_they_touch(clone: Clone) -> None:
    clone.snakemake()
    assert clone.trained() == DEMO
    clone.touch(seed=2)
    clone.snakemake()
    assert clone.trained() == []
    clone.edit(EXPERIMENTS, r"model: p4cnn\n", "model: p4cnn\n          lr: 0.02\n")
    clone.snakemake()
    assert clone.trained() == of("p4cnn", DEMO)
    assert "tiny@table1" in clone.run("dvc status")  # the recorded runs of that arm are out of date indeed
    clone.run(f"git checkout -q {EXPERIMENTS}")
    clone.snakemake()
    assert clone.trained() == []
    assert clone.changes() == ""
    assert clone.run("dvc status").strip() == CLEAN


@pytest.mark.slow
def test_changed_data_train_the_runs_that_read_them(clone: Clone) -> None:
    clone.copy_digits("second-")
    clone.snakemake("tier=lite")
    assert clone.trained() == of("p4cnn", LITE)
    assert clone.run("dvc status").strip() == CLEAN
    assert "didn't change" in clone.run("dvc repro tiny@table1")


@pytest.mark.slow
def test_a_raised_revision_trains_everything_of_the_paper(clone: Clone) -> None:
    clone.edit(EXPERIMENTS, "revision: 1", "revision: 2")
    clone.snakemake("tier=lite train=never")
    assert clone.trained() == []
    clone.snakemake("tier=lite")
    assert clone.trained() == LITE
    assert clone.run("dvc status").strip() == CLEAN


@pytest.mark.slow
def test_code_trains_the_demo_again_but_never_recorded_results(clone: Clone) -> None:
    clone.snakemake()
    assert clone.trained() == DEMO
    clone.edit("pipelines/tiny/models.py", r"CLASSES = 10\n", "CLASSES = 10  # digits\n")
    clone.snakemake()
    assert clone.trained() == []
    clone.edit("pipelines/tiny/models.py", r"CLASSES = 10 ", "CLASSES = 11 ")
    clone.snakemake()
    assert clone.trained() == DEMO
    clone.snakemake("tier=lite")
    assert clone.trained() == []
    assert "earlier code" in (clone.path / "reports/tiny/report.md").read_text()


@pytest.mark.slow
def test_snakemake_and_dvc_at_once_train_each_run_once(clone: Clone) -> None:
    clone.edit(EXPERIMENTS, "revision: 1", "revision: 2")
    repro = clone.start("dvc repro tiny@table1")
    clone.snakemake("tier=lite")
    assert repro.wait() == 0
    assert clone.trained() == LITE
    logs = [*(clone.path / "logs").glob("train_*.log"), clone.path / "background.log"]
    assert sum(file.read_text().count("epoch 1/1") for file in logs) == 2  # one per arm, in either place
    clone.run("python -m pipelines sync")
    assert clone.run("dvc status").strip() == CLEAN


@pytest.mark.slow
def test_a_killed_snakemake_goes_on_where_it_was(clone: Clone) -> None:
    clone.edit(
        EXPERIMENTS, r"model: p4cnn\n", "model: p4cnn\n          batch_size: 1\n"
    )  # many steps, so long
    workflow = clone.start("snakemake --cores 2 --config runs_per_job=2 -- reports")
    while len(list((clone.path / ".repro/runs").glob("*.json"))) < 2:
        assert workflow.poll() is None, (clone.path / "background.log").read_text()
        time.sleep(0.05)
    os.killpg(workflow.pid, signal.SIGKILL)
    workflow.wait()
    finished = clone.trained()
    clone.run("snakemake --unlock")
    clone.snakemake("runs_per_job=2")
    assert sorted(finished + clone.trained()) == DEMO


@pytest.mark.slow
def test_a_failing_arm_fails_alone_and_the_log_says_why(clone: Clone) -> None:
    clone.edit(
        "pipelines/tiny/models.py",
        r"    with torch.random",
        "    assert settings.model == 'z2cnn', 'planted'\n    with torch.random",
    )
    printed = clone.snakemake(code=1)
    assert "planted" in printed
    assert clone.trained() == of("z2cnn", DEMO)
    assert not (clone.path / "reports/demo/index.html").exists()
    clone.run("git checkout -q pipelines/tiny/models.py")
    clone.snakemake()
    assert set(clone.trained()) >= set(of("p4cnn", DEMO))
