"""Controls of our own on digits: crop and split (D6, D4), sizes (D18), norms, mirrors, padding, repairs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from pipelines.subsampling.arms import (
    ANGLES,
    CONTROL_NETWORKS,
    CONTROLS,
    EQUIVARIANCE,
    EXACT,
    NETWORKS,
    PADDED,
    PARTLY_ZEROS,
    REPAIR_TITLES,
    REPAIRED,
    REPAIRS,
    SIZES,
    STATISTICS,
    TITLES,
    TURNED,
    arm,
    repaired,
)
from pipelines.subsampling.tables_common import (
    all_angles,
    before_after,
    gap,
    lost,
    plain_cell,
    protocol,
    turned_cell,
)
from shared.report.results import Results
from shared.report.tables import Cell, Column, Row, Table, measured

SEEN = Column("seen", "Accuracy in % at 0 degrees")
TURNED_MEAN = Column("turned", "Accuracy in %, mean over 90, 180 and 270 degrees")
MEAN36 = Column("mean36", "Accuracy in %, mean over all 36 angles")
INVARIANCE = Column("invariance", "Invariance error, before → after training")
OURS = "Ours alone: the paper has no such runs."


def controls(results: Results) -> Table:
    """The circle crop that only the text has (D6), and the usual split of MNIST (D4)."""
    words = {
        "upright": "main protocol",
        "nocrop": "without the circle crop",
        "standard": "usual split, 58,000 training images",
    }
    rows = [
        (arm(name, kind), f"{TITLES[name]}: {words[kind]}", EQUIVARIANCE[name], arm(name, CONTROLS[0]))
        for name in CONTROL_NETWORKS
        for kind in CONTROLS
    ]
    return _variants(
        results,
        "controls",
        "Controls: the circle crop, and the choice of training images",
        "The paper's text crops images to a circle, the released loader does not; its logs train on 8,000 "
        "images of MNIST's test set and test on the training set, the usual way is the other one. The change "
        "is against the main protocol.",
        rows,
    )


#: Differences from another arm's accuracy: key and title of the column, and the angles.
CHANGES = (
    (Column("change", "Change at 0 degrees [95 % interval]"), (0,)),
    (Column("change_turned", "Change, mean over 90, 180 and 270 degrees"), TURNED),
    (Column("change_mean36", "Change, mean over all 36 angles"), ANGLES),
)
COLUMNS = (
    *(Column("network", "Network"), Column("equivariance", "Equivariance"), SEEN, TURNED_MEAN, MEAN36),
    *(column for column, _ in CHANGES),
    INVARIANCE,
)


def _changes(results: Results, name: str, variant: str, base: str) -> list[str]:
    """Accuracy of an arm against another's, with the 95 % interval; a dash for the other itself."""
    if variant == base:
        return ["-"] * len(CHANGES)
    return [
        gap(*(results.sample(name, which, "accuracy", angles) for which in (variant, base)))
        for _, angles in CHANGES
    ]


def sizes(results: Results) -> Table:
    """P4CNN from 24 to 34 pixels: what turning costs is a comb of even and odd."""
    rows = []
    for name in SIZES:
        cells = (
            EQUIVARIANCE[name],
            plain_cell(results, "sizes", name, "accuracy", [0]),
            turned_cell(results, "sizes", name),
            measured(lost(results, "sizes", name), command=results.command("sizes")),
            before_after(results, "sizes", name) or "-",
        )
        rows.append(Row(name, TITLES[name], cells))
    seen = {name: results.sample("sizes", name, "accuracy", [0]) for name in ("p4cnn_30", "p4cnn_31")}
    price = gap(seen["p4cnn_31"], seen["p4cnn_30"])
    note = f"Upright, the approximate network at 31 pixels minus the exact one at 30: {price} points."
    return Table(
        "sizes",
        "Accuracy over the input size: the comb of even and odd",
        (
            Column("network", "Network"),
            Column("equivariance", "Equivariance"),
            SEEN,
            TURNED_MEAN,
            Column("lost", "Points lost by turning"),
            INVARIANCE,
        ),
        tuple(rows),
        caption=(
            "P4CNN trained on upright digits resized to each size. MNIST is 28 pixels wide, so in the paper "
            "the exact network alone sees images that were not resized; at 30 and 31 both are, which tells "
            f"a price of exactness on upright digits (claim S11) from an effect of resizing. {OURS} "
            f"{protocol(results, 'sizes')}"
        ),
        commands=(results.command("sizes"),),
        notes=() if price == "-" else (note,),
    )


def statistics(results: Results) -> Table:
    """What dropout does through the statistics of batch norm."""
    rows = [
        (arm(name, way), f"{TITLES[name]}: {words}", EQUIVARIANCE[name], arm(name, "running"))
        for name in NETWORKS
        for way, words in STATISTICS.items()
    ]
    return _variants(
        results,
        "statistics",
        "Dropout and batch norm: statistics of training against those without dropout",
        "Dropout changes the variance of what the next norms see in training, but not in testing, so that "
        "the statistics they keep do not fit there (a known effect; Li et al., CVPR 2019). The paper's "
        "networks have dropout in front of four norms. Here networks trained alike, seed by seed, are tested "
        "with statistics estimated on the training images without dropout; the change is against those of "
        "training.",
        rows,
    )


def padding(results: Results) -> Table:
    """What stands outside the image, which the paper names as open."""
    rows = []
    for name, modes in PADDED.items():
        for mode in modes:
            words, _ = PARTLY_ZEROS.get(mode, (mode, ""))
            rows.append((arm(name, mode), f"{TITLES[name]}: {words}", EQUIVARIANCE[name], arm(name, "zeros")))
    table = _variants(
        results,
        "padding",
        "What the padding mode does to exact and approximate networks",
        "Each mode treats the four sides alike, so an exact network stays exact with all of them; the "
        "question is what an approximate one makes of it. All but zeros keep a blank image blank at every "
        "layer; zeros draw a frame around it, of which the pool at 27 pixels drops the right and the lower "
        "side. The two rows with zeros in a part of the network only tell whether that matters. The change "
        "is against zeros, as in the paper.",
        rows,
    )
    after, before = (
        results.sample("padding", arm("p4cnn_27", mode), "accuracy", TURNED)
        for mode in ("zeros_after", "zeros_before")
    )
    found = gap(after, before)
    note = f"At 90, 180 and 270 degrees, zeros after the pool minus zeros before it: {found} points."
    return replace(table, notes=() if found == "-" else (note,))


def repair(results: Results) -> Table:
    """A switch that keeps any input size exact, and its price."""
    rows = []
    for name in REPAIRED:
        for way in REPAIRS:
            word = "exact by repair" if way else EQUIVARIANCE[name]
            rows.append((repaired(name, way), f"{TITLES[name]}: {REPAIR_TITLES[way]}", word, name))
    rows.append((EXACT, f"{TITLES[EXACT]}: {REPAIR_TITLES['']}", EQUIVARIANCE[EXACT], REPAIRED[0]))
    return _variants(
        results,
        "repair",
        "A switch that keeps any input size exact, and what it does to accuracy",
        "*resize* enlarges the feature map before the pool to the next exact size by bilinear "
        "interpolation, *pool* widens the windows of the pool by the remainder (3x3 in place of 2x2 at odd "
        "sizes); neither has parameters, and both leave a network alone at sizes that are exact. The change "
        "is against the same network as published (28 pixels: against 27).",
        rows,
    )


def _variants(
    results: Results, name: str, title: str, caption: str, rows: Sequence[tuple[str, str, str, str]]
) -> Table:
    """Accuracy, its change and the invariance of variants of a network.

    Args:
        results: ours.
        name: of experiment and table.
        title, caption: of the table.
        rows: for each variant its arm, title, equivariance in words, and the arm that it is compared with.
    """
    made = []
    for variant, head, word, base in rows:
        cells: tuple[Cell | str, ...] = (
            word,
            plain_cell(results, name, variant, "accuracy", [0]),
            turned_cell(results, name, variant),
            all_angles(results, name, variant),
            *_changes(results, name, variant, base),
            before_after(results, name, variant) or "-",
        )
        made.append(Row(variant, head, cells))
    return Table(
        name,
        title,
        COLUMNS,
        tuple(made),
        caption=f"{caption} Trained on upright digits. {OURS} {protocol(results, name)}",
        commands=(results.command(name),),
    )
