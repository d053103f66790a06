"""Computing runs: batches, failures, resuming, locks, time limits."""

from __future__ import annotations

import getpass
import json
import os
import socket
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from shared import batches, devices, environment, records, runs
from shared.errors import UserError
from shared.interface import Row
from shared.runs import Options

QUIET = {"device": "cpu", "threads": 1, "log": lambda line: None}


def execute(wanted, **options):
    return runs.execute(wanted, Options(**{**QUIET, **options}))


def arms_and_seeds(found):
    return sorted((run.arm, run.seed) for run in found)


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
        found = runs.known(run).rows
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


def test_the_commit_and_whether_it_is_dirty(toy):
    identity = ["-c", "user.name=x", "-c", "user.email=x@example.com"]
    for command in (["init", "-q"], ["add", "."], [*identity, "commit", "-q", "-m", "all"]):
        subprocess.run(["git", *command], cwd=toy.root, check=True)
    execute(toy.runs()[:1])
    runs.collect(toy.experiment(), "lite")
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


@pytest.mark.parametrize("kind", ["nan", "diverged"])
def test_one_bad_seed_fails_alone(toy, kind):
    toy.declare("fast: {rate: 2}", f"fast: {{rate: 2, trouble: {kind}}}")
    outcome = execute(toy.runs(), replicas=3)
    assert arms_and_seeds(run for run, _ in outcome.failed) == [("fast", 1)]
    assert len(outcome.done) == 5
    assert runs.why_stale(outcome.failed[0][0]) == ["missing"]
    assert "\n" not in outcome.failed[0][1]


def test_a_failure_leaves_the_earlier_record(toy):
    execute(toy.runs())
    run = toy.runs()[1]
    before = records.stored_path(run.id).read_bytes()
    toy.edit(
        "experiment.py", "def trouble(kind, seeds, context):", "def trouble(kind, seeds, context):\n    1 / 0"
    )
    outcome = execute([run], refresh=True)
    sentence = outcome.failed[0][1]
    assert "ZeroDivisionError: division by zero" in sentence
    assert "nothing was recorded" in sentence
    assert records.stored_path(run.id).read_bytes() == before
    log = toy.root / sentence.partition("traceback in ")[2].partition(")")[0]
    assert "1 / 0" in log.read_text()


def test_out_of_memory_halves_the_batch(toy):
    toy.declare("fast: {rate: 2}", "fast: {rate: 2, trouble: memory}")
    outcome = execute(toy.runs(), replicas=3)
    assert len(outcome.done) == 6
    assert {records.stored(r.id).environment["replicas"] for r in toy.runs() if r.arm == "fast"} == {1}


def test_a_crash_of_one_seed_does_not_take_the_others(toy):
    toy.declare("fast: {rate: 2}", "fast: {rate: 2, trouble: crash}")
    outcome = execute(toy.runs(), replicas=3)
    assert arms_and_seeds(run for run, _ in outcome.failed) == [("fast", 1)]
    assert len(outcome.done) == 5


def test_a_mistake_of_the_user_fails_the_batch_at_once(toy):
    toy.declare("fast: {rate: 2}", "fast: {rate: 2, trouble: data}")
    outcome = execute(toy.runs(), replicas=3)
    assert arms_and_seeds(run for run, _ in outcome.failed) == [("fast", s) for s in (0, 1, 2)]
    assert "the data set is not there" in outcome.failed[0][1]
    assert len(outcome.done) == 3


def test_a_reason_that_many_runs_fail_for_is_told_once(toy):
    toy.declare("slow: {rate: 0.25}", "slow: {rate: 0.25, trouble: data}")
    toy.declare("fast: {rate: 2}", "fast: {rate: 2, trouble: data}")
    lines = []
    outcome = execute(toy.runs(), replicas=1, log=lines.append)
    assert len(outcome.failed) == 6
    (sentence,) = {sentence for _, sentence in outcome.failed}
    assert sentence.endswith("seed 0: the data set is not there")
    assert lines.count(sentence) == sum("the data set is not there" in line for line in lines) == 1
    assert sum(line.endswith(": failed for the same reason") for line in lines) == 5


def test_reasons_that_differ_by_run_are_told_for_each(toy):
    toy.declare("slow: {rate: 0.25}", "slow: {rate: 0.25, trouble: diverged}")
    toy.declare("fast: {rate: 2}", "fast: {rate: 2, trouble: diverged}")
    outcome = execute(toy.runs(), replicas=1)
    told = [sentence.split(":")[0] for _, sentence in outcome.failed]
    assert sorted(told) == ["toy/walk fast seed 1", "toy/walk slow seed 1"]


def test_debug_lets_errors_through(toy):
    toy.declare("fast: {rate: 2}", "fast: {rate: 2, trouble: crash}")
    with pytest.raises(ZeroDivisionError):
        execute(toy.runs(), replicas=3, debug=True)


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
    assert runs.why_stale(run) == ["missing"]
    execute([run])
    edited = json.loads(path.read_text())
    edited["inputs"]["seed"] = 9
    path.write_text(json.dumps(edited))
    assert runs.why_stale(run) == ["missing"]


def test_why_a_run_is_stale(toy):
    execute(toy.runs())
    runs.collect(toy.experiment(), "lite")
    toy.declare("rate: 0.25", "rate: 0.75")
    toy.declare("revision: 1", "revision: 2")
    stale = {run.arm: runs.why_stale(run) for run in toy.runs()}
    assert stale["slow"] == ["settings.rate: 0.25 -> 0.75", "revision: 1 -> 2"]
    assert stale["fast"] == ["revision: 1 -> 2"]


def test_code_retrains_demo_but_not_lite(toy):
    for tier in ("demo", "lite"):
        execute(toy.runs(tier))
    toy.edit("experiment.py", "draw(0, settings.rate)", "draw(0, settings.rate) + 0")
    assert [runs.why_stale(run) for run in toy.runs("demo")] == [["code"]] * 4
    assert [runs.why_stale(run) for run in toy.runs("lite")] == [[]] * 6
    assert len(execute(toy.runs("demo")).done) == 4
    toy.edit("experiment.py", "def walk", "# as before\ndef walk")
    assert [runs.why_stale(run) for run in toy.runs("demo")] == [[]] * 4


def test_no_minutes_no_batch(toy):
    outcome = execute(toy.runs(), minutes=0)
    assert outcome.left == toy.runs()[::3] + toy.runs()[1::3] + toy.runs()[2::3]
    assert toy.trained() == []


def test_minutes_take_what_fits(toy):
    outcome = execute(toy.runs(), minutes=10, estimate=lambda run: 20 * 60 if run.arm == "slow" else 1)
    assert arms_and_seeds(outcome.done) == [("fast", s) for s in (0, 1, 2)]
    assert arms_and_seeds(outcome.left) == [("slow", s) for s in (0, 1, 2)]


def test_a_training_that_runs_out_of_time_keeps_its_checkpoint(toy):
    toy.declare("fast: {rate: 2}", "fast: {rate: 2, trouble: late}")
    outcome = execute(toy.runs(), minutes=10)
    assert arms_and_seeds(outcome.left) == [("fast", s) for s in (0, 1, 2)]
    assert len(outcome.done) == 3
    checkpoints = list((toy.root / ".repro" / "checkpoints").iterdir())
    assert [file.read_text() for file in checkpoints] == ["half way"] * 3


def late_after_the_first_seed(toy):
    """The toy's clock runs out as soon as a seed is done, and it returns what it has."""
    toy.edit(
        "experiment.py",
        "    return {seed: walk(settings, seed) for seed in seeds}",
        "    object.__setattr__(context, 'deadline', time.monotonic())\n"
        "    return {seed: walk(settings, seed) for seed in seeds[:1]}",
    )


def test_seeds_that_were_finished_when_time_was_up_are_recorded(toy):
    late_after_the_first_seed(toy)
    lines = []
    outcome = execute(toy.runs(), minutes=10, replicas=3, log=lines.append)
    assert arms_and_seeds(outcome.done) == [("fast", 0), ("slow", 0)]
    assert arms_and_seeds(outcome.left) == [(arm, seed) for arm in ("fast", "slow") for seed in (1, 2)]
    assert not outcome.failed
    assert lines[1] == "toy/walk/lite/slow/0: time is up, finished are the seeds 0"
    assert [runs.why_stale(run) for run in toy.runs()[:3]] == [[], ["missing"], ["missing"]]


def test_seeds_that_are_missing_before_the_time_is_up_are_a_fault(toy):
    late_after_the_first_seed(toy)
    toy.edit("experiment.py", "time.monotonic())\n", "time.monotonic() + 600)\n")
    outcome = execute(toy.runs()[:3], minutes=10, replicas=3)
    assert not outcome.done
    assert len(outcome.failed) == 3
    assert "the experiment returned the seeds [0]" in outcome.failed[0][1]


def test_what_is_said_when_time_is_up_is_true(toy):
    toy.declare("fast: {rate: 2}", "fast: {rate: 2, trouble: late}")
    lines = []
    execute(toy.runs()[3:4], minutes=10, log=lines.append)
    assert lines[1] == "toy/walk fast seed 0: time is up, the checkpoint is kept"
    toy.edit(
        "experiment.py",
        '        context.checkpoint.write_text("half way")\n        raise Out',
        "        raise Out",
    )
    execute(toy.runs()[4:5], minutes=10, log=lines.append)
    assert lines[3] == "toy/walk fast seed 1: time is up, no seed was finished"


def test_waiting_for_a_gpu_is_part_of_the_time(toy, monkeypatch, tmp_path):
    monkeypatch.setattr(devices.tempfile, "gettempdir", lambda: str(tmp_path))
    monkeypatch.setattr(devices, "_held", {})
    monkeypatch.setenv("REPRO_GPUS", "0")
    held = devices.try_lock(tmp_path / "reproductions-gpu-0.lock")
    lines = []
    outcome = execute(toy.runs(), device="auto", minutes=0, log=lines.append)
    os.close(held)
    assert outcome.left == toy.runs()
    assert lines == ["waiting for a free GPU (of 0)", "time is up: no GPU has become free (of 0)"]

    def choose(wish, log, deadline):
        assert time.monotonic() >= deadline, "the clock was started before"
        return "cpu"

    monkeypatch.setattr(devices, "choose", choose)
    assert execute(toy.runs(), minutes=0).left


def test_precision_that_is_a_setting_cannot_be_overridden(toy):
    toy.edit("settings.py", '    trouble: str = ""', '    trouble: str = ""\n    precision: str = "bf16"')
    with pytest.raises(UserError, match=r"precision is a setting here \(bf16\)"):
        execute(toy.runs()[:1], precision="float32")
    execute(toy.runs()[:1])
    assert records.stored(toy.runs()[0].id).environment["precision"] == "bf16"
    with pytest.raises(UserError, match="unknown precision"):
        execute(toy.runs(), precision="float99")


def take_precision(toy):
    """Let the toy's settings say that the option has an effect."""
    method = "    def takes_precision(self) -> bool:\n        return self.rate < 1\n"
    toy.edit("settings.py", '    trouble: str = ""\n', f'    trouble: str = ""\n\n{method}')


def precisions_of(found):
    return [records.stored(run.id).environment["precision"] for run in found]


def test_precision_is_refused_where_an_experiment_does_not_take_it(toy):
    with pytest.raises(
        UserError, match="toy/walk: the arm slow does not look at --precision; leave the option out"
    ):
        execute(toy.runs(), precision="bf16")
    take_precision(toy)
    with pytest.raises(UserError, match="toy/walk: the arm fast does not look at --precision"):
        execute(toy.runs(), precision="float32")
    assert toy.trained() == [], "refused before anything is computed"
    slow = toy.runs()[:3]
    assert execute(slow, precision="bf16").done == slow
    assert precisions_of(slow) == ["bf16"] * 3


def test_tf32_is_refused_on_a_cpu(toy):
    take_precision(toy)
    with pytest.raises(UserError, match="precision tf32 needs a CUDA device"):
        execute(toy.runs()[:1], precision="tf32")
    assert toy.trained() == []


def test_a_result_at_another_precision_is_not_valid_for_who_asks_for_one(toy):
    take_precision(toy)
    slow = toy.runs()[:2]
    execute(slow, precision="bf16")
    assert execute(slow).valid == slow
    assert execute(slow, precision="bf16").valid == slow
    assert execute(slow, precision="float32").done == slow
    assert precisions_of(slow) == ["float32"] * 2
    assert execute(slow, precision="float32").valid == slow


def test_a_checkpoint_is_not_taken_over_at_another_precision(toy):
    take_precision(toy)
    toy.declare("slow: {rate: 0.25}", "slow: {rate: 0.25, trouble: late}")
    run = toy.runs()[:1]
    for precision in ("bf16", "float32", "float32"):
        assert execute(run, precision=precision, minutes=10).left == run
    assert len(list((toy.root / ".repro" / "checkpoints").iterdir())) == 2


class TorchWithoutCuda:
    """Stands for a CPU build of torch on a machine with a GPU."""

    threads = 0
    cuda = SimpleNamespace(is_available=lambda: False)
    version = SimpleNamespace(cuda=None)

    @classmethod
    def set_num_threads(cls, count):
        cls.threads = count


def test_a_gpu_that_torch_cannot_use(toy, monkeypatch):
    monkeypatch.setenv("REPRO_GPUS", "0")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    monkeypatch.setattr(devices, "_held", {"0": -1})
    monkeypatch.setitem(sys.modules, "torch", TorchWithoutCuda)
    outcome = execute(toy.runs()[:1], device="cuda")
    assert "this PyTorch cannot use the GPU" in outcome.failed[0][1]
    take_precision(toy)
    outcome = execute(toy.runs()[:1], device="auto", precision="tf32")
    assert "precision tf32 needs a CUDA device" in outcome.failed[0][1]
    assert execute(toy.runs()[:1], device="auto", threads=3).done == toy.runs()[:1]
    assert records.stored(toy.runs()[0].id).environment["device"] == "cpu"
    assert TorchWithoutCuda.threads == 3


def test_processes_at_once_train_each_run_once(toy):
    toy.declare("seeds: 0-2", "seeds: 0-9")
    command = [sys.executable, "-m", "pipelines", "run", "toy/walk", "--tier", "lite", "--device", "cpu"]
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    started = [subprocess.Popen(command, cwd=toy.root, env=env, stdout=subprocess.PIPE) for _ in range(3)]
    assert [process.wait() for process in started] == [0, 0, 0]
    for process in started:
        process.stdout.close()
    assert sorted(toy.trained()) == sorted(f"{rate} {seed}" for rate in (0.25, 2.0) for seed in range(10))
    assert runs.is_collected(toy.experiment(), "lite")
    assert len(runs.read("toy", "walk", "lite")["run"].unique()) == 20
