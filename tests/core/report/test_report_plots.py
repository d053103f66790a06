"""The plot kit: what it draws is what the results hold, also where arms or all results are missing."""

from __future__ import annotations

import mini_paper
import numpy as np
import pandas as pd
import pytest

from shared.base import paths
from shared.base.errors import UserError
from shared.report import captions, groups, labels, plots
from shared.report.figures import Figure, canvas, render
from shared.report.plots import Decades, Look, Series
from shared.report.results import Results
from shared.report.tables import Sample
from shared.report.theme import GRID, MUTED, SERIES

BLUE = Look("blue", SERIES[0])
VALUES = pd.DataFrame({0.0: [1.0, 3.0], 1.0: [2.0, 6.0], 2.0: [5.0, np.nan]}, index=[0, 1])
LOOKS = {"plain": BLUE, "turned": Look("turned", SERIES[1], "s")}
ARMS = {name: ("table1", name) for name in LOOKS}


@pytest.fixture
def axes():
    return canvas(3, 2)[1][0]


def series(values=VALUES, look=BLUE, **options):
    return Series("one", look, values, **{"tier": "lite", **options})


def drawn(axes):
    """What the lines of a panel show, those of error bars left out: (label, x, y)."""
    lines = [line for line in axes.lines if line.get_label() != "_nolegend_" and len(line.get_xdata())]
    return [(line.get_label(), *np.array(line.get_data(), dtype=float).tolist()) for line in lines]


def ends(axes):
    """The ends of error bars: (x, low, high)."""
    segments = [segment for bars in axes.collections for segment in bars.get_segments()]
    return [(float(s[0][0]), float(s[0][1]), float(s[1][1])) for s in segments if len(s)]


# -- series and figures of results -------------------------------------------------------------------------


def test_series_hold_what_was_recorded(mini):
    mini_paper.record()
    shown = plots.series(Results("mini"), "loss", ARMS, LOOKS)
    assert [(one.name, one.tier, len(one)) for one in shown] == [
        ("plain", "paper", 5),
        ("turned", "paper", 5),
    ]
    assert shown[0].values.loc[3].tolist() == [2.0 + 0.3, 1.0 + 0.3, 2 / 3 + 0.3, 0.5 + 0.3]
    assert [len(one.paper) for one in shown] == [0, 0]


def test_the_papers_curve_is_read_by_step_and_never_in_the_demo(mini):
    mini_paper.record()
    mini_paper.record("demo", seeds=2)
    file = mini / "pipelines/mini/paper.csv"
    rows = [
        f"C1,curve,plain,{step},loss,,lower,{value},,,,read,,figure 1,\n"
        for step, value in ((10, 1.5), (2, 3), (0, 4))
    ]
    file.write_text(
        file.read_text() + "".join(rows) + "C1,curve,plain,mean,loss,,lower,2,,,,read,,figure 1,\n"
    )
    results = Results("mini")
    plain, turned = plots.series(results, "loss", ARMS, LOOKS, table="curve", period=12)
    assert plain.paper.tolist() == [[0, 4], [2, 3], [10, 1.5], [12, 4]]
    assert plain.values[12.0].tolist() == plain.values[0.0].tolist()
    assert len(turned.paper) == 0
    assert {("curve", "plain", column) for column in ("0", "2", "10")} <= results.asked
    again = plots.series(
        Results("mini"), "loss", ARMS, LOOKS, table="curve", rows=dict.fromkeys(ARMS, "plain")
    )
    assert [len(one.paper) for one in again] == [3, 3]
    demo = plots.series(Results("mini", demo=True), "loss", ARMS, LOOKS, table="curve")
    assert [(len(one), len(one.paper)) for one in demo] == [(2, 0), (2, 0)]


def test_a_metric_may_be_named_by_the_series(mini):
    mini_paper.record()
    places = dict.fromkeys(("loss", "error"), ("table1", "plain"))
    found = plots.series(Results("mini"), "{name}", places, dict.fromkeys(places, BLUE))
    assert [one.values.shape for one in found] == [(5, 4), (5, 1)]


def test_seeds_of_several_tiers():
    one, two = series(), series(VALUES.loc[:0], tier="paper")
    assert plots.seeds([one, two, series(VALUES[:0])]) == "1 to 2 seeds (lite and paper)"
    assert plots.seeds([two]) == "1 seed (paper)"
    assert plots.seeds([series(VALUES * np.nan)]) == "seeds"


WORDS = """## table1.svg: Loss of {count} networks

Over {seeds}.

{real}Dashed: theirs.

{marks}Open: others.

End.

Alt: {count} lines,
{tending}.

### tending

falling
"""


def figure(results, **options):
    (paths.pipeline("mini") / captions.FILE).write_text(WORDS)
    shown = plots.series(results, "loss", ARMS, LOOKS)
    chart = {"size": (3, 2), "axes": {"xlabel": "step"}}
    options = {"shown": shown, "count": "two", "marks": None, **options}
    return plots.figure(results, "table1", lambda: plots.chart(shown, **chart), **options)


def test_words_of_a_figure_are_those_of_its_block(mini):
    results = Results("mini")
    found = figure(results, marks="", seeds="all seeds")
    assert (found.title, found.alt) == ("Loss of two networks", "two lines, falling.")
    assert found.caption == "Over all seeds. Dashed: theirs. Open: others. End."
    assert captions.unused(results) == []
    with pytest.raises(UserError, match=r"unknown block 'other\.svg'"):
        figure(results, said="other")
    assert captions.unused(Results("mini")) == ["table1.svg"]


def test_captions_say_seeds_tier_and_demo(mini):
    assert figure(Results("mini")).caption == "Over seeds. Dashed: theirs. End."
    mini_paper.record()
    mini_paper.record("demo", seeds=1)
    assert figure(Results("mini")).caption == "Over 5 seeds (paper). Dashed: theirs. End."
    assert figure(Results("mini", demo=True)).caption == f"{plots.DEMO}Over 1 seed (demo). End."
    assert figure(Results("mini", demo=True), demo="").caption == "Over 1 seed (demo). End."


def test_nothing_recorded_means_nothing_to_draw_and_the_command(mini):
    found = figure(Results("mini"), experiments=("table1", "other"))
    assert found.draw is None
    assert found.commands == (
        "python -m pipelines.mini run table1 --tier lite",
        "python -m pipelines.mini run other --tier paper",
    )
    mini_paper.record()
    assert render(figure(Results("mini"))) == render(figure(Results("mini")))
    both = plots.series(Results("mini"), "loss", {**ARMS, "late": ("other", "late")}, {**LOOKS, "late": BLUE})
    assert figure(Results("mini"), shown=both).draw is not None, "one of three arms has not run"
    assert figure(Results("mini"), shown=both[2:]).draw is None


# -- lines -------------------------------------------------------------------------------------------------


def test_mean_and_standard_deviation_by_step(axes):
    plots.mean_sd(axes, series())
    assert drawn(axes) == [("blue", [0, 1, 2], [2, 4, 5])]
    sd = VALUES.std()
    expected = [(0, 2 - sd[0], 2 + sd[0]), (1, 4 - sd[1], 4 + sd[1])]
    assert ends(axes) == [pytest.approx(one) for one in expected], "one run alone has no bar"


@pytest.mark.parametrize(("through", "line"), [(True, [0, 1, 2]), (False, [0, 2])])
def test_steps_apart_are_open_marks(axes, through, line):
    plots.mean_sd(axes, series(), apart=(1, 7), through=through)
    (hidden, alone, _), (label, steps, _) = drawn(axes)
    assert (label, alone, steps) == ("blue", [1], line)
    assert hidden.startswith("_"), "no entry of a legend"
    assert axes.lines[0].get_markerfacecolor() == "white"
    assert axes.lines[0].get_linestyle() == "None"


def test_bands_end_at_the_smallest_and_largest_seed_or_where_told(axes):
    plots.band(axes, series())
    plots.band(axes, series(), ("se", 3.0))
    plots.band(axes, series(), None)
    assert drawn(axes) == 3 * [("blue", [0, 1, 2], [2, 4, 5])]
    whole, interval = (band.get_paths()[0].vertices for band in axes.collections)
    assert {(x, y) for x, y in whole if x < 2} == {(0, 1), (0, 3), (1, 2), (1, 6)}
    assert interval[interval[:, 0] == 1][:, 1].max() == pytest.approx(4 + 3 * VALUES[1.0].std() / np.sqrt(2))


def test_each_seed_has_a_line_and_all_have_a_mean(axes):
    plots.each_seed(axes, series())
    assert [(x, y) for _, x, y in drawn(axes)] == [
        ([0, 1, 2], [1, 2, 5]),
        ([0, 1], [3, 6]),
        ([0, 1, 2], [2, 4, 5]),
    ]
    plots.each_seed(axes, series(), mean=False)
    assert len(drawn(axes)) == 5


def test_the_papers_curves_are_dashed_and_named_once(axes):
    known = series(paper=np.array([[0, 1.5], [2, 4.5]]))
    looks = plots.curves(axes, [known, known, series(VALUES[:0])])
    assert [look.label for look in looks] == ["blue", "blue", "paper"]
    assert drawn(axes)[-1][1:] == ([0, 2], [1.5, 4.5])
    assert axes.lines[-1].is_dashed()
    assert plots.references(axes, [series()]) == []


@pytest.mark.parametrize("draw", [plots.mean_sd, plots.band, plots.each_seed])
def test_an_arm_without_results_draws_nothing(draw):
    for empty in (pd.DataFrame(), VALUES[:0], VALUES * np.nan):
        figure = plots.chart([series(), series(empty, LOOKS["turned"])], (3, 2), draw, axes={"title": "t"})
        assert "turned" not in {label for label, *_ in drawn(figure.axes[0])}
        assert [entry.get_text() for entry in figure.legends[0].get_texts()] == ["blue"]


# -- profiles, dots and bars -------------------------------------------------------------------------------


def test_profiles_stand_around_their_places(axes):
    plots.profiles(axes, [series(), series(VALUES[[1.0]])], (0, 1), places=(0, 5))
    assert drawn(axes) == [
        ("blue", pytest.approx([-0.18, 0.18]), [2, 4]),
        ("blue", pytest.approx([5.18]), [4]),
    ]
    assert [word.get_text() for word in axes.texts] == ["0°", "1°"]


def test_dots_show_each_run_and_the_mean(axes):
    samples = {0.5: Sample({0: 1.0, 1: 4.0, 2: 10.0}, "lite"), 2: Sample({}, ""), 3: Sample({0: 7.0}, "lite")}
    plots.dots(axes, samples, BLUE)
    shown = [tuple(point) for dots in axes.collections for point in dots.get_offsets().tolist()]
    assert sorted(shown) == [(0.5, 1), (0.5, 4), (0.5, 10), (3, 7)]
    (means,) = (line.get_xydata().tolist() for line in axes.lines if len(line.get_xdata()))
    assert means == [[0.5, 5], [3, 7]]
    plots.dots(axes, {0: Sample({}, "")}, BLUE)
    assert len([dots for dots in axes.collections if len(dots.get_offsets())]) == 2


def test_groups_of_dots_show_the_runs_of_the_arms_that_ran(axes):
    looks = {**LOOKS, "late": Look("late", SERIES[2])}
    samples = {
        "first": {"plain": Sample({0: 80.0, 1: 90.0}, "lite"), "turned": Sample({}, "")},
        "second": {"late": Sample({0: 70.0}, "lite")},
    }
    groups.dots(axes, samples, looks)
    runs = [point for dots in axes.collections for point in dots.get_offsets().tolist()]
    places = [-0.8 / 3, 80], [-0.8 / 3, 90], [1 + 0.8 / 3, 70]
    assert sorted(runs) == [pytest.approx(place) for place in places]
    assert [word.get_text() for word in axes.get_xticklabels()] == ["first", "second"]


def test_bars_of_counts_begin_at_zero(axes):
    samples = {
        "": {"plain": Sample({0: 400.0, 1: 400.0}, "lite")},
        "later": {"turned": Sample({0: 90.0}, "lite")},
    }
    groups.bars(axes, samples, {**LOOKS, "turned": Look("turned", SERIES[2], hatch="//")})
    assert axes.get_ylim() == (0, 1.08 * 400)
    shown = [(bar.get_x() + bar.get_width() / 2, bar.get_height(), bar.get_hatch()) for bar in axes.patches]
    assert shown == [pytest.approx((-0.2, 400.0, "")), pytest.approx((1.2, 90.0, "//"))]


def test_labels_cover_neither_each_other_nor_marks(axes):
    names = {f"a long name {i}": (0.5 + 0.01 * i, 0.5) for i in range(3)}
    labels.place(axes, names, [(0.6, 0.52)])
    axes.figure.canvas.draw()
    boxes = [word.get_window_extent() for word in axes.texts]
    assert sorted(word.get_text() for word in axes.texts) == sorted(names)
    assert not any(a.overlaps(b) for i, a in enumerate(boxes) for b in boxes[:i])
    marks = [axes.transData.transform(place) for place in [*names.values(), (0.6, 0.52)]]
    assert not any(box.contains(*mark) for box in boxes for mark in marks)


def test_bars_without_results_say_so(axes):
    groups.bars(axes, {"first": {"plain": Sample({}, "")}}, LOOKS)
    groups.dots(axes, {"first": {"plain": Sample({}, "")}}, LOOKS)
    assert [word.get_text() for word in axes.texts] == ["not run", "not run"]


# -- pictures, squares, axes -------------------------------------------------------------------------------


def test_pictures_share_a_gray_scale_with_those_like_them(axes):
    dark, light = np.zeros((2, 2)), np.array([[0.0, 4.0], [2.0, 1.0]])
    plots.picture(axes, dark, "dark", like=[dark, light, None])
    plots.picture(axes, light)
    plots.picture(axes, light - 3.0, signed=True)
    assert [image.get_clim() for image in axes.images] == [(0, 4), (0, 4), (-3, 3)]
    assert np.asarray(axes.images[1].get_array()).tolist() == light.tolist()
    plots.picture(axes, None)
    assert len(axes.images) == 3


def test_squares_are_filled_by_category():
    figure, (axes,) = canvas(3, 2)
    keys = pd.DataFrame([["a", None], ["b", "a"]], ["x", "y"], [1, 2])
    words = np.array([["1", ""], ["2", "3"]])
    fills = {"a": (SERIES[0], 0.5), "b": (SERIES[1], 1.0)}
    plots.squares(axes, keys, fills, words, xticklabels=True, yticklabels=True)
    figure.canvas.draw()
    alpha = axes.collections[0].get_facecolors()[:, 3].tolist()
    assert alpha == [0.5, 0.0, 1.0, 0.5]
    assert [word.get_text() for word in axes.texts] == ["1", "2", "3"]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["x", "y"]
    svg, _ = render(Figure("f", "", "", "", lambda: figure))
    assert SERIES[1] in svg
    assert "#000000" not in svg, "a color that the page cannot swap"


def test_legends_name_each_label_once():
    figure, (axes, _) = canvas(3, 2, 1, 2)
    plots.legend(figure, [BLUE, BLUE, Look("open", MUTED, "s", "", filled=False)])
    first, second = figure.legends[0].legend_handles
    assert [handle.get_label() for handle in (first, second)] == ["blue", "open"]
    assert (first.get_linestyle(), second.get_linestyle()) == ("-", "None")
    assert second.get_markerfacecolor() == "none"
    plots.legend(axes, [Look("bar", GRID, hatch="//")], filled=True, loc="best")
    assert axes.get_legend().legend_handles[0].get_hatch() == "//"


def test_zero_has_a_band_below_the_smallest_error():
    decades = Decades.of([0.0, 3e-7, 0.2])
    assert (decades.low, decades.high, decades.zero) == (-7, 0, True)
    placed = decades.place(np.array([0.0, 3e-7]))
    assert placed[0] == decades.floor < 1e-7
    assert placed[1] == 3e-7
    assert not Decades.of([1e-3]).zero
    assert Decades.of([0.0]).zero
    for broken in ([-1.0], [float("nan")]):
        with pytest.raises(ValueError, match="not negative"):
            Decades.of(broken)


def test_a_band_on_a_log_axis_reaches_from_zero_to_the_largest_seed(axes):
    one = series(pd.DataFrame({0.0: [0.0, 0.0], 1.0: [0.0, 2e-3]}))
    decades = Decades.around([one, series(VALUES[:0])])
    assert decades == Decades(-3, -2, True)
    decades.band(axes, one)
    decades.apply(axes)
    assert drawn(axes) == [("blue", [0, 1], [decades.floor, 1e-3])]
    assert sorted(set(axes.collections[0].get_paths()[0].vertices[:, 1])) == [decades.floor, 2e-3]
    assert axes.get_yticklabels()[0].get_text() == "0"
    assert axes.get_yticks()[0] == decades.floor
