"""Several commands at once on one store, and killed commands: nothing lost, mixed or trained twice."""

from __future__ import annotations

import contextlib
import json
import random
import shutil
import signal
import time
from pathlib import Path

import pytest
import torture
from toy_results import ON_CPU, csv

from shared.base import paths
from shared.base.files import lock
from shared.runs import committed, ledger, records

LITE = ("run", "toy/walk", "--tier", "lite", *ON_CPU)


def end(*started):
    """Exit codes and errors of commands, once they have ended."""
    said = [each.communicate(timeout=300)[1] for each in started]
    return [each.returncode for each in started], said


@torture.sizes(2, 20)
def test_of_two_merges_that_contradict_each_other_one_is_refused(toy, tmp_path, size, tally):
    assert toy.command(*LITE).returncode == 0
    sources = [shutil.copytree(toy.root / ".repro/runs", tmp_path / name / "runs") for name in "ab"]
    for file in sources[1].glob("*.json"):
        value = json.loads(file.read_text())
        value["rows"][0][2] += 1.0
        file.write_text(json.dumps(value))
    contents = [{file.name: json.loads(file.read_text()) for file in source.glob("*")} for source in sources]
    wrong = 0
    for _ in range(size):
        shutil.rmtree(toy.root / ".repro/runs")
        shutil.rmtree(toy.folder / "results")
        with lock(records.lock_path("store")):  # both are ready to begin, and do so together
            started = [toy.start("merge", str(source)) for source in sources]
            time.sleep(1.5)
        codes, said = end(*started)
        here = {file.name: json.loads(file.read_text()) for file in (toy.root / ".repro/runs").glob("*")}
        wrong += sorted(codes) != [0, 2] or sum("contradicts: position at step 0" in err for err in said) != 1
        wrong += here != contents[codes.index(0)] if 0 in codes else 1
    tally("two contradicting merges at once", size, "one is taken whole, the other refused", wrong)


@torture.sizes(2, 8)
def test_many_commands_on_the_same_experiment_lose_and_repeat_nothing(toy, size, tally):
    """In the long form each run has 1,000 rows."""
    rows = 1000 if size > 2 else 20
    toy.declare("steps: 3}\n      arms:\n        slow", f"steps: {rows}}}\n      arms:\n        slow")
    started = [toy.start(*LITE) for _ in range(size)]
    codes, said = end(*started)
    wrong = sum(code != 0 for code in codes) + len(toy.trained()) - len(set(toy.trained()))
    wrong += abs(len(csv().read_text().splitlines()) - 1 - 6 * (rows + 3))
    wrong += len(committed.read_file(csv()).damage) + sum(
        bool(ledger.of("toy").why_stale(r)) for r in toy.runs()
    )
    came = f"{len(toy.trained())} runs of {rows + 3:,} rows, each trained once, all in the CSV"
    assert not wrong, said
    tally("commands at once that record the same experiment", size, came, wrong)


def is_alive(group):
    """Whether a process of a group lives on for half a second: a training dies soon after its command."""
    for _ in range(50):
        states = []
        for file in Path("/proc").glob("[0-9]*/stat"):
            with contextlib.suppress(OSError):  # it has just ended
                states.append(file.read_text().rpartition(") ")[2].split())
        if not any(state != "Z" and int(of) == group for state, _, of, *_ in states):
            return False
        time.sleep(0.01)
    return True


def slowly(toy):
    """Let each run take a moment in which it can be killed, with a checkpoint that says how far it is."""
    toy.edit(
        "experiment.py",
        "    trouble(settings.trouble, seeds, context)\n",
        "    for part in range(8):\n"
        "        context.checkpoint.write_text(str(part))\n"
        "        time.sleep(0.01)\n",
    )


@torture.sizes(3, 60)
def test_kills_at_any_moment_lose_nothing(toy, size, tally):
    slowly(toy)
    assert toy.command(*LITE).returncode == 0
    expected, draw = values(), random.Random(2)
    shutil.rmtree(toy.root / ".repro")
    shutil.rmtree(toy.folder / "results")
    wrong = killed = 0
    while killed < size:
        started = toy.start(*LITE)
        time.sleep(0.3 + 1.2 * draw.random())
        if started.poll() is None:
            started.send_signal(draw.choice([signal.SIGKILL, signal.SIGTERM, signal.SIGINT]))
            killed += 1
        started.communicate(timeout=60)
        wrong += is_alive(started.pid)
        whole = [records.stored(file.stem) for file in (toy.root / ".repro/runs").glob("*.json")]
        wrong += whole.count(None)
        if len(whole) == 6:
            assert toy.command(*LITE).returncode == 0
            wrong += values() != expected
            shutil.rmtree(toy.root / ".repro")
            shutil.rmtree(toy.folder / "results")
    assert toy.command(*LITE).returncode == 0
    wrong += values() != expected
    wrong += len(list(toy.root.rglob("*.tmp")))
    tally("kills of a command that trains (SIGKILL, SIGTERM, SIGINT)", size, "same rows in the end", wrong)


def values():
    """The collected rows without those that measure time."""
    return [line for line in csv().read_text().splitlines() if ",seconds," not in line]


@pytest.mark.parametrize("kind", ["refresh", "new"])
def test_a_record_that_is_merged_while_its_run_is_computed_is_not_lost(toy, capsys, kind):
    """What is computed contradicts it, and says so; neither is taken for the other in silence."""
    run = toy.runs()[0]
    value = {"run": run.id, "inputs": run.inputs, "rows": [["position", 0, 5.0]], "environment": {}}
    file = toy.root / "merged" / "runs" / f"{run.id}.json"
    file.parent.mkdir(parents=True)
    file.write_text(json.dumps(value))
    place = records.stored_path(run.id)
    toy.edit(
        "experiment.py",
        "    trouble(settings.trouble, seeds, context)\n",
        f"    import shutil\n    shutil.copy({str(file)!r}, {str(place)!r})\n",
    )
    extra = ("--refresh",) if kind == "refresh" else ()
    done = toy.command(*LITE, "--arm", "slow", "--seeds", "0", *extra)
    assert done.returncode == 1
    assert "a record that came meanwhile contradicts: position at step 0 is 5.0" in done.stderr
    assert json.loads(place.read_text())["rows"] == [["position", 0, 5.0]]
    assert paths.store().is_dir()
