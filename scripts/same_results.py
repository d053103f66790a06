"""Do two checkouts hold the same results in their ignored stores? Times and memory may differ."""

from __future__ import annotations

import csv
import sys
from pathlib import Path

from shared.runs import is_timing


def results(checkout: Path) -> dict[str, list[list[str]]]:
    """The rows of every collected CSV in the store of a checkout, without timings, by file."""
    store = checkout / ".repro" / "results"
    found = {}
    for file in sorted(store.rglob("*.csv")):
        with file.open(newline="") as handle:
            rows = [row for row in csv.reader(handle) if not is_timing(row[4])]
        found[str(file.relative_to(store))] = rows
    return found


def main(first: str, second: str) -> int:
    """Print the first difference, or how much is equal; returns the exit code."""
    here, there = results(Path(first)), results(Path(second))
    if here.keys() != there.keys() or not here:
        print(f"not the same files: {sorted(here)} and {sorted(there)}", file=sys.stderr)
        return 1
    for name, rows in here.items():
        if len(rows) != len(there[name]):
            print(f"{name}: {len(rows)} and {len(there[name])} rows", file=sys.stderr)
            return 1
        for one, other in zip(rows, there[name]):
            if one != other:
                print(f"{name}: {','.join(one)} and {','.join(other)}", file=sys.stderr)
                return 1
    print(f"the same {sum(map(len, here.values()))} rows in {len(here)} files")
    return 0


if __name__ == "__main__":
    raise SystemExit(main(*sys.argv[1:]))
