"""Names of networks, data and arms as tables, figures and claims use them, and where their runs are."""

from __future__ import annotations

import math
from collections.abc import Sequence

from pipelines.soft_equivariance.settings import Settings
from shared.report.build import Where
from shared.report.results import Results

DATA = {
    "cifar10": "CIFAR-10",
    "cifar10_aug": "CIFAR-10, augmented",
    "cifar100": "CIFAR-100",
    "cifar100_aug": "CIFAR-100, augmented",
}
DATASETS = ("cifar10", "cifar100")
ANGLES = (4, 8, 16)
KINDS = {"strict": "strict (G-CNN)", "partial": "partial", "soft": "relaxed in SO(2)"}
#: Networks of Table 2 in its order.
NETWORKS = {
    "cnn": "T(2): strict (CNN)",
    "soft_t2": "T(2): relaxed",
    **{f"{kind}_n{n}": f"SE(2), n = {n}: {title}" for n in ANGLES for kind, title in KINDS.items()},
}
#: Baselines with 29 taps in the lift, and the control of the clean comparison, which only the reduced
#: protocol has (with 4 angles the control stands in the table of steps).
CONTROLS = {
    **{
        f"{kind}_taps_n4": f"SE(2), n = 4: {KINDS[kind]}, 29 taps in the lift"
        for kind in ("strict", "partial")
    },
    "strict_taps_n8": f"SE(2), n = 8: {KINDS['strict']}, 29 taps in the lift",
    "relative_n8": "SE(2), n = 8: strict, all but the relaxation (1a to 1d)",
}
LAMBDAS = ("0.001", "0.01", "0.1", "0.5", "1", "5")
#: Relaxed networks whose omega' is learned: that with a fixed one, and those they are compared with.
LEARNED = {
    "t2": ("soft_t2", "cnn", ""),
    **{f"n{n}": (f"soft_n{n}", f"strict_n{n}", f"partial_n{n}") for n in ANGLES},
}
#: Where a network of Table 2 can be found, the paper's protocol first.
TABLE2 = ("table2", "table2_reduced", "table2_augmented", "table2_n8")
TABLE4 = ("table4", "table4_reduced")
#: omega' of Figure 4: columns of its table.
FREQUENCIES = (*range(11), 20)
LAYERS = {
    "lift": "lift",
    "block1_a": "block 1, first",
    "block1_b": "block 1, second",
    "block2_a": "block 2, first",
    "block2_b": "block 2, second",
    "last": "last",
}
#: Panels of Figure 4: experiment, arms at omega', strict network.
SWEEPS = {
    "n4": ("figure4", "so2", "strict", "SO(2), n = 4"),
    "n8": ("figure4_n8", "so2", "strict", "SO(2), n = 8"),
    "t2": ("figure4", "t2", "cnn", "T(2)"),
}


def experiment(results: Results, names: Sequence[str], candidates: Sequence[str]) -> str:
    """The first experiment with results of all these arms, else that declares them, else the first."""
    declared = [one for one in candidates if set(names) <= set(results.declared.experiment(one).arms)]
    there = [one for one in declared if all(results.tier(one, name) for name in names)]
    return (there or declared or list(candidates))[0]


def together(results: Results, data: str, *networks: str) -> list[Where]:
    """Networks of Table 2 on one kind of data, all in one experiment, so that they follow one protocol."""
    names = [f"{network}_{data}" for network in networks]
    return [(experiment(results, names, TABLE2), name) for name in names]


def swept(results: Results, data: str, sweep: str) -> dict[int, Where]:
    """The arms of one curve of Figure 4 by their omega'."""
    name, prefix, _, _ = SWEEPS[sweep]
    arms = results.declared.experiment(name).arms
    found = {m: f"{prefix}_{m}_{data}" for m in FREQUENCIES}
    return {m: (name, arm) for m, arm in found.items() if arm in arms}


def strict(data: str, sweep: str) -> Where:
    """The strict network beside one curve of Figure 4."""
    name, _, network, _ = SWEEPS[sweep]
    return name, f"{network}_{data}"


def short(network: str) -> str:
    """A network of Table 2 in few words: ``CNN``, ``relaxed T(2)``, ``strict (n = 4)``."""
    if network in ("cnn", "soft_t2"):
        return {"cnn": "CNN", "soft_t2": "relaxed T(2)"}[network]
    kind, _, n = network.partition("_n")
    return f"{kind.replace('soft', 'relaxed')} (n = {n})"


def settings(results: Results, where: Where) -> Settings:
    """What the runs shown of an arm were set to, or would be."""
    declared = results.declared.experiment(where[0])
    tier = results.tier(*where) or next(tier for tier in reversed(declared.tiers))
    return declared.settings_of(where[1], tier)


def kept(angle: int, m: int, n: int) -> bool:
    """Whether a turn by ``angle`` degrees is left by frozen whole frequencies m with n angles: claim R1."""
    return angle * math.gcd(m, n) % 360 == 0
