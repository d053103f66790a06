"""A checkout with one tiny paper and invented results, for the tests of reports (no test file itself)."""

from __future__ import annotations

import subprocess
from pathlib import Path

FILES = {
    "datasets.yaml": "{}\n",
    "README.md": "# Title\n\n<!-- verdicts -->\nold\n<!-- /verdicts -->\n\nThe end.\n",
    "pipelines/__init__.py": "",
    "pipelines/mini/__init__.py": "",
    "pipelines/mini/experiments.yaml": """
mini:
  title: "A <mini> paper & its claims"
  revision: 1
  tables: [claims, table1]
  figures: [table1, empty]
  experiments:
    table1:
      title: "Table 1"
      produces: [table1, curve]
      settings: {epochs: 2}
      arms: {plain: {}, turned: {turned: true}}
      tiers:
        demo: {seeds: [0, 1]}
        lite: {seeds: [0, 1, 2, 3], epochs: 1}
        paper: {seeds: [0, 1, 2, 3, 4]}
    other:
      title: "Never run"
      produces: [table1]
      settings: {epochs: 7}
      arms: {late: {}}
      tiers:
        paper: {seeds: [0]}
""",
    "pipelines/mini/settings.py": """
from dataclasses import dataclass


@dataclass(frozen=True)
class Settings:
    epochs: int = 1
    turned: bool = False
    dataset: str = ""
""",
    "pipelines/mini/experiment.py": """
def run(settings, seeds, context):
    return {}
""",
    "pipelines/mini/paper.csv": (
        "claim,table,row,column,metric,unit,direction,value,spread,spread_kind,n,origin,protocol,read_from,note\n"
        "C1,table1,plain,error,error,%,lower,5.00,0.20,std0,10,printed,,table 1,\n"
        "C1,table1,turned,error,error,%,lower,3.0,,,10,printed,,text,\n"
        "C1,table1,late,error,error,%,lower,1.0,0.1,std,3,printed,,table 1,\n"
    ),
    "pipelines/mini/deviations.csv": (
        "what,paper,ours,why,expected_effect,tables\n"
        'Length,50 epochs,2 epochs,"time, mostly",a | little,\n'
        "Claims,none,a few,for tests,none,not table*\n"
    ),
    "pipelines/mini/tables.py": """
from shared.report import verdicts
from shared.report import claims
from shared.report.results import difference
from shared.report.tables import Column, Row, Table


def tables(results):
    rows = []
    for experiment, arm in (("table1", "plain"), ("table1", "turned"), ("other", "late")):
        sample = results.sample(experiment, arm, "error")
        rows.append(Row(arm, f"Arm *{arm}*", (results.cell("table1", arm, "error", sample,
        experiment=experiment),)))
    plain, turned = (results.sample("table1", arm, "error") for arm in ("plain", "turned"))
    found = difference(plain, turned)
    verdict = verdicts.beats(found, tier=plain.tier)
    part = claims.effect("", "+2.00", found, verdict)
    return [
        Table("claims", "Claims", claims.COLUMNS, (claims.row("C1", "Turning helps", [part], headline=True),),
              commands=(results.command("table1"),), claims=True),
        Table("table1", "Table 1: errors", (Column("arm", "Arm"), Column("error", "Error, %")), tuple(rows),
              caption="Errors of `two` arms.", commands=(results.command("table1"),), notes=("A note.",)),
    ]
""",
    "pipelines/mini/figures.py": """
from shared.report.figures import Figure, canvas
from shared.report.theme import SERIES


def figures(results):
    curves = results.curves("table1", "plain", "loss")

    def draw():
        figure, (axes,) = canvas(3, 2)
        for (seed, curve), color in zip(curves.iterrows(), SERIES):
            axes.plot(curve.index, curve.to_numpy(), color=color, label=f"seed {seed}")
        axes.set(xlabel="step", ylabel="loss")
        axes.legend()
        return figure

    return [
        Figure("table1", "The curve", "Loss of `plain`.", "A falling line.", draw if len(curves) else None,
               (results.command("table1"),)),
        Figure("empty", "Nothing yet", "Waits for runs.", "Nothing.", None, (results.command("other"),)),
    ]
""",
}
PLAIN = (5.1, 4.9, 5.2, 5.0, 4.8)
TURNED = (3.1, 2.8, 3.1, 2.9, 2.9)


def write(root: Path) -> Path:
    """Write the checkout, without results."""
    for name, content in FILES.items():
        file = root / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(content, encoding="utf-8")
    return root


def record(tier: str = "paper", shift: float = 0.0, seeds: int = 5) -> None:
    """Write invented results of table1 into the checkout that REPRO_ROOT names, as if collected."""
    from shared.base import paths
    from shared.base.files import write_atomic, write_json
    from shared.runs import committed, config, records

    lines, environments = [",".join(committed.HEADER)], {}
    for run in config.load("mini").experiment("table1").runs(tier):
        if run.seed >= seeds:
            continue
        error = (PLAIN if run.arm == "plain" else TURNED)[run.seed] + (shift if run.arm == "plain" else 0)
        rows = [
            ("error", "", error),
            *(("loss", step, 2.0 / (step + 1) + run.seed / 10) for step in range(4)),
        ]
        lines += [f"{run.id},table1,{run.arm},{run.seed},{m},{s},{v!r}" for m, s, v in rows]
        environments[run.id] = {
            "inputs": run.inputs,
            "rows": records.rows_digest(rows),
            "commit": "0123456789abcdef",
            "dirty": False,
            "versions": {"torch": "2.13.0"},
            "cpu": "A <CPU>",
            "device": "cpu",
            "precision": "float32",
            "wall_s": 90.0,
            "fingerprint": "old",
            "notes": ["a note on the data"],
        }
    write_atomic(paths.collected("mini", "table1", tier), "\n".join(lines) + "\n")
    write_json(paths.sidecar(paths.collected("mini", "table1", tier)), environments)


def sign(tier: str = "paper") -> None:
    """Let the sidecar say that the rows of table1 were always as they stand, after a test edited them."""
    from shared.base import paths
    from shared.base.files import read_json, write_json
    from shared.runs import committed, records

    file = paths.collected("mini", "table1", tier)
    rows, entries = committed.read_file(file).rows, read_json(paths.sidecar(file))
    new = {run: {**facts, "rows": records.rows_digest(rows.get(run, ()))} for run, facts in entries.items()}
    write_json(paths.sidecar(file), new)


def commit(root: Path, message: str = "state") -> str:
    """Commit everything in the checkout; returns the commit."""
    if not (root / ".git").exists():
        git(root, "init", "-q")
    git(root, "add", "-A")
    git(
        root,
        "-c",
        "user.name=t",
        "-c",
        "user.email=t@example.org",
        "commit",
        "-q",
        "--allow-empty",
        "-m",
        message,
    )
    return git(root, "rev-parse", "HEAD").strip()


def git(root: Path, *arguments: str) -> str:
    """Run git in the checkout and return what it prints."""
    done = subprocess.run(["git", *arguments], cwd=root, capture_output=True, text=True, check=True)
    return done.stdout


def tree(folder: Path) -> dict[str, bytes]:
    """Content of every file below a folder, by relative name."""
    return {str(f.relative_to(folder)): f.read_bytes() for f in sorted(folder.rglob("*")) if f.is_file()}
