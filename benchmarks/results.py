"""Benchmark results as Markdown tables, and their files: one JSON and one Markdown file per device."""

from __future__ import annotations

import re
import statistics
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmarks.timing import Ratio
from shared.base.files import read_json, write_atomic, write_json
from shared.report.markdown import grid

HEAD = (
    "Written by `python -m benchmarks --out`; how it is measured: `benchmarks/README.md`. Ratios are medians "
    "over interleaved repetitions of the ratio within one repetition, with quartiles; below 1 is faster."
)


def markdown(entry: Mapping[str, Any]) -> str:
    """Render one benchmark: heading, circumstances, one table per case."""
    parts = [f"## {entry['title']}\n", f"{entry['note']}\n", f"{_circumstances(entry['environment'])}\n"]
    parts += [f"- {remark}\n" for remark in entry["remarks"]]
    for case in entry["cases"]:
        parts += [f"### {case['title']}\n", _table(case)]
    return "\n".join(parts)


def _circumstances(facts: Mapping[str, Any]) -> str:
    versions = ", ".join(f"{name} {version}" for name, version in facts["versions"].items())
    allocator = "" if facts["allocator_tuned"] else ", allocator **not** tuned"
    commit = facts["commit"][:12] + (" with changes" if facts["dirty"] else "")
    return (
        f"{facts['device_name']} (CPU threads: {facts['threads']}, load {facts['load_before']} before"
        f"{allocator}); {facts['repetitions']} repetitions; {versions}; commit {commit}."
    )


def _table(case: Mapping[str, Any]) -> str:
    header = ["variant", "ms", "CPU ms", "images/s", *case["columns"], "peak MB"]
    return grid(header, [_row(case, row) for row in case["rows"]])


def _row(case: Mapping[str, Any], row: Mapping[str, Any]) -> list[str]:
    seconds = statistics.median(row["seconds"])
    ratios = [row["ratios"][column] for column in case["columns"]]
    return [
        row["name"],
        f"{1e3 * seconds:.1f}",
        f"{1e3 * statistics.median(row['cpu_seconds']):.1f}",
        f"{case['images'] / seconds:,.0f}",
        *("-" if found is None else str(Ratio(**found)) for found in ratios),
        "-" if row["peak_mb"] is None else f"{row['peak_mb']:.0f}",
    ]


def write(folder: Path, device: str, entries: Mapping[str, Any]) -> Path:
    """Add results to those of a device; what was measured earlier by other benchmarks stays.

    Returns:
        The Markdown file; the JSON file lies beside it.

    Raises:
        UserError: if the device's JSON file is damaged.
    """
    base = folder / (re.sub(r"[^a-z0-9]+", "-", device.lower()).strip("-") or "device")
    data = base.with_suffix(".json")
    known = {**(read_json(data) if data.is_file() else {}), **entries}
    write_json(data, known)
    text = "\n".join([f"# {device}\n", f"{HEAD}\n", *(markdown(known[name]) for name in sorted(known))])
    write_atomic(base.with_suffix(".md"), text)
    return base.with_suffix(".md")
