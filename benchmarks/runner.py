"""Command line of the benchmarks: measures, prints Markdown tables, and writes them down with ``--out``."""

from __future__ import annotations

import argparse
import importlib
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch

from benchmarks import results, timing
from benchmarks.cases import Benchmark, Case, Options
from shared.base import paths
from shared.base.errors import UserError
from shared.runs import devices, environment

NAMES = ("p4cnn", "resnet", "seeds", "rotation", "lconv", "continuous", "latent", "smoke", "steerable")
#: The small call that warms up a process before its memory is measured.
WARM_UP = 1 / 64


def start(*names: str) -> None:
    """Run benchmarks as a program: with the allocator tuned, and errors of the user in one sentence."""
    timing.tune_allocator()
    try:
        main(names or NAMES)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        print("interrupted; nothing was written", file=sys.stderr)
        sys.exit(130)


def main(names: Sequence[str] = NAMES, argv: Sequence[str] | None = None) -> None:
    """Run the named benchmarks, print their tables and write them if asked to.

    Args:
        names: of the benchmarks.
        argv: arguments; those of the process if None.

    Raises:
        UserError: for options that do not fit.
    """
    asked = _parser().parse_args(argv)
    if asked.memory_of:
        name, case, variant = asked.memory_of
        print(_memory_here(_load(name), int(case), variant, _options(asked, asked.device)))
        return
    options = _options(asked, devices.choose(asked.device, _log))
    entries = {}
    for name in names:
        entries[name] = measure(_load(name), options)
        print(results.markdown(entries[name]), flush=True)
    if asked.out is not None:
        where = Path(asked.out) if asked.out else paths.root() / "benchmarks" / "results"
        print(f"wrote {results.write(where, device_name(options), entries)}")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repetitions", type=int, metavar="N", help="default: 15, with --tiny 2")
    parser.add_argument(
        "--batch", type=int, metavar="N", help="images per batch (default: see each benchmark)"
    )
    parser.add_argument("--threads", type=int, metavar="N", help="CPU threads (default: all processors)")
    parser.add_argument("--device", default="auto", metavar="cpu|cuda|auto", help="default: auto")
    parser.add_argument("--only", default="", metavar="TEXT", help="variants with this in their name")
    parser.add_argument("--tiny", action="store_true", help="seconds; only to see that it runs")
    parser.add_argument("--no-memory", action="store_true", help="leave out the peak memory")
    parser.add_argument(
        "--out", nargs="?", const="", metavar="DIR", help="also write into DIR (benchmarks/results)"
    )
    parser.add_argument("--memory-of", nargs=3, help=argparse.SUPPRESS)  # how the program calls itself
    return parser


def _options(asked: argparse.Namespace, device: str) -> Options:
    repetitions = asked.repetitions if asked.repetitions is not None else (2 if asked.tiny else 15)
    threads = asked.threads if asked.threads is not None else environment.processors()
    for name, value in (("repetitions", repetitions), ("threads", threads), ("batch", asked.batch)):
        if value is not None and value < 1:
            raise UserError(f"--{name} must be 1 or more, not {value}")
    torch.set_num_threads(threads)
    return Options(device, threads, repetitions, asked.batch, asked.tiny, not asked.no_memory, asked.only)


def _load(name: str) -> Benchmark:
    return importlib.import_module(f"benchmarks.{name}").BENCHMARK


def _log(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def device_name(options: Options) -> str:
    """Name the hardware: the GPU, or the processor with the number of threads."""
    facts = environment.hardware(options.device)
    return (
        facts.get("device_name") or f"{facts['cpu']}, {options.threads} thread{'s' * (options.threads > 1)}"
    )


def measure(benchmark: Benchmark, options: Options) -> dict[str, Any]:
    """Measure all cases of a benchmark.

    Returns:
        What `results` renders and writes: facts about the machine, and for every case and variant the
        seconds of each repetition, the ratios and the peak memory in megabytes.
    """
    load = os.getloadavg()[0]
    cases, remarks = benchmark.cases(options)
    remarks = [*remarks, *(["**tiny** sizes: the numbers below say nothing"] if options.tiny else [])]
    return {
        "title": benchmark.title,
        "note": benchmark.note,
        "remarks": remarks,
        "environment": {
            **environment.describe(options.device),
            "device_name": device_name(options),
            "threads": options.threads,
            "repetitions": options.repetitions,
            "load_before": round(load, 2),
            "allocator_tuned": all(name in os.environ for name in timing.ALLOCATOR),
        },
        "cases": [_measure_case(benchmark, index, case, options) for index, case in enumerate(cases)],
    }


def _measure_case(benchmark: Benchmark, index: int, case: Case, options: Options) -> dict[str, Any]:
    chosen = [name for name in case.variants if options.only in name]
    if not chosen:
        raise UserError(f"no variant has {options.only!r} in its name; there are {', '.join(case.variants)}")
    _log(f"{case.title}: {len(chosen)} variants")
    times = timing.interleave(
        {name: case.variants[name](1.0) for name in chosen},
        options.repetitions,
        sync=_sync(options.device),
        turn_seconds=0.0 if options.tiny else timing.TURN_SECONDS,
        log=_log,
    )
    rows = []
    for name, own in times.items():
        ratios = {}
        for column, reference in case.ratios.items():
            other = reference(name)
            ratios[column] = vars(timing.ratio(own.wall, times[other].wall)) if other in times else None
        memory = _memory_elsewhere(benchmark, index, name, options) if options.memory else None
        rows.append(
            {
                "name": name,
                "seconds": [round(value, 7) for value in own.wall],
                "cpu_seconds": [round(value, 7) for value in own.cpu],
                "ratios": ratios,
                "peak_mb": memory,
            }
        )
    return {"title": case.title, "images": case.images, "columns": list(case.ratios), "rows": rows}


def _sync(device: str) -> Callable[[], None]:
    return (lambda: torch.cuda.synchronize(device)) if device.startswith("cuda") else (lambda: None)


def _memory_elsewhere(benchmark: Benchmark, case: int, variant: str, options: Options) -> float:
    """Peak memory of a variant, in a process of its own."""
    _log(f"memory of {variant}")
    command = [sys.executable, "-m", "benchmarks", "--memory-of", benchmark.name, str(case), variant]
    command += ["--device", options.device, "--threads", str(options.threads)]
    command += ["--batch", str(options.batch)] if options.batch else []
    command += ["--tiny"] if options.tiny else []
    done = subprocess.run(
        command,
        cwd=Path(__file__).parents[1],
        env={**timing.ALLOCATOR, **os.environ},
        capture_output=True,
        text=True,
    )
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        raise UserError(
            f"the memory of {variant} could not be measured ({last}); leave it out with --no-memory"
        )
    return round(float(done.stdout.split()[-1]), 1)


def _memory_here(benchmark: Benchmark, index: int, variant: str, options: Options) -> float:
    case = benchmark.cases(options)[0][index]
    case.variants[variant](WARM_UP)()
    return timing.peak_mb(case.variants[variant](1.0), options.device)
