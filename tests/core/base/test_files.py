"""Files are written whole or not at all, by whoever is killed, and what killed writers leave is swept."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torture
from toy_checkout import REPOSITORY

from shared.base import files

WRITER = """
import sys
from pathlib import Path
from shared.base import files
folder = Path(sys.argv[1])
print("ready", flush=True)
number = 0
while True:
    number += 1
    files.write_atomic(folder / f"{number % 3}.json", f"{number} " * 20_000)
"""


def start(folder: Path, program: str = WRITER) -> subprocess.Popen[str]:
    started = subprocess.Popen(
        [sys.executable, "-c", program, str(folder)], cwd=REPOSITORY, stdout=subprocess.PIPE, text=True
    )
    assert started.stdout.readline() == "ready\n"
    return started


def temporary(folder: Path) -> list[str]:
    return [name for name in os.listdir(folder) if files.is_temporary(name)]


@torture.sizes(4, 60)
def test_a_killed_writer_leaves_whole_files_and_the_next_one_sweeps(tmp_path, size, tally):
    draw, left, wrong = random.Random(1), 0, 0
    for _ in range(size):
        writer = start(tmp_path)
        time.sleep(draw.random() * 0.05)
        writer.kill()
        writer.communicate()
        left += len(temporary(tmp_path))
        for file in tmp_path.glob("*.json"):
            numbers = file.read_text().split()
            wrong += len(numbers) != 20_000 or len(set(numbers)) != 1
        files._swept.clear()  # as in a new process
        files.write_atomic(tmp_path / "next", "whole")
        wrong += len(temporary(tmp_path))
    came = f"no file in part; {left} temporary files left, all swept by the next write"
    tally("SIGKILL of a process that writes files", size, came, wrong)


def test_a_writer_that_dies_before_it_renames_leaves_one_that_is_swept(tmp_path):
    """Certain to happen here; at a random moment it may not."""
    (tmp_path / "a.csv").write_text("old")
    if (child := os.fork()) == 0:
        files.os.replace = lambda *names: os.kill(os.getpid(), signal.SIGKILL)
        files.write_atomic(tmp_path / "a.csv", "new")
    os.waitpid(child, 0)
    assert len(temporary(tmp_path)) == 1
    files.write_atomic(tmp_path / "b.csv", "other")
    assert sorted(os.listdir(tmp_path)) == ["a.csv", "b.csv"]
    assert (tmp_path / "a.csv").read_text() == "old"


def test_what_a_living_writer_has_open_is_not_swept(tmp_path):
    handle, name = files._temporary(tmp_path / "a.csv")
    files.write_atomic(tmp_path / "b.csv", "other")
    assert temporary(tmp_path) == [Path(name).name]
    os.close(handle)
    files._swept.clear()
    files.write_atomic(tmp_path / "b.csv", "again")
    assert temporary(tmp_path) == []


def test_two_writers_do_not_sweep_each_other(tmp_path):
    """Each forgets at once what it has swept, so that it sweeps at every write."""
    eager = WRITER.replace("    number += 1\n", "    number += 1\n    files._swept.clear()\n")
    writers = [start(tmp_path, eager) for _ in range(2)]
    time.sleep(0.3)
    assert [writer.poll() for writer in writers] == [None, None], "neither lost its file"
    for writer in writers:
        writer.kill()
        writer.communicate()


@pytest.mark.parametrize(
    "name", ["a.csv", ".a.csv", ".hidden.tmp", ".a.csv.abcdefgh", ".a.csv.ABCDEFGH.tmp", "a.abcdefgh.tmp"]
)
def test_files_of_others_are_not_swept(tmp_path, name):
    (tmp_path / name).write_text("mine")
    files.write_atomic(tmp_path / "b.csv", "other")
    assert (tmp_path / name).read_text() == "mine"


def test_where_the_file_system_has_no_locks_nobody_sweeps(tmp_path, monkeypatch):
    def refuse(*arguments):
        raise OSError(37, "No locks available")

    monkeypatch.setattr(files.fcntl, "flock", refuse)
    (tmp_path / ".a.csv.abcdefgh.tmp").write_text("")
    files.write_atomic(tmp_path / "b.csv", "whole")
    assert sorted(os.listdir(tmp_path)) == [".a.csv.abcdefgh.tmp", "b.csv"]
