"""Is a paper's stage in dvc.yaml the one that its experiments need?"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from shared import config, dvclock, paths
from shared.errors import UserError


def problems(paper: config.Paper) -> Iterator[str]:
    """What is wrong with the stage of a paper and its entries in ``recorded``, one sentence each.

    An experiment whose results are complete must be in ``recorded``. Others should not be there yet: DVC
    calls a missing output a change, and says so itself.
    """
    try:
        yield from dvclock.misspelt()
        stage, recorded = _read(paper.name)
    except UserError as error:
        yield str(error)
        return
    yield from _stage(paper.name, stage)
    for name, experiment in paper.experiments.items():
        able = [tier for tier in experiment.tiers if tier in paths.COMMITTED_TIERS]
        there = [tier for tier in able if _complete(paper, name, tier)]
        if there and name not in recorded:
            yield f"dvc.yaml: recorded.{paper.name} should name a tier of {name}: {' or '.join(there)}"


def _read(paper: str) -> tuple[Any, Mapping[str, Any]]:
    """The paper's stage, and its entries in ``recorded``."""
    try:
        content, of_papers = dvclock.declared()
        stage, recorded = content["stages"][paper], of_papers[paper]
    except dvclock.UNREADABLE:
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


def _stage(paper: str, stage: Any) -> Iterator[str]:
    """Whether the stage, most likely copied from another paper's, speaks of this one throughout."""
    wanted = {
        "foreach": f"${{recorded.{paper}}}",
        "cmd": f"python -m pipelines.{paper} run ${{key}} --tier ${{item}}",
    }
    if not isinstance(stage, dict) or not isinstance(stage.get("do"), dict):
        yield f"dvc.yaml: the stage {paper} should have the keys foreach and do; copy another paper's"
        return
    for key, text in wanted.items():
        if (stage if key == "foreach" else stage["do"]).get(key) != text:
            yield f"dvc.yaml: the stage {paper} should have `{key}: {text}`"
    text = json.dumps(stage)
    needed = {
        "params": [f"{paper}.revision", *(f"{paper}.experiments.${{key}}.{part}" for part in _PARTS)],
        "outs": [f"pipelines/{paper}/results/${{item}}/${{key}}.csv"],
    }
    for key, entries in needed.items():
        there = json.dumps(stage["do"].get(key))
        for entry in entries:
            if f'"{entry}"' not in there:
                yield f"dvc.yaml: the stage {paper} lacks {entry} among its {key}"
    foreign = {name for name in re.findall(r"pipelines[./](\w+)", text) if name != paper}
    for name in sorted(foreign):
        yield f"dvc.yaml: the stage {paper} speaks of pipelines/{name}; put {paper} in its place"


#: What of an experiment decides about its runs.
_PARTS = ("settings", "arms", "tiers.${item}")


def _complete(paper: config.Paper, experiment: str, tier: str) -> bool:
    try:
        return dvclock.is_settled(paper.name, experiment, tier)
    except UserError:  # what cannot be resolved is told elsewhere
        return False
