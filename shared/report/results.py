"""What a pipeline's ``tables.py`` and ``figures.py`` see: our results beside the paper's numbers.

`Results` hides where numbers come from: for each experiment the tier that says most, committed results for
the report, demo results for the demo, or an earlier git revision for `shared.report.diff`.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any, Protocol

import numpy as np
import pandas as pd

from shared.base import paths
from shared.base.errors import UserError, unknown
from shared.report import published, stats, tiers, verdicts
from shared.report.tables import Cell, Sample, measured
from shared.runs import config, ledger

COLUMNS = ("run", "experiment", "arm", "seed", "metric", "step", "value")


class Source(Protocol):
    """Where results come from; by default `shared.runs.ledger`: what is collected in this checkout."""

    def read(self, paper: str, experiment: str, tier: str) -> pd.DataFrame:
        """The rows, as `shared.runs.ledger.read` gives them; empty if there are none."""
        ...

    def environments(self, paper: str, experiment: str, tier: str) -> Mapping[str, Mapping[str, Any]]:
        """Environment and inputs by run."""
        ...


class Results:
    """Results of one paper.

    Args:
        paper: name of the pipeline.
        demo: results of the demo tier instead of the committed ones; they get no verdicts.
        source: where results come from; the working tree by default.
    """

    def __init__(self, paper: str, demo: bool = False, source: Source = ledger) -> None:
        self.paper = paper
        self.demo = demo
        self.tiers = ("demo",) if demo else tuple(reversed(paths.COMMITTED_TIERS))
        #: Places of the paper's numbers that tables or figures have asked for.
        self.asked: set[tuple[str, str, str]] = set()
        #: Blocks of captions.md that tables, figures and claims have asked for.
        self.said: set[str] = set()
        self._source = source
        self._frames: dict[str, pd.DataFrame] = {}
        self._arm_tiers: dict[str, dict[str, str]] = {}
        self._arm_runs: dict[str, dict[str, set[str]]] = {}
        self._groups: dict[str, dict[tuple[str, str], pd.DataFrame]] = {}
        self._curves: dict[tuple[str, str, str], pd.DataFrame] = {}
        self._records: dict[str, dict[str, Mapping[str, Any]]] = {}

    @functools.cached_property
    def declared(self) -> config.Paper:
        """What ``experiments.yaml`` says."""
        return config.load(self.paper)

    @functools.cached_property
    def _published(self) -> dict[tuple[str, str, str], published.PaperValue]:
        return published.paper_values(self.paper)

    def at(self, tier: str) -> Results:
        """The same results, of one tier only: to compare experiments whose highest tiers differ."""
        found = Results(self.paper, self.demo, self._source)
        found.tiers, found.asked, found.said = (tier,), self.asked, self.said
        return found

    def frame(self, experiment: str) -> pd.DataFrame:
        """Rows ``run, experiment, arm, seed, metric, step, value, tier``; a missing step is NaN.

        All arms come from one tier, so that their differences compare like with like: the highest at which
        every arm has seeds enough for a verdict that has them anywhere. Without such a tier each arm shows
        the highest with seeds enough, and an arm that has too few everywhere the highest that has any.

        Raises:
            UserError: if the paper declares no such experiment.
        """
        if experiment not in self._frames:
            declared = self.declared.experiment(experiment)
            frames = [self._tier(experiment, tier) for tier in self.tiers if tier in declared.tiers]
            by_arm = [(frame[:0], dict(iter(frame.groupby("arm", sort=False)))) for frame in frames]
            arms = [[found.get(arm, none) for none, found in by_arm] for arm in declared.arms]
            kept = [frame for frame in tiers.shown(arms) if len(frame)]
            empty = pd.DataFrame(columns=[*COLUMNS, "tier"])
            self._frames[experiment] = pd.concat(kept, ignore_index=True) if kept else empty
        return self._frames[experiment]

    def _tier(self, experiment: str, tier: str) -> pd.DataFrame:
        return self._source.read(self.paper, experiment, tier).assign(tier=tier)

    def curves(self, experiment: str, arm: str, metric: str) -> pd.DataFrame:
        """One row per seed, one column per step, both sorted; empty if there are no runs.

        For example accuracy by angle. A metric without steps has the one column 0.

        Raises:
            UserError: if the experiment has no such arm, or a seed has two values at one step.
        """
        arms = self.declared.experiment(experiment).arms
        if arm not in arms:
            raise UserError(f"{self.paper}/{experiment}: {unknown('arm', arm, arms)}")
        if experiment not in self._groups:
            groups = self.frame(experiment).groupby(["arm", "metric"], sort=False)
            self._groups[experiment] = dict(iter(groups))
        key = (experiment, arm, metric)
        if key not in self._curves:  # pivoting everything would take most of the time of a report
            rows = self._groups[experiment].get((arm, metric))
            self._curves[key] = pd.DataFrame() if rows is None else self._pivot(experiment, rows)
        return self._curves[key]

    def _pivot(self, experiment: str, rows: pd.DataFrame) -> pd.DataFrame:
        seeds, row = np.unique(rows["seed"].to_numpy(), return_inverse=True)
        steps, column = np.unique(rows["step"].fillna(0.0).to_numpy(float), return_inverse=True)
        if len(np.unique(row * len(steps) + column)) < len(rows):
            place = f"{self.paper}/{experiment}: {rows['arm'].iloc[0]}"
            raise UserError(
                f"{place} has {rows['metric'].iloc[0]} twice for one seed and step; collect it again"
            )
        values = np.full((len(seeds), len(steps)), np.nan)
        values[row, column] = rows["value"]
        return pd.DataFrame(values, pd.Index(seeds, name="seed"), pd.Index(steps, name="step"))

    def picture(self, experiment: str, arm: str, metric: str) -> np.ndarray | None:
        """The square picture of the first seed that has one, recorded row by row with the pixel as step.

        Shape:
            (side, side); None if there is no picture, or not all of it
        """
        curves = self.curves(experiment, arm, metric).dropna(how="all")
        values = curves.iloc[0].dropna().to_numpy(float) if len(curves) else np.empty(0)
        side = round(len(values) ** 0.5)
        return values.reshape(side, side) if len(values) and side * side == len(values) else None

    def tier(self, experiment: str, arm: str) -> str:
        """The tier that an arm's results come from, "" if it has none."""
        return self._tiers_of(experiment).get(arm, "")

    def _tiers_of(self, experiment: str) -> dict[str, str]:
        """The tier that each arm's results come from."""
        if experiment not in self._arm_tiers:
            first = self.frame(experiment).drop_duplicates("arm")
            self._arm_tiers[experiment] = dict(zip(first["arm"], first["tier"]))
        return self._arm_tiers[experiment]

    def sample(
        self,
        experiment: str,
        arm: str,
        metric: str,
        steps: Iterable[float] | None = None,
        reduce: Callable[[np.ndarray], float] = np.mean,
    ) -> Sample:
        """One value per seed: the metric at the given steps (all by default), reduced over the steps.

        A seed that lacks one of the steps is left out, since a mean over other angles is another quantity.

        Raises:
            UserError: as `curves`, or if a value is not finite.
        """
        curves = self.curves(experiment, arm, metric)
        values = curves.to_numpy(float)
        if steps is not None and len(curves):
            place = {step: i for i, step in enumerate(curves.columns)}
            missing = np.full(len(curves), np.nan)
            found = [missing if i is None else values[:, i] for i in (place.get(float(s)) for s in steps)]
            values = np.stack(found, axis=1) if found else values[:, :0]
        rows = zip(curves.index, values)
        whole = {int(seed): float(reduce(row)) for seed, row in rows if len(row) and not np.isnan(row).any()}
        broken = [seed for seed, value in whole.items() if not np.isfinite(value)]
        if broken:
            raise UserError(
                f"{self.paper}/{experiment}: {metric} of {arm}, seed {broken[0]}, is not finite; run it "
                "with --refresh"
            )
        return Sample(whole, self.tier(experiment, arm), ((experiment, arm),)) if whole else Sample()

    def last(self, experiment: str, arm: str, metric: str) -> Sample:
        """The metric at each seed's last step."""
        curves = self.curves(experiment, arm, metric)
        return self.sample(experiment, arm, metric, list(curves.columns[-1:]) if len(curves) else None)

    def published(self, table: str, row: str, column: str) -> published.PaperValue | None:
        """The paper's number at one place of our tables, None if paper.csv has none."""
        self.asked.add((table, row, column))
        return self._published.get((table, row, column))

    def printed(self, table: str, row: str) -> list[tuple[float, float]]:
        """The paper's curve at a row of our tables: (step, value) of all columns that are numbers, sorted."""
        return [(step, known.value) for step, known in self.plotted(table, row).items()]

    def plotted(self, table: str, row: str) -> dict[float, published.PaperValue]:
        """The same with all that is known of the numbers, by step."""
        found = {
            column: known
            for (of_table, of_row, column), known in self._published.items()
            if (of_table, of_row) == (table, row) and column.removeprefix("-").isdecimal()
        }
        self.asked |= {(table, row, column) for column in found}
        return {float(column): found[column] for column in sorted(found, key=float)}

    def cell(
        self,
        table: str,
        row: str,
        column: str,
        sample: Sample,
        *,
        experiment: str,
        decimals: int = 2,
        form: Callable[[float], str] | None = None,
        shared_se: float = 0.0,
        counted: bool = False,
        protocol: str = "",
        note: str = "",
    ) -> Cell:
        """A table cell for ``sample`` beside the paper's number at this place, with the verdict if any.

        What is ``counted``, such as parameters, has no chance in it and must be the same number, as far as it
        is printed. What was measured at another ``protocol`` than the paper's number is shown with the
        difference alone (`verdicts.comparable`).
        """
        paper = self.published(table, row, column)
        verdict = None
        if paper is not None and counted:
            exact = {"rounding": paper.rounding, "tier": sample.tier}
            verdict = verdicts.exactly(sample.numbers, paper.value, **exact)
        elif paper is not None and sample.n:
            verdict = verdicts.cell(
                sample.numbers,
                paper.value,
                paper.spread,
                paper.n,
                spread_kind=paper.spread_kind,
                rounding=paper.rounding,
                shared_se=shared_se,
                tier=sample.tier,
            )
            if verdict.reason == verdicts.SHARED:
                note = "\n".join(filter(None, (note, verdict.reason)))
            if not verdicts.comparable(sample.tier, protocol, paper.protocol):
                verdict = verdicts.withheld(verdict)
            elif paper.protocol:
                verdict = replace(verdict, protocol=paper.protocol)
        return measured(
            sample,
            verdict=verdict,
            published=paper,
            decimals=decimals,
            form=form,
            command=self.command(experiment),
            note=note,
        )

    def command(self, experiment: str) -> str:
        """What a person types to compute an experiment, at the tier shown or else the shortest declared."""
        present = set(self._tiers_of(experiment).values())
        shown = [tier for tier in self.tiers if tier in present]
        declared = self.declared.experiment(experiment).tiers
        able = [tier for tier in reversed(self.tiers) if tier in declared]
        tier = (shown or able or list(declared) or self.tiers)[0]
        return f"python -m pipelines.{self.paper} run {experiment} --tier {tier}"

    def records(self, experiment: str) -> dict[str, Mapping[str, Any]]:
        """Environment and inputs of the runs shown, by run (from the ``.env.json`` beside the results)."""
        if experiment not in self._records:
            frame = self.frame(experiment)
            found: dict[str, Mapping[str, Any]] = {}
            for tier in frame["tier"].unique():
                entries = self._source.environments(self.paper, experiment, tier)
                shown = frame.loc[frame["tier"] == tier, "run"].unique()
                found |= {run: entries[run] for run in shown if run in entries}
            self._records[experiment] = found
        return self._records[experiment]

    def settings(self, experiment: str, key: str, arm: str | None = None) -> list[Any]:
        """The different values that the runs shown, of one arm or of all, have for one setting."""
        found: list[Any] = []
        if experiment not in self._arm_runs:
            pairs = self.frame(experiment)[["arm", "run"]].drop_duplicates()
            self._arm_runs[experiment] = {name: set(runs) for name, runs in pairs.groupby("arm")["run"]}
        by_arm = self._arm_runs[experiment]
        chosen = set().union(*by_arm.values()) if arm is None else by_arm.get(arm, set())
        for run, record in self.records(experiment).items():
            value = record.get("inputs", {}).get("settings", {}).get(key) if run in chosen else None
            if value is not None and value not in found:
                found.append(value)
        return found


def difference(first: Sample, second: Sample) -> stats.Difference | None:
    """Difference of two arms over seeds, paired if they ran the same ones; None unless both have two."""
    if min(first.n, second.n) < 2:
        return None
    return stats.compare(first.values, second.values)
