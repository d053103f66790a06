"""`make`: what it says at the end; and tests that crash or hang: each fails, the others run, and it ends."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
FINE = "import pytest\n\n@pytest.mark.parametrize('i', range(4))\ndef test_fine(i):\n    pass\n"
#: Long enough in C, without giving way to other threads: the expression takes ages on this text.
TROUBLE = """\
import os, re, signal, time

def test_before(): pass
def test_crash(): os.kill(os.getpid(), signal.SIGSEGV)
def test_between(): pass
def test_crash_again(): os.kill(os.getpid(), signal.SIGBUS)
def test_spin(): re.match("(a+)+$", "a" * 60 + "b")
def test_sleep(): time.sleep(1e6)
def test_after(): pass
"""
pytestmark = pytest.mark.skipif(not shutil.which("make"), reason="needs make")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A project of a few tests, with our Makefile and settings, and an environment that is ready."""
    for name in ("Makefile", "pyproject.toml"):
        shutil.copy(ROOT / name, tmp_path)
    for name in ("envs", "scripts"):
        shutil.copytree(ROOT / name, tmp_path / name)
    for name in ("tests", ".venv"):
        (tmp_path / name).mkdir()
    for name in ("a", "b", "c"):
        (tmp_path / f"tests/test_{name}.py").write_text(FINE)
    (tmp_path / ".venv/ready").touch()
    return tmp_path


def make(folder: Path, *options: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """What `make` prints, both streams together; a hang is an error."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("PYTEST_", "MAKE", "MFLAGS", "VENV"))}
    kept["PATH"] = os.pathsep.join((str(Path(sys.executable).parent), kept.get("PATH", "")))
    command = ["make", "--no-print-directory", *options]
    return subprocess.run(
        command,
        cwd=folder,
        env=kept | variables,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=300,
    )


@pytest.mark.slow
def test_tests_that_crash_or_hang_fail_and_the_others_pass(folder: Path) -> None:
    (folder / "tests/test_trouble.py").write_text(TROUBLE)
    done = make(folder, "test", PYTEST_ADDOPTS="-o faulthandler_timeout=5")
    assert done.returncode, done.stdout
    assert re.search(r"^4 failed, 15 passed", done.stdout, re.MULTILINE), done.stdout
    for name in ("test_crash", "test_crash_again", "test_spin", "test_sleep"):
        assert f"crashed while running 'tests/test_trouble.py::{name}'" in done.stdout
    assert make(folder, "test", PYTEST_ADDOPTS="--ignore=tests/test_trouble.py").returncode == 0


@pytest.mark.slow
@pytest.mark.skipif(not shutil.which("timeout"), reason="needs timeout of the GNU coreutils")
def test_all_tests_together_have_a_limit(folder: Path) -> None:
    (folder / "tests/test_trouble.py").write_text("import time\n\ndef test_sleep(): time.sleep(1e6)\n")
    done = make(folder, "test", "TEST_LIMIT=8s")
    assert done.returncode
    assert "make test: ended after 8s, before all tests had run; for more time: " in done.stdout


def test_the_last_line_names_only_reports_that_exist(folder: Path) -> None:
    """Without results of the demo, `make reports CONFIG="train=never"` makes no page of it."""
    snakemake = folder / ".venv/bin/snakemake"
    snakemake.parent.mkdir()
    snakemake.write_text('#!/bin/sh\necho "snakemake $*"\n')
    snakemake.chmod(0o755)
    done = make(folder, "reports", "CONFIG=train=never")
    assert "snakemake --cores all --config train=never -- reports\n" in done.stdout
    assert done.stdout.endswith("\nDone: reports/index.html (recorded results)\n")
    (folder / "reports/demo").mkdir(parents=True)
    (folder / "reports/demo/index.html").touch()
    ending = "\nDone: reports/index.html (recorded results), reports/demo/index.html (trained here)\n"
    assert make(folder, "reports").stdout.endswith(ending)
