"""Jobs: their runs, names, threads, GPUs, and what a cluster is asked for."""

from __future__ import annotations

import copy
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from toy_plans import plan

from shared.runs import batches, config
from shared.workflow import jobs, orchestrate

REPOSITORY = Path(__file__).resolve().parents[3]


def test_commands_find_this_interpreter_and_a_tuned_allocator(toy, monkeypatch):
    monkeypatch.setenv("PATH", "/nowhere")
    monkeypatch.delenv("MALLOC_MMAP_MAX_", raising=False)
    plan()
    assert os.environ["PATH"] == f"{Path(sys.executable).parent}:/nowhere"
    assert os.environ["MALLOC_MMAP_MAX_"] == "0"


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


@pytest.mark.parametrize(
    ("minutes", "count", "longest"),
    [
        (1, 2, 3),  # three seeds of two arms: each arm is too short for a job of its own, but may fill a node
        (60, 2, 180),
        (200, 6, 200),  # three seeds would take ten hours: each has a job of its own
    ],
)
def test_a_cluster_gets_jobs_of_sensible_length(toy, monkeypatch, minutes, count, longest):
    monkeypatch.setattr(
        jobs.Cutter, "cost", lambda self, run: batches.Cost(60.0 * minutes, 100.0, "declared")
    )
    cutter = jobs.Cutter({("toy", "walk"): toy.experiment()}, "lite")
    cut = cutter.cut(toy.runs(), workers=50, remote=True)
    assert (len(cut), max(len(batch) for batch in cut) * minutes) == (count, longest)
    assert sorted(run.spec for batch in cut for run in batch) == sorted(run.spec for run in toy.runs())


def test_many_short_runs_on_one_node_are_not_one_endless_job(toy, monkeypatch):
    monkeypatch.setattr(jobs.Cutter, "cost", lambda self, run: batches.Cost(1500.0, 100.0, "declared"))
    cutter = jobs.Cutter({("toy", "walk"): toy.experiment()}, "lite")
    units = [[run] for run in toy.runs() * 100]
    cut = cutter._balanced(units, 1, 1800.0)
    assert max(len(batch) for batch in cut) * 1500 <= 4.5 * 3600
