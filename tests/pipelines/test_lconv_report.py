"""The L-conv report against results whose verdicts are known in advance."""

from __future__ import annotations

import numpy as np
import pytest
from invented_lconv import Invented

from pipelines.lconv import arms, claims, counts, tables
from pipelines.lconv import figures as drawings
from pipelines.lconv.settings import Settings
from pipelines.lconv.statements import PROPOSITIONS, THEOREM
from shared.report import published
from shared.report.figures import render
from shared.report.results import Results
from shared.runs import config

PAPER = published.paper_values("lconv")
FOUR = tuple(map(arms.figure4, arms.DATASETS))
#: Claims that the invented results of Figure 4 speak about, and that hold there.
OF_FIGURE4 = {"L1", "L1-considerably", "L2", "L2-closely", "L3", "L13", "L14", "L14-cnn", "L16", "L18"}
#: Those that are about how much better a network is, not about which.
SIZES = {"L1-considerably", "L2-closely", "L3"}


def report(demo=False, **options):
    return Results("lconv", demo, Invented(**options))


def statuses(results):
    return {row.key: row.cells[0].verdict.status for row in claims.rows(results)}


@pytest.fixture(scope="module")
def like_the_paper():
    return report()


def test_results_like_the_papers_give_its_verdicts():
    """But for the parameters of the CNN, which the paper's captions have five times too many of."""
    found = statuses(report(experiments=FOUR))
    assert {key: found[key] for key in OF_FIGURE4} == dict.fromkeys(OF_FIGURE4, "reproduced")
    assert found["L3-parameters"] == "differs"
    others = set(found) - OF_FIGURE4 - {"L3-parameters"}
    assert {found[key] for key in others} == {"not run"}


@pytest.mark.parametrize(
    ("arm", "change", "broken"),
    [
        ("cnn_rotated", 3.0, {"L1", "L1-considerably"}),
        ("cnn_default", -3.0, {"L2"}),
        ("fc_scrambled", -2.0, {"L3", "L14"}),
        ("random_default", 6.0, {"L2"}),
        ("lconv_scrambled", 1.5, {"L3", "L14"}),
        ("lconv_scrambled", -1.0, {"L1-considerably"}),
        ("lconv_default", -1.0, {"L2-closely"}),
        ("cnn_scrambled", 2.0, {"L1", "L1-considerably", "L14-cnn"}),
    ],
)
def test_other_results_on_one_data_set_contradict_the_claims(arm, change, broken):
    found = statuses(report(experiments=FOUR, change={("figure4_mnist", arm): change}))
    assert {key for key, status in found.items() if status == "differs"} >= broken
    assert found["L1"] == ("differs" if "L1" in broken else "reproduced")
    expected = broken | {"L3-parameters"}
    assert {key for key, status in found.items() if status == "differs"} - expected <= {"L14"}


def test_claims_of_four_data_sets_need_all_four():
    found = statuses(report(experiments=FOUR[:3]))
    assert {found[key] for key in ("L1", "L2", "L13", "L14", "L16")} == {"not run"}
    assert found["L3"] == "reproduced"  # of MNIST alone


def test_after_fewer_epochs_orders_are_judged_and_sizes_are_not():
    found = statuses(report(experiments=FOUR, tier="lite", seeds=3))
    assert {found[key] for key in SIZES} == {None}
    assert {found[key] for key in OF_FIGURE4 - SIZES} == {"reproduced"}


def test_own_statements_are_marked():
    rows = {row.key: row.cells[0].verdict.ours for row in claims.rows(report())}
    own = {key for key, ours in rows.items() if ours}
    assert own >= {"L11", "L12", "L14", "L14-cnn", "L17", "L18", "L19", "L15-E2", "L5-cifar10", "L9-cifar10"}
    paper = {"L1", "L2", "L3", "L4", "L5", "L10", "L13", "L16", "L20", "L21", "L22", "L15-E1", "L15-C-SO"}
    assert not own & paper


def test_two_layers_are_judged_on_their_data():
    found = statuses(report(experiments=("figure3",)))
    keys = {f"L{number}" for number in range(5, 10)}
    assert {found[key] for key in keys} == {"reproduced"}
    assert {found[f"{key}-cifar10"] for key in keys} == {"not run"}
    better = statuses(report(experiments=("figure3",), change={("figure3", "lconv_2_default"): 3.0}))
    assert better["L7"] == "differs"
    worse = statuses(report(experiments=("figure3",), change={("figure3", "lconv_2_default"): -2.0}))
    assert worse["L7"] == "reproduced"  # the paper says that a second layer does not help, no more
    deep = statuses(report(experiments=("figure3",), change={("figure3", "cnn_2_scrambled"): 4.0}))
    assert deep["L6"] == "differs"  # every other network, of two layers too


def test_what_is_false_as_printed_differs_and_what_is_corrected_holds():
    found = statuses(Results("lconv"))
    printed = {"L15-P1-printed", "L15-proofs", "L15-E1", "L15-C-SO"}
    assert {found[key] for key in printed} == {"differs"}
    theory = {key for key in found if key.startswith("L15-")} - printed
    assert {found[key] for key in theory} == {"reproduced"}
    assert {one.claim for one in (*PROPOSITIONS, *THEOREM) if one.claim} == printed | theory


def test_logs_are_judged_after_as_many_epochs():
    rows = {row.key: row for row in tables.logs(Results("lconv")).rows}
    three, five, whole = rows["cnn_m32_2x3"].cells
    assert [cell.paper for cell in (three, five, whole)] == ["88.89, n = 1", "89.68, n = 1", "90.47, n = 1"]
    assert (three.verdict.status, three.verdict.tier) != (None, "paper")
    assert rows["cnn_m32_3x3"].cells[0] == "-"  # only the best of 30 epochs is known
    assert not [place for place in PAPER if place[1] == "lconv_m24_K6_r6" and place[2] != "parameters"]
    known = config.load("lconv").experiment("logs").arms
    assert {key for key in rows if not key.endswith(("default", "scrambled"))} == set(known)


def test_logged_networks_are_those_of_figure_5():
    declared = config.load("lconv").experiments
    for arm in declared["logs"].arms:
        ids = {declared[name].runs("paper", [arm], [0])[0].id for name in ("logs", "figure5")}
        assert len(ids) == 1, arm


def test_the_best_epoch_is_shown_first_and_the_others_below(like_the_paper):
    table = tables.figure4(like_the_paper)
    row = next(row for row in table.rows if row.key == "mnist_lconv")
    best, count = row.cells[1], row.cells[-1]
    mean = sum(best.sample.numbers) / 5
    assert best.text.startswith(f"{mean:.2f}")
    assert best.note == f"last epoch {mean - 1:.2f}; official test {mean:.2f}"
    assert (count.text, count.paper, count.verdict.status) == ("452,170", "452,170", "reproduced")
    assert "0000beef" in table.notes[0]
    assert "mnist, 30 epochs, batches of 32" in table.caption


def test_parameter_counts_of_the_paper_are_those_of_the_settings():
    """Every count of paper.csv, against the settings of the arm whose row it stands in."""
    shapes = {"cifar10": (1024, 3, 10), "cifar100": (1024, 3, 100)}
    declared = config.load("lconv")
    checked = 0
    for (table, row, column), value in PAPER.items():
        if value.metric != "parameters":
            continue
        experiment, arm = table, row
        if table == "figure4":
            data, _, model = row.rpartition("_")
            experiment, arm = arms.figure4(data), arms.arm4(model, "rotated")
        elif table in arms.FIGURE3_EXPERIMENTS:
            arm = f"{row}_default"
        elif column == "frozen_parameters":
            arm = row.replace("lconv", "random")
        settings = declared.experiment(experiment).settings_of(arm, "paper")
        found = counts.trainable(settings, *shapes.get(settings.dataset, (784, 1, 10)))
        assert found == value.value, (table, row, column)
        checked += 1
    assert checked >= 50


def test_arms_of_the_tables_are_declared():
    declared = config.load("lconv").experiments
    for data in arms.DATASETS:
        names = {arms.arm4(m, v) for m in arms.FIGURE4 for v in arms.VARIANTS}
        assert set(declared[arms.figure4(data)].arms) == names
        assert declared[arms.figure4(data)].settings_of("lconv_scrambled", "paper").dataset == data
    kinds = {"lconv": arms.SHAPES, "random": arms.SHAPES, "cnn": arms.CNN_SHAPES, "fc": arms.FC_SHAPES}
    assert set(declared["figure5"].arms) == {f"{k}_{s}" for k, shapes in kinds.items() for s in shapes}
    for arm in declared["figure5"].arms:
        settings = declared["figure5"].settings_of(arm, "paper")
        kind, shape = arm.split("_", 1)
        lettered = f"m{settings.width}_K{settings.terms}_r{settings.rank}"
        drawn = f"m{settings.width}_{'x'.join(map(str, settings.kernel))}"
        assert (settings.model, shape) == (kind, drawn if kind == "cnn" else lettered)


def test_the_paper_tier_is_the_fact_sheets_protocol():
    """Fact sheet, section 6; only the official test images are looked at, too."""
    run = config.load("lconv").experiment("figure4_cifar10").settings_of("lconv_rotated", "paper")
    assert run == Settings(dataset="cifar10", variant="rotated", test="official")
    protocol = (run.optimizer, run.lr, run.batch_size, run.epochs, run.width, run.generators, run.rank)
    assert protocol == ("rmsprop", 0.001, 32, 30, 32, 8, 16)
    assert (run.rotation, run.angle, run.bias, run.scale) == ("cubic", 90.0, "each", "glorot")


def test_experiments_share_their_runs():
    declared = config.load("lconv").experiments

    def identity(experiment, arm, tier="lite"):
        return declared[experiment].runs(tier, [arm], [0])[0].id

    both = [
        identity(*arm, "paper")
        for arm in (("figure4_mnist", "lconv_scrambled"), ("figure5", "lconv_m32_K9_r16"))
    ]
    assert both[0] == both[1]
    assert identity("figure4_mnist", "lconv_scrambled") == identity("switches", "lconv")
    assert identity("figure4_mnist", "lconv_rotated") == identity("penalty", "none")
    assert identity("figure4_mnist", "lconv_rotated") != identity("figure1", "lconv")
    assert identity("figure4_mnist", "cnn_default", "demo") == identity(
        "figure4_fashion_mnist", "cnn_default", "demo"
    )


def test_demo_results_are_never_judged():
    results = report(demo=True, tier="demo", seeds=3)
    verdicts = [cell.verdict for _, _, cell in tables.figure4(results).cells() if cell.verdict]
    assert {verdict.text for verdict in verdicts} == {"no verdict (demo)", "not run"}
    assert set(statuses(results).values()) == {None, "not run"}


def test_nothing_recorded_means_not_run_with_the_command():
    results = report(experiments=())
    assert set(statuses(results).values()) == {"not run"}
    assert "python -m pipelines.lconv run figure5 --tier lite" in tables.figure5(results).missing_commands()
    assert all(figure.draw is None for figure in drawings.figures(results))


def test_a_figure_without_some_of_its_data_is_drawn(like_the_paper):
    """Data sets that have no runs are named and get no panels; the same bytes every time."""
    figure = drawings.panels(like_the_paper, "figure4", tuple(arms.VARIANTS))
    assert render(figure) == render(figure)
    assert figure.caption.endswith("Not run: Fashion-MNIST, CIFAR-10 and CIFAR-100.")
    assert len(figure.draw().axes) == 2


@pytest.fixture(scope="module")
def recorded():
    return {figure.name: figure for figure in drawings.figures(Results("lconv")) if figure.draw}


def points(axes):
    """All marks and line ends of a panel."""
    of_lines = [line.get_xydata() for line in axes.lines if len(line.get_xdata())]
    return np.concatenate(
        [*of_lines, *(dots.get_offsets() for dots in axes.collections if len(dots.get_offsets()))]
    )


def test_dots_are_runs_at_the_best_epoch_and_bars_are_counts_from_zero(recorded):
    left, right = recorded["figure4"].draw().axes[:2]
    samples = [
        Results("lconv").sample("figure4_mnist", arms.arm4(model, variant), "accuracy", reduce=np.max)
        for model in arms.FIGURE4
        for variant in arms.VARIANTS
    ]
    runs = sorted(value for sample in samples for value in sample.numbers)
    assert sorted(y for dots in left.collections for _, y in dots.get_offsets()) == pytest.approx(runs)
    assert not left.patches
    counts = {
        m: Results("lconv").sample("figure4_mnist", arms.arm4(m, "rotated"), "parameters")
        for m in arms.FIGURE4
    }
    assert [bar.get_height() for bar in right.patches] == [s.numbers[0] for s in counts.values()]
    assert right.get_ylim()[0] == 0


@pytest.mark.parametrize("name", ["figure2", "figure3b", "figure4", "figure5", "symmetries", "penalty"])
def test_labels_do_not_overlap_and_no_panel_is_empty(recorded, name):
    drawn = recorded[name].draw()
    drawn.draw_without_rendering()
    for axes in drawn.axes:
        assert axes.has_data()
        for words in (axes.get_xticklabels(), axes.texts):
            boxes = [word.get_window_extent() for word in words if word.get_text() and word.get_visible()]
            assert not any(a.overlaps(b) for i, a in enumerate(boxes) for b in boxes[:i]), axes.get_title()


def test_dots_are_runs_at_their_last_epoch(recorded):
    axes = recorded["symmetries"].draw().axes[0]
    sample = Results("lconv").last("figure4_mnist", "lconv_rotated", "captured_rotation")
    expected = sorted([*sample.numbers, sample.summary.mean])
    found = points(axes)
    assert sorted(found[np.isclose(found[:, 0], 1.0)][:, 1]) == pytest.approx(expected)


def test_figure_5_has_every_network_at_its_size_and_the_papers_runs(recorded):
    left, right = recorded["figure5"].draw().axes
    results = Results("lconv")
    for name in config.load("lconv").experiment("figure5").arms:
        best = results.sample("figure5", name, "accuracy", reduce=np.max)
        place = (results.sample("figure5", name, "parameters").summary.mean, best.summary.mean)
        assert np.isclose(points(left), place, rtol=1e-9).all(1).any(), name
    places = ("figure5", "cnn_m32_2x3", "parameters"), ("logs", "cnn_m32_2x3", "epochs_3")
    known = [PAPER[place].value for place in places]
    assert (points(right) == known).all(1).any()


def test_propositions_show_each_seed_and_the_mean(recorded):
    axes = recorded["propositions"].draw().axes[1]
    curves = Results("lconv").curves("propositions", "all", "p2_group_error")
    shown = [line.get_ydata().tolist() for line in axes.lines]
    for expected in (*curves.to_numpy().tolist(), curves.mean().tolist()):
        assert any(line == pytest.approx(expected) for line in shown)


def test_a_data_set_that_is_not_at_hand_is_named(like_the_paper):
    note = tables.figure4(like_the_paper).notes[-1]
    assert "not run: data not available" in note.lower()
    assert "python -m pipelines.lconv run figure4_cifar100" in note
    assert tables.figure3(like_the_paper, "figure3b").notes == ()
