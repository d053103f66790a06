"""What each command does; `shared.workflow.cli` parses the arguments."""

from __future__ import annotations

import argparse
import functools
import sys
from collections.abc import Iterable
from pathlib import Path

from shared.base import paths
from shared.base.errors import UserError, each, unknown
from shared.runs import (
    batches,
    config,
    declarations,
    devices,
    environment,
    ledger,
    merging,
    records,
    supervise,
)
from shared.runs.execution import Options, Outcome, execute
from shared.workflow import jobs, progress


def _experiments(args: argparse.Namespace) -> list[config.Experiment]:
    """The experiments named by ``args.targets``; all if none is."""
    if not args.targets:
        papers = [args.paper] if args.paper else config.papers()
        return [e for paper in papers for e in config.load(paper).experiments.values()]
    found = []
    for target in args.targets:
        paper, _, name = target.partition("/") if args.paper is None else (args.paper, "/", target)
        if not name and paper not in (known := config.papers(include_templates=True)):
            known += [f"{p}/{target}" for p in config.papers() if target in config.load(p).experiments]
            raise UserError(unknown("paper", target, known))
        declared = config.load(paper)
        found += [declared.experiment(name)] if name else list(declared.experiments.values())
    return found


def do_list(args: argparse.Namespace) -> int:
    """Print experiments and tiers with their runs, costs and what is left."""
    from shared.workflow import listing

    print(listing.text(_experiments(args), args.tier, args.runs, args.verdicts))
    return 0


def do_run(args: argparse.Namespace) -> int:
    """Compute runs of one tier, collect them, and say what became of them."""
    seeds = None if args.seeds is None else declarations.seeds(args.seeds, "--seeds")
    chosen = _experiments(args)
    if not args.targets:  # "everything" means what has this tier
        chosen, left = config.possible(e for e in chosen if args.tier in e.tiers)
        for sentence in left:
            _log(sentence)
    found = each(lambda experiment: experiment.runs(args.tier, args.arms, seeds), chosen)
    runs = [run for of_one in found for run in of_one]
    if not runs:
        raise UserError(f"no experiment has the tier {args.tier!r}; `list` shows which there are")
    return _compute(runs, args, args.minutes)


def do_batch(args: argparse.Namespace) -> int:
    """Compute the named runs and collect them."""
    if bool(args.specs) == bool(args.job):
        raise UserError("name either runs (PAPER/EXPERIMENT/TIER/ARM/SEED) or, by --job, a job of Snakemake")
    specs = jobs.read(args.job).runs if args.job else args.specs
    return _compute([config.find(spec) for spec in specs], args, collecting=not args.no_collect)


def _compute(
    runs: list[config.Run], args: argparse.Namespace, minutes: float | None = None, collecting: bool = True
) -> int:
    environment.threads(args.threads)
    if args.replicas is not None and args.replicas < 1:
        raise UserError(f"--replicas should be 1 or more, not {args.replicas}")
    if minutes is not None and not minutes >= 0:  # so that it catches "nan", too
        raise UserError(f"--minutes should be 0 or more, not {minutes:g}")
    options = Options(
        device=args.device,
        threads=args.threads,
        precision=args.precision,
        replicas=args.replicas,
        refresh=args.refresh,
        minutes=supervise.left_of(minutes),
        debug=args.debug,
        estimate=batches.estimator(runs, "cuda" if args.device != "cpu" and devices.gpus() else "cpu"),
        began=args.began,
        log=_log,
        watch=progress.report,
    )
    for experiment, tier in _asked(runs):
        ledger.of(experiment.paper).verify(experiment, tier)  # before hours of work, not after them
    outcome = Outcome()
    left = supervise.resume(runs, outcome, _log)
    try:
        execute(left, options, outcome)
    finally:  # also after an interruption: what is finished shall be in the CSV
        if collecting and (outcome.done or outcome.valid):
            _collect(runs, outcome)
    return _report(runs, outcome, _lost(outcome, collecting))


def do_rerun(args: argparse.Namespace) -> int:
    """Compute recorded runs again, and say what is the same and what differs."""
    from shared.workflow import rerun

    environment.threads(args.threads)
    experiment, *others = _experiments(args)
    if others:
        raise UserError(f"name one experiment, such as {experiment.paper}/{experiment.name}")
    seeds = None if args.seeds is None else declarations.seeds(args.seeds, "--seeds")
    chosen = rerun.choose(experiment, args.tier, args.arms, seeds)
    if args.arms is None or seeds is None:
        print("the cheapest of the recorded runs; --tier, --arm and --seeds name others")
    options = Options(args.device, args.threads, args.precision, debug=args.debug, log=_log)
    same = True
    for batch in chosen:
        _log(str(batch))
        lines, agree = rerun.rerun(batch, options)
        _log("\n".join(lines))
        same &= agree
    return 0 if same else 1


def _log(line: str) -> None:
    print(line, flush=True)


def _asked(runs: Iterable[config.Run]) -> list[tuple[config.Experiment, str]]:
    """The experiments and tiers that runs were asked for as parts of."""
    wanted = dict.fromkeys((run.paper, run.experiment, run.tier) for run in runs)
    return [(config.load(paper).experiment(name), tier) for paper, name, tier in wanted]


def _collect(runs: Iterable[config.Run], outcome: Outcome) -> None:
    """Collect the experiments asked for, then what else of the same papers their runs belong to."""
    asked = _asked(runs)
    papers = dict.fromkeys(experiment.paper for experiment, _ in asked)
    ledger.collect(asked, ledger.sharing(papers, {run.id for run in outcome.done}))


def _lost(outcome: Outcome, collected: bool) -> list[config.Run]:
    """The runs that have a result, and are not where it should stand: somebody changed things meanwhile.

    Args:
        outcome: what has become of the runs.
        collected: whether the CSV should hold them, or the store alone.
    """
    lost, done = [], {run.id for run in outcome.done}
    ledgers = {paper: ledger.of(paper) for paper in {run.paper for run in outcome.done + outcome.valid}}
    for run in outcome.done + outcome.valid:
        known = ledgers[run.paper]
        if not collected:
            lost += [] if known.record(run) else [run]
            continue
        here = known.committed(run.experiment, run.tier)
        facts = here.environments.get(run.id)
        own = known.stored(run.id) if run.id in done else None
        there = facts is not None and here.runs.get((run.arm, run.seed)) == run.id
        newest = own is None or records.is_same_execution(facts or {}, own.environment)
        lost += [] if there and newest else [run]
    return lost


def _report(runs: list[config.Run], outcome: Outcome, lost: list[config.Run]) -> int:
    parts = [f"{_number(outcome.done)} trained", f"{_number(outcome.valid)} valid already"]
    parts += [f"{_number(run for run, _ in outcome.failed)} failed"] if outcome.failed else []
    parts += [f"{_number(outcome.left)} left"] if outcome.left else []
    print(f"{_number(runs)} runs: {', '.join(parts)}")
    for sentence in dict.fromkeys(sentence for _, sentence in outcome.failed):
        print(f"error: {sentence}", file=sys.stderr)
    if outcome.left:
        left = ", ".join(f"{run.experiment}/{run.arm}/{run.seed}" for run in outcome.left)
        print(f"left for another time: {left}")
    if lost:
        where = dict.fromkeys(f"{run.paper}/{run.experiment} ({run.tier})" for run in lost)
        print(
            f"error: {_number(lost)} of these runs are not in the results of {', '.join(where)}: records or "
            "settings were changed meanwhile; the same command trains what is missing",
            file=sys.stderr,
        )
    return 1 if outcome.failed or lost else 0


def _number(runs: Iterable[config.Run]) -> int:
    """How many there are; two arms with equal settings are one."""
    return len({run.id for run in runs})


def do_collect(args: argparse.Namespace) -> int:
    """Write the CSV files of experiments from the store: those named, or those that somebody began."""
    begun = functools.cache(lambda paper, tier: ledger.of(paper).unasked(tier))
    for experiment in _experiments(args):
        named = (experiment.name if args.paper else f"{experiment.paper}/{experiment.name}") in args.targets
        for tier in (tier for tier in experiment.tiers if args.tier in (None, tier)):
            wanted = named or experiment.name in begun(experiment.paper, tier)
            if wanted and ledger.of(experiment.paper).collect(experiment, tier):
                file = paths.collected(experiment.paper, experiment.name, tier)
                print(f"{'wrote' if file.exists() else 'removed'} {paths.shown(file)}")
    return 0


def _papers_of(args: argparse.Namespace) -> list[str]:
    """The papers of ``args.targets``, which must exist: checking nothing would find nothing wrong.

    A paper named as a whole is not loaded: to say what is wrong with its declaration is the check's task.
    """
    if args.paper is None and not args.targets:
        return config.papers()
    known = config.papers(include_templates=True)
    for target in args.targets:
        paper, _, name = target.partition("/") if args.paper is None else (args.paper, "/", target)
        if paper not in known:
            raise UserError(unknown("paper", paper, known))
        if name:
            config.load(paper).experiment(name)
    return [args.paper] if args.paper else list(dict.fromkeys(t.partition("/")[0] for t in args.targets))


def do_check(args: argparse.Namespace) -> int:
    """Print what is not in order, one line each."""
    from shared.workflow import check

    wrong, papers = 0, _papers_of(args)
    for paper in papers:
        problems = check.check(paper, args.strict_code)
        for problem in problems:
            print(f"{'warning' if problem.warning else 'wrong'}: {problem.text}")
        wrong += sum(not problem.warning for problem in problems)
    print(f"checked {', '.join(papers) or 'nothing'}: " + (f"{wrong} wrong" if wrong else "in order"))
    return 1 if wrong else 0


def do_accept(args: argparse.Namespace) -> int:
    """Stamp collected results with the present code's fingerprint."""
    tiers = (args.tier,) if args.tier else paths.COMMITTED_TIERS
    total = 0
    for experiment in _experiments(args):
        for tier in (tier for tier in tiers if tier in experiment.tiers):
            count = ledger.of(experiment.paper).accept(experiment, tier, args.why)
            total += count
            if count:
                print(f"{experiment.paper}/{experiment.name} ({tier}): {count} runs accepted")
    if not total:
        print("there are no results of earlier code")
    return 0


def do_merge(args: argparse.Namespace) -> int:
    """Take in results from another machine."""
    path = Path(args.path)
    if not path.exists():
        raise UserError(f"{path} does not exist; name a record, a results folder or another checkout")
    merged = merging.merge(path)
    print(f"{merged.new} new runs, {merged.known} known already")
    if merged.undeclared:
        print(f"{merged.undeclared} of them belong to no declared experiment; they stay in the store")
    for name in merged.changed:
        print(f"collected {name}")
    return 0


def do_get(args: argparse.Namespace) -> int:
    """Fetch data sets."""
    from shared import data

    names = list(data.catalogue.load()) if args.names == ["all"] else args.names
    for name in names:
        manual = data.catalogue.find(name).manual
        if manual and args.names == ["all"] and not data.available(name, args.mirror):
            print(f"{name}: left out, since no address serves it; {manual}")
            continue
        where = Path(data.get(name, args.mirror))
        shown = where.relative_to(paths.root()) if where.is_relative_to(paths.root()) else where
        print(f"{name}: {shown} is complete and verified")
        for note in data.notes(name):
            print(f"{name}: note: {note}")
    return 0


def do_table(args: argparse.Namespace) -> int:
    """Render one paper's report, and note what from, so that Snakemake knows when to render it again."""
    from shared.workflow import staleness

    folder = paths.reports(args.demo).relative_to(paths.root()).as_posix()
    sources = staleness.report_sources(args.paper, folder)  # before rendering reads them
    from shared.report import render

    print(f"wrote {render.render(args.paper, args.demo).relative_to(paths.root())}")
    staleness.note(staleness.of_report(args.paper, folder), sources)
    return 0


def do_report(args: argparse.Namespace) -> int:
    """Render all reports and the page that shows them together."""
    if not args.page:
        from shared.report import render

        render.render_all(args.demo)
    from shared.workflow import staleness

    folder = paths.reports(args.demo).relative_to(paths.root()).as_posix()
    sources = staleness.page_sources(folder)
    from shared.report import page

    print(f"wrote {page.write(args.demo).relative_to(paths.root())}")
    staleness.note(staleness.of_page(folder), sources)
    return 0


def do_diff(args: argparse.Namespace) -> int:
    """Print the table cells that changed since a git revision."""
    from shared.report import diff

    return int(diff.main(args.revision, args.full) or 0)


def do_sync(args: argparse.Namespace) -> int:
    """Bring dvc.lock up to date with the results."""
    from shared.workflow import dvc_files, staleness

    sources = staleness.dvc_sources()
    dvc_files.sync()
    staleness.note(staleness.SYNC, sources)
    return 0
