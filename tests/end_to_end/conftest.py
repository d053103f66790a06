"""Real clones of this repository, with arbitrary file times, that train in seconds."""

from __future__ import annotations

import os
import random
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from shared.base.files import read_json
from shared.data.digest import folder_md5

ROOT = Path(__file__).resolve().parents[2]
PAPER = "tiny"
TIERS = {
    "demo": {"seeds": [0, 1], "replicas": 2, "train_images": 40, "test_images": 20, "epochs": 1},
    "lite": {"seeds": [0, 1], "replicas": 2, "train_images": 60, "test_images": 20, "epochs": 1},
}
#: Data that one of the two arms reads, so that a change of data does not concern the other.
COPY = "digits_copy"


class Clone:
    """A clone to work in, by its commands only."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._seen: dict[str, str] = {}

    def run(self, command: str, code: int = 0) -> str:
        """Run a command line with this interpreter's environment; return what it printed."""
        done = subprocess.run(
            command, shell=True, cwd=self.path, env=environment(), capture_output=True, text=True
        )
        printed = done.stdout + done.stderr
        assert done.returncode == code, f"{command} ended with {done.returncode}:\n{printed}{self.logs()}"
        return printed

    def start(self, command: str) -> subprocess.Popen[bytes]:
        """Start a command line in a process group of its own; it prints to background.log."""
        with (self.path / "background.log").open("wb") as log:
            return subprocess.Popen(
                command,
                shell=True,
                cwd=self.path,
                env=environment(),
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def snakemake(self, options: str = "", code: int = 0) -> str:
        """`snakemake --cores 2 reports`; options are those of --config."""
        return self.run(f"snakemake --cores 2 {f'--config {options} --' if options else ''} reports", code)

    def logs(self) -> str:
        """The logs of the rules, for the message of a failed test."""
        files = sorted((self.path / "logs").rglob("*.log"))
        return "".join(f"--- {file.name}\n{file.read_text()}" for file in files)

    def trained(self) -> list[str]:
        """``model seed epochs`` of the runs that were trained since the last call."""
        found = []
        for file in sorted((self.path / ".repro" / "runs").glob("*.json")):
            content = file.read_text()  # with the time it took, so that a repetition is seen
            if self._seen.get(file.name) != content:
                self._seen[file.name] = content
                inputs = read_json(file)["inputs"]
                settings = inputs["settings"]
                found.append(f"{settings['model']} {inputs['seed']} {settings['train_images']}")
        return sorted(found)

    def touch(self, seed: int) -> None:
        """Give every tracked and untracked file an arbitrary time, as clones and copies do."""
        randomly = random.Random(seed)
        for file in sorted(self.path.rglob("*")):
            if file.is_file() and ".git" not in file.parts:
                time = 1.6e9 + 1e8 * randomly.random()
                os.utime(file, (time, time))

    def edit(self, file: str, pattern: str, text: str) -> None:
        """Replace the one place of a file that a pattern matches."""
        changed, count = re.subn(pattern, text, (self.path / file).read_text())
        assert count == 1, f"{pattern!r} matches {count} times in {file}"
        (self.path / file).write_text(changed)

    def copy_digits(self, mark: str) -> None:
        """Write the entry of the data set `COPY`: the digits, in files whose names begin with a mark.

        Names are part of a data set's identity, so another mark makes it another data set.
        """
        file = self.path / "datasets.yaml"
        sets = yaml.safe_load(file.read_text())
        entry = dict(sets["digits"], path=f"data/{COPY}")
        entry["files"] = {mark + name: facts for name, facts in entry["files"].items()}
        entry["splits"] = {split: [mark + n for n in names] for split, names in entry["splits"].items()}
        entry["checksum"] = folder_md5({name: facts["md5"] for name, facts in entry["files"].items()})
        file.write_text(yaml.safe_dump({**sets, COPY: entry}, sort_keys=False))

    def commit(self) -> None:
        """Commit everything that Git does not ignore."""
        self.run("git add -A && git -c user.name=t -c user.email=t@t commit -q -m change")

    def changes(self) -> str:
        """What `git status` shows."""
        return self.run("git status --porcelain")

    def clone(self, path: Path, seed: int = 1) -> Clone:
        """A clone of what is committed, with arbitrary file times."""
        self.run(f"git clone -q --no-hardlinks . {path}")
        made = Clone(path)
        made.touch(seed)
        return made


def environment() -> dict[str, str]:
    """The environment of a person in a clone who uses the interpreter of this test."""
    kept = {k: v for k, v in os.environ.items() if k not in ("REPRO_ROOT", "PYTHONPATH", "REPRO_GPUS")}
    kept["PATH"] = os.pathsep.join((str(Path(sys.executable).parent), kept.get("PATH", "")))
    return {**kept, "OMP_NUM_THREADS": "1", "REPRO_GPUS": ""}


def working_tree(path: Path) -> Clone:
    """A clone of this repository as it lies here, uncommitted changes included."""
    subprocess.run(["git", "clone", "-q", "--no-hardlinks", str(ROOT), str(path)], check=True)
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    for name in filter(None, listed.stdout.split("\0")):
        if (ROOT / name).is_file():
            (path / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, path / name)
        else:
            (path / name).unlink(missing_ok=True)
    return Clone(path)


def add_paper(clone: Clone) -> None:
    """Make the template the only paper, in the steps of its README."""
    papers = clone.path / "pipelines"
    for folder in papers.iterdir():
        if (folder / "experiments.yaml").is_file() and not folder.name.startswith("_"):
            shutil.rmtree(folder)
    shutil.copytree(papers / "_template", papers / PAPER, ignore=shutil.ignore_patterns("__pycache__"))
    file = papers / PAPER / "experiments.yaml"
    declared = yaml.safe_load(file.read_text())["_template"]
    declared["experiments"]["table1"]["tiers"] = TIERS
    declared["experiments"]["table1"]["arms"]["p4cnn"]["dataset"] = COPY
    file.write_text(yaml.safe_dump({PAPER: declared}, sort_keys=False))
    clone.copy_digits("first-")
    stages = yaml.safe_load((clone.path / "dvc.yaml").read_text())
    block = yaml.safe_dump(stages["stages"]["subsampling"]).replace("subsampling", PAPER)
    block = block.replace("mnist.checksum", f"{COPY}.checksum")
    made = {
        "vars": [f"pipelines/{PAPER}/experiments.yaml:{PAPER}", {"recorded": {PAPER: {"table1": "lite"}}}],
        "stages": {PAPER: yaml.safe_load(block)},
    }
    (clone.path / "dvc.yaml").write_text(yaml.safe_dump(made, sort_keys=False))
    (clone.path / "dvc.lock").unlink(missing_ok=True)
    shutil.rmtree(clone.path / "reports", ignore_errors=True)


@pytest.fixture(scope="session")
def tiny_repository(tmp_path_factory: pytest.TempPathFactory) -> Clone:
    """A repository with one tiny paper, committed, nothing trained. Clone it; do not work in it."""
    made = working_tree(tmp_path_factory.mktemp("tiny") / "repository")
    add_paper(made)
    made.commit()
    return made
