"""The text of ``list``: experiments by tier with their runs, and their estimated time and memory."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from shared.runs import batches, config, devices, ledger

_HEADER = ("experiment", "tier", "valid", "time of all", "time left", "memory", "cost from")


def text(
    experiments: Sequence[config.Experiment],
    tier: str | None = None,
    show_runs: bool = False,
    show_verdicts: bool = False,
) -> str:
    """A table per paper.

    Args:
        experiments: what to list.
        tier: only this one; None for all.
        show_runs: also name each run without a valid result, and why.
        show_verdicts: also count verdicts, of what is judged apart.
    """
    kind = "cuda" if devices.gpus() else "cpu"
    parts = []
    for paper in dict.fromkeys(experiment.paper for experiment in experiments):
        declared = config.load(paper)
        rows, stale = [_HEADER], []
        for experiment in (e for e in experiments if e.paper == paper):
            for name in (n for n in experiment.tiers if tier in (None, n)):
                row, without = _row(experiment, name, kind)
                rows.append(row)
                stale += without
        parts.append(f"{paper}: {declared.title} (revision {declared.revision})\n{_aligned(rows)}")
        if show_runs:
            parts.append(
                "\n".join(f"  {run.spec}: {'; '.join(why)}" for run, why in stale) or "  all runs are valid"
            )
        parts += [_verdicts(paper)] if show_verdicts else []
    return "\n".join(parts)


def _verdicts(paper: str) -> str:
    from shared.report import agreement, counts
    from shared.report.contents import Report

    report = Report(paper)
    lines = [f"{what}: {said}" for what, said in counts.lines(report.tally()).items()]
    return "\n".join(f"  {line}" for line in (*lines, agreement.sentence(report.judged)))


def _row(
    experiment: config.Experiment, tier: str, kind: str
) -> tuple[tuple[str, ...], list[tuple[config.Run, list[str]]]]:
    runs, known_runs = experiment.runs(tier), ledger.of(experiment.paper)
    stale = [(run, why) for run in runs if (why := known_runs.why_stale(run))]
    known = batches.measured_costs(experiment, tier, kind)
    other = "cpu" if kind == "cuda" else "cuda"
    if not known:
        known, kind = batches.measured_costs(experiment, tier, other) or known, other
    each = batches.total_cost(experiment, tier, runs, known)
    left = batches.total_cost(experiment, tier, [run for run, _ in stale], known)
    source = f"measured ({kind})" if each.source == "measured" else each.source
    memory = "-" if each.memory_mb is None else f"{each.memory_mb:.0f} MB"
    valid = f"{len(runs) - len(stale)}/{len(runs)}"
    remaining = duration(left.seconds) if stale else "-"
    return (experiment.name, tier, valid, duration(each.seconds), remaining, memory, source), stale


def duration(seconds: float | None) -> str:
    """A time for people: ``40 s``, ``12 min``, ``3 h 20 min``; ``-`` if it is not known."""
    if seconds is None:
        return "-"
    if seconds < 90:
        return f"{seconds:.0f} s" if seconds >= 1 else "< 1 s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60} min"


def _aligned(rows: Iterable[Sequence[str]]) -> str:
    table = [list(row) for row in rows]
    widths = [max(len(row[i]) for row in table) for i in range(len(table[0]))]
    return "\n".join("  " + "  ".join(c.ljust(w) for c, w in zip(row, widths)).rstrip() for row in table)
