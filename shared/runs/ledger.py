"""What is known of a paper's runs, and which are valid: decided from inputs, never from times or commits.

A run is known from the store (one file per finished run), from the collected results of its experiment, or
from those of any other experiment of the paper that has the same run.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Collection, Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from shared.base import paths
from shared.base.errors import UserError
from shared.base.files import lock, write_json
from shared.runs import committed, config, environment, fingerprint, index, records
from shared.runs.committed import Committed
from shared.runs.config import Experiment, Run
from shared.runs.index import Line
from shared.runs.records import Record

if TYPE_CHECKING:
    import pandas as pd

#: Tiers that retrain when the code behind them changes; elsewhere results are only marked "earlier code".
RETRAINED_TIERS = ("smoke", "demo")
_NOTHING = Committed({}, {}, {})
_ledgers: dict[tuple[Path, str], Ledger] = {}


def of(paper: str) -> Ledger:
    """The ledger of a paper, up to date."""
    key = (paths.root(), paper)
    if key not in _ledgers:
        _ledgers[key] = Ledger(paper)
    return _ledgers[key].refresh()


class Ledger:
    """What is known of one paper's runs: its store and all its collected results, indexed by run.

    Collected files are those of the last `refresh`, each read once, when it is needed; of the store every
    question looks at the file as it is, since other processes add to it while this one works. Damage in a
    file is told by whatever needs that file.
    """

    def __init__(self, paper: str) -> None:
        self.paper = paper
        self._states: dict[Path, committed.States] | None = None
        self._signatures: dict[Path, Any] = {}
        self._read: dict[Path, Committed | UserError] = {}
        self._places: dict[str, list[Committed]] | None = None
        self._stored: dict[str, tuple[Any, Record | None]] = {}
        self.refresh()

    def refresh(self) -> Ledger:
        """Look which collected files have come, changed or gone; the ledger itself."""
        folders = [paths.results(self.paper, tier) for tier in reversed(paths.TIERS)]
        states = {folder: committed.states(folder) for folder in folders}
        if states == self._states:  # most often; hundreds of files are asked for hundreds of times
            return self
        self._states = states
        now = {f: state for of in states.items() for f, state in committed.signatures(*of).items()}
        if now != self._signatures:
            kept = {file for file, signature in now.items() if self._signatures.get(file) == signature}
            self._read = {file: content for file, content in self._read.items() if file in kept}
            self._signatures, self._places = now, None
        return self

    # What the files hold

    def committed(self, experiment: str, tier: str) -> Committed:
        """What is collected of an experiment at a tier; empty if nothing is.

        Raises:
            UserError: if a file is there but makes no sense.
        """
        return self._content(paths.collected(self.paper, experiment, tier))

    def _content(self, file: Path) -> Committed:
        if file not in self._signatures:
            return _NOTHING
        if file not in self._read:
            try:
                self._read[file] = committed.read_file(file)
            except UserError as error:
                self._read[file] = error
        found = self._read[file]
        if isinstance(found, UserError):
            raise UserError(str(found))
        return found

    def _at(self, run_id: str) -> list[Committed]:
        """The collected results that tell of a run, the longest protocol first."""
        if self._places is None:
            places: dict[str, list[Committed]] = {}
            for place in map(self._content, self._signatures):
                for known in {**place.rows, **place.environments}:
                    places.setdefault(known, []).append(place)
            self._places = places
        return self._places.get(run_id, [])

    def stored(self, run_id: str) -> Record | None:
        """The record of a run in the store, read again only if it was written anew."""
        signature = records.signature(run_id)
        if signature is None:
            return None
        if self._stored.get(run_id, (None,))[0] != signature:
            record = records.stored(run_id)
            self._stored[run_id] = (signature, record)
            if record is not None:
                index.of_store().put(record, signature)
        return self._stored[run_id][1]

    def _brief(self, run_id: str) -> Line | None:
        """What the index says of the record of a run in the store; None if there is no intact one."""
        signature = records.signature(run_id)
        if signature is None:
            return None
        line = index.of_store().get(run_id, signature)
        return line if line or self.stored(run_id) is None else index.of_store().get(run_id, signature)

    # What is known of a run

    def record(self, run: Run | str) -> Record | None:
        """The newest record of a run: from the store, or from any collected results of the paper.

        Args:
            run: a declared run, whose own experiment is asked first, or the name of any.

        Raises:
            UserError: if all that there is of it is damaged.
        """
        if isinstance(run, Run):
            found = self._newest(run.id, [self.committed(run.experiment, run.tier)])
            return found or self.record(run.id)
        places = self._at(run)
        found = self._newest(run, places)
        damage = [place.damage[run] for place in places if run in place.damage]
        if found is None and damage:
            raise UserError(damage[0])
        return found

    def _newest(self, run_id: str, places: Iterable[Committed]) -> Record | None:
        """An intact record of the last execution (`records.order`); None if there is none.

        Of several it is the last collected one, so that committed facts stay as they are; but the store's if
        they have other rows of that very execution, since nobody edits the store.
        """
        own, copies, facts = self._brief(run_id), [], []
        for place in places:
            if run_id in place.environments:
                facts.append(place.environments[run_id])
                if run_id not in place.damage:
                    copies.append(place.record(run_id))
            elif own and run_id in place.rows and records.rows_digest(place.rows[run_id]) != own.digest:
                return None  # rows without their circumstances, which may be newer than the store's
        known = [*facts, own.environment] if own else facts
        last = max(map(records.order, known), default=(0, ""))
        newest = [copy for copy in copies if copy is not None and records.order(copy.environment) == last]
        if own and records.order(own.environment) == last:
            others = [entry for entry in facts if records.order(entry) == last]
            if all(records.is_same_execution(entry, own.environment) for entry in others):
                newest = [copy for copy in newest if copy.digest == own.digest]
                return newest[-1] if newest else self.stored(run_id)
        return newest[-1] if newest else None

    def next_execution(self, run_id: str) -> int:
        """The number of an execution that is recorded now, while `records.writing` is held.

        Raises:
            UserError: if a record claims a number that nobody can have come to: none could be later.
        """
        own = self._brief(run_id)
        known = [place.environments.get(run_id, {}) for place in self._at(run_id)]
        known += [own.environment] if own else []
        last = max((records.order(facts)[0] for facts in known), default=0)
        if last >= records.MOST_EXECUTIONS:
            raise UserError(f"a record of {run_id} claims to be execution {last} of it; delete or restore it")
        return 1 + last

    def why_stale(self, run: Run) -> list[str]:
        """Why a run has no valid result; empty if it has one.

        Reasons are ``missing``, or what of its inputs changed since the result collected for this arm and
        seed (such as ``settings.epochs: 50 -> 60``), or, at smoke and demo only, ``code``.
        """
        record = self.record(run)
        if record is None:
            here = self.committed(run.experiment, run.tier)
            old = here.environments.get(here.runs.get((run.arm, run.seed), ""), {})
            return _changes(old.get("inputs", {}), run.inputs) or ["missing"]
        facts = {**record.environment, "inputs": record.inputs}
        if run.tier in RETRAINED_TIERS and self.is_earlier_code(facts):
            return ["code"]
        return []

    def is_earlier_code(self, facts: Mapping[str, Any]) -> bool:
        """Whether the run of an entry of the sidecar was made by other code than the present one."""
        return facts.get("fingerprint") != self._code(facts)

    def _code(self, facts: Mapping[str, Any]) -> str:
        """The fingerprint of the present code for the run of an entry of the sidecar."""
        data = facts.get("inputs", {}).get("data")
        return fingerprint.fingerprint(self.paper, data if isinstance(data, dict) else ())

    # What is known of an experiment

    def rows(self, experiment: str, tier: str) -> pd.DataFrame:
        """The results of the runs that are declared now, one measured value a row, in declared order.

        Columns are those of the CSV: run, experiment, arm, seed, metric, step (float; NaN where there is
        none), value. Rows made from settings that have changed since are left out. Empty if nothing was
        recorded.

        Raises:
            UserError: for an unknown paper, experiment or tier, or a damaged file.
        """
        declared = config.load(self.paper).experiment(experiment)
        here = self.committed(experiment, tier)
        wanted = declared.runs(tier)
        if any(run.id in here.damage for run in wanted):
            self.verify(declared, tier)
            file = paths.shown(paths.collected(self.paper, experiment, tier))
            raise UserError(
                f"{file} is not what its sidecar says; `python -m pipelines collect` writes it anew"
            )
        return _frame(
            (run.id, experiment, run.arm, run.seed, *row)
            for run in wanted
            for row in here.rows.get(run.id, ())
        )

    def environments(self, experiment: str, tier: str) -> Mapping[str, Mapping[str, Any]]:
        """Environment and inputs of each collected run, by run."""
        return self.committed(experiment, tier).environments

    def earlier_code(self, experiment: str, tier: str) -> set[str]:
        """The collected runs that were made by other code than the present one."""
        found = self.environments(experiment, tier)
        return {run for run, facts in found.items() if self.is_earlier_code(facts)}

    def is_settled(self, experiment: Experiment, tier: str) -> bool:
        """Whether all runs of an experiment at a tier have valid results and the CSV holds them.

        Raises:
            UserError: if its results are damaged.
        """
        stale = any(self.why_stale(run) for run in experiment.runs(tier))
        return not stale and self.is_collected(experiment, tier)

    # From the store to the collected files

    def compose(self, experiment: Experiment, tier: str) -> tuple[str, dict[str, dict[str, Any]]]:
        """The text of the CSV and the content of the sidecar, in declared order.

        Raises:
            UserError: if what is collected is damaged, and the store does not have what it held.
        """
        old = self.committed(experiment.name, tier)
        blocks, environments = [], {}
        for run in experiment.runs(tier):
            record = self.record(run) or self._earlier(run, old)
            if record is not None:
                facts = {**record.environment, "inputs": dict(record.inputs), "rows": record.digest}
                environments[record.run] = facts
                blocks.append((record.run, experiment.name, run.arm, run.seed, record.rows))
        for (
            run_id,
            sentence,
        ) in old.damage.items():  # rows that were cut off: nothing else tells of these runs
            if run_id not in old.rows and run_id not in environments and self.stored(run_id) is None:
                raise UserError(sentence)
        return committed.text(blocks), environments

    def _earlier(self, run: Run, old: Committed) -> Record | None:
        """What is collected for the arm and seed of a run from settings that have changed since."""
        name = old.runs.get((run.arm, run.seed), "")
        return self.record(name) if name in old.damage else old.record(name)

    def collect(self, experiment: Experiment, tier: str) -> bool:
        """Write the CSV and sidecar of an experiment at a tier from the store and what they hold already.

        Rows of a declared arm and seed whose settings changed are kept until a new run replaces them (`check`
        calls them stale, `rows` leaves them out); rows of arms and seeds no longer declared go. Safe to call
        from several processes.

        Returns:
            Whether the files changed; they are gone if no declared run has results.

        Raises:
            UserError: if they are damaged and the store does not have what they held; nothing is written.
        """
        with self._locked(experiment, tier) as file:
            changed = committed.write(file, *self.compose(experiment, tier))
        self.refresh()
        return changed

    def is_collected(self, experiment: Experiment, tier: str) -> bool:
        """Whether the CSV and sidecar hold all that is known, so that `collect` would change nothing.

        Raises:
            UserError: if they are damaged, so that `collect` would refuse.
        """
        file = paths.collected(self.paper, experiment.name, tier)
        return committed.holds(file, *self.compose(experiment, tier))

    def verify(self, experiment: Experiment, tier: str) -> None:
        """Look whether `collect` can write the files of an experiment at a tier.

        Raises:
            UserError: if they are damaged and the store does not have what they held.
        """
        if self.committed(experiment.name, tier).damage:
            self.compose(experiment, tier)

    def is_worth_collecting(self, experiment: Experiment, tier: str) -> bool:
        """Whether to collect an experiment nobody asked for because it shares a run with one that was.

        So if results of it are collected already, or if all its runs are known: a few arms that happen to be
        there would only look like an experiment that somebody began.
        """
        begun = paths.collected(self.paper, experiment.name, tier) in self._signatures
        return begun or all(self.record(run) is not None for run in experiment.runs(tier))

    def unasked(self, tier: str) -> set[str]:
        """Names of the experiments to collect at a tier when none is named.

        Those worth collecting, then those with the most results until each result that is known has a place.
        """
        experiments = config.load(self.paper).experiments
        able = {name: each.runs(tier) for name, each in experiments.items() if tier in each.tiers}
        there = {name: {run.id for run in runs if self.record(run)} for name, runs in able.items()}
        chosen = {name for name in able if self.is_worth_collecting(experiments[name], tier)}
        for name in sorted(able, key=lambda name: -len(there[name])):
            if there[name] - {run for other in chosen for run in there[other]}:
                chosen.add(name)
        return chosen

    def accept(self, experiment: Experiment, tier: str, why: str) -> int:
        """Stamp collected results with the present code's fingerprint, the reason on record.

        For a refactoring that was shown to change no number. Runs whose inputs changed are not touched.

        Returns:
            The number of runs stamped.

        Raises:
            UserError: if no reason is given, or the rows of a run do not match the sidecar.
        """
        if not why.strip():
            raise UserError(
                'say why the earlier results still hold, as in --why "renamed a variable; same rows"'
            )
        with self._locked(experiment, tier) as file:
            here = self.committed(experiment.name, tier)
            facts = json.loads(json.dumps(here.environments))
            there = [run.id for run in experiment.runs(tier) if here.record(run.id)]
            earlier = [run_id for run_id in there if self.is_earlier_code(facts[run_id])]
            for run_id in earlier:
                code = self._code(facts[run_id])
                stamp = {"from": facts[run_id].get("fingerprint"), "to": code, "why": why.strip()}
                stamp["commit"] = str(environment.code()["commit"])
                facts[run_id]["accepted"] = [*facts[run_id].get("accepted", []), stamp]
                facts[run_id]["fingerprint"] = code
                self._stamp_stored(run_id, facts[run_id])
            if earlier:
                write_json(paths.sidecar(file), facts)
        self.refresh()
        return len(earlier)

    def _stamp_stored(self, run_id: str, facts: Mapping[str, Any]) -> None:
        """Bring the stored record of the same execution up to date with the sidecar."""
        with records.writing():
            record = self.stored(run_id)
            if record is not None and records.is_same_execution(record.environment, facts):
                new = {key: value for key, value in facts.items() if key not in ("inputs", "rows")}
                records.save(Record(run_id, record.inputs, record.rows, new))

    @contextlib.contextmanager
    def _locked(self, experiment: Experiment, tier: str) -> Iterator[Path]:
        """Hold the lock of an experiment's files at a tier, and know what they are now; yields the CSV."""
        with lock(records.lock_path(f"collect-{self.paper}-{experiment.name}-{tier}")):
            self.refresh()
            yield paths.collected(self.paper, experiment.name, tier)


def sharing(papers: Iterable[str], runs: Collection[str]) -> Iterator[tuple[Experiment, str]]:
    """The experiments of some papers, and the tiers of them, that have one of some runs."""
    for paper in papers:
        for experiment in config.load(paper).experiments.values():
            for tier in experiment.tiers:
                if any(run.id in runs for run in experiment.runs(tier)):
                    yield experiment, tier


def collect(
    asked: Collection[tuple[Experiment, str]], others: Iterable[tuple[Experiment, str]]
) -> list[tuple[Experiment, str]]:
    """Collect what was asked for, then of the others what is begun or whole.

    Args:
        asked: experiments and tiers.
        others: experiments and tiers that have some of the runs, too; as `sharing` finds them.

    Returns:
        Those whose files changed.

    Raises:
        UserError: as `Ledger.collect`; what was collected before stays.
    """
    changed = [each for each in asked if of(each[0].paper).collect(*each)]
    for experiment, tier in others:
        if (experiment, tier) not in asked:
            ledger = of(experiment.paper)
            if ledger.is_worth_collecting(experiment, tier) and ledger.collect(experiment, tier):
                changed.append((experiment, tier))
    return changed


def read(paper: str, experiment: str, tier: str) -> pd.DataFrame:
    """The rows of `Ledger.rows`, for those who know the paper by name."""
    return of(paper).rows(experiment, tier)


def environments(paper: str, experiment: str, tier: str) -> Mapping[str, Mapping[str, Any]]:
    """Environment and inputs of each collected run, by run."""
    return of(paper).environments(experiment, tier)


def _frame(rows: Iterable[tuple[Any, ...]]) -> pd.DataFrame:
    import pandas as pd

    frame = pd.DataFrame(list(rows), columns=list(committed.HEADER))
    frame["step"] = pd.to_numeric(frame["step"], errors="coerce").astype(float)
    kinds = {"seed": "int64", "value": "float64", "run": str, "experiment": str, "arm": str, "metric": str}
    return frame.astype(kinds)


def _changes(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    if not old:
        return []
    before, after = _flat(old), _flat(new)
    names = [*after, *(name for name in before if name not in after)]
    return [
        f"{name}: {before.get(name, 'absent')} -> {after.get(name, 'absent')}"
        for name in names
        if before.get(name) != after.get(name)
    ]


def _flat(inputs: Mapping[str, Any]) -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in inputs.items():
        flat |= {f"{key}.{k}": v for k, v in value.items()} if isinstance(value, dict) else {key: value}
    return flat
