"""Where the repository is, for whoever calls from elsewhere."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]


def test_outside_of_any_checkout_it_is_that_of_the_program(tmp_path):
    """As for a script of a user's, who installed this repository."""
    code = "from shared.base import paths; print(paths.root())"
    environment = {name: value for name, value in os.environ.items() if name != "REPRO_ROOT"}
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env={**environment, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert Path(done.stdout.strip()) == ROOT
