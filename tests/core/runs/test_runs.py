"""Computing runs: batches, failures, resuming, locks, time limits."""

from __future__ import annotations

import getpass
import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from toy_results import execute

from shared import runs
from shared.base.errors import UserError
from shared.runs import batches, environment, ledger, records
from shared.runs.api import Row


def test_what_is_computed_once_is_valid(toy):
    first = execute(toy.runs())
    assert first.done == toy.runs()[::3] + toy.runs()[1::3] + toy.runs()[2::3]
    assert not first.valid + first.failed + first.left
    again = execute(toy.runs())
    assert again.valid == toy.runs()
    assert not again.done
    assert len(toy.trained()) == 6
    assert execute(toy.runs("lite", "race")).done == []


def test_seeds_are_completed_one_after_the_other(toy):
    order = [[(r.arm, r.seed) for r in batch] for batch in batches.cut(toy.runs(), lambda run: 2)]
    assert order == [
        [("slow", 0), ("slow", 1)],
        [("fast", 0), ("fast", 1)],
        [("slow", 2)],
        [("fast", 2)],
    ]
    shared_runs = [*toy.runs(), *toy.runs("lite", "race")]
    assert sum(len(batch) for batch in batches.cut(shared_runs, lambda run: 1)) == 6


def test_the_tier_may_declare_how_many_seeds_are_trained_at_once(toy):
    toy.declare("seeds: 0-2}", "seeds: 0-2, replicas: 3}")
    execute(toy.runs())
    assert {records.stored(run.id).environment["replicas"] for run in toy.runs()} == {3}
    assert [line.split()[1] for line in toy.trained()] == ["0", "1", "2", "0", "1", "2"]


def test_a_record_keeps_every_digit(toy):
    execute(toy.runs())
    for run in toy.runs():
        rows = _walk(run)
        found = ledger.of("toy").record(run).rows
        assert [r for r in found if r.metric != "seconds"] == [r for r in rows if r.metric != "seconds"]
        assert [type(r.step) for r in found] == [int, int, int, str, float, str]


def _walk(run):
    module = sys.modules["pipelines.toy.experiment"]
    return module.walk(run.settings, run.seed)


def test_the_environment_says_how_but_not_who_or_where(toy):
    execute(toy.runs()[:1])
    facts = records.stored(toy.runs()[0].id).environment
    assert facts["versions"]["python"] == ".".join(map(str, sys.version_info[:3]))
    assert facts["device"] == "cpu"
    assert facts["threads"] == 1
    assert facts["precision"] == "float32"
    assert facts["wall_s"] >= 0
    assert facts["peak_mb"] > 1
    assert len(facts["fingerprint"]) == 16
    text = json.dumps(facts)
    for secret in (socket.gethostname(), str(toy.root), str(Path.home()), f'"{getpass.getuser()}"'):
        assert secret not in text


def test_where_nobody_tells_the_peak_of_memory_there_is_none(monkeypatch):
    def missing(*arguments, **options):
        raise FileNotFoundError

    monkeypatch.setattr(Path, "read_text", missing)
    assert environment.Meter().read()["peak_mb"] > 1
    monkeypatch.setitem(sys.modules, "resource", None)
    assert "peak_mb" not in environment.Meter().read()


@pytest.mark.parametrize("kind", ["ownership", "no git", "no clone"])
def test_where_git_cannot_say_nothing_is_claimed(toy, monkeypatch, kind):
    """As in a folder mounted into a container, where git refuses to look at what belongs to another user."""
    if kind != "no clone":
        subprocess.run(["git", "init", "-q", toy.root], check=True)
    if kind == "ownership":
        monkeypatch.setenv("GIT_TEST_ASSUME_DIFFERENT_OWNER", "1")
    if kind == "no git":
        monkeypatch.setenv("PATH", str(toy.root))
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(toy.root.parent))
    environment.code.cache_clear()
    assert environment.code() == {"commit": "unknown", "dirty": None}


def test_the_commit_and_whether_it_is_dirty(toy):
    identity = ["-c", "user.name=x", "-c", "user.email=x@example.com"]
    for command in (["init", "-q"], ["add", "."], [*identity, "commit", "-q", "-m", "all"]):
        subprocess.run(["git", *command], cwd=toy.root, check=True)
    execute(toy.runs()[:1])
    ledger.of("toy").collect(toy.experiment(), "lite")
    results = toy.folder / "results" / "lite" / "walk.csv"
    subprocess.run(["git", "add", str(results)], cwd=toy.root, check=True)
    assert environment.code()["dirty"] is False
    environment.code.cache_clear()
    assert environment.code()["dirty"] is False, "new results are no change of code"
    new = [
        toy.folder / "notes.txt",
        toy.folder / "results" / "lite" / "more.py",
        toy.root / "reports" / "a.py",
    ]
    for file in [*new, toy.folder / "parts" / "helper.py"]:
        environment.code.cache_clear()
        assert environment.code()["dirty"] is False, file
        file.parent.mkdir(exist_ok=True)
        file.write_text("")
    environment.code.cache_clear()
    assert environment.code()["dirty"] is True, "code that git does not know"
    file.unlink()
    environment.code.cache_clear()
    assert environment.code()["dirty"] is False
    toy.declare("A toy", "Another toy")
    environment.code.cache_clear()
    assert environment.code()["dirty"] is True
    assert len(environment.code()["commit"]) == 40


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([], "returned no rows"),
        ([Row("loss", 0, float("inf"))], "loss at step 0 is inf"),
        ([Row("loss", 0, 1.0), Row("loss", 0, 2.0)], "two values at one step"),
        ([Row("loss", "first", 1.0)], "use a number or the empty string"),
        ([Row("a,b", "", 1.0)], "not a name for a metric"),
    ],
)
def test_rows_are_checked(rows, message):
    with pytest.raises(UserError, match=message):
        records.checked_rows(rows, "toy")


def test_refresh_computes_again(toy):
    execute(toy.runs())
    outcome = execute(toy.runs()[:2], refresh=True)
    assert outcome.done == toy.runs()[:2]
    assert len(toy.trained()) == 8


def test_a_damaged_record_counts_as_missing(toy):
    execute(toy.runs())
    run = toy.runs()[0]
    path = records.stored_path(run.id)
    path.write_text(path.read_text()[:-20])
    assert ledger.of("toy").why_stale(run) == ["missing"]
    execute([run])
    edited = json.loads(path.read_text())
    edited["inputs"]["seed"] = 9
    path.write_text(json.dumps(edited))
    assert ledger.of("toy").why_stale(run) == ["missing"]


def test_why_a_run_is_stale(toy):
    execute(toy.runs())
    ledger.of("toy").collect(toy.experiment(), "lite")
    toy.declare("rate: 0.25", "rate: 0.75")
    toy.declare("revision: 1", "revision: 2")
    stale = {run.arm: ledger.of("toy").why_stale(run) for run in toy.runs()}
    assert stale["slow"] == ["settings.rate: 0.25 -> 0.75", "revision: 1 -> 2"]
    assert stale["fast"] == ["revision: 1 -> 2"]


def test_code_retrains_demo_but_not_lite(toy):
    for tier in ("demo", "lite"):
        execute(toy.runs(tier))
    toy.edit("experiment.py", "draw(0, settings.rate)", "draw(0, settings.rate) + 0")
    assert [ledger.of("toy").why_stale(run) for run in toy.runs("demo")] == [["code"]] * 4
    assert [ledger.of("toy").why_stale(run) for run in toy.runs("lite")] == [[]] * 6
    assert len(execute(toy.runs("demo")).done) == 4
    toy.edit("experiment.py", "def walk", "# as before\ndef walk")
    assert [ledger.of("toy").why_stale(run) for run in toy.runs("demo")] == [[]] * 4


def test_processes_at_once_train_each_run_once(toy):
    toy.declare("seeds: 0-2", "seeds: 0-9")
    command = [sys.executable, "-m", "pipelines", "run", "toy/walk", "--tier", "lite", "--device", "cpu"]
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    started = [subprocess.Popen(command, cwd=toy.root, env=env, stdout=subprocess.PIPE) for _ in range(3)]
    assert [process.wait() for process in started] == [0, 0, 0]
    for process in started:
        process.stdout.close()
    assert sorted(toy.trained()) == sorted(f"{rate} {seed}" for rate in (0.25, 2.0) for seed in range(10))
    assert ledger.of("toy").is_collected(toy.experiment(), "lite")
    assert len(runs.read("toy", "walk", "lite")["run"].unique()) == 20


def test_short_names_are_not_those_of_modules():
    """Once such a module is imported, Python would find it under the name."""
    folder = Path(runs.__file__).parent
    assert {file.stem for file in folder.glob("*.py")} & set(runs.__all__) == set()
    assert all(getattr(runs, name) is not None for name in runs.__all__)
