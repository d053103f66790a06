"""All networks of the paper: parameters, multiplications, and where each is exact."""

from __future__ import annotations

from pipelines.subsampling.arms import INVENTORY
from shared.report import text
from shared.report.results import Results
from shared.report.tables import Cell, Column, Row, Table

_NAMES = {
    "z2cnn": "Z2CNN",
    "p4cnn": "P4CNN",
    "p4mcnn": "P4MCNN",
    "toy": "One p4 filter (Figure 3)",
    "resnet44": "ResNet-44",
    "p4resnet44": "p4 ResNet-44",
    "p4mresnet44": "p4m ResNet-44",
    "resnet18": "ResNet-18",
    "p4resnet18": "p4 ResNet-18",
    "cifar10": "CIFAR-10",
    "cifar100": "CIFAR-100",
    "pcam": "PCam",
    "flowers102": "Flowers102",
    "imagenet": "ImageNet",
    "standard": "7x7 stem",
}
#: By the number that the inventory gives a stage, from 1.
_STAGES = ("the stem", "stage 1", "stage 2", "stage 3", "stage 4")


def name_of(network: str) -> str:
    """Title of a network of the inventory: ``p4 ResNet-18, ImageNet, 7x7 stem``."""
    return ", ".join(_NAMES[part] for part in network.split("_"))


def networks(results: Results) -> Table:
    """Counts beside the published ones, and the verdicts of the size atlas."""
    columns = (
        Column("network", "Network"),
        Column("parameters", "Parameters"),
        Column("macs", "Multiply-accumulates per image, by input size"),
        Column("exact", "Quarter turns at these sizes"),
        Column("nearest", "Exact sizes nearest to those that are not"),
        Column("mirrors", "Sizes above that are exact for mirrors, too (p4m networks)"),
    )
    return Table(
        "networks",
        "All networks: parameters, multiplications, and where they are exact",
        columns,
        tuple(_row(results, network) for network in INVENTORY),
        caption=(
            "Built, not trained. Whether a network is exact at an input size is decided by the size atlas, "
            "layer by layer; *approximate* names the first stage that breaks the symmetry. Plain networks "
            "have no symmetry to break: for them it says whether they sample the image symmetrically. "
            "Multiplications are those of convolutions and linear layers, with the filter banks of groups "
            "expanded."
        ),
        commands=(results.command("networks"),),
        notes=(
            "Published counts are the printed layer summaries of the authors' logs (Z2CNN, P4CNN) or "
            "counted for the architecture of their released code (the others); the 7x7 stem, which that "
            "code does not build, is that of the usual ResNet-18. p4m networks are ours. Digit "
            "networks read the gray channel three times.",
        ),
    )


def _row(results: Results, network: str) -> Row:
    parameters = results.sample("networks", network, "parameters")
    place = ("networks", network, "parameters", parameters)
    count = results.cell(*place, experiment="networks", decimals=0, form=text.thousands, counted=True)
    macs, exact, breaks = (steps(results, network, metric) for metric in ("macs", "exact", "breaks_stage"))
    judged = [size for size in macs if size in exact]
    words = [f"{size}: {_verdict(network, exact[size], breaks.get(size, 0))}" for size in judged]
    near = [f"{size}: {_nearest(size, exact)}" for size in judged if not exact[size]]
    mirrors = steps(results, network, "exact_p4m")
    both = [str(size) for size in judged if mirrors.get(size)]
    cells = (
        count,
        Cell("\n".join(f"{size}: {_scaled(value)}" for size, value in macs.items()) or "-"),
        Cell("\n".join(words) or "-"),
        Cell("\n".join(near) or "-"),
        Cell(", ".join(both) or "none" if judged and network.startswith("p4m") else "-"),
    )
    return Row(network, name_of(network), cells)


def steps(results: Results, network: str, metric: str) -> dict[int, float]:
    """A metric of the inventory by input size; it is the same for every seed."""
    curves = results.curves("networks", network, metric)
    return {int(step): float(value) for step, value in curves.iloc[0].dropna().items()} if len(curves) else {}


def _verdict(network: str, exact: float, stage: float) -> str:
    """``exact``, or ``approximate from stage 2 on``; of plain networks whether they sample symmetrically."""
    plain = not network.startswith(("p4", "toy"))
    if exact:
        return "samples symmetrically" if plain else "exact"
    word = "asymmetrically" if plain else "approximate"
    if network == "toy":
        return word
    place = "the pool" if "resnet" not in network else _STAGES[int(stage) - 1]
    return f"{word} from {place} on"


def _nearest(size: int, exact: dict[int, float]) -> str:
    """The exact sizes next below and above, as far as they were judged."""
    able = [other for other, value in exact.items() if value]
    below, above = [s for s in able if s < size], [s for s in able if s > size]
    return (
        text.join([str(s) for s in ([max(below)] if below else []) + ([min(above)] if above else [])]) or "-"
    )


def _scaled(macs: float) -> str:
    """Four digits: ``1.554 G``, ``26.52 M``."""
    for power, unit in ((1e9, " G"), (1e6, " M"), (1e3, " k")):
        if macs >= power:
            return f"{macs / power:.4g}{unit}"
    return f"{macs:.4g}"
