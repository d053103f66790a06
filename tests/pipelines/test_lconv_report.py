"""The L-conv report against results whose verdicts are known in advance."""

from __future__ import annotations

import numpy as np
import pytest
from invented_lconv import Invented

from pipelines.lconv import arms, claims, counts, tables
from pipelines.lconv import figures as drawings
from pipelines.lconv.settings import Settings
from shared.report import published
from shared.report.figures import render
from shared.report.results import Results
from shared.runs import config

PAPER = published.paper_values("lconv")
#: Claims that the invented results of MNIST speak about.
OF_MNIST = {"L1-mnist", "L2-mnist", "L3", "L4-mnist", "L13-mnist", "L14-mnist", "L14-mnist-cnn", "L16-mnist"}


def report(demo=False, **options):
    return Results("lconv", demo, Invented(**options))


def statuses(results):
    return {row.key: row.cells[0].verdict.status for row in claims.rows(results)}


@pytest.fixture(scope="module")
def like_the_paper():
    return report()


def test_results_like_the_papers_give_its_verdicts(like_the_paper):
    found = statuses(like_the_paper)
    assert {key: found[key] for key in OF_MNIST} == dict.fromkeys(OF_MNIST, "reproduced")
    assert found["L18-mnist"] == "reproduced"
    others = set(found) - OF_MNIST - {"L18-mnist"}
    assert {found[key] for key in others} == {"not run"}


@pytest.mark.parametrize(
    ("arm", "change", "broken"),
    [
        ("cnn_rotated", 3.0, {"L1-mnist"}),
        ("cnn_default", -3.0, {"L2-mnist"}),
        ("fc_scrambled", -2.0, {"L3", "L14-mnist"}),
        ("random_default", 6.0, {"L4-mnist", "L2-mnist"}),
        ("lconv_scrambled", 1.5, {"L3", "L14-mnist"}),
        ("cnn_scrambled", 2.0, {"L14-mnist-cnn"}),
    ],
)
def test_other_results_contradict_the_claims(arm, change, broken):
    found = statuses(report(change={("figure4_mnist", arm): change}))
    assert {key for key, status in found.items() if status == "differs"} == broken


def test_two_layers_are_judged_on_their_data():
    found = statuses(report(experiments=("figure3",)))
    keys = {f"L{number}" for number in range(5, 10)}
    assert {found[key] for key in keys} == {"reproduced"}
    assert {found[f"{key}-cifar10"] for key in keys} == {"not run"}
    second = report(experiments=("figure3",), change={("figure3", "lconv_2_default"): 3.0})
    assert statuses(second)["L7"] == "differs"


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


def test_bars_are_means_at_the_best_epoch_and_counts(recorded):
    left, right = recorded["figure4"].draw().axes[:2]
    samples = [
        Results("lconv").sample("figure4_mnist", arms.arm4(model, variant), "accuracy", reduce=np.max)
        for model in arms.FIGURE4
        for variant in arms.VARIANTS
    ]
    assert [bar.get_height() for bar in left.patches] == pytest.approx([s.summary.mean for s in samples])
    runs = sorted(value for sample in samples for value in sample.numbers)
    assert sorted(y for dots in left.collections for _, y in dots.get_offsets()) == pytest.approx(runs)
    counts = {
        m: Results("lconv").sample("figure4_mnist", arms.arm4(m, "rotated"), "parameters")
        for m in arms.FIGURE4
    }
    assert [bar.get_height() for bar in right.patches] == [s.numbers[0] for s in counts.values()]


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
    known = [PAPER["figure5", "cnn_m32_5x5", column].value for column in ("parameters", "accuracy")]
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
