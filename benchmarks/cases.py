"""What a benchmark is: cases, each with variants of one piece of work that are compared with each other."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from benchmarks.timing import Step


@dataclass(frozen=True)
class Options:
    """What the command line asks for.

    Attributes:
        device: torch's name of it.
        threads: CPU threads.
        repetitions: of the interleaved timing.
        batch: images in a batch; None for the benchmark's own choice.
        tiny: sizes that take seconds and say nothing about speed; for tests.
        memory: whether to measure peak memory, each variant in a process of its own.
        only: measure the variants whose name has this in it; all if empty.
    """

    device: str = "cpu"
    threads: int = 1
    repetitions: int = 15
    batch: int | None = None
    tiny: bool = False
    memory: bool = True
    only: str = ""


@dataclass(frozen=True)
class Case:
    """Variants that do the same work.

    Attributes:
        title: what the work is.
        images: images that one call trains on.
        variants: by name, a function that makes the work; it takes a factor for the batch size (1, or less
            for a small call that only warms up the libraries).
        ratios: by column title, a function from a variant's name to the one it is divided by (None: no
            such comparison for it).
    """

    title: str
    images: int
    variants: Mapping[str, Callable[[float], Step]]
    ratios: Mapping[str, Callable[[str], str | None]]


@dataclass(frozen=True)
class Benchmark:
    """A named set of cases.

    Attributes:
        name: key of its results.
        title: heading of its tables.
        note: what is measured, in a few sentences.
        cases: the cases for given options, and remarks (such as a library that is missing).
    """

    name: str
    title: str
    note: str
    cases: Callable[[Options], tuple[list[Case], list[str]]] = field(repr=False)
