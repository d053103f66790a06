"""The command line: what it prints, what it returns, and how it is interrupted."""

from __future__ import annotations

import os
import subprocess
import sys
from subprocess import PIPE

import pytest
from toy_results import ON_CPU, call, csv

from shared.base import paths
from shared.runs import ledger
from shared.workflow import cli, listing, orchestrate


def test_run_computes_and_collects(toy, capsys):
    assert call("run", "walk", "--tier", "lite", *ON_CPU, paper="toy") == 0
    assert "6 runs: 6 trained, 0 valid already" in capsys.readouterr().out
    assert len(csv().read_text().splitlines()) == 37
    assert call("run", "toy/walk", "--tier", "lite", *ON_CPU) == 0
    assert "0 trained, 6 valid already" in capsys.readouterr().out


def test_a_shared_run_is_collected_wherever_it_belongs(toy):
    call("run", "toy/walk", "--tier", "lite", *ON_CPU)
    assert ledger.of("toy").is_collected(toy.experiment("race"), "lite")
    assert len(csv(name="race").read_text().splitlines()) == 19


def test_a_shared_run_begins_no_other_experiment(toy):
    call("run", "toy/walk", "--tier", "lite", "--seeds", "0", *ON_CPU)
    assert csv().exists()
    assert not csv(name="race").exists(), "one of three seeds of race"
    call("run", "toy/race", "--tier", "lite", "--seeds", "1", *ON_CPU)
    assert len(csv(name="race").read_text().splitlines()) == 13
    call("run", "toy/walk", "--tier", "lite", *ON_CPU)
    assert len(csv(name="race").read_text().splitlines()) == 19, "begun, so it gets what walk has computed"


def test_run_everything_takes_the_experiments_that_have_the_tier(toy, capsys):
    assert call("run", *ON_CPU) == 0
    assert "4 runs: 4 trained" in capsys.readouterr().out
    assert call("run", "toy/race", *ON_CPU) == 2
    assert "unknown tier 'demo'" in capsys.readouterr().err


def test_nothing_to_do_is_said(toy, capsys):
    assert call("run", "--tier", "paper", paper="toy") == 2
    assert "no experiment has the tier 'paper'" in capsys.readouterr().err
    assert call("accept", "toy", "--why", "it is the same") == 0
    assert capsys.readouterr().out == "there are no results of earlier code\n"


def test_arms_with_equal_settings_are_counted_once(toy, capsys):
    toy.declare("fast: {rate: 2}", "fast: {rate: 0.25}")
    assert call("run", "toy/walk", "--tier", "lite", *ON_CPU) == 0
    assert "3 runs: 3 trained, 0 valid already" in capsys.readouterr().out
    assert call("run", "toy/walk", "--tier", "lite", *ON_CPU) == 0
    assert "3 runs: 0 trained, 3 valid already" in capsys.readouterr().out


def test_run_a_part(toy):
    call("run", "toy/walk", "--tier", "lite", "--arm", "fast", "--seeds", "1-2", *ON_CPU)
    assert toy.trained() == ["2.0 1", "2.0 2"]
    call("run", "toy/walk", "--tier", "lite", "--arm", "fast", "--seeds", "1", "--refresh", *ON_CPU)
    assert toy.trained()[2:] == ["2.0 1"]


def test_a_failed_run_ends_with_1_and_one_sentence(toy, capsys):
    toy.declare("fast: {rate: 2}", "fast: {rate: 2, trouble: crash}")
    assert call("run", "toy/walk", "--tier", "lite", *ON_CPU) == 1
    out, err = capsys.readouterr()
    assert "6 runs: 5 trained, 0 valid already, 1 failed" in out
    assert err.count("\n") == 1
    assert "ZeroDivisionError: division by zero" in err
    assert "Traceback" not in out + err


def test_what_does_not_fit_is_named(toy, capsys):
    toy.declare("lite: {minutes: 2", "lite: {minutes: 90")
    assert call("run", "toy/race", "--tier", "lite", "--minutes", "30", *ON_CPU) == 0
    out = capsys.readouterr().out
    assert "3 left" in out
    assert "nothing fits into 30 minutes; the cheapest run, toy/race turtle, needs about 90 minutes" in out
    assert "left for another time: race/turtle/0, race/turtle/1, race/turtle/2" in out
    assert not (toy.root / ".repro").exists()
    assert not (toy.folder / "results").exists()


@pytest.mark.parametrize(
    "arguments",
    [
        ("run", "toy/wlak", "--tier", "lite"),
        ("run", "toi"),
        ("run", "toy/walk", "--tier", "lite", "--arm", "slwo"),
        ("run", "toy/walk", "--tier", "lite", "--seeds", "9"),
        ("run", "toy/walk", "--tier", "lite", "--seeds", "a-b"),
        ("run", "toy/walk", "--tier", "lite", "--seeds", "", *ON_CPU),
        ("check", "toi"),
        ("check", "toy/wlak"),
        ("run", "toy/walk", "--tier", "lite", "--device", "tpu"),
        ("run", "toy/walk", "--tier", "lite", "--device", "cuda"),
        ("run", "toy/walk", "--tier", "lite", "--threads", "0"),
        ("run", "toy/walk", "--tier", "lite", "--replicas", "-1"),
        ("run", "toy/walk", "--tier", "lite", "--minutes", "-5", *ON_CPU),
        ("run", "toy/walk", "--tier", "lite", "--minutes", "nan", *ON_CPU),
        ("run", "toy/walk", "--tier", "lite", "--precision", "bf16", *ON_CPU),
        ("rerun", "toy/walk", "--seeds", "9"),
        ("rerun", "toy/walk", "--arm", "slwo"),
        ("rerun", "toy/walk", "--threads", "0"),
        ("rerun", "toy"),
        ("batch", "toy/walk/lite/slow"),
        ("merge", "/does/not/exist"),
        ("accept", "toy/walk", "--why", ""),
        ("list", "toi"),
        ("list", "walk"),
        ("run", "toy/walk", "--tier", "lite", "--threads", "100000"),
        ("run", "toy/walk", "--tier", "lite", "--seeds", "4-0", *ON_CPU),
        ("run", "toy/walk", "--tier", "lite", "--seeds", "0-99999999999", *ON_CPU),
        ("run", "toy/walk", "--tier", "lite", "--seeds", "9" * 5000, *ON_CPU),
        ("run", "toy/walk", "--tier", "lite", "--seeds", "0-9999,10000-19999", *ON_CPU),
        ("rerun", "toy/walk", "--threads", "100000"),
        ("batch", f"toy/walk/lite/slow/{'9' * 5000}"),
        ("get", "digits", "--mirror", "http://[::1"),
        ("diff", "nowhere"),
    ],
)
def test_mistakes_end_in_one_sentence(toy, capsys, arguments):
    assert call(*arguments) == 2
    out, err = capsys.readouterr()
    assert err.startswith("error: ")
    assert err.count("\n") == 1
    assert "Traceback" not in out + err
    assert toy.trained() == []
    assert not os.environ.get("REPRO_MIRROR", "").startswith("http://[")  # an option of one command only


def test_an_experiment_without_its_paper_is_answered_with_both(toy, capsys):
    assert call("run", "walk", "--tier", "lite", *ON_CPU) == 2
    assert "unknown paper 'walk'; did you mean 'toy/walk'?" in capsys.readouterr().err


def test_several_mistakes_are_a_line_each(toy, capsys):
    toy.declare("slow: {rate: 0.25}", "slow: {raet: 0.25}")
    toy.declare("turtle: {rate: 0.25}", "turtle: {rtae: 0.25}")
    assert call("run", "--tier", "lite", *ON_CPU) == 2
    out, err = capsys.readouterr()
    assert [line.partition(";")[0] for line in err.splitlines()] == [
        "error: pipelines/toy/experiments.yaml, line 11: unknown setting 'raet'",
        "error: pipelines/toy/experiments.yaml, line 20: unknown setting 'rtae'",
    ]
    assert out == ""
    assert toy.trained() == []


@pytest.mark.parametrize(("name", "value"), [("REPRO_GPUS", "foo"), ("OMP_NUM_THREADS", "abc")])
def test_a_wrong_variable_is_one_sentence(toy, capsys, monkeypatch, name, value):
    monkeypatch.setenv(name, value)
    assert call("run", "toy/walk", "--tier", "lite") == 2
    err = capsys.readouterr().err
    assert err.startswith(f"error: {name}={value} should be")
    assert err.count("\n") == 1
    assert toy.trained() == []


def test_the_program_of_another_checkout_is_refused(toy, capsys):
    """As from a folder below a second clone, where Python imports the clone that is installed."""
    assert call("list") == 0
    (toy.root / "shared").mkdir()
    (toy.root / "shared" / "__init__.py").touch()
    assert call("run", *ON_CPU) == 2
    assert f"the checkout to work on is {toy.root}; run the command in" in capsys.readouterr().err
    assert toy.trained() == []


def test_debug_shows_the_traceback(toy):
    with pytest.raises(cli.UserError):
        call("run", "toi", "--debug")


def test_a_missing_library_is_named(toy):
    """As when the environment was not activated; a missing module of ours is a mistake to be seen."""
    library = toy.root / "pandas.py"
    library.write_text("raise ModuleNotFoundError('none', name='pandas.core')")
    done = toy.command("check")
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "has no package 'pandas'; activate the environment (`. .venv/bin/activate`)" in done.stderr
    # of another length, or Python would take the compiled file of before, which is no second older
    library.write_text("raise ModuleNotFoundError('none', name='shared.what_is_not_there')")
    assert "Traceback" in toy.command("check").stderr


def test_batch_computes_the_named_runs(toy):
    specs = [run.spec for run in toy.runs()[:2]]
    assert call("batch", *specs, "--no-collect", *ON_CPU) == 0
    assert toy.trained() == ["0.25 0", "0.25 1"]
    assert not csv().exists()
    assert call("batch", *specs, *ON_CPU) == 0
    assert len(csv().read_text().splitlines()) == 13


def test_batch_takes_the_runs_of_a_job_and_says_how_far_all_are(toy, capsys, monkeypatch):
    first, second = orchestrate.plan({"tier": "lite", "runs_per_job": 3}, main=True, cores=2).jobs
    reader, writer = os.pipe()
    monkeypatch.setenv("REPRO_TERMINAL", str(writer))
    assert call("batch", "--job", first.name, "--no-collect", *ON_CPU) == 0
    assert call("batch", "--job", second.name, "--no-collect", *ON_CPU) == 0
    os.close(writer)
    with os.fdopen(reader) as terminal:
        said = [line.partition(",")[0] for line in terminal.read().splitlines()]
    assert said == [f"{done} of 6 runs" for done in range(1, 7)]
    assert len(toy.trained()) == 6
    for wrong in (["--job", "no_such"], ["--job", first.name, first.runs[0]], []):
        assert call("batch", *wrong, *ON_CPU) == 2
    assert len(toy.trained()) == 6


def test_collect(toy, capsys):
    call("batch", *[run.spec for run in toy.runs()], "--no-collect", *ON_CPU)
    capsys.readouterr()
    assert call("collect", "toy/walk", "--tier", "demo") == 0
    assert capsys.readouterr().out == ""
    assert call("collect") == 0
    assert capsys.readouterr().out.splitlines() == [
        "wrote pipelines/toy/results/lite/walk.csv",
        "wrote pipelines/toy/results/lite/race.csv",
    ]


def test_collecting_everything_begins_no_experiment_for_a_shared_run(toy, capsys):
    one_seed = [run.spec for run in toy.runs() if run.seed == 0]
    call("batch", *one_seed, "--no-collect", *ON_CPU)
    capsys.readouterr()
    assert call("collect", "toy") == 0
    assert capsys.readouterr().out == "wrote pipelines/toy/results/lite/walk.csv\n", "1 of 3 runs of race"
    assert call("collect", "toy/race") == 0
    assert call("collect", "walk", "race", paper="toy") == 0
    assert capsys.readouterr().out == "wrote pipelines/toy/results/lite/race.csv\n"


def test_collecting_everything_takes_back_lost_tables(toy):
    """Whichever of the two files is lost, for an experiment that is not complete, too."""
    call("run", "toy/race", "--tier", "lite", "--seeds", "0", *ON_CPU)
    for lost in (csv(name="race"), paths.sidecar(paths.collected("toy", "race", "lite"))):
        text = lost.read_text()
        lost.unlink()
        assert call("collect") == 0
        assert lost.read_text() == text


def test_list(toy, capsys):
    call("run", "toy/walk", "--tier", "lite", "--arm", "fast", *ON_CPU)
    capsys.readouterr()
    assert call("list", "--runs") == 0
    rows = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert rows[0][:3] == ["toy:", "A", "toy"]
    by_name = {tuple(row[:2]): row[2:] for row in rows[2:7]}
    assert by_name["walk", "smoke"] == ["0/2", "-", "-", "-", "not", "measured"]
    assert by_name["walk", "lite"][0] == "3/6"
    assert by_name["walk", "lite"][-2:] == ["measured", "(cpu)"]
    assert by_name["race", "lite"] == ["0/3", "6", "min", "6", "min", "100", "MB", "declared"]
    assert ["toy/walk/lite/slow/0:", "missing"] in rows


def test_list_counts_verdicts_if_asked(toy, capsys):
    assert call("list") == 0
    assert "measured, printed" not in capsys.readouterr().out
    assert call("list", "--verdicts") == 0
    told = capsys.readouterr().out
    assert "  measured, printed in the paper: 1 not run\n" in told
    assert "  No measured number of this paper has been tested yet.\n" in told


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(None, "-"), (0.2, "< 1 s"), (40, "40 s"), (100, "2 min"), (3600, "60 min"), (12000, "3 h 20 min")],
)
def test_durations(seconds, text):
    assert listing.duration(seconds) == text


def test_merge(toy, tmp_path, capsys):
    call("batch", *[run.spec for run in toy.runs()[3:5]], *ON_CPU)
    (toy.root / ".repro").rename(tmp_path / "elsewhere")
    csv().unlink()
    paths.sidecar(paths.collected("toy", "walk", "lite")).unlink()
    capsys.readouterr()
    assert call("merge", str(tmp_path / "elsewhere")) == 0
    assert "2 new runs, 0 known already" in capsys.readouterr().out
    assert len(csv().read_text().splitlines()) == 13


@pytest.mark.parametrize(("name", "code"), [("SIGTERM", 143), ("SIGINT", 130)])
def test_an_interrupted_run_resumes(toy, name, code):
    """The experiment sends the signal to itself after writing a checkpoint, so nothing depends on timing."""
    toy.declare("fast: {rate: 2}", f"fast: {{rate: 2, trouble: {name}}}")
    command = ("run", "toy/walk", "--tier", "lite", *ON_CPU)
    first = toy.command(*command)
    assert first.returncode == code, first.stderr
    assert "Traceback" not in first.stderr
    assert "the same command goes on from there" in first.stderr
    assert len(csv().read_text().splitlines()) == 1 + 3 * 6, "what was finished is collected"
    second = toy.command(*command)
    assert second.returncode == 0, second.stderr
    assert "resumed from half way" in second.stdout
    assert "3 trained, 3 valid already" in second.stdout
    assert list((toy.root / ".repro" / "checkpoints").iterdir()) == []


def test_a_closed_pipe_is_no_error(toy):
    command = [sys.executable, "-m", "pipelines", "list"]
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    with subprocess.Popen(command, cwd=toy.root, env=env, stdout=PIPE, stderr=PIPE) as listed:
        listed.stdout.close()
        assert listed.stderr.read() == b""
    assert listed.returncode == 0


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_a_stream_that_is_closed_is_no_error_and_no_file(toy, closed):
    """A file that is opened in its place would take what is printed."""
    line = f"{sys.executable} -m pipelines collect {closed}"
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(["sh", "-c", line], cwd=toy.root, env=env, capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_what_the_encoding_does_not_have_is_printed_as_an_escape(toy):
    toy.declare("title: A toy", "title: A töy → π")
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "PYTHONIOENCODING": "ascii"}
    command = [sys.executable, "-m", "pipelines", "list"]
    done = subprocess.run(command, cwd=toy.root, env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert r"A t\xf6y \u2192 \u03c0" in done.stdout


def test_a_folder_that_is_no_package_is_named(toy, capsys):
    toy.folder.with_name('x"><script>').mkdir()
    (toy.folder.with_name('x"><script>') / "experiments.yaml").write_text("")
    assert call("list") == 2
    assert 'pipelines/x"><script>: a folder with an experiments.yaml is a package' in capsys.readouterr().err


@pytest.mark.parametrize(
    ("paper", "names"),
    [
        (None, "list run rerun check accept collect report batch get merge diff sync"),
        ("toy", "list run rerun check accept collect table"),
    ],
)
def test_help_names_every_command(capsys, paper, names):
    with pytest.raises(SystemExit) as stop:
        call("--help", paper=paper)
    assert stop.value.code == 0
    text = capsys.readouterr().out
    assert [line.split()[0] for line in text.splitlines() if line.startswith("    ")] == names.split()
