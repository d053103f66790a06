"""Claims about Table 2 (S15 to S17)."""

from __future__ import annotations

from collections.abc import Iterator

from pipelines.subsampling.arms import DATASETS, QUARTERS, REDUCED, ROLES, TABLE2
from pipelines.subsampling.claims_common import MARGIN_PRINTED, beats, same
from shared.report.claims import Part, row
from shared.report.results import Results
from shared.report.tables import Row, Sample

ANGLES = {"seen": (0,), "unseen": QUARTERS}
#: Networks of the paper by data set, and our reduced one, for which the paper has no numbers.
ARMS = {**TABLE2, "reduced": REDUCED}
#: Data sets on which the paper finds the approximate network ahead on upright images; elsewhere neither.
AHEAD = ("cifar10", "cifar100", "reduced")


def table2(results: Results) -> Iterator[Row]:
    """S15 to S17, one row for each data set, so that a data set that was not run does not hide another."""
    names = _names(results)
    for dataset, title in names.items():
        statement = f"{title}: the exact network beats the approximate one on unseen rotations"
        part = _beats(results, dataset, "unseen", "exact", "approximate")
        yield _row(results, "S15", dataset, f"{statement} (0, 90, 180, 270 degrees)", [part])
    yield _gaps(results)
    for dataset, title in names.items():
        yield _upright(results, dataset, title)
    for dataset, title in names.items():
        parts = [
            _beats(results, dataset, column, role, "standard", f"{role}, {column}")
            for role in ("approximate", "exact")
            for column in ANGLES
        ]
        statement = f"{title}: every p4 network beats the standard one, on seen and on unseen rotations"
        yield _row(results, "S17", dataset, statement, parts)


def _names(results: Results) -> dict[str, str]:
    """Titles of the data sets; the reduced network counts only where the paper's was not run on CIFAR-10."""
    if results.tier("table2_cifar10", TABLE2["cifar10"][0]):
        return DATASETS
    return {**DATASETS, "reduced": "CIFAR-10, reduced network (ours)"}


def _upright(results: Results, dataset: str, title: str) -> Row:
    """S16 of one data set."""
    if dataset in AHEAD:
        statement = f"{title}: on upright images the approximate network beats the exact one"
        part = _beats(results, dataset, "seen", "approximate", "exact")
    else:
        margin = f"(within {MARGIN_PRINTED} points)"
        statement = f"{title}: on upright images exact and approximate are the same {margin}"
        samples = [accuracy(results, dataset, role, "seen") for role in ("approximate", "exact")]
        part = same("", _printed(results, dataset, "seen", "approximate", "exact"), *samples, MARGIN_PRINTED)
    return _row(results, "S16", dataset, statement, [part])


def accuracy(results: Results, dataset: str, role: str, column: str) -> Sample:
    """Accuracy of a network of Table 2 on ``seen`` or ``unseen`` rotations as the paper means them."""
    name = ARMS[dataset][ROLES.index(role)]
    return results.sample(f"table2_{dataset}", name, "accuracy", ANGLES[column])


def _row(results: Results, key: str, dataset: str, statement: str, parts: list[Part]) -> Row:
    command = results.command(f"table2_{dataset}")
    return row(f"{key}-{dataset}", statement, parts, command=command, ours=dataset == "reduced")


def _beats(results: Results, dataset: str, column: str, first: str, second: str, label: str = "") -> Part:
    samples = [accuracy(results, dataset, role, column) for role in (first, second)]
    return beats(label, _printed(results, dataset, column, first, second), *samples)


def _printed(results: Results, dataset: str, column: str, first: str, second: str) -> str:
    """Difference of two printed cells of Table 2."""
    found = [results.published("table2", f"{dataset}_{role}", column) for role in (first, second)]
    known = [value.value for value in found if value]
    return f"{known[0] - known[1]:+.2f}" if len(known) == 2 else "-"


def _gaps(results: Results) -> Row:
    """Second half of S15: the gap on CIFAR is larger than on Flowers102 and PCam."""
    parts = []
    for other in ("flowers102", "pcam"):
        printed = [
            float(_printed(results, dataset, "unseen", "exact", "approximate"))
            for dataset in ("cifar10", other)
        ]
        samples = [_gap(results, dataset) for dataset in ("cifar10", other)]
        parts.append(beats(DATASETS[other], f"{printed[0] - printed[1]:+.2f}", *samples, paired=False))
    statement = "The gap of S15 is larger on CIFAR-10 than on Flowers102 and PCam"
    return row("S15-gap", statement, parts, command=results.command("table2_flowers102"))


def _gap(results: Results, dataset: str) -> Sample:
    exact, approximate = (accuracy(results, dataset, role, "unseen") for role in ("exact", "approximate"))
    common = {s: exact.values[s] - approximate.values[s] for s in exact.values if s in approximate.values}
    return Sample(common, exact.tier if common else "")
