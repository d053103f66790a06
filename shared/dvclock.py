"""Keeping dvc.lock true: after Snakemake or the command line trained, DVC must not call the stages changed.

A bare ``dvc commit -f`` would also bless results that do not belong to the present settings. `sync` commits
exactly the stages that DVC calls changed and whose runs are all valid and collected.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from shared import config, ledger, paths, strict_yaml
from shared.errors import UserError, unknown

#: How often and how long to wait when another DVC process holds its lock or one of the files.
TRIES, WAIT_SECONDS = 10, 1.0


#: What reading dvc.yaml may raise if it is missing or of another form.
UNREADABLE = (OSError, AttributeError, KeyError, TypeError, ValueError)


def declared() -> tuple[Any, Any]:
    """The content of dvc.yaml and its variable ``recorded``, as they are; raises `UNREADABLE`.

    Raises:
        UserError: if it is not YAML.
    """
    content = strict_yaml.load((paths.root() / "dvc.yaml").read_text(encoding="utf-8"), "dvc.yaml")
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
        _, found = declared()
        papers = [(paper, found[paper], line) for paper, line in found.lines.items()]
    except UNREADABLE:
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
        _, found = declared()
        return {str(paper): {str(k): str(v) for k, v in tiers.items()} for paper, tiers in found.items()}
    except UNREADABLE as error:
        raise UserError(
            f"dvc.yaml has no readable variable 'recorded' ({error}); restore it from git"
        ) from None


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
    changed = set(json.loads(_dvc("status", "--json") or "{}"))
    stages = {
        f"{paper}@{name}": (paper, name, tier)
        for paper, of_one in recorded().items()
        for name, tier in of_one.items()
    }
    valid = {stage for stage in changed & set(stages) if is_settled(*stages[stage])}
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


def is_settled(paper: str, experiment: str, tier: str) -> bool:
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
        done = subprocess.run(command, cwd=paths.root(), capture_output=True, text=True)
        if done.returncode == 0:
            return done.stdout
        busy = "is busy" in done.stderr or "acquire lock" in done.stderr
        if not busy or attempt == TRIES - 1:
            break
        time.sleep(WAIT_SECONDS)
    raise UserError(
        f"`dvc {' '.join(arguments)}` failed: {' '.join((done.stderr or done.stdout).split())[-300:]}"
    )
