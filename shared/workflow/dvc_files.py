"""What this project needs of DVC: the stages of dvc.yaml are right, and dvc.lock is true.

There is one stage per paper, all of one form (`expected_stage`), with the command that Snakemake runs, too.
After Snakemake or the command line trained, DVC must not call the stages changed. A bare ``dvc commit -f``
would also bless results that do not belong to the present settings: `sync` commits exactly the stages that
DVC calls changed and whose runs are all valid and collected.
"""

from __future__ import annotations

import contextlib
import json
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from shared.base import bounded, paths, strict_yaml
from shared.base.errors import UserError, unknown
from shared.data import catalogue
from shared.runs import config, ledger

#: How often and how long to wait when another DVC process holds its lock or one of the files.
TRIES, WAIT_SECONDS = 10, 1.0
#: How long DVC may take for one command, and how it is called.
SECONDS = 1800
_CALL: dict[str, Any] = {"capture_output": True, "text": True, "stdin": subprocess.DEVNULL}
#: Bytes of a file that DVC writes.
_MOST_BYTES = 64 << 20
#: What reading dvc.yaml may raise if it is missing or of another form.
_UNREADABLE = (OSError, AttributeError, KeyError, TypeError, ValueError)
#: The stage of a paper called PAPER, without the data sets that its results are made from.
_STAGE = """\
foreach: ${recorded.PAPER}
do:
  cmd: python -m pipelines.PAPER run ${key} --tier ${item}
  deps:
    - pipelines/PAPER/settings.py
  params:
    - pipelines/PAPER/experiments.yaml:
        - PAPER.revision
        - PAPER.experiments.${key}.settings
        - PAPER.experiments.${key}.arms
        - PAPER.experiments.${key}.tiers.${item}
  outs:
    - pipelines/PAPER/results/${item}/${key}.csv:
        cache: false
        persist: true
"""


def _declared() -> tuple[Any, Any]:
    """The content of dvc.yaml and its variable ``recorded``, as they are; raises `_UNREADABLE`.

    Raises:
        UserError: if it is not YAML.
    """
    content = strict_yaml.load(bounded.read_text(paths.root() / "dvc.yaml", "dvc.yaml"), "dvc.yaml")
    (found,) = (
        entry["recorded"] for entry in content["vars"] if isinstance(entry, dict) and "recorded" in entry
    )
    return content, found


def misspelt() -> list[str]:
    """A sentence for each paper, experiment or tier under ``recorded`` that is not declared.

    Nothing of what `recorded` and DVC itself say: that the file is missing or of another form.

    Raises:
        UserError: if it is not YAML, or a paper's declaration is wrong.
    """
    try:
        _, found = _declared()
        papers = [(paper, found[paper], line) for paper, line in found.lines.items()]
    except _UNREADABLE:
        return []
    wrong, known = [], config.papers(include_templates=True)
    for paper, names, line in papers:
        if paper not in known:
            wrong.append(f"dvc.yaml, line {line}: recorded: {unknown('paper', paper, known)}")
        elif isinstance(names, strict_yaml.Mapping):
            experiments = config.load(paper).experiments
            for name, tier in names.items():
                place = f"dvc.yaml, line {names.lines[name]}: recorded.{paper}"
                if name not in experiments:
                    wrong.append(f"{place}: {unknown('experiment', name, experiments)}")
                    continue
                able = [each for each in experiments[name].tiers if each in paths.COMMITTED_TIERS]
                if tier not in able:
                    wrong.append(f"{place} should name a tier of {name}: {' or '.join(able)}, not {tier!r}")
    return wrong


def recorded() -> dict[str, dict[str, str]]:
    """For each paper the tier on record of each experiment, from the variable ``recorded`` of dvc.yaml.

    Raises:
        UserError: if dvc.yaml is missing or has no such variable.
    """
    try:
        _, found = _declared()
        return {str(paper): {str(k): str(v) for k, v in tiers.items()} for paper, tiers in found.items()}
    except _UNREADABLE as error:
        raise UserError(
            f"dvc.yaml has no readable variable 'recorded' ({error}); restore it from git"
        ) from None


def locked() -> set[str]:
    """The results that dvc.lock has on record, relative to the checkout; none where it cannot be read."""
    try:
        text = (paths.root() / "dvc.lock").read_text(encoding="utf-8")
    except (OSError, ValueError):
        return set()
    return set(re.findall(r"^ +- path: (pipelines/\S+/results/\S+)$", text, re.MULTILINE))


def expected_stage(paper: str, data: Iterable[str]) -> dict[str, Any]:
    """The stage that a paper should have in dvc.yaml if its recorded results are made from some data sets."""
    stage = strict_yaml.load(_STAGE.replace("PAPER", paper), "the stage of a paper")
    if entries := [f"{name}.checksum" for name in sorted(set(data))]:
        stage["do"]["params"].append({"datasets.yaml": entries})
    return stage


def _data(paper: config.Paper, tiers: Mapping[str, Iterable[str]]) -> set[str]:
    """The data sets that the runs of some tiers of experiments read."""
    able = {name: each for name, each in paper.experiments.items() if name in tiers}
    return {
        name
        for experiment in able.values()
        for tier in set(tiers[experiment.name]).intersection(experiment.tiers)
        for run in experiment.runs(tier)
        for name in run.data
    }


def problems(paper: config.Paper) -> Iterator[str]:
    """What is wrong with the stage of a paper and its entries in ``recorded``, one sentence each.

    An experiment whose results are complete must be in ``recorded``. Others should not be there yet: DVC
    calls a missing output a change, and says so itself.
    """
    try:
        yield from misspelt()
        stage, recorded = _read(paper.name)
    except UserError as error:
        yield str(error)
        return
    yield from _stage_problems(paper, stage, recorded)
    for name, experiment in paper.experiments.items():
        if name not in recorded:
            able = [tier for tier in experiment.tiers if tier in paths.COMMITTED_TIERS]
            there = [tier for tier in able if _is_complete(paper.name, name, tier)]
            if there:
                yield f"dvc.yaml: recorded.{paper.name} should name a tier of {name}: {' or '.join(there)}"


def _stage_problems(paper: config.Paper, stage: Any, recorded: Mapping[str, Any]) -> Iterator[str]:
    """Whether the stage, most likely copied from another paper's, is this one's throughout.

    It must name the data sets of what is recorded, and may name those of what will be.
    """
    if not isinstance(stage, dict) or not isinstance(stage.get("do"), dict):
        yield f"dvc.yaml: the stage {paper.name} should have the keys foreach and do; copy another paper's"
        return
    try:
        needed = _data(paper, {name: (str(tier),) for name, tier in recorded.items()})
        able = _data(paper, dict.fromkeys(paper.experiments, paths.COMMITTED_TIERS))
    except UserError:  # what cannot be resolved is told elsewhere
        return
    wanted, allowed = (dict.fromkeys(_leaves(expected_stage(paper.name, data))) for data in (needed, able))
    there = dict.fromkeys(_leaves(stage))
    for leaf in wanted:
        if leaf not in there:
            yield f"dvc.yaml: the stage {paper.name} lacks `{leaf}`"
    for leaf in there:
        if leaf not in wanted | allowed:
            yield f"dvc.yaml: the stage {paper.name} should not have `{leaf}`, which is not of this paper"


def _leaves(value: Any, place: str = "") -> Iterator[str]:
    """What YAML holds, a line each: ``do: params: datasets.yaml: mnist.checksum``; lists have no order."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from _leaves(inner, f"{place}{key}: ")
    elif isinstance(value, list):
        for inner in value:
            yield from _leaves(inner, place)
    else:
        yield place + (value if isinstance(value, str) else json.dumps(value, default=str))


def _read(paper: str) -> tuple[Any, Mapping[str, Any]]:
    """The paper's stage, and its entries in ``recorded``."""
    try:
        content, of_papers = _declared()
        stage, recorded = content["stages"][paper], of_papers[paper]
    except _UNREADABLE:
        raise UserError(
            f"dvc.yaml has no stage {paper} over recorded.{paper}; copy another paper's, and begin with "
            f"`{paper}: {{}}` under recorded"
        ) from None
    if not isinstance(recorded, dict):
        raise UserError(
            f"dvc.yaml: recorded.{paper} should map experiments to tiers, not be {recorded!r}; "
            f"as long as nothing is recorded, write `{paper}: {{}}`"
        )
    return stage, recorded


def _is_complete(paper: str, experiment: str, tier: str) -> bool:
    try:
        return _is_settled(paper, experiment, tier)
    except UserError:  # what cannot be resolved is told elsewhere
        return False


def sync() -> int:
    """Write into dvc.lock the stages that DVC calls changed although all their runs are valid.

    Prints what it did, and which stages really are out of date. Does nothing where DVC is not installed, or
    in a copy without git (an unpacked archive), where DVC refuses to work.

    Raises:
        UserError: if DVC fails.
    """
    if _dvc_path() is None:
        print("dvc is not installed; dvc.lock stays as it is")
        return 0
    if not (paths.root() / ".git").exists():  # a folder, or the file of a worktree
        print("this copy is no git repository, and DVC needs one; dvc.lock stays as it is")
        return 0
    _look()
    changed = set(json.loads(_dvc("status", "--json") or "{}"))
    stages = {
        f"{paper}@{name}": (paper, name, tier)
        for paper, of_one in recorded().items()
        for name, tier in of_one.items()
    }
    valid = {stage for stage in changed & set(stages) if _is_settled(*stages[stage])}
    if valid:
        _dvc("commit", "--force", *sorted(valid))  # not --quiet, which would hide why it failed
        print(f"dvc.lock: wrote {', '.join(sorted(valid))}")
    behind = sorted(changed & set(stages) - valid)
    for stage in behind:
        paper, name, tier = stages[stage]
        command = f"python -m pipelines.{paper} run {name} --tier {tier}"
        print(f"dvc.lock: {stage} has runs without a valid result: {command}")
    if not valid and not behind:
        print("dvc.lock: in step")
    return 0


def _look() -> None:
    """Read what DVC is going to read: a few lines of aliases could hold it for hours.

    Raises:
        UserError: if one of its files makes no sense or is far too large.
    """
    recorded()
    catalogue.load()
    for paper in config.papers():
        config.load(paper)
    for name in ("data.dvc", "dvc.lock"):
        with contextlib.suppress(FileNotFoundError):
            strict_yaml.look(bounded.read_text(paths.root() / name, name, _MOST_BYTES), name)


def _is_settled(paper: str, experiment: str, tier: str) -> bool:
    """Whether all runs of an experiment at a tier have valid results and the CSV holds them.

    Raises:
        UserError: if there is no such paper or experiment, or its results are damaged.
    """
    declared = config.load(paper).experiment(experiment)
    return tier in declared.tiers and ledger.of(paper).is_settled(declared, tier)


def _dvc_path() -> str | None:
    """The dvc beside this interpreter, else the one in PATH."""
    beside = Path(sys.executable).with_name("dvc")
    return str(beside) if beside.exists() else shutil.which("dvc")


def _dvc(*arguments: str) -> str:
    """Call DVC and return what it prints; wait while another DVC process is at work."""
    command: list[Any] = [_dvc_path(), "--wait-for-lock", *arguments]
    for attempt in range(TRIES):
        try:
            done = subprocess.run(command, cwd=paths.root(), timeout=SECONDS, **_CALL)
        except subprocess.TimeoutExpired:
            said = f"`dvc {' '.join(arguments)[:200]}` did not end in {SECONDS} seconds and was stopped"
            raise UserError(f"{said}; look for one of its files that is far too large") from None
        if done.returncode == 0:
            return done.stdout
        busy = "is busy" in done.stderr or "acquire lock" in done.stderr
        if not busy or attempt == TRIES - 1:
            break
        time.sleep(WAIT_SECONDS)
    raise UserError(
        f"`dvc {' '.join(arguments)}` failed: {' '.join((done.stderr or done.stdout).split())[-300:]}"
    )
