"""A small checkout with one made-up paper, the toy (no test file itself). No torch."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

from shared.runs import config, fingerprint

REPOSITORY = Path(__file__).resolve().parents[2]

EXPERIMENTS = """\
x-toy: &base {rate: 0.5}
toy:
  title: A toy
  revision: 1
  experiments:
    walk:
      title: Random walks
      produces: [table1]
      settings: {<<: *base, steps: 3}
      arms:
        slow: {rate: 0.25}
        fast: {rate: 2}
      tiers:
        smoke: {seeds: [0], steps: 2}
        demo: {seeds: [0, 1], steps: 2, arms: {fast: {rate: 3.0}}}
        lite: {seeds: 0-2}
    race:
      title: The slow walk again
      settings: {<<: *base, steps: 3}
      arms: {turtle: {rate: 0.25}}
      tiers:
        lite: {seeds: [0, 1, 2]}
      cost: {lite: {minutes: 2, memory_mb: 100}}
  tables: [table1]
"""

SETTINGS = """\
from __future__ import annotations
from dataclasses import dataclass

@dataclass(frozen=True)
class Settings:
    rate: float = 1.0
    steps: int = 3
    trouble: str = ""
"""

EXPERIMENT = '''\
"""Walks at random; with trouble where the settings ask for it."""
from __future__ import annotations
import os, random, signal, time
from pathlib import Path
from shared.base.errors import UserError
from shared.runs.api import OutOfTime, Row

class Diverged(UserError):
    seeds = [1]

def run(settings, seeds, context):
    for seed in seeds:
        with open(os.environ["TOY_LOG"], "a") as log:
            log.write(f"{settings.rate} {seed}\\n")
    trouble(settings.trouble, seeds, context)
    return {seed: walk(settings, seed) for seed in seeds}

def walk(settings, seed):
    draw = random.Random(seed).gauss
    rows = [Row("position", step, draw(0, settings.rate)) for step in range(settings.steps)]
    final = float("nan") if settings.trouble == "nan" and seed == 1 else rows[-1].value
    return [*rows, Row("final", "", final), Row("angle", 7.5, 1), Row("seconds", "", time.perf_counter())]

def trouble(kind, seeds, context):
    if kind == "diverged" and 1 in seeds:
        raise Diverged("the loss of seed 1 is not finite")
    if kind == "memory" and len(seeds) > 1:
        raise RuntimeError("CUDA out of memory. Tried to allocate 20 GiB")
    if kind == "crash" and 1 in seeds:
        raise ZeroDivisionError("division by zero")
    if kind == "data":
        raise UserError("the data set is not there")
    if kind == "late":
        context.checkpoint.write_text("half way")
        raise OutOfTime("time is up")
    if kind in ("SIGSEGV", "SIGBUS", "SIGKILL", "SIGTERM", "SIGINT") and 1 in seeds:
        if not context.checkpoint.exists():
            context.checkpoint.write_text("half way")
            os.kill(os.getpid(), getattr(signal, kind))
            raise AssertionError("still alive")
        context.log(f"resumed from {context.checkpoint.read_text()}")
    if kind == "waits":
        (Path(os.environ["TOY_LOG"]).parent / "waiting").write_text(str(os.getpid()))
        while True:
            time.sleep(0.01)
'''

TABLES = """\
from __future__ import annotations
from shared.report.results import Results
from shared.report.tables import Cell, Column, Row, Table

def tables(results: Results) -> list[Table]:
    rows = tuple(Row(arm, arm, (_cell(results, arm),)) for arm in ("slow", "fast"))
    return [Table("table1", "Table 1", (Column("arm", "Arm"), Column("final", "Final")), rows)]

def _cell(results: Results, arm: str) -> Cell:
    return results.cell("table1", arm, "final", results.sample("walk", arm, "final"), experiment="walk")
"""

PAPER_CSV = """\
claim,table,row,column,metric,unit,direction,value,spread,spread_kind,n,origin,protocol,read_from,note
walks end somewhere,table1,slow,final,final,,,0.1,,,,printed,,Table 1,
"""

DEVIATIONS = "what,paper,ours,why,expected_effect,tables\nlegs,two,none,a toy has none,none,\n"

DVC = """\
vars:
  - recorded:
      toy: {walk: lite, race: lite}
stages:
  toy:
    foreach: ${recorded.toy}
    do:
      cmd: python -m pipelines.toy run ${key} --tier ${item}
      deps:
        - pipelines/toy/settings.py
      params:
        - pipelines/toy/experiments.yaml:
            - toy.revision
            - toy.experiments.${key}.settings
            - toy.experiments.${key}.arms
            - toy.experiments.${key}.tiers.${item}
      outs:
        - pipelines/toy/results/${item}/${key}.csv:
            cache: false
            persist: true
"""


class Toy:
    """The checkout of one test, and what tests do with it."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.folder = root / "pipelines" / "toy"
        self.log = root / "trained.log"

    def write(self) -> None:
        """All files of the checkout."""
        files = {
            "datasets.yaml": "{}\n",
            "dvc.yaml": DVC,
            "pipelines/__init__.py": "",
            "pipelines/__main__.py": (REPOSITORY / "pipelines" / "__main__.py").read_text(),
            "pipelines/toy/__init__.py": "",
            "pipelines/toy/experiments.yaml": EXPERIMENTS,
            "pipelines/toy/settings.py": SETTINGS,
            "pipelines/toy/experiment.py": EXPERIMENT,
            "pipelines/toy/tables.py": TABLES,
            "pipelines/toy/paper.csv": PAPER_CSV,
            "pipelines/toy/deviations.csv": DEVIATIONS,
        }
        for name, text in files.items():
            (self.root / name).parent.mkdir(parents=True, exist_ok=True)
            (self.root / name).write_text(text)

    def experiment(self, name: str = "walk") -> config.Experiment:
        """One of the experiments as declared now."""
        return config.load("toy").experiment(name)

    def runs(self, tier: str = "lite", name: str = "walk") -> list[config.Run]:
        """All runs of a tier."""
        return self.experiment(name).runs(tier)

    def declare(self, old: str, new: str) -> None:
        """Change experiments.yaml."""
        self.edit("experiments.yaml", old, new)

    def edit(self, file: str, old: str, new: str) -> None:
        """Replace text in a file of the paper, and look at the code anew."""
        path = self.folder / file
        assert old in path.read_text()
        path.write_text(path.read_text().replace(old, new))
        shutil.rmtree(path.parent / "__pycache__", ignore_errors=True)  # Python tells by second and size
        for name in [name for name in sys.modules if name.startswith("pipelines")]:
            del sys.modules[name]
        fingerprint.forget()

    def trained(self) -> list[str]:
        """One line per seed that was trained: rate and seed."""
        return self.log.read_text().splitlines() if self.log.exists() else []

    def command(self, *arguments: str, check: bool = False) -> subprocess.CompletedProcess[str]:
        """``python -m pipelines ...`` in a process of its own."""
        return subprocess.run(
            [sys.executable, "-m", "pipelines", *arguments],
            cwd=self.root,
            env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
            capture_output=True,
            text=True,
            check=check,
        )

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        """The same in a process group of its own, without waiting for its end."""
        return subprocess.Popen(
            [sys.executable, "-m", "pipelines", *arguments],
            cwd=self.root,
            env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
