"""What Snakemake has to do: which runs are trained, collected and rendered, and which are valid already."""

from __future__ import annotations

import json
import os

import pytest
from toy_checkout import REPOSITORY
from toy_plans import plan, stamp_texts, train, trained

from shared import runs
from shared.base.errors import UserError
from shared.workflow import orchestrate


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


def test_a_wrong_option_ends_snakemake_with_that_sentence(toy, capsys):
    with pytest.raises(SystemExit) as stop:
        orchestrate.planned({"teir": "lite"}, main=True, cores=1)
    assert str(stop.value).startswith("error: unknown option of --config 'teir'; did you mean 'tier'?")
    assert "orchestrate.planned(" in (REPOSITORY / "Snakefile").read_text()


def test_the_demo_is_the_default_and_recorded_tiers_are_never_trained_unasked(toy):
    assert trained(plan()) == sorted(run.spec for run in toy.runs("demo"))
    assert {run.split("/")[2] for run in trained(plan(tier="lite"))} == {"lite"}


def test_only_chooses_papers_and_experiments(toy):
    assert trained(plan(tier="lite", only="toy")) == trained(plan(tier="lite"))
    assert trained(plan(tier="lite", only="toy/race")) == [run.spec for run in toy.runs("lite", "race")]
    assert plan(only="toy/race").collections == ()  # it has no demo tier


def test_an_experiment_without_its_package_is_left_out_and_said(toy, capsys):
    toy.edit(
        "experiments.yaml",
        "      title: Random walks\n",
        "      title: Random walks\n      needs: [json, nowhere]\n",
    )
    assert plan().jobs == ()
    assert "toy/walk: not run here, without nowhere; README.md says" in capsys.readouterr().err
    assert toy.experiment("walk").lacking == ("nowhere",)
    toy.edit("experiments.yaml", "[json, nowhere]", "[json]")
    assert trained(plan()) == sorted(run.spec for run in toy.runs("demo"))


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
