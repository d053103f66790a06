"""Tables of the L-conv paper. It prints none: these are its figures in numbers, and its claims.

The claims are those of section 8 of the fact sheet on the paper; their numbers (L1, L2, ...) are its.
"""

from __future__ import annotations

from pipelines.lconv import arms, claims, statements, studies
from pipelines.lconv.quantities import BEST, COUNT, PARAMETERS, best_of, lacking, training
from shared.report import claims as of_claims
from shared.report import text
from shared.report.build import Filled, Line, Place, Quantity, change, compared, declared, plain, table
from shared.report.results import Results
from shared.report.tables import Cell, Column, Table

NETWORK = Column("network", "Network")


def tables(results: Results) -> list[Table]:
    """All tables, in reading order."""
    return [
        claims_table(results),
        figure4(results),
        *(figure3(results, name) for name in arms.FIGURE3_EXPERIMENTS),
        figure5(results),
        logs(results),
        switches(results),
        scale(results),
        upright(results),
        studies.symmetries(results),
        studies.covariance(results),
        studies.planted(results),
        studies.penalty(results),
        statements.propositions(results),
        statements.theorem1(results),
    ]


def claims_table(results: Results) -> Table:
    """The paper's claims, what follows from its propositions, and what we add."""
    names = [*map(arms.figure4, arms.DATASETS), *arms.FIGURE3_EXPERIMENTS, "figure5"]
    return of_claims.table(results, claims.rows(results), names)


def figure4(results: Results) -> Table:
    """Figures 2 and 4 in numbers."""
    experiments = {data: arms.figure4(data) for data in arms.DATASETS}
    columns = (
        Column("network", "Data and network"),
        *(compared(variant, title, BEST, variant) for variant, title in arms.VARIANTS.items()),
        COUNT,
    )
    lines = [
        Line(
            f"{data}_{model}",
            f"{arms.DATASETS[data]}: {arms.MODELS[model]}",
            (experiment, arms.arm4(model, "rotated")),
            {variant: (experiment, arms.arm4(model, variant)) for variant in arms.VARIANTS},
            headline=(data, model) == ("mnist", "lconv"),
        )
        for data, experiment in experiments.items()
        for model in arms.FIGURE4
    ]
    return table(
        results,
        "figure4",
        columns,
        lines,
        protocol=training(results, arms.figure4("mnist")),
        permutation=_permutations(results, list(experiments.values())),
        lacking=lacking(results, experiments),
    )


def _permutations(results: Results, experiments: list[str]) -> str:
    """What was recorded of the permutations of the pixels: `` (CRC-32 0000beef)``."""
    found: list[str] = []
    for experiment in experiments:
        numbers = results.sample(experiment, "lconv_scrambled", "permutation").numbers
        found += [f"{int(number):08x}" for number in numbers]
    return f" (CRC-32 {text.join(list(dict.fromkeys(found)))})" if found else ""


def figure3(results: Results, experiment: str) -> Table:
    """Figure 3 in numbers, on CIFAR-100 as in the paper or on CIFAR-10."""
    data = arms.FIGURE3_EXPERIMENTS[experiment]
    columns = (
        NETWORK,
        compared("scrambled", "Rotated and scrambled", BEST, "scrambled"),
        compared("default", "Default", BEST),
        COUNT,
    )
    lines = []
    for model in arms.FIGURE3:
        for layers in (1, 2):
            matched = model == "fc_shallow" and layers == 2
            shown = "sized as two layers of L-conv" if matched else text.lines(layers, "layer")
            default, scrambled = (arms.arm3(model, layers, variant) for variant in ("default", "scrambled"))
            title = f"{arms.MODELS[model]}, {shown}"
            lines.append(Line(f"{model}_{layers}", title, default, {"scrambled": scrambled}))
    return table(
        results,
        experiment,
        columns,
        lines,
        protocol=training(results, experiment),
        lacking=lacking(results, {data: experiment}),
    )


def figure5(results: Results) -> Table:
    """Figure 5 in numbers: accuracy against parameters on rotated and scrambled MNIST."""

    def frozen(key: str, title: str, what: Quantity) -> Filled:
        found = compared(key, title, what, "frozen")
        return Filled(key, title, lambda p: found.fill(p) if "frozen" in p.line.arms else "-")

    columns = (
        NETWORK,
        plain("accuracy", "Accuracy, %", BEST),
        COUNT,
        frozen("frozen", "Accuracy, %, with the generators frozen at random", BEST),
        frozen("frozen_parameters", "Trainable parameters then", PARAMETERS),
    )
    lines = [
        Line(
            f"{kind}_{shape}",
            f"{arms.MODELS[kind]}: {arms.long_label(shape)}",
            arms={"frozen": f"random_{shape}"} if kind == "lconv" else {},
        )
        for kind, found in arms.FIGURE5.items()
        for shape in found
    ]
    return table(results, "figure5", columns, lines, protocol=training(results, "figure5"))


def logs(results: Results) -> Table:
    """The authors' logs: single runs, after as many epochs as ours."""
    columns = (
        NETWORK,
        _logged("epochs_3", "Best of 3 epochs, %", 3, "short"),
        _logged("epochs_5", "Best of 5 epochs, %", 5),
        compared("accuracy", "Best of 30 epochs, %", BEST),
    )
    lines = [
        Line(
            f"{kind}_{shape}",
            f"{arms.MODELS[kind]}: {arms.long_label(shape)}",
            arms={"short": ("figure5", f"{kind}_{shape}")},
        )
        for kind, shapes in arms.LOGGED.items()
        for shape in shapes
    ]
    for model, variant in arms.LOGGED3:
        where = ("figure3", arms.arm3(model, 1, variant))
        title = f"CIFAR-100, {arms.VARIANTS[variant].lower()}: {arms.MODELS[model]}, 1 layer"
        lines.append(Line(where[1], title, where, {"short": where}))
    return table(results, "logs", columns, lines)


def _logged(key: str, title: str, epochs: int, arm: str = "") -> Filled:
    """The best of the first epochs, where the authors' logs have it too."""
    found = compared(key, title, best_of(epochs), arm)

    def fill(place: Place) -> Cell | str:
        known = place.results.published(place.table, place.line.key, key)
        where = place.where(arm)
        short = place.results.tier(*where) and not best_of(epochs).of(place.results, where).n
        return "-" if known is None or short else found.fill(place)

    return Filled(key, title, fill)


def switches(results: Results) -> Table:
    """What each open question of the protocol changes."""

    def count(place: Place) -> Cell | str:
        cell = COUNT.fill(place)
        if place.line.key != "random_2":
            return cell
        released = results.sample(*place.where(), "parameters_released")
        return f"{cell.text}\nscript: {text.thousands(released.summary.mean) if released.n else '-'}"

    columns = (
        Column("switch", "Switch"),
        compared("accuracy", "Accuracy so, %", BEST),
        compared("reference", "Accuracy otherwise, %", BEST, "base"),
        change("difference", "Difference [95 % interval]", BEST),
        Filled(COUNT.key, COUNT.title, count),
    )
    rows = declared(results, "switches")
    return table(results, "switches", columns, rows, protocol=training(results, "switches"))


def scale(results: Results) -> Table:
    """How much of the loss of random generators is their size."""
    columns = (
        Column("generators", "Generators"),
        plain("accuracy", "Accuracy, %", BEST),
        change("difference", "Less learned [95 % interval]", BEST),
    )
    return table(results, "scale", columns, declared(results, "scale"), protocol=training(results, "scale"))


def upright(results: Results) -> Table:
    """Pixels that were moved and images that were not turned, between the variants of the paper."""
    columns = (
        NETWORK,
        compared("default", "Default", BEST, "default"),
        compared("upright", "Scrambled", BEST),
        compared("scrambled", "Rotated and scrambled", BEST, "scrambled"),
    )
    mnist = arms.figure4("mnist")
    lines = [
        Line(
            model,
            arms.MODELS[model],
            arms={variant: (mnist, arms.arm4(model, variant)) for variant in ("default", "scrambled")},
        )
        for model in arms.FIGURE4
    ]
    return table(results, "upright", columns, lines, protocol=training(results, "upright"))
