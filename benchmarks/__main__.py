"""All benchmarks, one after the other: python -m benchmarks [options]; options: see --help."""

from __future__ import annotations

from benchmarks.runner import start

start()
