"""What Snakemake has to do, how it is cut into jobs, and what is written into dvc.lock."""

from __future__ import annotations

import copy
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shared import cli, config, dvclock, jobs, orchestrate, runs, stamps
from shared.errors import UserError
from shared.report import render

Plan = orchestrate.Plan
REPOSITORY = Path(__file__).resolve().parents[2]


def plan(**options: Any) -> Plan:
    return orchestrate.plan(options, main=True, cores=2)


def trained(made: Plan) -> list[str]:
    return sorted(run for job in made.jobs for run in job.runs)


def train(tier: str) -> None:
    """Train and collect everything of a tier."""
    for experiment in config.load("toy").experiments.values():
        if tier in experiment.tiers:
            assert not runs.execute(experiment.runs(tier), runs.Options(log=lambda line: None)).failed
            runs.collect(experiment, tier)


def stamp_texts(root: Path) -> dict[str, str]:
    return {file.name: file.read_text() for file in (root / ".repro/plan").glob("*.stamp")}


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"teir": "demo"}, "did you mean 'tier'"),
        ({"tier": "light"}, "did you mean 'lite'"),
        ({"train": "nver"}, "did you mean 'never'"),
        ({"runs_per_job": "many"}, "runs_per_job=many should be a whole number"),
        ({"threads": -1}, "threads=-1 should be a whole number"),
        ({"gpu": "yes"}, "gpu=yes should be auto, 0 or 1"),
        ({"only": "toy/wlak"}, "did you mean 'toy/walk'"),
        ({"only": "tyo"}, "did you mean 'toy'"),
    ],
)
def test_a_wrong_option_is_one_sentence(toy, options, said):
    with pytest.raises(UserError, match=said.replace("(", r"\(")) as caught:
        plan(**options)
    assert "\n" not in str(caught.value)


def test_the_demo_is_the_default_and_recorded_tiers_are_never_trained_unasked(toy):
    assert trained(plan()) == sorted(run.spec for run in toy.runs("demo"))
    assert {run.split("/")[2] for run in trained(plan(tier="lite"))} == {"lite"}


def test_only_chooses_papers_and_experiments(toy):
    assert trained(plan(tier="lite", only="toy")) == trained(plan(tier="lite"))
    assert trained(plan(tier="lite", only="toy/race")) == [run.spec for run in toy.runs("lite", "race")]
    assert plan(only="toy/race").collections == ()  # it has no demo tier


def test_nothing_is_trained_when_told_so(toy):
    made = plan(train="never")
    assert (made.jobs, made.collections) == ((), ())
    assert made.reports == [("toy", "reports")]
    train("demo")
    assert plan(train="never").reports == [("toy", "reports"), ("toy", "reports/demo")]


def test_a_run_that_two_experiments_share_is_in_one_job(toy):
    made = plan(tier="lite")
    assert len(trained(made)) == 6  # race's three are walk's slow ones
    walk, race = made.collections
    assert set(race.jobs) < set(walk.jobs) == {job.done for job in made.jobs}


def test_valid_recorded_results_have_no_rule(toy):
    train("lite")
    made = plan(tier="lite")
    assert (made.jobs, made.collections) == ((), ())
    assert made.results("toy", "reports") == [f"pipelines/toy/results/lite/{e}.csv" for e in ("race", "walk")]


def test_a_change_trains_exactly_the_runs_it_touches(toy):
    train("lite")
    toy.declare("fast: {rate: 2}", "fast: {rate: 4}")
    made = plan(tier="lite")
    assert trained(made) == [f"toy/walk/lite/fast/{seed}" for seed in range(3)]
    assert [c.experiment for c in made.collections] == ["walk"]
    toy.declare("fast: {rate: 4}", "fast: {rate: 2}")
    assert plan(tier="lite").jobs == ()
    toy.declare("revision: 1", "revision: 2")
    assert len(trained(plan(tier="lite"))) == 6


def test_finished_runs_that_were_not_collected_are_collected(toy):
    runs.execute(toy.runs("lite"), runs.Options(log=lambda line: None))
    made = plan(tier="lite")
    assert made.jobs == ()
    assert [(c.experiment, c.jobs) for c in made.collections] == [("walk", ()), ("race", ())]
    assert made.collections[0].outputs == [
        "pipelines/toy/results/lite/walk.csv",
        "pipelines/toy/results/lite/walk.env.json",
    ]
    assert (toy.root / made.collections[0].stamp).is_file()


def test_code_trains_the_demo_again_but_not_recorded_results(toy):
    train("demo")
    train("lite")
    toy.edit("experiment.py", "draw(0,", "draw(1,")
    assert len(trained(plan())) == 4
    assert plan(tier="lite").jobs == ()


def test_a_job_finds_its_rule_after_others_planned_again(toy):
    """A job on a cluster parses the Snakefile when other runs are done, or after somebody's dry run."""
    first = plan(tier="lite", runs_per_job=2)
    train("lite")
    plan(tier="lite", runs_per_job=3)
    seen = orchestrate.plan({"tier": "lite", "runs_per_job": 2}, main=False)
    assert set(first.jobs) <= set(seen.jobs)
    assert {c.name for c in first.collections} == {c.name for c in seen.collections}


def test_jobs_of_another_version_do_not_get_in_the_way(toy):
    (job,) = plan(tier="lite", runs_per_job=9).jobs
    folder = toy.root / ".repro/plan"
    for name, change in (("a", {"colour": "blue"}), ("b", {"data": ["gone"]})):
        entry = json.loads((folder / f"{job.name}.json").read_text()) | change
        (folder / f"{name}.json").write_text(json.dumps(entry))
    assert orchestrate.plan({"tier": "lite"}, main=False).jobs == (job,)


def test_results_that_the_command_line_made_are_taken(toy):
    train("demo")
    (collection,) = plan().collections
    assert collection.jobs == ()
    text = (toy.root / collection.stamp).read_text()
    plan()
    assert (toy.root / collection.stamp).read_text() == text


def test_a_plan_read_back_writes_nothing(toy):
    plan(tier="lite")
    before = stamp_texts(toy.root)
    orchestrate.plan({"tier": "lite"}, main=False)
    assert stamp_texts(toy.root) == before


def test_files_of_old_jobs_are_removed(toy):
    (old,) = plan(tier="lite", runs_per_job=9).jobs
    for ending in (".json", ".stamp"):
        os.utime(toy.root / f".repro/plan/{old.name}{ending}", (0, 0))
    train("lite")
    plan(tier="lite")
    assert not list((toy.root / ".repro/plan").glob(f"{old.name}*"))


def snakemake(toy: Any) -> Plan:
    """What the rules of the report and of dvc.lock do, in their order; returns the plan."""
    made = plan()
    for part in stamps.PARTS:
        assert cli.main(["table", "--part", part], paper="toy") == 0
    assert cli.main(["sync"]) == 0
    (toy.root / stamps.SYNC_DONE).touch()
    return made


REPORT = Path(stamps.of_report("toy", "reports")).name


def test_reports_are_rendered_again_only_after_a_change(toy):
    orchestrate.finish(snakemake(toy))
    report, name = toy.root / "reports/toy/report.md", REPORT
    before = stamp_texts(toy.root)
    demo = Path(stamps.of_report("toy", "reports/demo")).name

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


@pytest.mark.parametrize("part", stamps.PARTS)
def test_an_edit_while_a_part_is_rendered_is_rendered_the_next_time(toy, monkeypatch, part):
    assert stamps.PARTS == render.PARTS
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


def test_commands_find_this_interpreter_and_a_tuned_allocator(toy, monkeypatch):
    monkeypatch.setenv("PATH", "/nowhere")
    monkeypatch.delenv("MALLOC_MMAP_MAX_", raising=False)
    plan()
    assert os.environ["PATH"] == f"{Path(sys.executable).parent}:/nowhere"
    assert os.environ["MALLOC_MMAP_MAX_"] == "0"


# -- jobs ----------------------------------------------------------------------------------------------------


def test_threads_and_gpus(toy, monkeypatch):
    assert {job.threads for job in plan(tier="lite", runs_per_job=9).jobs} == {2}  # one job has both cores
    assert {job.threads for job in plan(tier="lite", runs_per_job=1).jobs} == {1}
    assert {job.gpu for job in plan(tier="lite").jobs} == {0}
    monkeypatch.setenv("REPRO_GPUS", "0,1")
    made = orchestrate.plan({"tier": "lite", "runs_per_job": 1}, main=True, cores=16)
    assert {(job.threads, job.gpu) for job in made.jobs} == {(8, 1)}  # no more jobs at a time than GPUs
    assert {job.device for job in made.jobs} == {"auto"}
    made = orchestrate.plan({"tier": "lite", "gpu": 0}, main=True, cores=2)
    assert {(job.gpu, job.device) for job in made.jobs} == {(0, "cpu")}
    made = orchestrate.plan({"tier": "lite"}, main=True, nodes=50)
    assert {(job.threads, job.gpu) for job in made.jobs} == {(orchestrate.REMOTE_THREADS, 1)}
    assert len(made.jobs) == 2  # one for each arm


@pytest.mark.parametrize(("gpu", "device"), [("0", "cpu"), ("auto", "auto")])
def test_the_trainings_are_told_whether_they_have_a_gpu(toy, monkeypatch, gpu, device):
    monkeypatch.setenv("REPRO_GPUS", "0")
    monkeypatch.setenv("PYTHONPATH", str(REPOSITORY))
    command = [sys.executable, "-m", "snakemake", "--cores", "2", "--dry-run", "--printshellcmds"]
    command += ["--workflow-profile", "none"]  # ours is quiet
    command += ["--snakefile", str(REPOSITORY / "Snakefile"), "--config", f"gpu={gpu}", "--", "experiments"]
    done = subprocess.run(command, cwd=toy.root, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    trainings = re.findall(r"python -m pipelines batch .*", done.stdout + done.stderr)
    assert trainings, done.stdout + done.stderr
    assert all(f" --device {device} --threads " in line for line in trainings)


def test_what_a_cluster_is_asked_for(toy):
    race = plan(tier="lite", only="toy/race").jobs
    assert {(job.minutes, job.memory_mb) for job in race} == {
        (12, jobs.LEAST_MB)
    }  # twice 3 runs of 2 minutes
    walk = plan(tier="lite", only="toy/walk").jobs
    assert {(job.minutes, job.memory_mb) for job in walk} == {(jobs.UNKNOWN_MINUTES, jobs.UNKNOWN_MB)}


def test_names_are_fit_for_rules_and_follow_from_the_runs(toy):
    first, again = plan(tier="lite"), plan(tier="lite")
    assert [job.name for job in first.jobs] == [job.name for job in again.jobs]
    assert all(job.name.isidentifier() for job in first.jobs)
    toy.declare("revision: 1", "revision: 2")
    assert not {job.name for job in plan(tier="lite").jobs} & {job.name for job in first.jobs}


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    sizes=st.lists(st.integers(1, 5), max_size=8),
    size=st.integers(0, 7),
    workers=st.integers(1, 5),
    minutes=st.sampled_from([0.01, 0.3, 5]),
)
def test_every_run_is_in_one_batch_and_arms_stay_together(toy, sizes, size, workers, minutes):
    (template, *_) = toy.runs("lite", "race")
    cheap = copy.deepcopy(toy.experiment("race"))  # the loaded one is kept for later tests
    cheap.cost["lite"]["minutes"] = minutes
    cutter = jobs.Cutter({("toy", "race"): cheap}, "lite")
    arms = [
        [replaced(template, rate=float(arm), seed=seed) for seed in range(count)]
        for arm, count in enumerate(sizes)
    ]
    batches = cutter.cut([run for arm in arms for run in arm], workers, size)
    assert sorted(run.id for batch in batches for run in batch) == sorted(r.id for a in arms for r in a)
    assert all(batches)
    if size:
        assert all(len(batch) <= size for batch in batches)
    else:
        long = sum(len(arm) * minutes > 1 for arm in arms)
        assert len(batches) <= long + jobs.JOBS_PER_WORKER * workers
    for arm in arms:
        touched = [batch for batch in batches if {run.id for run in batch} & {run.id for run in arm}]
        assert len(touched) == (1 if not size else max(1, -(-len(arm) // size)))
        assert size or len(arm) * minutes <= 1 or len(touched[0]) == len(arm)


def replaced(run: config.Run, rate: float, seed: int) -> config.Run:
    settings = type(run.settings)(rate=rate, steps=run.settings.steps)
    return config.Run(run.paper, run.experiment, run.arm, run.tier, seed, settings, run.revision, run.data)


# -- dvc.lock ------------------------------------------------------------------------------------------------


@pytest.fixture
def dvc(toy, monkeypatch) -> list[tuple[str, ...]]:
    """DVC that calls both stages changed, and the calls it got."""
    calls: list[tuple[str, ...]] = []

    def call(*arguments: str) -> str:
        calls.append(arguments)
        return (
            json.dumps({"toy@walk": [], "toy@race": [], "data.dvc": []}) if arguments[0] == "status" else ""
        )

    (toy.root / ".git").mkdir()
    monkeypatch.setattr(dvclock, "_dvc", call)
    monkeypatch.setattr(dvclock, "_dvc_path", lambda: "dvc")
    return calls


def test_sync_commits_only_what_is_valid(toy, dvc, capsys):
    train("lite")
    toy.declare("fast: {rate: 2}", "fast: {rate: 4}")
    assert orchestrate.sync() == 0
    assert dvc[1:] == [("commit", "--quiet", "--force", "toy@race")]
    assert (
        "toy@walk has runs without a valid result: python -m pipelines.toy run walk"
        in capsys.readouterr().out
    )


def test_sync_commits_nothing_that_was_not_collected(toy, dvc):
    runs.execute(toy.runs("lite"), runs.Options(log=lambda line: None))
    orchestrate.sync()
    assert len(dvc) == 1


def test_sync_does_without_dvc(toy, monkeypatch, capsys):
    monkeypatch.setattr(dvclock, "_dvc_path", lambda: None)
    assert orchestrate.sync() == 0
    assert "dvc is not installed" in capsys.readouterr().out


def test_sync_does_without_git(toy, dvc, capsys):
    (toy.root / ".git").rmdir()
    assert orchestrate.sync() == 0
    assert capsys.readouterr().out.splitlines() == [
        "this copy is no git repository, and DVC needs one; dvc.lock stays as it is"
    ]
    assert dvc == [], "DVC was not asked"


def test_sync_waits_for_another_dvc_and_passes_on_other_errors(toy, monkeypatch):
    script = toy.root / "dvc"
    script.write_text(
        "#!/bin/sh\n"
        'echo x >> "$0.calls"\n'
        'if [ "$(wc -l < "$0.calls")" -lt 3 ]; then echo "data is busy" >&2; exit 1; fi\n'
        'case "$2" in status) echo "{}";; *) echo "no such stage" >&2; exit 1;; esac\n'
    )
    script.chmod(0o755)
    monkeypatch.setattr(dvclock, "_dvc_path", lambda: str(script))
    monkeypatch.setattr(dvclock, "WAIT_SECONDS", 0.0)
    assert dvclock._dvc("status", "--json") == "{}\n"
    with pytest.raises(UserError, match="`dvc commit x` failed: no such stage"):
        dvclock._dvc("commit", "x")


def test_recorded_needs_a_readable_dvc_yaml(toy):
    assert dvclock.recorded() == {"toy": {"walk": "lite", "race": "lite"}}
    (toy.root / "dvc.yaml").write_text("vars: []\n")
    with pytest.raises(UserError, match="restore it from git"):
        dvclock.recorded()
