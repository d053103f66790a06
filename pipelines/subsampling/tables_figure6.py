"""Figure 6 in numbers: training rotations biased towards 45 degrees."""

from __future__ import annotations

from pipelines.subsampling.arms import ANGLES, BIAS_EXPERIMENTS, BIASES, NETWORKS, TITLES, TURNED, biased
from pipelines.subsampling.claims_figure6 import mean_range, paper_range
from pipelines.subsampling.tables_common import (
    FEWER_IMAGES,
    accuracy_cell,
    gap,
    plain_cell,
    protocol,
    swept,
)
from shared.report import text
from shared.report.results import Results
from shared.report.tables import Cell, Column, Row, Table

PER = {"figure6": "one angle per batch", "figure6_images": "one angle per image"}


def figure6(results: Results) -> Table:
    """Upright accuracy, the means over all angles and over the other quarter turns, and the flatness."""
    columns = (
        Column("network", "Network"),
        Column("0", "0 degrees"),
        Column("mean36", "Mean over all angles"),
        Column("turned", "Mean over 90, 180 and 270 degrees"),
        Column("range", "Best minus worst angle of the mean curve, of the angles tested on the same images"),
    )
    rows = [
        _row(results, experiment, std, network)
        for std in BIASES
        for experiment in BIAS_EXPERIMENTS
        for network in NETWORKS
    ]
    return Table(
        "figure6",
        "Figure 6 in numbers: accuracy (%) of networks trained on rotations biased towards 45 degrees",
        columns,
        tuple(rows),
        caption=(
            "Each training image is turned by an angle drawn from a normal distribution around 45 degrees, "
            "with a standard deviation of 20 or 40. The released code draws one angle for a whole batch "
            "and step, the text of the paper one for each digit; both are here, the former beside the "
            f"values of the authors' logs. {_protocols(results)}"
        ),
        commands=tuple(results.command(experiment) for experiment in BIAS_EXPERIMENTS),
        notes=(
            "The paper's values are recomputed from the authors' logs, 10 seeds, one angle per batch.",
            FEWER_IMAGES,
            "An exact network is tested from 0 to 80 degrees only, since it repeats every 90.",
        ),
    )


def batch_or_image(results: Results) -> Table:
    """The two ways of drawing training angles, at the highest tier that has both."""
    both = _of_one_tier(results)
    rows = [_compared(both, std, network) for std in BIASES for network in NETWORKS]
    return Table(
        "figure6_angles",
        "Figure 6: one training angle for a whole batch, or one for each image",
        (
            Column("network", "Network"),
            *(Column(name, f"Mean over all angles: {words}") for name, words in PER.items()),
            Column("change", "Per image minus per batch [95 % interval]"),
            Column("turned", "The same, mean over 90, 180 and 270 degrees"),
            Column("upright", "The same at 0 degrees"),
        ),
        tuple(rows),
        caption=(
            "The released code draws one angle for a whole batch and step, the text of the paper one for "
            "each digit. Both by one protocol, seed by seed, accuracy in %. Ours alone: the paper has one "
            f"of the two. {protocol(both, 'figure6')}"
        ),
        commands=tuple(both.command(experiment) for experiment in PER),
    )


def _of_one_tier(results: Results) -> Results:
    found = (results.at(tier) for tier in results.tiers)
    return next((one for one in found if all(len(one.frame(experiment)) for experiment in PER)), results)


def _compared(results: Results, std: int, network: str) -> Row:
    names = {experiment: biased(network, std, experiment) for experiment in PER}
    cells: list[Cell | str] = [plain_cell(results, *place, "accuracy", None) for place in names.items()]
    for angles in (None, TURNED, (0,)):
        batch, image = (results.sample(*place, "accuracy", angles) for place in names.items())
        cells.append(gap(image, batch))
    return Row(names["figure6"], f"{TITLES[network]}, {std} degrees", tuple(cells))


def _protocols(results: Results) -> str:
    """How the rows were made, and that those made in two ways do not belong side by side."""
    said = {experiment: protocol(results, experiment) for experiment in BIAS_EXPERIMENTS}
    ways = set(filter(None, said.values()))
    if len(ways) < 2:
        return "".join(ways)
    each = [f"{way.removesuffix('.')} ({PER[experiment]})." for experiment, way in said.items()]
    apart = "So these two kinds of rows are not to be compared with each other; the next table has both"
    return " ".join([*each, f"{apart} by one protocol."])


def _row(results: Results, experiment: str, std: int, network: str) -> Row:
    name = biased(network, std, experiment)
    places = (("0", [0]), ("mean36", None), ("turned", TURNED))
    cells = [
        accuracy_cell(results, "figure6", name, column, experiment, name, angles) for column, angles in places
    ]
    swept_angles = swept(results, experiment, [name])
    ours = mean_range(results, experiment, name, swept_angles)
    theirs = paper_range(results, name, swept_angles or ANGLES)
    flat = [text.fixed(ours, 2) if ours is not None else "-"]
    flat += [f"paper: {text.fixed(theirs, 2)}"] if theirs is not None else []
    return Row(name, f"{TITLES[network]}, {std} degrees, {PER[experiment]}", (*cells, "\n".join(flat)))
