"""Every network of every tier takes a training step with the heap checked, as where there is AVX2 only."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from all_papers import ROOT

#: Seconds for all networks together; a step that hangs ends here.
LIMIT = 600


def test_a_step_of_every_network_where_torch_has_a_wrong_kernel():
    program = Path(__file__).with_name("every_network.py")
    limits = {"ONEDNN_MAX_CPU_ISA": "AVX2", "MALLOC_CHECK_": "3", "LD_PRELOAD": "libc_malloc_debug.so.0"}
    paths = os.pathsep.join((str(ROOT), str(program.parent)))
    environment = {
        **os.environ,
        **limits,
        "PYTHONPATH": paths,
        "REPRO_ROOT": str(ROOT),
        "OMP_NUM_THREADS": "1",
    }
    done = subprocess.run(
        [sys.executable, program], env=environment, capture_output=True, text=True, timeout=LIMIT
    )
    last = (done.stdout.splitlines() or ["the imports"])[-1]
    assert done.returncode == 0, f"died in {last}: {done.stderr[-300:]}"
    assert last == "every network took a step"
