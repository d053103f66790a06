"""What Snakemake has to do: the runs without a valid result, cut into jobs, and what must be rendered anew.

Everything is decided from content, never from file times, which a clone makes arbitrary. What is up to date
has no rule, or a stamp that stays as it is (`shared.workflow.staleness`); what is not gets a new stamp.
"""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from shared.base import paths
from shared.base.errors import Mistakes, UserError
from shared.base.files import write_json
from shared.data import catalogue
from shared.runs import config, devices, ledger, supervise
from shared.workflow import cli, dvc_files, progress, staleness
from shared.workflow.jobs import Cutter, Job, identifier, read
from shared.workflow.options import REMOTE_THREADS, Request

__all__ = ["Collection", "Job", "Plan", "Request", "begin", "finish", "plan", "staleness"]

#: Days after which the file of a job that nobody runs any more is removed.
KEEP_DAYS = 14
#: glibc returns big tensors at each step and page-faults them in again; keeping them gains 10-40 % on a CPU.
ALLOCATOR = {"MALLOC_MMAP_MAX_": "0", "MALLOC_TRIM_THRESHOLD_": "20000000000"}
#: How lines begin that tell nothing to somebody who waits for trainings.
SCHEDULING = ("Select jobs to execute", "Execute ", "Touching output file")


@dataclass(frozen=True)
class Collection:
    """One experiment at one tier, whose runs are to be collected.

    Attributes:
        jobs: files that the jobs which train its runs leave behind.
    """

    paper: str
    experiment: str
    tier: str
    jobs: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """A word for the rule."""
        return identifier(f"{self.paper}_{self.experiment}_{self.tier}")

    @property
    def stamp(self) -> str:
        """File that starts the collecting, relative to the repository."""
        return f".repro/plan/{self.name}.stamp"

    @property
    def outputs(self) -> list[str]:
        """CSV and sidecar, relative to the repository."""
        file = paths.collected(self.paper, self.experiment, self.tier)
        return [str(each.relative_to(paths.root())) for each in (file, paths.sidecar(file))]


@dataclass(frozen=True)
class Plan:
    """What the Snakefile makes rules of."""

    request: Request
    jobs: tuple[Job, ...] = ()
    collections: tuple[Collection, ...] = ()

    @property
    def demo(self) -> bool:
        """Whether the demo reports are part of it: demo is trained, or has results already."""
        there = any((paths.store() / "results").glob("*/demo/*.csv"))
        return self.request.tier == "demo" and (self.request.train != "never" or there)

    @property
    def papers(self) -> list[str]:
        """The papers that have reports."""
        return config.papers()

    @property
    def reports(self) -> list[tuple[str, str]]:
        """What is rendered: (paper, folder of its report relative to the repository)."""
        folders = ["reports", "reports/demo"] if self.demo else ["reports"]
        return [(paper, folder) for folder in folders for paper in self.papers]

    def title(self, paper: str, folder: str) -> str:
        """What Snakemake's own report calls the files of one report."""
        return f"{config.load(paper).title}{' (demo)' if folder.endswith('demo') else ''}"

    def artefacts(self, paper: str) -> dict[str, tuple[str, str]]:
        """The files of its report: see `shared.runs.config.Paper.artefacts`."""
        return config.load(paper).artefacts

    def results(self, paper: str, folder: str) -> list[str]:
        """The collected files that a report is made from, whether there or to be made."""
        tiers = ("demo",) if folder.endswith("demo") else paths.COMMITTED_TIERS
        coming = [o for c in self.collections if c.paper == paper and c.tier in tiers for o in c.outputs]
        there = [file for tier in tiers for file in sorted(paths.results(paper, tier).glob("*.csv"))]
        return list(dict.fromkeys([*(str(f.relative_to(paths.root())) for f in there), *coming]))

    def data(self) -> dict[str, list[str]]:
        """Files, by name, of each data set that is generated on the spot or that a job reads."""
        known = catalogue.load()
        needed = [name for name, entry in known.items() if entry.generator]
        needed += [name for job in self.jobs for name in job.data]
        return {
            name: [f"{known[name].path}/{f}" for f in known[name].files] for name in dict.fromkeys(needed)
        }


def plan(
    options: Mapping[str, Any], *, main: bool, cores: int | None = None, nodes: int | None = None
) -> Plan:
    """Make the plan and its stamps, or read its jobs back in a process that Snakemake starts for one of them.

    A job on a cluster parses the Snakefile again, when other runs may be done; it must find its rule all the
    same. So each job has a file of its own under a name that follows from its runs, and planning once more
    elsewhere (a dry run, say) does not take it away.

    Args:
        options: Snakemake's ``config``.
        main: whether this is the process that the user started.
        cores: processors to share among the jobs, None if they run elsewhere.
        nodes: jobs at a time elsewhere.

    Raises:
        UserError: for options that make no sense, or mistakes in the declarations.
    """
    _environment()
    request = Request.of(options)
    asked = [] if request.train == "never" else request.experiments()
    found, left = config.possible(asked)
    if main:
        if wrong := dvc_files.misspelt():  # now, not by `sync` after hours of training
            raise Mistakes(wrong)
        _say_less()
        for sentence in left:
            print(sentence, file=sys.stderr)
    else:
        return Plan(
            request, tuple(_read_jobs()), tuple(Collection(e.paper, e.name, request.tier) for e in found)
        )
    stale = [(e, list(filter(ledger.of(e.paper).why_stale, e.runs(request.tier)))) for e in found]
    jobs, by_run = _jobs(request, found, [run for _, missing in stale for run in missing], cores, nodes)
    collections = []
    for experiment, missing in stale:
        trained = tuple(dict.fromkeys(by_run[run.id].done for run in missing))
        collection = Collection(experiment.paper, experiment.name, request.tier, trained)
        if missing or not ledger.of(experiment.paper).is_collected(experiment, request.tier):
            staleness.renew(collection.stamp)
        elif request.tier in paths.COMMITTED_TIERS:
            continue  # a recorded result is a source file: no rule may touch it
        elif not (paths.root() / collection.stamp).is_file():
            staleness.renew(collection.stamp)  # trained by another command than Snakemake
        collections.append(collection)
    made = Plan(request, tuple(jobs), tuple(collections))
    _write_stamps(made)
    return made


def planned(*arguments: Any, **options: Any) -> Plan:
    """`plan` for the Snakefile: a mistake of the user ends Snakemake with one sentence and the exit code 1.

    Snakemake would show the lines of the program that it went through, too.
    """
    try:
        return plan(*arguments, **options)
    except UserError as error:
        sys.exit(cli.sentence(error))


def _jobs(
    request: Request,
    experiments: list[config.Experiment],
    stale: list[config.Run],
    cores: int | None,
    nodes: int | None,
) -> tuple[list[Job], dict[str, Job]]:
    """The jobs that train the stale runs, and by run the job it is in."""
    cutter = Cutter({(e.paper, e.name): e for e in experiments}, request.tier)
    if cores:
        gpus = len(devices.gpus()) if stale and request.gpu == "auto" else 0
        workers = min(gpus or cores, cores)
        batches = cutter.cut(stale, workers, request.runs_per_job)
        threads = request.threads or max(1, cores // max(1, min(len(batches), workers)))
        gpu = int(gpus > 0) if request.gpu == "auto" else int(request.gpu)
    else:
        batches = cutter.cut(stale, nodes or 1, request.runs_per_job, remote=True)
        threads = request.threads or REMOTE_THREADS
        gpu = 1 if request.gpu == "auto" else int(request.gpu)
    jobs, by_run = [], {}
    for batch in batches:
        jobs.append(cutter.job(batch, threads, gpu))
        by_run |= {run.id: jobs[-1] for run in batch}
    if batches:
        progress.begin({run.spec: cutter.cost(run).seconds for batch in batches for run in batch})
    return jobs, by_run


def _read_jobs() -> Iterable[Job]:
    """The jobs of all recent plans, less those of another version of this program or of data now gone."""
    known = catalogue.load()
    for file in sorted((paths.store() / "plan").glob("*.json")):
        with contextlib.suppress(UserError):
            job = read(file.stem)
            if set(job.data) <= known.keys():
                yield job


def _environment() -> None:
    """What the commands of rules inherit: this interpreter first in PATH, and the allocator's variables."""
    folder = str(Path(sys.executable).parent)
    if os.environ.get("PATH", "").split(os.pathsep)[0] != folder:
        os.environ["PATH"] = os.pathsep.join(filter(None, (folder, os.environ.get("PATH"))))
    for name, value in ALLOCATOR.items():
        os.environ.setdefault(name, value)


def _say_less() -> None:
    """Keep from the terminal what Snakemake says of its scheduling; it has no option for that."""
    for handler in logging.getLogger("snakemake.logging").handlers:
        if not isinstance(handler, logging.FileHandler):
            handler.addFilter(lambda record: not str(record.msg).startswith(SCHEDULING))


def _write_stamps(made: Plan) -> None:
    """A file and a new stamp for each job; new stamps for the reports that are out of date."""
    folder = paths.store() / "plan"
    folder.mkdir(parents=True, exist_ok=True)
    for file in folder.glob("*.json"):
        if time.time() - file.stat().st_mtime > KEEP_DAYS * 86400:
            for ending in (".json", ".stamp", ".done"):
                file.with_suffix(ending).unlink(missing_ok=True)
    for job in made.jobs:
        write_json(folder / f"{job.name}.json", asdict(job))
        staleness.renew(job.stamp)
    staleness.renew_outdated(made.reports)


def begin() -> None:
    """Let SIGTERM end what Snakemake has started, and Snakemake with it; trainings keep their checkpoints.

    By itself Snakemake waits then for all that is running: hours, until a scheduler kills it and leaves the
    trainings behind. Called by the Snakefile's ``onstart``, after Snakemake has set its own handler.
    """

    def stop(number: int, frame: Any) -> None:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        threading.Thread(target=_end_commands, daemon=True).start()
        raise KeyboardInterrupt  # on which Snakemake ends its jobs on a cluster, and waits for those here

    os.environ[supervise.ABOVE] = str(os.getpid())
    signal.signal(signal.SIGTERM, stop)


def _end_commands() -> None:
    """Tell each command below this process once to end, also those that are only being started."""
    import psutil  # Snakemake needs it, and this project does not

    told: set[int] = set()
    while True:
        for process in psutil.Process().children(recursive=True):
            with contextlib.suppress(psutil.Error):
                python = Path(process.exe()) == Path(sys.executable).resolve()
                below = Path(process.parent().exe()) == Path(sys.executable).resolve()
                # a shell would die at once, and nobody wait for the training; a command passes it on
                first = not below or process.ppid() == os.getpid()
                if python and first and process.pid not in told:
                    told.add(process.pid)
                    process.terminate()
        time.sleep(0.2)


def finish(made: Plan) -> None:
    """Remember what was rendered from what, so that the next plan knows what is up to date."""
    staleness.remember(made.reports)
