"""Tables 1 to 6 of the paper and Figure 4 in numbers, beside our runs; what is ours stands in `studies`.

Sections, claims and numbers of discrepancies are those of the fact sheet on the paper.
"""

from __future__ import annotations

import math
from dataclasses import replace

from pipelines.soft_equivariance import arms, claims, studies
from pipelines.soft_equivariance.quantities import (
    ACCURACY,
    HALF_TURN,
    PARAMETERS,
    VALIDATION,
    beside,
    printed_ratio,
    ratio,
    training,
)
from shared.report import claims as of_claims
from shared.report import text
from shared.report.build import Filled, Line, Place, Quantity, Where, compared, declared, plain, table, words
from shared.report.results import Results
from shared.report.tables import Cell, Column, Table, measured

NETWORK = Column("network", "Network")
#: Rows of Table 1: arm of the experiment `networks`, then T(2), SO(2), omega and omega' as printed.
TABLE1 = {
    "cnn": ("T(2)-CNN", "strict", "-", "x, y", "-"),
    "strict": ("SE(2)-CNN", "strict", "strict", "x, y, r", "-"),
    "soft_t2": ("soft T(2)-CNN", "soft", "-", "x, y", "x, y"),
    "soft": ("soft SE(2)-CNN, soft in SO(2)", "strict", "soft", "x, y, r", "r"),
    "soft_t2_se2": ("soft SE(2)-CNN, soft in T(2)", "soft", "strict", "x, y, r", "x, y"),
    "both": ("soft SE(2)-CNN, soft in T(2) and SO(2)", "soft", "soft", "x, y, r", "x, y, r"),
}
#: Rows of Table 5: those of the paper, controls, and networks that its authors' logs count.
TABLE5 = {
    "cnn": "T(2): strict (CNN)",
    "soft_t2": "T(2): relaxed",
    "strict": "SE(2): strict (G-CNN)",
    "partial": "SE(2): partial",
    "soft": "SE(2): relaxed in SO(2)",
    "strict_per_layer": "Control: strict, angles per layer, learned shortcut",
    "soft_shared": "Control: relaxed in SO(2), one grid of angles",
    "soft_t2_se2_shared": "SE(2) relaxed in T(2), one grid",
    "soft_t2_se2": "SE(2) relaxed in T(2), angles per layer",
    "both_shared": "SE(2) relaxed in both, one grid",
    "both": "SE(2) relaxed in both, angles per layer",
    "logged_hidden64": "Logged: relaxed in SO(2), kernel networks of 64 units",
    "logged_t2_wide": "Logged: T(2) relaxed, 64 and 128 channels, kernel networks of 64 units",
}
LOGGED = ("cnn", "strict_n4", "strict_n8", "strict_n16", "soft_n4", "soft_n8", "soft_n16")


def tables(results: Results) -> list[Table]:
    """All tables, in reading order."""
    return [
        of_claims.table(results, claims.rows(results), claims.EXPERIMENTS),
        table1(results),
        table2(results),
        table3(results),
        table4(results),
        table5(results),
        table6(results),
        figure4(results),
        logged(results),
        studies.steps(results),
        studies.switches(results),
        studies.draws(results),
        studies.learned(results),
        studies.exact(results),
        studies.kept(results),
    ]


# -- Table 1: which frequencies there are ------------------------------------------------------------------


def table1(results: Results) -> Table:
    """Coordinates that the kernels see, as printed and as counted in our networks, and what is left exact."""
    columns = (
        NETWORK,
        *(words(key, title) for key, title in (("t2", "T(2)"), ("so2", "SO(2)"))),
        *(words(key, f"{title}, printed") for key, title in (("omega", "ω"), ("absolute", "ω'"))),
        Filled("ours", "ω and ω' of our networks", _coordinates),
        Filled("left", "Exactly equivariant to", _left),
    )
    keys = ("t2", "so2", "omega", "absolute")
    lines = [
        Line(row, title, ("networks", f"{row}_cifar10"), words=dict(zip(keys, printed)))
        for row, (title, *printed) in TABLE1.items()
    ]
    return table(results, "table1", columns, lines, experiment="networks")


def _coordinates(place: Place) -> Cell:
    """``ω: 3 coordinates; ω': 1``, counted from the inputs of a group convolution's kernel network."""
    where = place.where()
    group, angle, position = (
        place.results.sample(*where, metric)
        for metric in ("inputs_group", "absolute_angle", "absolute_position")
    )
    cell = measured(group, form=lambda _: "", command=place.results.command(where[0]))
    if not group.n:
        return cell
    absolute = {"x, y": position.numbers[0], "r": angle.numbers[0]}
    relative = group.numbers[0] - sum(absolute.values())
    named = ", ".join(name for name, count in absolute.items() if count) or "-"
    constant = arms.settings(place.results, where).angles == 1
    seen = "x, y, and a constant r" if constant else "x, y, r" if relative == 3 else "?"
    return replace(cell, text=f"ω: {seen}; ω': {named}")


def _left(place: Place) -> str:
    found = arms.settings(place.results, place.where())
    shifts = [] if found.soft_translation else ["shifts"]
    turns = [f"turns by 2π/{found.order}"] if found.order > 1 else []
    return text.join(shifts + turns) or "-"


# -- Tables 2 and 4: accuracies ----------------------------------------------------------------------------


def _by_data(results: Results, row: str, experiments: tuple[str, ...]) -> dict[str, Where]:
    """For each kind of data the experiment and arm of a row, where one is declared.

    An arm of the reduced study of lambda has no data in its name: it is on CIFAR-100.
    """
    found = {}
    for data in arms.DATA:
        for name in (f"{row}_{data}", *([row] if data == "cifar100" else [])):
            place = arms.experiment(results, [name], experiments)
            if data not in found and name in results.declared.experiment(place).arms:
                found[data] = place, name
    return found


def table2(results: Results) -> Table:
    """Strict, partial and relaxed networks; below them baselines whose lift has 29 taps, and a control."""

    def line(row: str, title: str) -> Line:
        found = _by_data(results, row, arms.TABLE2)
        return Line(row, title, next(iter(found.values())), found)

    lines = [line(row, title) for row, title in {**arms.NETWORKS, **arms.CONTROLS}.items()]
    shown = next((one for one in arms.TABLE2 if len(results.frame(one))), arms.TABLE2[0])
    return table(results, "table2", (NETWORK, *_accuracies()), lines, protocol=training(results, shown))


def _accuracies() -> list[Filled]:
    def column(data: str) -> Filled:
        found = compared(data, f"{arms.DATA[data]}, %", ACCURACY, data)
        return replace(found, fill=lambda place: found.fill(place) if data in place.line.arms else "-")

    return [column(data) for data in arms.DATA]


def table4(results: Results) -> Table:
    """Learned omega' beside the fixed one, and strict and partial networks."""
    columns = (NETWORK, words("set", "ω'"), *_accuracies())
    lines = []
    for net, (fixed, *others) in arms.LEARNED.items():
        for row in (others[0], *filter(None, others[1:]), fixed):
            found = _by_data(results, row, arms.TABLE2)
            how = "fixed" if row == fixed else "-"
            lines.append(Line(row, arms.NETWORKS[row], next(iter(found.values())), found, {"set": how}))
        for strength in ("0", *arms.LAMBDAS, "50"):
            row = f"{net}_{strength}"
            found = _by_data(results, row, arms.TABLE4)
            if found:
                title = f"{arms.NETWORKS[fixed]}, λ = {strength}"
                lines.append(Line(row, title, next(iter(found.values())), found, {"set": "learned"}))
    shown = next((one for one in arms.TABLE4 if len(results.frame(one))), arms.TABLE4[0])
    return table(results, "table4", columns, lines, protocol=training(results, shown))


def table3(results: Results) -> Table:
    """MNIST6-180."""
    columns = (
        NETWORK,
        compared("accuracy", "Test accuracy, %", replace(ACCURACY, decimals=1)),
        plain(
            "first",
            "Validation accuracy after the first epoch, %",
            Quantity("validation_accuracy", [1], decimals=1),
        ),
        plain("turn", "Change of the output under a half turn, relative", HALF_TURN),
        compared("parameters", "Parameters", PARAMETERS),
    )
    rows = declared(results, "table3")
    return table(results, "table3", columns, rows, protocol=training(results, "table3"))


# -- Tables 5 and 6: sizes and times -----------------------------------------------------------------------


def table5(results: Results) -> Table:
    """Numbers of parameters."""
    known = results.declared.experiment("networks").arms

    def column(data: str) -> Filled:
        found = compared(data, arms.DATA[data], PARAMETERS, data)
        return replace(found, fill=lambda place: found.fill(place) if data in place.line.arms else "-")

    def line(row: str, title: str) -> Line:
        found = {data: ("networks", f"{row}_{data}") for data in arms.DATASETS if f"{row}_{data}" in known}
        return Line(row, title, next(iter(found.values())), found)

    shortcut = Quantity("parameters_block1_shortcut", form=text.thousands)
    columns = (
        NETWORK,
        *map(column, arms.DATASETS),
        plain("shortcut", "of them the shortcut of block 1", shortcut, absent="0"),
    )
    lines = [line(row, title) for row, title in TABLE5.items()]
    return table(results, "table5", columns, lines, experiment="networks")


def table6(results: Results) -> Table:
    """Times over those of the strict network."""
    of_strict, of_cnn = "that of the strict network with as many angles", "that of the CNN"
    columns = (
        NETWORK,
        _times("train", f"Training step over {of_strict}", "strict"),
        _times("inference", f"Inference over {of_strict}", "strict"),
        _times("train_cnn", f"Training step over {of_cnn}", "cnn"),
        _times("inference_cnn", f"Inference over {of_cnn}", "cnn"),
    )
    return table(results, "table6", columns, [Line(*row) for row in arms.NETWORKS.items()])


def _times(key: str, title: str, base: str) -> Filled:
    phase = key.partition("_")[0]

    def fill(place: Place) -> Cell:
        found = ratio(place.results, place.line.key, phase, base)
        cell = measured(found, command=place.results.command("table6"))
        known = place.results.published("table6", place.line.key, phase)
        seconds = f" ({known.printed} s)" if known and base == "strict" else ""
        return replace(cell, paper=printed_ratio(place.results, place.line.key, phase, base) + seconds)

    return Filled(key, title, fill)


# -- Figure 4 in numbers, and what the authors' logs have --------------------------------------------------


def figure4(results: Results) -> Table:
    """Validation and test accuracy by omega', gcd(omega', n), and the sweeps that the authors logged."""
    columns = (
        Column("curve", "Curve"),
        _swept("strict", "strict"),
        *(_swept(str(m), f"ω' = {m}") for m in arms.FREQUENCIES),
    )
    lines = []
    for sweep, (name, _, _, title) in arms.SWEEPS.items():
        if sweep != "t2":
            n = sweep.removeprefix("n")
            lines.append(Line(f"gcd_{sweep}", f"gcd(ω', {n})", (name, "-"), words={"n": n}))
        for data in arms.DATASETS:
            found = {str(m): where for m, where in arms.swept(results, data, sweep).items()}
            found["strict"] = arms.strict(data, sweep)
            for kind in ("validation", "test"):
                key, shown = f"{data}_{sweep}_{kind}", f"{title}, {arms.DATA[data]}: {kind}"
                lines.append(Line(key, shown, (name, "-"), found, {"kind": kind}))
                if results.printed("figure4", f"{key}_again"):
                    again = Line(f"{key}_again", f"{shown}, logged again", (name, "-"), words={"kind": kind})
                    lines.append(again)
    return table(results, "figure4", columns, lines, protocol=training(results, "figure4"))


def _swept(key: str, title: str) -> Filled:
    """Accuracy at one omega', or gcd(omega', n) in the rows of that."""
    read = {"validation": VALIDATION, "test": replace(ACCURACY, note=None)}

    def fill(place: Place) -> Cell | str:
        said = place.line.words
        if "kind" in said:
            return beside(read[said["kind"]], key, title).fill(place)
        return str(math.gcd(int(key), int(said["n"]))) if key.isdecimal() else "-"

    return Filled(key, title, fill)


def logged(results: Results) -> Table:
    """The augmented runs in the authors' logs, what the paper prints of them, and ours."""
    columns = (
        NETWORK,
        *(Filled(f"run{i}", f"Logged run {i}", _of_paper) for i in (1, 2, 3)),
        compared("accuracy", "Ours, beside the logged mean, %", ACCURACY),
        Filled("printed", "Printed in Table 2", _agreement),
    )
    lines = [
        Line(f"{data}_{network}", f"{arms.DATA[data]}: {arms.NETWORKS[network]}", f"{network}_{data}_aug")
        for data in arms.DATASETS
        for network in LOGGED
    ]
    return table(results, "logged", columns, lines, experiment="table2")


def _of_paper(place: Place) -> str:
    known = place.results.published(place.table, place.line.key, place.column)
    return known.printed if known else "-"


def _agreement(place: Place) -> str:
    """The printed mean and error, and whether they are those of the logged runs to the last digit."""
    data, _, network = place.line.key.partition("_")
    printed = place.results.published("table2", network, f"{data}_aug")
    mean = place.results.published(place.table, place.line.key, "accuracy")
    if printed is None:
        return "-"
    both = [f"{one.printed} ± {one.printed_spread}" for one in (printed, mean) if one]
    return both[0] if len(both) == 1 else f"{both[0]}, {'the same' if both[0] == both[1] else 'another'}"
