"""Tables of what the paper has not: all its networks, how ours were made, and variants of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

import numpy as np

from pipelines.subsampling import arms
from pipelines.subsampling.arms import EQUIVARIANCE, EXACT, NETWORKS, PIXELS, QUARTERS, TITLES, arm
from pipelines.subsampling.quantities import (
    ACCURACY,
    ALL,
    COUNT,
    ERROR_AFTER,
    ERROR_BEFORE,
    INVARIANCE,
    KIND,
    LOST,
    MEAN36,
    NETWORK,
    OTHER_QUARTERS,
    PARAMETERS,
    SEEN,
    SEEN_AND_UNSEEN,
    TURNED_MEAN,
    UPRIGHT,
    images_at,
    in_images,
    on_digits,
    on_images,
    turns_apart,
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
    declared,
    gap,
    plain,
    table,
)
from shared.report.results import Results
from shared.report.tables import Cell, Column, Table

#: Angles from which quarter turns are taken between those of the upright images.
BETWEEN = (30, 60)
#: Paddings of the experiment ``layers``, and what its cases are called.
PADDINGS = {"none": (0,), "some": (1, 2)}
CASES = ("without remainder", "with one", "with one that a window covers")
#: How training angles are drawn, by experiment.
PER = {"figure6": "one angle per batch", "figure6_images": "one angle per image"}
#: Parts of a residual network, by the number that the inventory gives a stage, from 1.
_PLACES = ("the stem", "stage 1", "stage 2", "stage 3", "stage 4")


# -- all networks ------------------------------------------------------------------------------------------


def networks(results: Results) -> Table:
    """Counts beside the published ones, and the verdicts of the size atlas."""
    columns = (
        NETWORK,
        COUNT,
        _by_size("macs", "Multiply-accumulates per image, by input size", _scaled),
        _by_size("exact", "Quarter turns at these sizes", _verdict),
        _by_size("nearest", "Exact sizes nearest to those that are not", _nearest),
        Filled("mirrors", "Sizes above that are exact for mirrors, too (p4m networks)", _mirrored),
    )
    return table(results, "networks", columns, [Line(name, arms.name_of(name)) for name in arms.INVENTORY])


def steps(place: Place, metric: str) -> dict[int, float]:
    """A metric of the inventory by input size; it is the same for every seed."""
    curves = place.results.curves(*place.where(), metric)
    return {int(step): float(value) for step, value in curves.iloc[0].dropna().items()} if len(curves) else {}


def _by_size(key: str, title: str, say: Callable[[Place, int], str]) -> Filled:
    """A line for each size that the network is used at, where there is something to say."""

    def fill(place: Place) -> str:
        said = {size: say(place, size) for size in steps(place, "macs")}
        return "\n".join(f"{size}: {words}" for size, words in said.items() if words) or "-"

    return Filled(key, title, fill)


def _verdict(place: Place, size: int) -> str:
    """``exact``, or ``approximate from stage 2 on``; of plain networks whether they sample symmetrically."""
    network, exact = place.line.key, steps(place, "exact")
    plain_network = not network.startswith(("p4", "toy"))
    if size not in exact:
        return ""
    if exact[size]:
        return "samples symmetrically" if plain_network else "exact"
    word = "asymmetrically" if plain_network else "approximate"
    if network == "toy":
        return word
    stage = int(steps(place, "breaks_stage").get(size, 0))
    return f"{word} from {_PLACES[stage - 1] if 'resnet' in network else 'the pool'} on"


def _nearest(place: Place, size: int) -> str:
    """Of a size that is not exact the exact ones next below and above, as far as they were judged."""
    exact = steps(place, "exact")
    if exact.get(size, 1):
        return ""
    able = [other for other, value in exact.items() if value]
    below, above = [s for s in able if s < size], [s for s in able if s > size]
    return text.join([str(s) for s in (*below[-1:], *above[:1])]) or "-"


def _mirrored(place: Place) -> str:
    judged = set(steps(place, "macs")) & set(steps(place, "exact"))
    if not judged or not place.line.key.startswith("p4m"):
        return "-"
    both = [str(size) for size, value in steps(place, "exact_p4m").items() if value and size in judged]
    return ", ".join(both) or "none"


def _scaled(place: Place, size: int) -> str:
    """Four digits: ``1.554 G``, ``26.52 M``."""
    macs = steps(place, "macs")[size]
    for power, unit in ((1e9, " G"), (1e6, " M"), (1e3, " k")):
        if macs >= power:
            return f"{macs / power:.4g}{unit}"
    return f"{macs:.4g}"


def layers(results: Results) -> Table:
    """Eq. 3 on single layers with random weights: as printed, without padding, and with it."""

    def error(key: str, title: str) -> Filled:
        """The error that comes nearest to contradicting the condition: the largest where it says exact."""
        case = key.removeprefix("mirror_")
        metric = key if key != case else f"turn_{case}"

        def fill(place: Place) -> Cell:
            exact = case == "exact" or (case == "covered" and place.where()[1] == "pool")
            reduce = np.max if exact else np.min
            what = Quantity(metric, PADDINGS[place.line.words["padding"]], reduce, form=text.scientific)
            cell = what.cell(place.results, place.where())
            if not cell.sample.n:
                return Cell("-") if place.results.tier(*place.where()) else cell
            return replace(cell, text=text.scientific(float(reduce(cell.sample.numbers))))

        return Filled(key, title, fill)

    def count(place: Place, metric: str) -> int:
        found = Quantity(metric, PADDINGS[place.line.words["padding"]], np.sum).of(
            place.results, place.where()
        )
        return round(found.numbers[0]) if found.n else 0

    def cases(place: Place) -> str:
        counts = [count(place, f"cases_{case}") for case in ("exact", "broken", "covered")]
        return ", ".join(f"{number} {word}" for number, word in zip(counts, CASES) if number) or "-"

    columns = (
        Column("layer", "Layer with random weights"),
        Filled("cases", "Combinations of kernel, stride, padding and size", cases),
        error("exact", "Without remainder: largest error under a quarter turn"),
        error("broken", "With a remainder: smallest error"),
        error("covered", "With one that a window covers: largest error of pools, smallest of convolutions"),
        error("mirror_exact", "Without remainder: largest error under a mirror"),
        error("mirror_broken", "With a remainder: smallest error under a mirror"),
        Filled(
            "printed",
            "Combinations that Eq. 3 without padding misjudges",
            lambda p: str(count(p, "printed_wrong")),
        ),
    )
    lines = [
        Line(f"{kind}_{padding}", f"{title}, {words}", kind, words={"padding": padding})
        for kind, title in (("convolution", "Lifting convolution"), ("pool", "Max pool"))
        for padding, words in (("none", "no padding, as Eq. 3 is printed"), ("some", "padding 1 or 2"))
    ]
    return table(results, "layers", columns, lines)


def invariance(results: Results) -> Table:
    """One row for each trained network of the main experiments."""
    said = {
        "upright": ("table1", "digits, upright"),
        "uniform": ("table1", "digits, turned"),
        **{f"biased{std}": ("figure6", f"digits, N(45, {std}²)") for std in arms.BIASES},
    }
    lines = [
        Line(arm(network, way), f"{TITLES[network]} ({words})", (experiment, arm(network, way)))
        for way, (experiment, words) in said.items()
        for network in NETWORKS
    ]
    images = {"table2_cifar10": arms.TABLE2["cifar10"], "table2_reduced": arms.REDUCED}
    lines += [
        Line(f"cifar10_{name}", f"{TITLES[name]} (CIFAR-10, upright)", (experiment, name))
        for experiment, names in images.items()
        for name in names
    ]
    columns = (
        Column("network", "Network and training"),
        KIND,
        plain("before", "Invariance error before training", ERROR_BEFORE),
        plain("after", "Invariance error after training", ERROR_AFTER),
        plain("accuracy", "Accuracy in % at 0 degrees", UPRIGHT),
        plain("lost", "Points lost at 90, 180 and 270 degrees (mean)", LOST),
    )
    return table(results, "invariance", columns, lines)


# -- sizes of networks on CIFAR-10 -------------------------------------------------------------------------


def table2_controls(results: Results) -> Table:
    """Exact and approximate p4 ResNet-44 at other sizes: is it the size or the exactness?"""
    places = [("table2_cifar10", name) for name in arms.TABLE2["cifar10"][:2]]
    places += [("controls_cifar10", name) for name in arms.CONTROLS_CIFAR10]
    return _image_sizes(results, "table2_controls", places)


def reduced(results: Results) -> Table:
    """Table 2 with a network of one block a stage, which a CPU trains."""
    names = (arms.REDUCED[2], *arms.REDUCED[:2], *arms.CONTROLS_REDUCED)
    return _image_sizes(results, "table2_reduced", [("table2_reduced", name) for name in names])


def _image_sizes(results: Results, name: str, places: Sequence[Where]) -> Table:
    """Accuracies of networks on CIFAR-10 at several sizes, against the exact one at 33 pixels."""
    base = next(place for place in places if PIXELS[place[1]] == 33)
    places = sorted(places, key=lambda place: (PIXELS[place[1]], EQUIVARIANCE[place[1]]))
    columns = (
        NETWORK,
        KIND,
        *(plain(*average) for average in SEEN_AND_UNSEEN),
        change("gap", "Seen: difference from the exact network at 33 pixels [95 % interval]", UPRIGHT),
        INVARIANCE,
        plain("parameters", "Parameters", PARAMETERS),
    )
    lines = [Line(place[1], TITLES[place[1]], place, arms={"base": base}) for place in places]
    said = [
        on_images(results, experiment, [name for one, name in places if one == experiment])
        for experiment in dict.fromkeys(experiment for experiment, _ in places)
    ]
    return table(results, name, columns, lines, protocols=" ".join(said))


# -- how networks on digits are trained and tested ---------------------------------------------------------


def on_digit_networks(
    results: Results, name: str, columns: Sequence[Column], lines: Iterable[Line], **fields: str | None
) -> Table:
    """A table on digits and how its networks were trained."""
    return table(results, name, columns, lines, protocol=on_digits(results, name), **fields)


def batch_or_image(results: Results) -> Table:
    """The two ways of drawing training angles of Figure 6, at the highest tier that has both."""
    found = (results.at(tier) for tier in results.tiers)
    both = next((one for one in found if all(len(one.frame(experiment)) for experiment in PER)), results)
    columns = (
        NETWORK,
        plain("figure6", f"Mean over all angles: {PER['figure6']}", ACCURACY),
        plain("figure6_images", f"Mean over all angles: {PER['figure6_images']}", ACCURACY, "image"),
        change("change", "Per image minus per batch [95 % interval]", ACCURACY, "image", ""),
        change("turned", "The same, mean over 90, 180 and 270 degrees", OTHER_QUARTERS, "image", ""),
        change("upright", "The same at 0 degrees", UPRIGHT, "image", ""),
    )
    lines = [
        Line(
            arms.biased(network, std),
            f"{TITLES[network]}, {std} degrees",
            arms={"image": ("figure6_images", arms.biased(network, std, "figure6_images"))},
        )
        for std in arms.BIASES
        for network in NETWORKS
    ]
    said = on_digits(both, "figure6")
    return table(both, "figure6_angles", columns, lines, experiment="figure6", protocol=said)


def quarters(results: Results) -> Table:
    """Accuracy of exact networks in all four quadrants, which other experiments take from the first."""

    def apart(key: str, title: str, bases: tuple[int, ...]) -> Filled:
        def fill(place: Place) -> str:
            where = place.where()
            return in_images(turns_apart(results, where, bases), images_at(results, where, bases)) or "-"

        return Filled(key, title, fill)

    columns = (
        NETWORK,
        KIND,
        plain("accuracy", "Accuracy in % at 0 degrees", UPRIGHT),
        apart("quarters", "Largest difference between quarter turns, in images", (0,)),
        apart("between", "The same between 30 and 120 degrees, 60 and 150, and so on", BETWEEN),
        INVARIANCE,
    )
    return on_digit_networks(results, "quarters", columns, declared(results, "quarters"))


# -- variants of networks on digits ------------------------------------------------------------------------

#: Columns of the tables of variants, each compared with another arm.
VARIANTS = (
    *(NETWORK, KIND, SEEN, TURNED_MEAN, MEAN36),
    change("change", "Change at 0 degrees [95 % interval]", UPRIGHT),
    change("change_turned", "Change, mean over 90, 180 and 270 degrees", OTHER_QUARTERS),
    change("change_mean36", "Change, mean over all 36 angles", ALL),
    INVARIANCE,
)


def variant(network: str, name: str, words: str, base: str, kind: str = "") -> Line:
    """A variant of a network, and the arm that it is compared with."""
    return Line(name, f"{TITLES[network]}: {words}", arms={"base": base}, words={KIND.key: kind})


def controls(results: Results) -> Table:
    """The circle crop that only the text has (D6), and the usual split of MNIST (D4)."""
    said = {
        "upright": "main protocol",
        "nocrop": "without the circle crop",
        "standard": "usual split, 58,000 training images",
    }
    lines = [
        variant(network, arm(network, way), words, arm(network, "upright"))
        for network in arms.CONTROL_NETWORKS
        for way, words in said.items()
    ]
    return on_digit_networks(results, "controls", VARIANTS, lines)


def statistics(results: Results) -> Table:
    """What dropout does through the statistics of batch norm."""
    lines = [
        variant(network, arm(network, way), words, arm(network, "running"))
        for network in NETWORKS
        for way, words in arms.STATISTICS.items()
    ]
    return on_digit_networks(results, "statistics", VARIANTS, lines)


def padding(results: Results) -> Table:
    """What stands outside the image, which the paper names as open."""
    lines = [
        variant(n, arm(n, mode), arms.PARTLY_ZEROS.get(mode, (mode,))[0], arm(n, "zeros"))
        for n, modes in arms.PADDED.items()
        for mode in modes
    ]
    after, before = (("padding", arm("p4cnn_27", mode)) for mode in ("zeros_after", "zeros_before"))
    found = gap(*(OTHER_QUARTERS.of(results, where) for where in (after, before)))
    return on_digit_networks(results, "padding", VARIANTS, lines, difference=None if found == "-" else found)


def repair(results: Results) -> Table:
    """A switch that keeps any input size exact, and its price."""
    lines = [
        variant(n, arms.repaired(n, way), words, n, "exact by repair" if way else "")
        for n in arms.REPAIRED
        for way, words in arms.REPAIR_TITLES.items()
    ]
    lines.append(variant(EXACT, EXACT, arms.REPAIR_TITLES[""], arms.REPAIRED[0]))
    return on_digit_networks(results, "repair", VARIANTS, lines)


def sizes(results: Results) -> Table:
    """P4CNN from 24 to 34 pixels: what turning costs is a comb of even and odd."""
    found = gap(*(UPRIGHT.of(results, ("sizes", name)) for name in ("p4cnn_31", "p4cnn_30")))
    columns = (NETWORK, KIND, SEEN, TURNED_MEAN, plain("lost", "Points lost by turning", LOST), INVARIANCE)
    lines = [Line(name, TITLES[name]) for name in arms.SIZES]
    return on_digit_networks(results, "sizes", columns, lines, price=None if found == "-" else found)


def mirrors(results: Results) -> Table:
    """p4m networks: mirrored images beside turned ones, element by element."""
    mirrored = Quantity("mirrored_accuracy")
    turned = "Invariance error under quarter turns, before → after training"
    both = "Invariance error under turns and mirrors, before → after training"
    columns = (
        *(NETWORK, KIND),
        *(plain(f"turned_{a}", f"Accuracy in %, turned by {a} degrees", ACCURACY.at(a)) for a in QUARTERS),
        *(plain(f"mirrored_{a}", f"Mirrored, then turned by {a} degrees", mirrored.at(a)) for a in QUARTERS),
        before_after("invariance", turned, "invariance_error"),
        before_after("mirror", both, "mirror_error"),
    )
    return on_digit_networks(results, "mirrors", columns, [Line(name, TITLES[name]) for name in arms.MIRRORS])
