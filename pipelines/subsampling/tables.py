"""Tables of the subsampling paper: its claims, its tables and figures in numbers, then controls of ours.

The claims are those of section 8 of the fact sheet on the paper; their numbers (S2, S3, ...) are its.
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from pipelines.subsampling import arms, claims, studies
from pipelines.subsampling import studies_logs as logs_of
from pipelines.subsampling.arms import (
    APPROXIMATE,
    DATASETS,
    EQUIVARIANCE,
    EXACT,
    NETWORKS,
    PLAIN,
    READINGS,
    SHORT,
    TITLES,
    arm,
)
from pipelines.subsampling.quantities import (
    ACCURACY,
    ALL,
    ALL_QUARTERS,
    COUNT,
    INVARIANCE,
    KIND,
    NETWORK,
    NOT_AT_HAND,
    OTHER_QUARTERS,
    SEEN_AND_UNSEEN,
    SPEEDS,
    UPRIGHT,
    cost,
    dataset_of,
    figure4_paper,
    figure4_source,
    followed,
    logged_range,
    logged_spread,
    on_digits,
    on_images,
    seed_spread,
    setting,
    swept,
    trained,
    whole_curve,
)
from pipelines.subsampling.settings import TRACKED_TEST_IMAGES
from shared.report import claims as of_claims
from shared.report import stats, text
from shared.report.build import Filled, Line, Place, Quantity, Where, before_after, compared, table
from shared.report.results import Results
from shared.report.tables import Cell, Column, Table


def tables(results: Results) -> list[Table]:
    """All tables, in reading order."""
    paper = (claims_table, table1, averages, significance, table2, studies.table2_controls, studies.reduced)
    figures = (figure3, figure4, figure5, figure6, studies.batch_or_image)
    inventory = (studies.layers, studies.networks, studies.invariance, studies.sizes)
    logs = (logs_of.validation, logs_of.sampling_errors, logs_of.turns, logs_of.shrinking, logs_of.corners)
    checks = (logs_of.dropout, logs_of.interpolation, studies.quarters, studies.controls, studies.statistics)
    variants = (studies.padding, studies.mirrors, studies.repair)
    return [make(results) for make in (*paper, *figures, *inventory, *logs, *checks, *variants)]


def claims_table(results: Results) -> Table:
    """The paper's claims, and our findings about its Table 1."""
    said = (on_digits(results, name) for name in ("table1", "figure6", "sizes"))
    protocols = " ".join(dict.fromkeys(filter(None, said)))
    return of_claims.table(results, claims.rows(results), claims.EXPERIMENTS, protocols=protocols)


# -- Table 1 -----------------------------------------------------------------------------------------------


def table1(results: Results) -> Table:
    """Table 1 in both readings of its RotMNIST column."""
    meant = "RotMNIST as meant: accuracy in %, mean over all test angles"
    columns = (
        NETWORK,
        KIND,
        compared("mnist", "MNIST: accuracy in %", UPRIGHT),
        compared("rotmnist", "RotMNIST as printed: accuracy in % at 0 degrees only", UPRIGHT, "uniform"),
        compared("rotmnist_mean36", meant, replace(ACCURACY, note=_notebook), "uniform"),
        whole_curve("uniform", "table1_angles"),
        before_after(INVARIANCE.key, INVARIANCE.title, "invariance_error", ("", "uniform")),
        COUNT,
    )
    lines = [Line(n, TITLES[n], arm(n, "upright"), {"uniform": arm(n, "uniform")}) for n in NETWORKS]
    said = on_digits(results, "table1")
    return table(results, "table1", columns, lines, protocol=said)


def _notebook(results: Results, where: Where) -> str:
    """The authors' own mean over all angles, which their notebook prints for the first 10 seeds."""
    found = results.published("claims", "S13-logs", where[1].removesuffix("_uniform"))
    return f"notebook: {found.text}" if found else ""


def averages(results: Results) -> Table:
    """Averages over the quarter turns, with the upright images, as in Table 2, and without; and over all."""
    columns = (
        NETWORK,
        compared("quarters", "Accuracy in %, mean over 0, 90, 180 and 270 degrees", ALL_QUARTERS),
        compared("turned", "Accuracy in %, mean over 90, 180 and 270 degrees", OTHER_QUARTERS),
        compared("mean36", "Accuracy in %, mean over all angles", ALL),
    )
    ways = {"upright": "trained upright", "uniform": "trained on turned digits"}
    lines = [Line(arm(n, way), f"{TITLES[n]}, {words}") for way, words in ways.items() for n in NETWORKS]
    said = on_digits(results, "table1")
    return table(results, "averages", columns, lines, experiment="table1", protocol=said)


# -- significance tests ------------------------------------------------------------------------------------

TRAININGS = {
    "upright": "trained upright",
    "uniform": "trained on turned digits",
    "biased20": "trained on N(45, 20²)",
    "biased40": "trained on N(45, 40²)",
}
QUANTITIES = {"angle0": ("0 degrees", ACCURACY.at(0.0)), "mean36": ("all angles", ACCURACY)}
#: Training, quantity, and two networks: exact minus every other; then the other pairs that the authors'
#: notebook tests.
COMPARISONS = (
    *(
        (way, what, EXACT, other)
        for way in TRAININGS
        for what in QUANTITIES
        for other in (*APPROXIMATE, PLAIN)
    ),
    ("upright", "angle0", *APPROXIMATE),
    *(("upright", "angle0", network, PLAIN) for network in APPROXIMATE),
    ("uniform", "angle0", *APPROXIMATE),
)


def significance(results: Results) -> Table:
    """Differences over seeds with standard error, t and p, ours beside those of the authors' logs."""
    ours = "Difference, points (± between seeds; the paper's ± is a standard error)"
    columns = (
        Column("comparison", "Comparison"),
        Filled("difference", ours, _difference),
        Filled("se", "Standard error (Welch)", _welch),
        Filled("t", "t (Welch)", _welch),
        Filled("p", "p (Welch, two-sided)", _welch),
        Filled(
            "p_authors",
            "p of the authors' notebook (0 degrees: pooled t test; all angles: Welch, 10 seeds)",
            lambda p: _printed(p) or "-",
        ),
    )
    return table(results, "significance", columns, [_comparison(*which) for which in COMPARISONS])


def _comparison(training: str, quantity: str, first: str, second: str) -> Line:
    """One row; in its key the exact network goes without saying."""
    words, what = QUANTITIES[quantity]
    key = "_".join([training, quantity, *(name for name in (first, second) if name != EXACT)])
    title = f"{TRAININGS[training]}, {words}: {SHORT[first]} minus {SHORT[second]}"
    places = [trained(network, training, what) for network in (first, second)]
    return Line(key, title, places[0], {"other": places[1]}, {"quantity": quantity})


def _samples(place: Place) -> list:
    what = QUANTITIES[place.line.words["quantity"]][1]
    return [what.of(place.results, place.where(which)) for which in ("", "other")]


def _difference(place: Place) -> Cell:
    first, second = _samples(place)
    at = (place.table, place.line.key, place.column)
    what = QUANTITIES[place.line.words["quantity"]][1]
    shared = what.shared_error(place.results, place.where(), place.where("other"))
    return place.results.cell(*at, first - second, experiment=place.where()[0], shared_se=shared)


def _welch(place: Place) -> Cell:
    """A statistic of two networks as independent samples; beside it the reference's as printed."""
    samples = _samples(place)
    if min(sample.n for sample in samples) < 2:
        return Cell("-", _printed(place))
    found = stats.welch(*(sample.numbers for sample in samples))
    if place.column == "se":
        shown = text.fixed(found.se, 3)
    elif place.column == "t":
        shown = text.fixed(found.value / found.se if found.se else 0.0, 1)
    else:
        shown = text.p_value(found.p_different())
    return Cell(shown, _printed(place))


def _printed(place: Place) -> str:
    """A reference statistic as written in paper.csv, "" if it has none."""
    column = "difference" if place.column == "se" else place.column
    value = place.results.published(place.table, place.line.key, column)
    return "" if value is None else value.printed_spread if place.column == "se" else value.printed


# -- Table 2 -----------------------------------------------------------------------------------------------


def table2(results: Results) -> Table:
    """Every data set with the approximate, the exact and the standard network."""
    columns = (
        Column("network", "Data set and network"),
        *(compared(*average) for average in SEEN_AND_UNSEEN),
        INVARIANCE,
        Filled("run", "What was run, against the paper's protocol", _run),
    )
    lines = [
        Line(f"{data}_{role}", f"{DATASETS[data]}, {role}: {TITLES[name]}", (f"table2_{data}", name))
        for data, names in arms.TABLE2.items()
        for role, name in zip(arms.ROLES, names)
    ]
    said = [on_images(results, f"table2_{data}", names) for data, names in arms.TABLE2.items()]
    return table(
        results,
        "table2",
        columns,
        lines,
        protocols=" ".join(filter(None, said)),
        not_at_hand=text.join([DATASETS[data] for data in NOT_AT_HAND]),
        speeds=", ".join(f"{DATASETS[data]} {speed} TFLOP/s" for data, speed in SPEEDS.items()),
    )


def _run(place: Place) -> str:
    results, where = place.results, place.where()
    if results.tier(*where):
        return followed(results, *where)
    lacking = ": data not available" if dataset_of(where[0]) in NOT_AT_HAND else ""
    return f"not run{lacking}\n{cost(results, *where)}"


# -- figures in numbers ------------------------------------------------------------------------------------


def figure3(results: Results) -> Table:
    """Figure 3 in numbers: what the toy network learns at 32 and at 33 pixels."""
    gaps = Quantity("logit_gap", reduce=np.max, form=text.scientific)
    loss = Quantity("loss", last=True, decimals=4)
    columns = (
        Column("input", "Input"),
        compared("loss", "Final loss (ln 2 = 0.6931 means: cannot tell)", loss),
        compared("accuracy", "Accuracy in %", Quantity("accuracy", decimals=0)),
        compared("logit_gap", "Largest gap between the logits of x and its turn, over all steps", gaps),
    )
    lines = [Line("toy_32", "32 pixels, remainder 1"), Line("toy_33", "33 pixels, remainder 0")]
    return table(results, "figure3", columns, lines)


def figure4(results: Results) -> Table:
    """Each stage's error at the start, at its lowest and at the end; and the accuracy beside it."""
    columns = (
        Column("stage", "Data, network and stage"),
        *(Filled(reading, arms.READING_TITLES[reading], _stage_error) for reading in READINGS),
    )
    substitute, names = figure4_source(results)
    lines, shown = [], []
    for experiment, panel in arms.FIGURE4_PANELS.items():
        approximate, exact = figure4_paper(experiment)
        if results.tier(experiment, approximate):
            shown.append((experiment, (approximate, exact)))
            lines += _stages(experiment, (approximate, exact))
        else:
            title = f"{DATASETS[dataset_of(experiment)]}, {TITLES[approximate]}: the paper's Figure {panel}"
            said = f"not run: data not available\n{cost(results, experiment, approximate)}"
            lines.append(Line(approximate, title, (experiment, approximate), words={READINGS[0]: said}))
    shown.append((substitute, names))
    lines += _stages(substitute, names)
    said = [on_images(results, experiment, found, against=False) for experiment, found in shown]
    counts = {
        count
        for experiment, found in shown
        for name in found
        for count in setting(results, experiment, "track_images", name)
    }
    made = table(
        results,
        "figure4",
        columns,
        lines,
        protocols=" ".join(filter(None, said)),
        the_same=" ".join(["the same", text.join([f"{count:,}" for count in sorted(counts)])]),
        tracked=f"{TRACKED_TEST_IMAGES:,}",
    )
    return replace(made, commands=tuple(results.command(experiment) for experiment, _ in shown))


def _stages(experiment: str, names: tuple[str, str]) -> list[Line]:
    """The stages of an approximate and an exact network, and their accuracies."""
    data = DATASETS.get(dataset_of(experiment), DATASETS["cifar10"])
    return [
        Line(
            f"{name}_{stage}",
            f"{data}, {TITLES[name]}, {EQUIVARIANCE[name]}: {arms.STAGE_TITLES.get(stage, 'accuracy in %')}",
            (experiment, name),
            words={"stage": stage},
        )
        for name in names
        for stage in (*arms.stages(name), "accuracy")
    ]


def _stage_error(place: Place) -> Cell | str:
    """A stage's error by one reading; in the line of the accuracy that, once; else the line's words."""
    stage = place.line.words.get("stage")
    if stage is None:
        return place.line.words.get(place.column, "")
    if stage != "accuracy":
        metric = f"{place.column}_{stage}"
        what = Quantity(metric, last=True, form=text.scientific, note=lambda *at: _course(*at, metric))
        return what.cell(place.results, place.where())
    what = Quantity("tracked_accuracy", last=True, note=_start)
    return what.cell(place.results, place.where()) if place.column == READINGS[0] else ""


def _course(results: Results, where: Where, metric: str) -> str:
    """``start 1.0e-03, lowest 2.0e-04``: an error before training, and the lowest of all epochs."""
    found = {"start": Quantity(metric, [0]), "lowest": Quantity(metric, reduce=np.min)}
    samples = {word: what.of(results, where) for word, what in found.items()}
    return ", ".join(f"{word} {text.scientific(s.summary.mean)}" for word, s in samples.items() if s.n)


def _start(results: Results, where: Where) -> str:
    start = results.sample(*where, "tracked_accuracy", [0])
    return f"start {text.fixed(start.summary.mean, 2)}" if start.n else ""


def figure5(results: Results) -> Table:
    """Figure 5 in numbers: quarter turns, the mean over all angles, and the spread between seeds."""

    def spread(place: Place) -> Cell:
        """Standard deviation between seeds, averaged over angles, ours and the paper's."""
        ours, theirs = seed_spread(results, place.where()), logged_spread(results, place.line.key)
        return Cell(ours if math.isnan(theirs) else f"{ours}\npaper: {text.fixed(theirs, 2)}")

    columns = (
        NETWORK,
        *(compared(str(angle), f"{angle} degrees", ACCURACY.at(angle)) for angle in arms.QUARTERS),
        compared("mean36", "Mean over all angles", ACCURACY),
        whole_curve(),
        Filled("spread", "Seed spread", spread),
    )
    lines = [Line(n, TITLES[n], arm(n, "upright")) for n in NETWORKS]
    said = on_digits(results, "figure5")
    return table(results, "figure5", columns, lines, protocol=said)


def figure6(results: Results) -> Table:
    """Upright accuracy, the means over all angles and over the other quarter turns, and the flatness."""
    flat = "Best minus worst angle of the mean curve, of the angles tested on the same images"
    columns = (
        NETWORK,
        compared("0", "0 degrees", UPRIGHT),
        compared("mean36", "Mean over all angles", ACCURACY),
        whole_curve(),
        compared("turned", "Mean over 90, 180 and 270 degrees", OTHER_QUARTERS),
        Filled("range", flat, _flatness),
    )
    lines = [
        Line(name, f"{TITLES[network]}, {std} degrees, {words}", (experiment, name))
        for std in arms.BIASES
        for experiment, words in studies.PER.items()
        for network in NETWORKS
        for name in [arms.biased(network, std, experiment)]
    ]
    said = {experiment: on_digits(results, experiment) for experiment in studies.PER}
    return table(results, "figure6", columns, lines, protocols=_side_by_side(said))


def _side_by_side(said: dict[str, str]) -> str:
    """How the rows were made, and that those made in two ways do not belong side by side."""
    ways = set(filter(None, said.values()))
    if len(ways) < 2:
        return "".join(ways)
    each = [f"{way.removesuffix('.')} ({studies.PER[experiment]})." for experiment, way in said.items()]
    apart = "So these two kinds of rows are not to be compared with each other; the next table has both"
    return " ".join([*each, f"{apart} by one protocol."])


def _flatness(place: Place) -> str:
    experiment, name = place.where()
    angles = swept(place.results, experiment, [name])
    curves = place.results.curves(experiment, name, "accuracy").dropna()
    ours = text.fixed(float(np.ptp(curves[list(angles)].mean())), 2) if len(curves) and angles else "-"
    theirs = logged_range(place.results, name, angles or arms.ANGLES)
    return ours if theirs is None else f"{ours}\npaper: {text.fixed(theirs, 2)}"
