"""What every pipeline folder must hold to; a new paper is found by its experiments.yaml."""

from __future__ import annotations

import copy
import csv
import dataclasses
import fnmatch
import functools
import re
import shlex
import subprocess
import sys

import pandas as pd
import pytest
import torch
from all_papers import PAPERS, ROOT

from shared.base import paths
from shared.data import catalogue
from shared.nn import baselines, baselines_partial, baselines_steerable
from shared.report import published, render
from shared.report.contents import Report
from shared.runs import config, fingerprint, paper_modules, records
from shared.runs.api import Context
from shared.train import session
from shared.workflow import check, cli

pytestmark = pytest.mark.usefixtures("here")

EXPERIMENTS = [
    pytest.param(paper, name, marks=pytest.mark.skipif(bool(lacking), reason=f"no {', '.join(lacking)}"))
    for paper in PAPERS
    for name, lacking in ((e.name, e.lacking) for e in config.load(paper).experiments.values())
]
FILES = (
    *("__init__.py", "__main__.py", "README.md", "experiments.yaml", "paper.csv", "deviations.csv"),
    *("settings.py", "experiment.py", "tables.py"),  # and data.py, models.py where there are any
)

papers = pytest.mark.parametrize("paper", PAPERS)
experiments = pytest.mark.parametrize(("paper", "name"), EXPERIMENTS)


def smoke(paper, name):
    return config.load(paper).experiment(name).runs("smoke")


class SideBySide:
    """In the place of `stack`: the joint network must give each seed what its own network gives alone.

    What is computed across channels without a layer that `stack` knows (a softmax, a product of channels)
    also goes across the seeds, and trains without a word.
    """

    def __init__(self, stack):
        self.stack = stack

    def __call__(self, models):
        joint = self.stack(models)
        alone = copy.deepcopy(list(models))
        hook = joint.register_forward_pre_hook(lambda module, inputs: compare(inputs))

        def compare(inputs):
            hook.remove()
            (pictures,) = inputs
            training = joint.training
            with torch.no_grad():
                both = joint.eval()(pictures)
                apart = [
                    one.eval()(own) for one, own in zip(alone, pictures.chunk(len(alone), 1), strict=True)
                ]
            joint.train(training)
            message = (
                "a seed's network computes something else beside another seed's; give "
                'FitSettings(replicas="one_by_one"), or keep the channels of the seeds apart'
            )
            torch.testing.assert_close(both, torch.cat(apart, 1), rtol=1e-3, atol=1e-4, msg=message)

        return joint


@pytest.fixture(autouse=True)
def seeds_stay_apart(monkeypatch):
    """Every training of these tests that joins seeds is looked at."""
    monkeypatch.setattr(session, "stack", SideBySide(session.stack))


def test_a_network_that_mixes_the_channels_of_seeds_is_found():
    class Mixing(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = torch.nn.Conv2d(1, 4, 3)

        def forward(self, pictures):
            return self.layer(pictures).softmax(1).mean((-2, -1))

    with pytest.raises(AssertionError, match="beside another seed's"):
        session.stack([Mixing(), Mixing()])(torch.randn(2, 2, 5, 5))


@functools.cache
def rows(paper, inputs, seeds, attempt=0):
    """Checked rows by seed of one arm at its smoke tier; computed once for equal arguments."""
    run = RUNS[paper, inputs]
    LOADED.clear()
    found = paper_modules.module(paper, "experiment").run(
        run.settings, list(seeds), Context(log=lambda line: None)
    )
    assert set(found) == set(seeds)
    needs = config.load(paper).experiment(run.experiment).needs
    assert set(needs) >= set(LOADED), f"{run.spec} imports {LOADED}; say so: needs: {sorted(set(LOADED))}"
    return {seed: records.checked_rows(found[seed], run.spec) for seed in seeds}


RUNS: dict[tuple[str, str], config.Run] = {}
#: Of escnn and e2cnn, what the last computation asked for.
LOADED: list[str] = []


@pytest.fixture(autouse=True)
def loading_is_noted(monkeypatch):
    """Networks of these tests note what they load; see `rows`."""
    load = baselines.load
    for module in (baselines, baselines_partial, baselines_steerable):
        monkeypatch.setattr(module, "load", lambda backend: LOADED.append(backend) or load(backend))


def compute(run, seeds, attempt=0):
    """`rows` of a run; runs with the same inputs are the same computation, whatever they are called."""
    RUNS[run.paper, run.id] = run
    return rows(run.paper, run.id, tuple(seeds), attempt)


def untimed(found):
    return [row for row in found if not records.is_timing(row.metric)]


def one_per_code(paper, name):
    """A smoke run of each kind of network, less those that a run of an earlier experiment stands for.

    That is enough where code and not settings are tried: two runs whose settings have the same words and
    switches go through the same code, whatever the numbers and the data set.
    """
    first = {}
    for experiment in config.load(paper).experiments.values():
        runs = experiment.runs("smoke") if "smoke" in experiment.tiers else []
        kinds = {getattr(run.settings, "model", run.arm): run for run in reversed(runs)}
        for run in reversed(kinds.values()):
            settings = dataclasses.asdict(run.settings) | {"dataset": None}
            words = [item for item in settings.items() if isinstance(item[1], (str, bool))]
            first.setdefault(tuple(words), run)
    return [run for run in first.values() if run.experiment == name]


def test_there_are_pipelines():
    assert "_template" in PAPERS
    assert len(PAPERS) >= 2


@papers
def test_files_are_complete(paper):
    folder = paths.pipeline(paper)
    assert [name for name in FILES if not (folder / name).is_file()] == []
    assert len((folder / "__main__.py").read_text().replace("\n\n", "\n").splitlines()) == 3


@papers
def test_check_finds_nothing_wrong(paper):
    assert [problem.text for problem in check.check(paper) if not problem.warning] == []


@experiments
def test_identities_are_stable_and_distinct(paper, name):
    for tier in config.load(paper).experiment(name).tiers:
        first, again = (config.load(paper).experiment(name).runs(tier) for _ in range(2))
        assert [run.id for run in first] == [run.id for run in again]
        if tier in paths.COMMITTED_TIERS:
            assert len({run.id for run in first}) == len(first)


@experiments
def test_tiers(paper, name):
    tiers = config.load(paper).experiment(name).tiers
    assert "smoke" in tiers
    for tier in {"smoke", "demo"} & set(tiers):  # nothing to download
        names = {data for run in config.load(paper).experiment(name).runs(tier) for data in run.data}
        assert [data for data in names if not catalogue.load()[data].generator] == []


@papers
def test_a_paper_has_a_demo(paper):
    assert any("demo" in experiment.tiers for experiment in config.load(paper).experiments.values())


@papers
def test_numbers_of_the_paper_have_a_source(paper):
    values = published.paper_values(paper)
    assert values
    for value in values.values():
        assert value.read_from, value
        assert value.metric, value


@papers
def test_numbers_of_the_paper_have_a_place(paper):
    """Each stands in a cell of a table, behind a row of claims, or in a curve that a table judges."""
    report = Report(paper)
    cells = {(t.name, row.key, column.key) for t in report.tables for row, column, _ in t.cells()}
    claims = {(table.name, row.key) for table in report.tables if table.claims for row in table.rows}
    for place in published.paper_values(paper):
        judged = place in report.results.asked  # no figure has been made, so a table's curve asked for it
        used = place in cells or place[:2] in claims or judged
        assert used, f"no table uses the number for {place}; a figure alone gives it no verdict (build.curve)"


@papers
def test_deviations_are_declared(paper):
    assert published.deviations(paper)
    with (paths.pipeline(paper) / "deviations.csv").open() as file:
        assert next(csv.reader(file)) == list(published.DEVIATION_COLUMNS)


@experiments
def test_smoke_tier_gives_valid_rows(paper, name):
    runs = smoke(paper, name)
    metrics = {run.arm: {row.metric for row in compute(run, [run.seed])[run.seed]} for run in runs}
    assert all(metrics.values())
    # arms with one kind of network give the same metrics, if the same ones were asked for
    asked = {run.arm: [getattr(run.settings, name, None) for name in ("model", "pictures")] for run in runs}
    kinds = {str(asked[arm]): found for arm, found in metrics.items()}
    assert all(found == kinds[str(asked[arm])] for arm, found in metrics.items())


@experiments
def test_same_seed_gives_the_same_rows(paper, name):
    for run in one_per_code(paper, name):
        first, again = (compute(run, [run.seed], attempt)[run.seed] for attempt in range(2))
        assert untimed(first) == untimed(again), run.spec


@experiments
def test_seeds_differ_and_do_not_disturb_each_other(paper, name):
    for run in one_per_code(paper, name):
        seeds = [run.seed, run.seed + 1]
        both = compute(run, seeds)
        alone = compute(run, [run.seed])[run.seed]
        if declares_more_than_one_seed(paper, name):
            assert untimed(both[seeds[0]]) != untimed(both[seeds[1]]), run.spec
        next_seed = {row[:2]: row.value for row in both[seeds[1]]}  # may have fewer rows: pictures, say
        for one, beside in zip(untimed(alone), untimed(both[seeds[0]]), strict=True):
            assert one[:2] == beside[:2]
            limit = allowance(one.metric, one.value, abs(one.value - next_seed.get(one[:2], one.value)))
            assert abs(beside.value - one.value) <= limit, f"{run.spec}: {one} alone, {beside} beside another"


def declares_more_than_one_seed(paper, name):
    """Where no tier does, there is no chance in what is computed."""
    experiment = config.load(paper).experiment(name)
    return any(len({run.seed for run in experiment.runs(tier)}) > 1 for tier in experiment.tiers)


def allowance(metric, value, between_seeds):
    """How far rounding may move a value: little, compared with what another seed does to it.

    Optimizers amplify rounding, and so may turn the answers to one or two of the few test images.
    """
    percent = metric.endswith(("accuracy", "error")) and "variance" not in metric
    return 1e-3 + 0.15 * abs(value) + 0.3 * between_seeds + 6.5 * percent


class Smoke:
    """The rows of the smoke tier in the place of any other tier's; or none."""

    def __init__(self, empty=False):
        self.empty = empty

    def read(self, paper, experiment, tier):
        wanted = [] if self.empty else smoke(paper, experiment)
        lines = [
            (run.id, experiment, run.arm, run.seed, row.metric, row.step, row.value)
            for run in wanted
            for row in compute(run, [run.seed])[run.seed]
        ]
        frame = pd.DataFrame(lines, columns=["run", "experiment", "arm", "seed", "metric", "step", "value"])
        return frame.assign(step=pd.to_numeric(frame["step"], errors="coerce").astype(float))

    def environments(self, paper, experiment, tier):
        return {} if self.empty else {run.id: {"inputs": run.inputs} for run in smoke(paper, experiment)}


def of_smoke(paper):
    """A report of the smoke tier, which all experiments have, in the manner of the demo."""
    if lacking := {name for e in config.load(paper).experiments.values() for name in e.lacking}:
        pytest.skip(f"no {', '.join(sorted(lacking))}")
    report = Report(paper, True, Smoke())
    report.results.tiers = ("smoke",)
    return report


REPORTS = {
    "committed": Report,
    "nothing": lambda paper: Report(paper, False, Smoke(empty=True)),
    "smoke": of_smoke,
}


@papers
@pytest.mark.parametrize("made", REPORTS.values(), ids=REPORTS)
def test_report_renders_from_whatever_there_is(paper, made):
    text, again = (render.report_markdown(made(paper)) for _ in range(2))
    assert text == again
    for table in made(paper).tables:
        assert table.title in text
    assert "nan" not in text.lower().split()


@papers
def test_the_workflow_knows_the_files_of_the_report(paper):
    """`contents.Report` refuses names that are not declared; what is committed is what is declared."""
    declared = config.load(paper)
    assert declared.tables
    assert Report(paper).tables
    made = [figure.name for figure in Report(paper).figures]
    assert sorted(made) == sorted([*declared.figures, config.AGREEMENT])
    if not paper.startswith("_"):
        assert (paths.reports() / paper).is_dir(), (
            "run `python -m pipelines report`, and commit what it writes"
        )
        assert {file.name for file in (paths.reports() / paper).iterdir()} == set(declared.artefacts)


#: Cells that smoke runs are too short for: later epochs, means over all 36 angles, and what hangs on them.
BEYOND_SMOKE = {
    "subsampling": (
        *("validation/*/[1-9]*", "dropout/*/[1-9]*", "averages/*/mean36", "sampling/*/accuracy"),
        *("claims/S27-rate/verdict", "claims/S29-crop/verdict", "claims/S29-nearest/verdict"),
    ),
}


@papers
def test_tables_show_the_smoke_rows(paper):
    """A metric misspelt in tables.py would look like runs that nobody has made yet."""
    report = of_smoke(paper)
    waiting = [
        f"{table.name}/{row.key}/{column.key}"
        for table in report.tables
        for row, column, cell in table.cells()
        if cell.not_run
    ]
    beyond = {pattern: fnmatch.filter(waiting, pattern) for pattern in BEYOND_SMOKE.get(paper, ())}
    assert sorted(waiting) == sorted(set().union(*beyond.values()))
    assert all(beyond.values()), "a pattern that fits no cell"


@papers
def test_figures_draw_the_smoke_rows(paper):
    *declared, agreement = of_smoke(paper).figures
    assert agreement.draw is None, "no verdict, nothing to draw"
    for figure in declared:
        assert figure.draw is not None, f"{figure.name} has nothing to draw"
        assert figure.draw().axes
        assert figure.alt
    drawn = [figure for figure in Report(paper, False, Smoke(empty=True)).figures if figure.draw]
    assert [figure.name for figure in drawn if figure.commands] == []  # what needs no runs can be drawn


def commands(text):
    """The command lines of ours in a Markdown text, as (paper or None, arguments)."""
    for line in re.findall(r"python -m pipelines[^\n`#]*", text):
        words = shlex.split(line)[2:]
        paper = words[0].partition(".")[2] or None
        yield paper, words[1:]


@papers
def test_readme_has_commands_that_exist(paper):
    found = list(commands((paths.pipeline(paper) / "README.md").read_text()))
    own = {words[0] for name, words in found if name == paper}
    assert "run" in own, f"no `python -m pipelines.{paper} run ...` in it; is it the template's?"
    for name, words in found:
        if name is not None and "<" in name:
            continue  # stands for the reader's own paper
        parsed = cli.parser(name).parse_args(words)
        for target in getattr(parsed, "targets", []):
            home, _, experiment = (name, "", target) if name else target.partition("/")
            config.load(home).experiment(experiment) if experiment else config.load(home)


@papers
def test_fingerprint_holds_the_paper_and_layers_but_not_its_report(paper):
    found = set(fingerprint.modules(paper))
    prefix = f"pipelines.{paper}"
    there = [name for name in ("data", "models") if (paths.pipeline(paper) / f"{name}.py").is_file()]
    assert {f"{prefix}.{name}" for name in ("experiment", "settings", *there)} <= found
    assert not found & {f"{prefix}.tables", f"{prefix}.figures"}
    assert not {module for module in found if module.startswith(("shared.report", "shared.runs.records"))}


def test_a_missing_file_would_be_found(tmp_path, monkeypatch):
    """The checks above look at what is there: a paper without tables and numbers does not pass."""
    folder = tmp_path / "pipelines" / "bare"
    folder.mkdir(parents=True)
    (tmp_path / "datasets.yaml").write_text("{}\n")
    text = (ROOT / "pipelines" / "_template" / "experiments.yaml").read_text()
    (folder / "experiments.yaml").write_text(text.replace("_template:", "bare:"))
    monkeypatch.setenv("REPRO_ROOT", str(tmp_path))
    found = " ".join(problem.text for problem in check.check("bare"))
    for name in ("paper.csv", "deviations.csv", "tables.py", "dvc.yaml", "settings.py"):
        assert name in found


@pytest.mark.parametrize("command", ["list", "check"])
def test_what_trains_and_draws_is_not_loaded_to_look(command):
    """They take seconds; a figure's module imports them in the functions that draw."""
    program = (
        "import sys; from shared.workflow import cli; "
        f"code = cli.main([{command!r}]); "
        "print([name for name in ('torch', 'matplotlib', 'seaborn', 'scipy.stats') if name in sys.modules]); "
        "sys.exit(code)"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True)
    assert (done.returncode, done.stdout.splitlines()[-1]) == (0, "[]"), done.stdout + done.stderr
