"""The report of regular_latent against results whose verdicts are known in advance."""

from __future__ import annotations

import numpy as np
import pytest
from invented_regular_latent import Invented

from pipelines.regular_latent import claims, protocols, studies, tables, tables_exploration
from pipelines.regular_latent import figures as drawings
from pipelines.regular_latent.experiment import run
from shared.report import published
from shared.report.figures import render
from shared.report.results import Results
from shared.runs import config
from shared.runs.api import Context

PAPER = "regular_latent"
#: Statements that counts contradict whatever is trained: R11. And one that needs a slower CNN: R21.
FALSE, OPEN = "R11", "R21"


def report(demo=False, **options):
    return Results(PAPER, demo, Invented(**options))


def statuses(results):
    return {row.key: row.cells[0].verdict.status for row in claims.rows(results)}


@pytest.fixture(scope="module")
def like_the_paper():
    return report()


@pytest.fixture(scope="module")
def found(like_the_paper):
    return statuses(like_the_paper)


def test_results_like_the_papers_give_its_verdicts(found):
    assert [key for key in found if key.startswith("R")] == [f"R{number}" for number in range(1, 24)]
    assert {key for key, status in found.items() if status != "reproduced"} == {FALSE, OPEN}


def test_ours_are_marked_so(like_the_paper):
    marked = {row.key for row in claims.rows(like_the_paper) if row.cells[0].verdict.ours}
    assert marked == {row.key for row in claims.rows(like_the_paper) if row.key.startswith("X")}
    assert len(marked) == 15


#: Changes of results, by experiment, arm and metric, with the claims that each contradicts; in sets that are
#: reported together.
BREAKING = {
    "first": {
        ("table1", "learned", "regular_distance"): (2.0, "R1 R4"),
        ("table2", "learned", "integer_distance"): (0.3, "R5"),
        ("table2", "learned", "root_1"): (4.0, "R6"),
        ("table1_controls", "no_omega", "algebra_loss"): (-9.9e-4, "R7"),
        ("one_rate", "ours_C4", "parameters"): (1.0, "R8"),
        ("table4_steerable", "rpp_D4", "accuracy"): (0.06, "R9"),
        ("table5_organ", "cnn_augmented", "accuracy"): (0.5, "R13 R14"),
        ("table6_baselines", "rsteer", "rmse_domain_20"): (-0.2, "R15"),
        ("table6_baselines", "pscnn", "rmse_future_20"): (0.1, "R16"),
        ("filters", "scnn_C4", "accuracy"): (0.02, "R20"),
        ("smoke_data", "simulations", "side_error"): (-0.29, "R23"),
        ("one_rate_D4", "cnn_D4", "accuracy"): (0.1, "X1-D4"),
        ("controls", "trivial_C4", "accuracy"): (0.1, "X2-trivial"),
        ("one_rate", "ours_D1", "output_error"): (2.0, "X4"),
        ("defects", "ours_C4_rotation", "accuracy"): (0.1, "X5-rotation"),
        ("table6_defects", "ours_broadcast", "rmse_domain_20"): (-0.2, "X5-broadcast"),
    },
    "second": {
        ("table2", "learned", "regular_distance"): (0.2, "R2"),
        ("table3_null", "alone", "path_regular_distance"): (-1.2, "R4"),
        ("table1", "learned", "latent_loss"): (0.2, "R5"),
        ("table2", "learned", "start_root_0"): (4.0, "R6"),
        ("table2", "learned", "start_root_2"): (-4.0, "R6"),
        ("table4", "cnn_C4", "accuracy"): (0.03, "R9 R10 R22"),
        ("table5_nodule", "cnn_augmented", "accuracy"): (0.05, "R12"),
        ("table6", "cnn_augmented", "rmse_domain_20"): (-0.1, "R15 R17"),
        ("table4", "ours_D1", "images_per_second"): (-700.0, "R18"),
        ("one_rate", "cnn_C4", "accuracy_orbit"): (0.1, "X3"),
        ("defects", "ours_C4_shifted", "accuracy"): (0.1, "X5-shifted"),
        ("defects", "cnn_C4_validation", "accuracy"): (0.1, "X5-validation"),
    },
    "third": {
        ("table3", "learned", "regular_distance"): (1.0, "R3"),
        ("table1_controls", "far", "regular_distance"): (9.0, "R4"),
        ("table2", "learned", "residual_r3"): (0.1, "R5"),
        ("table6_defects", "e2cnn_reversed", "rmse_future_20"): (-0.3, "X5-reversed"),
        **{("table4", f"ours_{group}", "accuracy"): (-0.2, "R9 R10 R22") for group in ("C4", "D1", "D4")},
        **{(f"table5_{data}", "ours", "accuracy"): (-0.2, "R12 R14 R22") for data in ("nodule", "synapse")},
        ("table5_organ", "ours", "accuracy"): (-0.2, "R14 R22"),
        ("one_rate", "cnn_D1_slow", "accuracy"): (-0.1, ""),
    },
}


@pytest.mark.parametrize("changes", BREAKING.values(), ids=BREAKING)
def test_other_results_contradict_the_claims(changes):
    found = statuses(report(change={place: change for place, (change, _) in changes.items()}))
    broken = {key for _, keys in changes.values() for key in keys.split()}
    slower = ("one_rate", "cnn_D1_slow", "accuracy") in changes
    expected = broken | {FALSE} | (set() if slower else {OPEN})
    assert {key for key, status in found.items() if status == "differs"} == expected


def test_a_shorter_protocol_is_shown_and_judged_only_against_itself():
    results = report(tier="lite", seeds=3)
    found = statuses(results)
    assert {found[f"R{number}"] for number in (1, 2, 9, 10)} == {"not run"}, "no lite tier of these arms"
    assert {found[f"R{number}"] for number in (3, 12, 14, 15, 17)} == {None}, "of these a shorter one"
    assert found["R22"] == "not run", "some of its eight cases"
    ours = {key: status for key, status in found.items() if key.startswith(("X1", "X2", "X3"))}
    assert set(ours.values()) == {"reproduced"}
    cells = {(row.key, column.key): cell for row, column, cell in tables.table6(results).cells()}
    cell = cells["ours", "future"]
    assert (cell.verdict.status, cell.verdict.text) == (None, "not judged (lite)")
    assert cell.paper.startswith("0.78 ± 0.01")
    assert cell.difference


def test_nothing_recorded_means_not_run_with_the_command():
    results = report(experiments=())
    assert set(statuses(results).values()) == {"not run"}
    missing = tables.table4(results).missing_commands()
    assert any("run table4_steerable_D1 --tier lite" in command for command in missing)
    drawn = [figure.name for figure in drawings.figures(results) if figure.draw]
    assert drawn == ["figure1"]


def test_demo_results_are_never_judged():
    results = report(demo=True, tier="demo", seeds=3)
    found = statuses(results)
    assert set(found.values()) == {None, "not run"}, "not all experiments have a demo"
    assert found["R4"] is found["R9"] is None


def test_runs_of_different_protocols_are_not_judged_against_each_other(like_the_paper):
    class Mixed(Invented):
        """At the paper's protocol, but the defects of SMOKE at a shorter one."""

        def read(self, paper, experiment, tier):
            self.tier = "lite" if experiment == "table6_defects" else "paper"
            return super().read(paper, experiment, tier)

    results = Results(PAPER, False, Mixed())
    found = statuses(results)
    assert found["X5-broadcast"] is found["X5-reversed"] is None
    assert statuses(like_the_paper)["X5-broadcast"] == found["X5-shifted"] == "reproduced"
    assert not claims.slower(results, ("table6_defects", "ours_tenth"), ("table6", "ours")).n


def test_a_run_has_its_row_and_the_papers_beside_it(like_the_paper):
    table = tables_exploration.explored(like_the_paper, tables_exploration.EXPLORATIONS[1])
    cells = {(row.key, column.key): cell for row, column, cell in table.cells()}
    assert cells["run_2", "trivial"].paper == "6.471"
    assert cells["run_2", "regular"].paper == "1.47", "from the printed counts"
    assert list(cells["run_2", "trivial"].sample.values) == [1], "the run of seed 1"
    assert cells["learned", "regular"].paper == "0.48 ± 0.65, n = 5"
    assert cells["null_alone", "to_latent"].text == "-", "a null has no network"
    assert cells["null_alone", "regular"].note == "before training 2.00"
    assert {cell.verdict for cell in cells.values()} == {None}


def test_settings_of_our_runs_are_the_printed_ones(like_the_paper):
    """Tables 7 to 10: every printed number, and nothing else."""
    printed = published.paper_values(PAPER)
    shown = {}
    for table in protocols.tables(like_the_paper):
        shown |= {(table.name, row.key, col.key): cell for row, col, cell in table.cells() if cell.paper}
    known = [place for place in printed if place[0] in ("table7", "table8", "table9", "table10")]
    assert set(shown) == set(known)
    for place in known:
        assert float(shown[place].text) == printed[place].value, place


def test_the_papers_numbers_say_where_they_come_from():
    origins = [value.origin for value in published.paper_values(PAPER).values()]
    assert (origins.count("printed"), origins.count("derived"), len(origins)) == (186, 41, 227)


def test_sizes_are_compared_as_printed_and_as_derived(like_the_paper):
    """The text says 66 filters, and the printed sizes are those of 48; 0.33 is a slip for 0.03."""
    cells = {(row.key, col.key): cell for row, col, cell in tables.table4(like_the_paper).cells()}
    status = {key: cell.verdict.status for key, cell in cells.items() if key[1].startswith("parameters")}
    differ = {("restriction", "C4"), ("restriction", "D1"), ("rpp", "C4"), ("rpp", "D4")}
    differ = {(row, f"parameters_{group}") for row, group in differ}
    assert {key for key, found in status.items() if found == "differs"} == differ
    assert cells["rpp", "parameters_D4"].note == "1,739,776"
    counts = {(row.key, col.key): cell for row, col, cell in studies.parameters(like_the_paper).cells()}
    derived = [cell for cell in counts.values() if cell.published]
    assert {cell.verdict.status for cell in derived} == {"reproduced"}
    assert len(derived) == 41
    assert counts["pscnn_C4_once", "count"].paper == "", "without duplicates it is another network"


def test_defects_are_measured_by_accuracy_or_error(like_the_paper):
    table = studies.defects(like_the_paper)
    rows = {row.key: row.cells for row in table.rows}
    assert rows["shifted"][1].sample.summary.mean == pytest.approx(0.895, rel=1e-3)
    assert rows["shifted"][3].startswith("-0.020 [")
    assert rows["reversed_domain"][3].startswith("+0.100 [")
    assert {key.rpartition("_")[0] for key in rows if key.endswith("_future")} == {
        key for key, defect in studies.DEFECTS.items() if defect.smoke
    }


def test_every_arm_of_ours_is_shown_somewhere(like_the_paper):
    """A control or defect that is declared and stands in no table would be trained for nothing."""
    asked = set()
    curves = like_the_paper.curves
    like_the_paper.curves = lambda experiment, arm, metric: (
        asked.add((experiment, arm)) or curves(experiment, arm, metric)
    )
    list(tables.tables(like_the_paper))
    drawings.figures(like_the_paper)
    del like_the_paper.curves
    declared = {(name, arm) for name, one in config.load(PAPER).experiments.items() for arm in one.arms}
    assert declared <= asked


@pytest.fixture(scope="module")
def asked():
    """Metrics that tables, claims and figures ask for, by experiment and arm."""
    results, found = report(), {}
    curves = results.curves
    results.curves = lambda experiment, arm, metric: (
        found.setdefault((experiment, arm), set()).add(metric) or curves(experiment, arm, metric)
    )
    list(tables.tables(results))
    for figure in drawings.figures(results):
        if figure.draw:
            figure.draw()
    return found


#: Metrics that a kind of run need not have: a null has no network, and orbits cost time.
OPTIONAL = {"latent_loss", "latent_square", "output_loss", "task_loss", "accuracy_orbit"}


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize(
    "where",
    [
        *(
            (f"table{number}{kind}", arm)
            for number in (1, 2, 3)
            for kind, arm in (("", "learned"), ("_null", "alone"))
        ),
        *(("one_rate", "ours_D1"), ("table5_nodule", "ours"), ("table6", "ours")),
        *(("smoke_data", "simulations"), ("networks", "cnn")),
    ],
    ids="-".join,
)
def test_the_metrics_that_are_shown_are_those_that_runs_have(asked, where):
    """Invented results have the names that the report asks for; these are those that a run writes."""
    experiment, arm = where
    settings = config.load(PAPER).experiment(experiment).settings_of(arm, "smoke")
    made = {row.metric for row in run(settings, [0], Context(log=lambda line: None))[0]}
    assert asked[where]
    assert asked[where] - made <= OPTIONAL, "asked for, but no run has it"


@pytest.mark.parametrize("name", ["figure1", "figure3", "nulls", "equivariance"])
def test_figures_draw_every_run(like_the_paper, name):
    figure = next(one for one in drawings.figures(like_the_paper) if one.name == name)
    assert render(figure) == render(figure)
    drawn = figure.draw()
    if name == "figure3":
        points = drawn.axes[0].lines[-1].get_xydata()
        assert len(points) == 42
        assert np.allclose(np.abs(points[:, 0]), 1, atol=2e-3)
    if name == "nulls":
        heights = [y for dots in drawn.axes[1].collections for _, y in dots.get_offsets()]
        printed = tables_exploration.distances(like_the_paper, tables_exploration.EXPLORATIONS[1])
        assert set(np.round(printed, 3)) <= set(np.round(heights, 3))
    if name == "equivariance":
        marks = sum(len(line.get_xdata()) for line in drawn.axes[0].lines)
        assert marks == 7 * 5, "CNN, the method and five controls, five runs each"


def test_figures_of_few_results_have_no_empty_panels():
    """As many planes as there are runs, and columns for what was run."""
    one = {figure.name: figure for figure in drawings.figures(report(experiments=("table1",), seeds=1))}
    planes = [axes for axes in one["figure3"].draw().axes if axes.get_title().startswith("run")]
    assert len(planes) == 1
    labels = [[tick.get_text() for tick in axes.get_xticklabels()] for axes in one["nulls"].draw().axes[:3]]
    assert labels == [["printed", "learned"], ["printed"], ["printed"]]
