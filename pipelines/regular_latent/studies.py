"""Tables of our own: one learning rate, controls, defects, equivariance errors, and counts of parameters."""

from __future__ import annotations

from dataclasses import dataclass, replace

from pipelines.regular_latent.protocols import VOLUMES as SUBSETS
from pipelines.regular_latent.quantities import ACCURACY, PARAMETERS, RMSE, VOLUMES_ACCURACY, training
from pipelines.regular_latent.systems import (
    DIGITS,
    FLOWS,
    GROUPS,
    PLAIN,
    VOLUMES,
    arm4,
    counted4,
    counted5,
    counted6,
    one_rate4,
    where5,
)
from shared.report import text
from shared.report.build import (
    Filled,
    Line,
    Place,
    Quantity,
    Where,
    before_after,
    change,
    compared,
    plain,
    table,
    words,
)
from shared.report.results import Results
from shared.report.tables import Cell, Column, Table

COUNT = replace(PARAMETERS, counted=True)
#: Systems at one rate: title, name, and the ending of the arms of the lower rate.
AT_ONE_RATE = {
    "cnn": ("CNN, augmented; learning rate 0.001", "cnn", ""),
    "ours": ("Ours; 0.001", "ours", ""),
    "cnn_slow": ("CNN, augmented; 0.0005", "cnn", "_slow"),
    "ours_slow": ("Ours; 0.0005", "ours", "_slow"),
}
#: How latent vectors are asked to move, by the name of the arm.
CONTROLS = {
    "two_views": "not at all: both images are trained on",
    "trivial": "not: they should stay (trivial representation)",
    "cosets": "by a random permutation representation",
    "shuffled": "by a random permutation for each element, no representation",
    "wrong_group": "by the regular representation of the cyclic group of equal order",
}
#: Groups of the controls.
CONTROLLED = ("C4", "D4")


@dataclass(frozen=True)
class Defect:
    """What the released code has otherwise than the text, or gets wrong.

    Attributes:
        title: what is changed.
        arm, base: with it and without.
        smoke: whether it is measured by the errors on SMOKE, or else by accuracy.
    """

    title: str
    arm: Where
    base: Where
    smoke: bool = False


def _digits(title: str, arm: str, base: str) -> Defect:
    return Defect(f"DDMNIST, C4: {title}", ("defects", arm), ("defects", base))


def _flow(title: str, arm: str, base: Where) -> Defect:
    return Defect(f"SMOKE: {title}", ("table6_defects", arm), base, smoke=True)


DEFECTS = {
    "rotation_cnn": _digits("rotation not undone; CNN", "cnn_C4_rotation", "cnn_C4"),
    "rotation": _digits("rotation not undone; ours", "ours_C4_rotation", "ours_C4"),
    "shifted": _digits("moved image not in the task loss; ours", "ours_C4_shifted", "ours_C4"),
    "released": _digits("both, as released; ours", "ours_C4_released", "ours_C4"),
    "validation_cnn": _digits("validated on the split of the test; CNN", "cnn_C4", "cnn_C4_validation"),
    "validation": _digits("validated on the split of the test; ours", "ours_C4", "ours_C4_validation"),
    "unnormalized": Defect(
        "DDMNIST, D1: filter basis not normalized; PSCNN",
        ("defects_pscnn", "pscnn_D1_unnormalized"),
        ("table4_steerable_D1", "pscnn_D1"),
    ),
    **{
        f"handedness_{data}": Defect(
            f"{title}MNIST3D: volumes turned by the inverse; ours",
            (f"table5_{data}", "ours_released"),
            (f"table5_{data}", "ours"),
        )
        for data, title in SUBSETS.items()
    },
    "reversed_cnn": _flow(
        "flow reversed in odd turns; CNN, augmented", "cnn_augmented_reversed", ("table6", "cnn_augmented")
    ),
    "reversed": _flow("flow reversed in odd turns; ours", "ours_reversed", ("table6", "ours")),
    "reversed_e2cnn": _flow(
        "flow reversed in odd turns; E2CNN", "e2cnn_reversed", ("table6_baselines", "e2cnn")
    ),
    "broadcast": _flow("latent loss with the batch's first flow; ours", "ours_broadcast", ("table6", "ours")),
    "released_smoke": _flow("both, as released; ours", "ours_released", ("table6", "ours")),
    "transposed": _flow("output transposed; RGroup", "rgroup_transposed", ("table6_baselines", "rgroup")),
    "tenth": _flow("weight 0.0005 for 0.005; ours", "ours_tenth", ("table6", "ours")),
    "tenfold": _flow("weight 0.05; ours", "ours_tenfold", ("table6", "ours")),
    "hundredfold": _flow("weight 0.5; ours", "ours_hundredfold", ("table6", "ours")),
}


def tables(results: Results) -> list[Table]:
    """The tables of our studies, in reading order."""
    return [
        one_rate(results),
        controls(results),
        defects(results),
        equivariance(results),
        parameters(results),
    ]


def one_rate(results: Results) -> Table:
    """CNN and the method at one learning rate and protocol."""
    columns = [Column("system", "System")]
    for group in GROUPS:
        columns.append(plain(group, f"{group}: accuracy", ACCURACY, group))
        gain = f"{group}: minus CNN [95 % interval]"
        columns.append(change(f"gain_{group}", gain, ACCURACY, group, f"cnn_{group}", decimals=3))
    lines = []
    for key, (title, system, rate) in AT_ONE_RATE.items():
        arms = {group: one_rate4(system, group, rate) for group in GROUPS}
        arms |= {f"cnn_{group}": one_rate4("cnn", group, rate) for group in GROUPS}
        lines.append(Line(key, title, arms["C4"], arms))
    protocol = training(results, "one_rate")
    return table(results, "one_rate", columns, lines, experiment="one_rate", protocol=protocol)


def controls(results: Results) -> Table:
    """What other representations, and averages over the orbit, do in place of the regular one."""

    columns = [Column("representation", "Latent vectors are asked to move")]
    for group in CONTROLLED:
        columns.append(plain(group, f"{group}: accuracy", ACCURACY, group))
        gain = f"{group}: regular minus this [95 % interval]"
        columns.append(change(f"gain_{group}", gain, ACCURACY, f"ours_{group}", group, decimals=3))
        latent = f"{group}: error of latent vectors"
        columns.append(before_after(f"latent_{group}", latent, "latent_error", (group,)))
    named = {
        "ours": "by the regular representation (ours)",
        **CONTROLS,
        "cnn": "not asked, one image a step (CNN)",
    }
    lines = []
    for key, title in named.items():
        arms = {group: ("controls", arm4(key, group)) for group in CONTROLLED}
        arms |= {f"ours_{group}": ("controls", arm4("ours", group)) for group in CONTROLLED}
        lines.append(Line(key, title, arms["C4"], arms))
    protocol = training(results, "controls")
    return table(results, "controls", columns, lines, experiment="controls", protocol=protocol)


def defects(results: Results) -> Table:
    """What the defects of the released code change."""

    def measured(key: str, title: str, arm: str = "") -> Filled:
        def fill(place: Place) -> Cell:
            return _of(place).cell(place.results, place.where(arm))

        return Filled(key, title, fill)

    def difference(place: Place) -> Cell | str:
        return change("", "", _of(place), "", "base", decimals=3).fill(place)

    columns = (
        Column("defect", "Defect"),
        words("metric", "Measured by"),
        measured("with", "With it"),
        measured("without", "Without it", "base"),
        Filled("difference", "Difference [95 % interval]", difference),
    )
    lines = []
    for key, defect in DEFECTS.items():
        for part in RMSE if defect.smoke else ("",):
            name = f"{key}_{part}" if part else key
            metric = RMSE[part][0] if part else "accuracy"
            lines.append(Line(name, defect.title, defect.arm, {"base": defect.base}, {"metric": metric}))
    experiments = ("defects", "defects_pscnn", "table6_defects")
    protocols = dict.fromkeys(training(results, one) for one in experiments)
    return table(results, "defects", columns, lines, protocol=" ".join(filter(None, protocols)))


def _of(place: Place) -> Quantity:
    """What a line of the defects is measured by."""
    part = place.line.key.rpartition("_")[2]
    return RMSE[part][1] if part in RMSE else VOLUMES_ACCURACY if part in SUBSETS else ACCURACY


def equivariance(results: Results) -> Table:
    """Errors of equivariance of latent vectors and outputs, before and after training, beside accuracy."""
    columns = (
        Column("network", "Data and network"),
        Filled("score", "Accuracy, or RMSE of Future", lambda p: _score(p).cell(p.results, p.where())),
        before_after("latent", "Error of the latent vectors, before → after", "latent_error"),
        before_after("output", "Error of the output, before → after", "output_error"),
    )
    lines = [
        Line(f"{system}_{group}", f"DDMNIST, {group}: {title}", one_rate4(system, group))
        for group in GROUPS
        for system, title in (("cnn", "CNN, augmented"), ("ours", "ours"))
    ]
    lines += [
        Line(f"{data}_{key}", f"{title}MNIST3D: {system}", where5(key, data))
        for data, title in SUBSETS.items()
        for key, system in (("cnn_augmented", "CNN, augmented"), ("ours", "ours"))
    ]
    named = {"cnn": "CNN", "cnn_augmented": "CNN, augmented", "ours": "ours"}
    lines += [Line(f"smoke_{key}", f"SMOKE: {title}", ("table6", key)) for key, title in named.items()]
    return table(results, "equivariance", columns, lines, experiment="one_rate")


def _score(place: Place) -> Quantity:
    kind = place.line.key.partition("_")[0]
    return RMSE["future"][1] if kind == "smoke" else VOLUMES_ACCURACY if kind in SUBSETS else ACCURACY


def parameters(results: Results) -> Table:
    """Counts of parameters at the paper's widths and at those that its printed sizes are of."""

    def of_width(key: str, title: str) -> Filled:
        """A count; "-" for a system with no other width."""
        column = compared(key, title, COUNT, key)
        return Filled(key, title, lambda p: column.fill(p) if key in p.line.arms else "-")

    columns = (
        Column("network", "Network"),
        of_width("count", "Parameters as trained here"),
        of_width("other", "With 48 filters; on volumes with 7 channels"),
        words("printed", "Printed, millions"),
        plain(
            "error",
            "Invariance error before training",
            Quantity("symmetry_error", form=text.scientific),
            absent="-",
        ),
    )
    lines = []
    for model, title in DIGITS.items():
        for group in GROUPS if model not in PLAIN else ("C4",):
            key = counted4(model, group)[1]
            if model == "ours":
                continue
            name = f"DDMNIST: {title}" + (f", {group}" if model not in PLAIN else "; ours")
            printed = _printed(results, "table4", model, f"parameters_{group}")
            lines += _counted(results, key, name, printed, f"{key}_48")
    for key, (title, group, _) in VOLUMES.items():
        if key not in PLAIN[1:]:
            name = f"MedMNIST3D: {title}" + (f", {group}" if key not in PLAIN else "; ours")
            where = counted5(key)[1]
            other = "volumes_cnn_7" if key == "cnn" else ""
            lines += _counted(results, where, name, _printed(results, "table5", key, "parameters"), other)
    for key, (title, *_) in FLOWS.items():
        if key not in PLAIN[1:]:
            name = f"SMOKE: {title}" + ("; ours" if key in PLAIN else "")
            printed = _printed(results, "table6", key, "parameters")
            lines += _counted(results, counted6(key)[1], name, printed, "")
    return table(results, "parameters", columns, lines, experiment="networks")


def _printed(results: Results, table: str, row: str, column: str) -> str:
    known = results.published(table, row, column)
    return known.printed if known else "-"


def _counted(results: Results, key: str, title: str, printed: str, other: str) -> list[Line]:
    """A line of a network; two if there is one with the released duplicates in its filter basis."""
    arms, known = results.declared.experiment("networks").arms, {"printed": printed}

    def line(name: str, ending: str, said: str) -> Line:
        both = {"count": f"{key}{ending}"} | ({"other": f"{other}{ending}"} if other else {})
        return Line(name, f"{title}{said}", f"{key}{ending}", both, known)

    if f"{key}_released" not in arms:
        return [line(key, "", "")]
    said = ", filter basis with duplicates as released"
    return [line(key, "_released", said), line(f"{key}_once", "", "")]
