"""Recorded runs computed again and held against their records; nothing is written."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from shared.base.errors import UserError
from shared.runs import config, devices, failures, ledger, precisions, records
from shared.runs.execution import Options, Outcome, Session
from shared.workflow.listing import duration

#: Two values are equal to rounding if they differ by this part of themselves: some 80 roundings of float32.
RELATIVE = 1e-5
#: So are values of the size of float32's rounding, such as the error of an exact network, that differ by no
#: more than over the recorded seeds.
ABSOLUTE = 1e-6
#: Circumstances that cannot change a number, or that the fingerprint of the code stands for.
_NO_CAUSE = {"accepted", "commit", "dirty", "execution", "finished", "resumed", "throughput", "wall_s"}
_NO_CAUSE |= {"peak_mb", "device_peak_mb"}

UNKNOWN = "not recorded"


def _record(run: config.Run) -> records.Record | None:
    return ledger.of(run.paper).record(run)


Place = tuple[str, int | float | str]


@dataclass(frozen=True)
class Batch:
    """Recorded runs to compute again: one, or all seeds that were trained side by side.

    Attributes:
        runs: the runs, in declared order.
        records: what is recorded of them.
        missing: how many more were trained side by side with them, whose records are not here.
    """

    runs: tuple[config.Run, ...]
    records: tuple[records.Record, ...]
    missing: int = 0

    @property
    def facts(self) -> Mapping[str, Any]:
        """The circumstances they were recorded under."""
        return self.records[0].environment

    @property
    def seconds(self) -> float:
        """What computing them took when they were recorded."""
        return sum(float(record.environment.get("wall_s", 0.0)) for record in self.records)

    def __str__(self) -> str:
        run, facts, took = self.runs[0], self.facts, duration(self.seconds)
        threads = f"{facts.get('threads', '?')} thread{'' if facts.get('threads') == 1 else 's'}"
        where = ", ".join(str(facts.get(name, "?")) for name in ("cpu", "device"))
        seeds = ",".join(str(run.seed) for run in self.runs)
        text = (
            f"{run.paper}/{run.experiment}/{run.tier}/{run.arm}/{seeds}: recorded "
            f"{str(facts.get('finished', '?'))[:10]} at commit {str(facts.get('commit', '?'))[:9]}, "
            f"took {took} ({where}, {threads}, {facts.get('precision', '?')})"
        )
        if len(self.runs) > 1:
            text += ", seeds side by side"
        if self.missing:
            text += f"; {self.missing} more seeds were beside it, and their records are not here"
        return text


@dataclass(frozen=True)
class Difference:
    """A value that is another one now; None where there is none. ``spread`` is over the recorded seeds."""

    metric: str
    step: int | float | str
    recorded: float | None
    now: float | None
    spread: tuple[float, ...]

    @property
    def is_rounding(self) -> bool:
        """See `RELATIVE` and `ABSOLUTE`."""
        if self.recorded is None or self.now is None:
            return False
        size, change = max(abs(self.recorded), abs(self.now)), abs(self.now - self.recorded)
        range_ = max(self.spread) - min(self.spread) if self.spread else 0.0
        return change <= RELATIVE * size or change <= min(ABSOLUTE, range_)

    @property
    def weight(self) -> float:
        """The change in standard deviations over the recorded seeds, where these differ; else relative."""
        if self.recorded is None or self.now is None:
            return float("inf")
        deviation = statistics.stdev(self.spread) if len(self.spread) > 1 else 0.0
        size = max(abs(self.recorded), abs(self.now))
        return abs(self.now - self.recorded) / (deviation or size or 1.0)

    def __str__(self) -> str:
        at = "" if self.step == "" else f" at step {self.step}"
        if self.recorded is None or self.now is None:
            return f"{self.metric}{at} is {'not there any more' if self.now is None else 'new'}"
        change = self.now - self.recorded
        text = f"{self.metric}{at}: {self.recorded:.6g} recorded, {self.now:.6g} now, {change:+.2g}"
        if len(self.spread) < 2:
            return f"{text} (no other seed is recorded)"
        deviation = statistics.stdev(self.spread)
        return f"{text} (standard deviation over {len(self.spread)} recorded seeds: {deviation:.2g})"


def choose(
    experiment: config.Experiment,
    tier: str | None = None,
    arms: Sequence[str] | None = None,
    seeds: Sequence[int] | None = None,
) -> list[Batch]:
    """The recorded runs to compute again.

    Args:
        experiment: whose.
        tier: which; None for the highest at which one of them is recorded.
        arms: which; None for the cheapest.
        seeds: which; None for the cheapest of each arm.

    Raises:
        UserError: for an unknown tier, arm or seed, or if none of them is recorded.
    """
    for name in [tier] if tier else reversed(experiment.tiers):
        if tier is None and not set(seeds or ()) <= set(experiment.tier(name).seeds):
            continue
        found = [_batch(experiment, run) for run in experiment.runs(name, arms, seeds) if _record(run)]
        if found:
            return _cheapest(found, arms is None, seeds is None)
    at = f"at the tier {tier}" if tier else "at any tier"
    name = f"{experiment.paper}/{experiment.name}"
    raise UserError(f"no such run of {name} is recorded {at}; `run` computes it, `list` shows what there is")


def _batch(experiment: config.Experiment, run: config.Run) -> Batch:
    """A recorded run and those beside it: they were finished at the same moment, to the millisecond."""
    known = {each: _record(each) for each in experiment.runs(run.tier, [run.arm])}
    own = known[run]
    assert own is not None
    replicas, finished = own.environment.get("replicas", 1), own.environment.get("finished")
    same = {
        each: record
        for each, record in known.items()
        if record and (each == run or (replicas > 1 and record.environment.get("finished") == finished))
    }
    return Batch(tuple(same), tuple(same.values()), max(0, replicas - len(same)))


def _cheapest(found: list[Batch], of_arms: bool, of_seeds: bool) -> list[Batch]:
    by_arm: dict[str, list[Batch]] = {}
    for batch in found:
        mine = by_arm.setdefault(batch.runs[0].arm, [])
        if batch not in mine:
            mine.append(batch)
    if of_seeds:
        by_arm = {arm: [min(each, key=lambda batch: batch.seconds)] for arm, each in by_arm.items()}
    if of_arms:
        return min(by_arm.values(), key=lambda each: sum(batch.seconds for batch in each))
    return [batch for each in by_arm.values() for batch in each]


def rerun(batch: Batch, options: Options) -> tuple[list[str], bool]:
    """Compute runs again, under the recorded circumstances where ``options`` names no others.

    Returns:
        What there is to say about the result, and whether nothing differs beyond rounding.

    Raises:
        UserError: if they cannot be computed here, or not under these circumstances.
    """
    first = batch.runs[0]
    session = Session(_as_recorded(batch, options), Outcome())
    try:
        results, facts = session.train(list(batch.runs), None)
    except Exception as error:
        if options.debug or isinstance(error, UserError):
            raise
        raise UserError(failures.sentence(error, first.spec, session.device)) from None
    causes, spread = _causes(batch.facts, facts), _spreads(first)
    known = {name for name, text in causes.items() if UNKNOWN not in text}
    lines, agree = [], True
    for run, record in zip(batch.runs, batch.records):
        there = records.untimed(record.rows)
        here = records.untimed(records.checked_rows(results[run.seed], run.spec))
        changed = [
            Difference(*place, there.get(place), here.get(place), spread(place))
            for place in records.differences(there, here)
        ]
        lines += _comparison(run, len({*there, *here}), changed, known)
        agree &= all(difference.is_rounding for difference in changed)
    took = duration(facts["wall_s"] * len(batch.runs))
    notable = known if agree else set(causes)
    lines += [f"  {name.replace('_', ' ')}: {text}" for name, text in causes.items() if name in notable]
    return [*lines, f"  took {took} here, {duration(batch.seconds)} when recorded"], agree


def _as_recorded(batch: Batch, options: Options) -> Options:
    """The options with what they leave open filled in from the record."""
    facts, precision, device = batch.facts, options.precision, options.device
    if precision is None and facts.get("precision") != precisions.of(batch.runs[0], None):
        precision = facts.get("precision")
    precisions.check(batch.runs, precision)
    if device == "recorded":
        device = "cuda" if facts.get("device") == "cuda" and devices.gpus() else "cpu"
    threads = options.threads or facts.get("threads")
    return Options(device, threads, precision, debug=options.debug, log=options.log)


def _comparison(run: config.Run, values: int, changed: list[Difference], causes: set[str]) -> list[str]:
    """What became of the values of one run, as lines."""
    beyond = [difference for difference in changed if not difference.is_rounding]
    counts = f"{values - len(changed)} the same to the last digit"
    if changed:
        counts += f", {len(changed) - len(beyond)} to rounding, {len(beyond)} not"
    lines = [f"{run.spec}: of {values} values {counts} (times are left out)"]
    if beyond:
        return [*lines, *_by_metric(beyond), f"  not the same{_meaning(causes)}"]
    if changed:
        return [*lines, f"  largest: {max(changed, key=lambda d: d.weight)}", "  the same to rounding"]
    return [*lines, "  the same: computed again, every value is the recorded one"]


def _meaning(causes: set[str]) -> str:
    if not causes:
        return ", although nothing that is recorded of the circumstances has changed"
    if "code" in causes:
        return "; the code is not that of the record (below), which may be the reason"
    return (
        "; training amplifies differences in rounding, which come with other circumstances (below): whether "
        "there is more to it, the standard deviations over seeds tell"
    )


def _spreads(run: config.Run) -> Callable[[Place], tuple[float, ...]]:
    """The values at a place of all recorded seeds of a run's arm."""
    arm = config.load(run.paper).experiment(run.experiment).runs(run.tier, [run.arm])
    found = [records.untimed(known.rows) for known in map(_record, arm) if known]
    return lambda place: tuple(values[place] for values in found if place in values)


def _by_metric(found: list[Difference]) -> list[str]:
    """A line per metric, with its largest difference; that of the most standard deviations first."""
    metrics: dict[str, list[Difference]] = {}
    for difference in found:
        metrics.setdefault(difference.metric, []).append(difference)
    largest = [(max(each, key=lambda d: d.weight), len(each)) for each in metrics.values()]
    largest.sort(key=lambda pair: -pair[0].weight)
    return [f"  {text}" + (f"; {count - 1} more" if count > 1 else "") for text, count in largest]


def _causes(old: Mapping[str, Any], new: Mapping[str, Any]) -> dict[str, str]:
    """What of the circumstances is another one now, or was not recorded: a text each, by name."""
    before, now = _flat(old), _flat(new)
    names = [name for name in dict.fromkeys([*before, *now]) if before.get(name) != now.get(name)]
    return {name: f"{before.get(name, UNKNOWN)}, now {now.get(name, 'none')}" for name in names}


def _flat(facts: Mapping[str, Any]) -> dict[str, Any]:
    flat = {name: value for name, value in facts.items() if name not in _NO_CAUSE | {"versions"}}
    flat["notes"] = "; ".join(facts.get("notes") or ()) or "none"  # on the data
    flat["code"] = flat.pop("fingerprint", UNKNOWN)
    return flat | {f"version of {name}": v for name, v in dict(facts.get("versions", {})).items()}
