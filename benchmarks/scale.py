"""What commands take on ten thousand runs of one paper: python -m benchmarks.scale [options]; see --help.

Makes a checkout with one made-up paper in a temporary folder, fills its store, and measures the processor
time and the peak memory of each command in a process of its own. Nothing is trained.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[1]
#: Rows of a run beside `final`: a curve.
STEPS = 10
#: What is measured: a name and a command.
COMMANDS = (
    ("collect", "collect"),
    ("collect without change", "collect"),
    ("list", "list"),
    ("check", "check"),
    ("run, all valid", "run --tier lite --device cpu"),
    ("merge of a known store", "merge {root}/.repro"),
    ("report", "report"),
)
SETTINGS = """\
from __future__ import annotations
from dataclasses import dataclass

@dataclass(frozen=True)
class Settings:
    experiment: int = 0
    arm: int = 0
"""
TABLES = """\
from __future__ import annotations
from shared.report import build
from shared.report.results import Results

FINAL = build.Quantity("final")
CURVE = build.Quantity("curve", [3])

def tables(results: Results):
    final, third = build.compared("final", "Final", FINAL), build.plain("at3", "At 3", CURVE)
    columns = [build.Column("arm", "Arm"), final, third]
    return [
        build.table(results, name, columns, [build.Line(arm, arm) for arm in experiment.arms])
        for name, experiment in results.declared.experiments.items()
    ]
"""
HEAD = (
    "claim,table,row,column,metric,unit,direction,value,spread,spread_kind,n,origin,protocol,read_from,note\n"
)
STAGE = """\
vars:
  - recorded: {big: {RECORDED}}
stages:
  big:
    foreach: ${recorded.big}
    do:
      cmd: python -m pipelines.big run ${key} --tier ${item}
      deps:
        - pipelines/big/settings.py
      params:
        - pipelines/big/experiments.yaml:
            - big.revision
            - big.experiments.${key}.settings
            - big.experiments.${key}.arms
            - big.experiments.${key}.tiers.${item}
      outs:
        - pipelines/big/results/${item}/${key}.csv:
            cache: false
            persist: true
"""


@dataclass(frozen=True)
class Size:
    """How many experiments, arms in each, and seeds of each arm."""

    experiments: int
    arms: int
    seeds: int

    @property
    def runs(self) -> int:
        """All together."""
        return self.experiments * self.arms * self.seeds


def declare(root: Path, size: Size) -> None:
    """Write the checkout, without results."""
    names = [f"experiment{i}" for i in range(size.experiments)]
    arms = [f"arm{i}" for i in range(size.arms)]
    declared = {
        name: {
            "title": name,
            "settings": {"experiment": i},
            "arms": {arm: {"arm": j} for j, arm in enumerate(arms)},
            "tiers": {"lite": {"seeds": f"0-{size.seeds - 1}"}},
            "cost": {"lite": {"minutes": 3, "memory_mb": 500}},
        }
        for i, name in enumerate(names)
    }
    paper = {"title": "A big paper", "revision": 1, "experiments": declared, "tables": names}
    published = "".join(
        f"a number,{name},{arm},final,final,,,0.5,0.1,std,5,printed,,Table 1,\n"
        for name in names
        for arm in arms
    )
    recorded = ", ".join(f"{name}: lite" for name in names)
    files = {
        "datasets.yaml": "{}\n",
        "dvc.yaml": STAGE.replace("{RECORDED}", f"{{{recorded}}}"),
        "README.md": "",
        "pipelines/__init__.py": "",
        "pipelines/__main__.py": (REPOSITORY / "pipelines" / "__main__.py").read_text(),
        "pipelines/big/__init__.py": "",
        "pipelines/big/experiments.yaml": json.dumps({"big": paper}, indent=1) + "\n",
        "pipelines/big/settings.py": SETTINGS,
        "pipelines/big/experiment.py": "def run(settings, seeds, context):\n    raise NotImplementedError\n",
        "pipelines/big/tables.py": TABLES,
        "pipelines/big/paper.csv": HEAD + published,
        "pipelines/big/deviations.csv": "what,paper,ours,why,expected_effect,tables\nall,a,b,speed,none,\n",
    }
    files["pipelines/big/captions.md"] = "".join(f"## {name}: A table\n\nInvented.\n\n" for name in names)
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    for name in ("Snakefile", "scripts/logged.sh", "profiles/default/config.yaml", "envs/cpu.yaml"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(REPOSITORY / name, root / name)
    (root / "shared").symlink_to(REPOSITORY / "shared")


#: Fills the store; a process of its own, since it works on the other checkout. Not through `records.save`,
#: which waits for the disk ten thousand times.
FILL = """\
import json, random
from shared.base import paths
from shared.runs import config, fingerprint, records
from shared.runs.api import Row
folder = paths.store() / "runs"
folder.mkdir(parents=True)
code = fingerprint.fingerprint("big")
for experiment in config.load("big").experiments.values():
    for run in experiment.runs("lite"):
        draw = random.Random(run.id)
        rows = [["curve", step, draw.random()] for step in range(STEPS)] + [["final", "", draw.random()]]
        facts = {"commit": "0" * 40, "cpu": "made up", "device": "cpu", "dirty": False, "execution": 1}
        facts |= {"finished": "2026-01-01T00:00:00.000Z", "fingerprint": code, "notes": [], "peak_mb": 500.0}
        facts |= {"precision": "float32", "replicas": 1, "threads": 1, "wall_s": 100.0, "versions": {}}
        value = {"run": run.id, "inputs": run.inputs, "rows": rows, "environment": facts}
        text = json.dumps(value, sort_keys=True, indent=1) + "\\n"
        (folder / f"{run.id}.json").write_text(text)
"""


def measured(root: Path, command: Sequence[str]) -> tuple[float, float, str]:
    """Processor seconds and peak megabytes of a command with its children, and what it printed last.

    Raises:
        RuntimeError: if it fails; says what it printed.
    """
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY), "REPRO_GPUS": "", "OMP_NUM_THREADS": "1"}
    started = subprocess.Popen(
        command, cwd=root, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    assert started.stdout is not None
    said = started.stdout.read()
    _, status, used = os.wait4(started.pid, 0)
    started.returncode = os.waitstatus_to_exitcode(status)
    if started.returncode:
        raise RuntimeError(f"{' '.join(command)} ended with {started.returncode}:\n{said[-2000:]}")
    lines = said.strip().splitlines() or [""]
    return used.ru_utime + used.ru_stime, used.ru_maxrss / 1024, lines[-1]


def table(size: Size, only: Sequence[str] = (), dag: bool = True) -> str:
    """The table of all commands, as Markdown."""
    lines = [
        f"{size.runs:,} runs: {size.experiments} experiments of {size.arms} arms and {size.seeds} seeds, "
        f"{STEPS + 1} rows each",
        "",
        "| command | CPU s | peak MB |",
        "|---|---:|---:|",
    ]
    with tempfile.TemporaryDirectory(prefix="scale-") as folder:
        root = Path(folder)
        declare(root, size)
        if dag and not only:
            lines.append(_planned(root))
        measured(root, [sys.executable, "-c", f"STEPS = {STEPS}\n{FILL}"])
        for name, arguments in COMMANDS:
            if only and name not in only and name != "collect":
                continue
            command = [sys.executable, "-m", "pipelines", *arguments.format(root=root).split()]
            seconds, memory, _ = measured(root, command)
            lines.append(f"| {name} | {seconds:.1f} | {memory:.0f} |")
            print(lines[-1], file=sys.stderr, flush=True)
    return "\n".join(lines)


def _planned(root: Path) -> str:
    """The row of planning all runs, of which none is there."""
    command = ["snakemake", "--dry-run", "--cores", "8", "experiments", "--config", "tier=lite"]
    seconds, memory, _ = measured(root, command)
    jobs = len(list((root / ".repro/plan").glob("train_*.json"))) or len(
        list((root / ".repro/plan").glob("*.json"))
    )
    row = f"| DAG of all runs missing ({jobs} jobs) | {seconds:.1f} | {memory:.0f} |"
    print(row, file=sys.stderr, flush=True)
    shutil.rmtree(root / ".repro")
    return row


def main(argv: Sequence[str] | None = None) -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.scale", description=__doc__)
    parser.add_argument("--experiments", type=int, default=20)
    parser.add_argument("--arms", type=int, default=50)
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--only", action="append", default=[], choices=[name for name, _ in COMMANDS])
    parser.add_argument("--no-dag", action="store_true", help="do not ask Snakemake")
    asked = parser.parse_args(argv)
    size = Size(asked.experiments, asked.arms, asked.seeds)
    print(table(size, asked.only, not asked.no_dag))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
