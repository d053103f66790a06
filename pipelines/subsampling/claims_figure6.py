"""Claims about networks trained on biased rotations (S9, S10), one training angle per batch as released."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from pipelines.subsampling.arms import APPROXIMATE, BIASES, EXACT, SHORT, biased
from pipelines.subsampling.claims_common import accuracy, beats, one_sample
from pipelines.subsampling.tables_common import swept
from shared.report.claims import Part, reference, row
from shared.report.results import Results
from shared.report.tables import Row, Sample

#: Largest difference between angles (points) at which a curve still counts as flat.
FLAT = 2.0


def rows(results: Results) -> Iterator[Row]:
    """S9 twice (the gap, and that a wider spread of angles narrows it) and S10."""
    command = results.command("figure6")
    statement = (
        "Trained on rotations biased towards 45 degrees, the exact network beats the approximate ones "
        "(averaged over all angles)"
    )
    parts = [_gap(results, std, other) for std in BIASES for other in APPROXIMATE]
    yield row("S9", statement, parts, command=command)
    statement = "The gap of S9 is smaller where the training angles spread wider (20 minus 40 degrees)"
    yield row("S9-spread", statement, [_closing(results, other) for other in APPROXIMATE], command=command)
    statement = (
        "Trained so, the exact network's accuracy hardly depends on the angle: best minus worst angle is "
        f"below {FLAT:g} points (shown: {FLAT:g} minus that; ours: mean over seeds of each seed's own, "
        "which is stricter than that of the mean curve; both at the angles where ours is tested on the "
        "same images, so without the quarter turns if these are tested on more)"
    )
    yield row("S10", statement, [_flat(results, std) for std in BIASES], command=command)


def _gap(results: Results, std: int, other: str) -> Part:
    known = reference(results.published("significance", f"biased{std}_mean36_{other}", "difference"))
    exact, approximate = (accuracy(results, network, f"biased{std}") for network in (EXACT, other))
    return beats(f"{SHORT[other]}, {std} degrees", known, exact, approximate)


def _closing(results: Results, other: str) -> Part:
    """How much smaller the gap is at the wider spread, by seed."""
    gaps = [_gaps(results, std, other) for std in BIASES]
    printed = [
        results.published("significance", f"biased{std}_mean36_{other}", "difference") for std in BIASES
    ]
    known = [value.value for value in printed if value]
    theirs = f"{known[0] - known[1]:+.2f}" if len(known) == len(BIASES) else "-"
    return beats(SHORT[other], theirs, *gaps)


def _gaps(results: Results, std: int, other: str) -> Sample:
    """Exact minus approximate by seed, of the seeds that both ran."""
    exact, approximate = (accuracy(results, network, f"biased{std}") for network in (EXACT, other))
    common = {s: exact.values[s] - approximate.values[s] for s in exact.values if s in approximate.values}
    return Sample(common, exact.tier if common else "")


def _flat(results: Results, std: int) -> Part:
    """By how much the curve is flatter than it need be."""
    name = biased(EXACT, std)
    angles = swept(results, "figure6", [name])
    sample = results.sample(
        "figure6", name, "accuracy", angles or None, lambda curve: FLAT - float(np.ptp(curve))
    )
    printed = paper_range(results, name, angles)
    known = f"{FLAT - printed:+.2f}" if printed is not None else "-"
    return one_sample(f"{std} degrees", known, sample)


def mean_range(results: Results, experiment: str, name: str, angles: Sequence[float]) -> float | None:
    """Best minus worst of these angles of an arm, averaged over seeds first; None without results."""
    curves = results.curves(experiment, name, "accuracy").dropna()
    return float(np.ptp(curves[list(angles)].mean())) if len(curves) and angles else None


def paper_range(results: Results, name: str, angles: Sequence[float]) -> float | None:
    """The same of the paper's curve of Figure 6 at these angles; None if it has none for this arm."""
    printed = [results.published("figure6", name, str(angle)) for angle in angles]
    values = [value.value for value in printed if value]
    return max(values) - min(values) if values and len(values) == len(printed) else None
