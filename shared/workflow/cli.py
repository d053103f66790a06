"""The command line: ``python -m pipelines`` over all papers, ``python -m pipelines.<paper>`` for one.

Every error that a user can cause ends in one sentence and the exit code 2 (``--debug`` shows the traceback);
1 means that a run failed or a check found something.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import math
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from shared.base import paths
from shared.base.errors import Mistakes, UserError
from shared.base.paths import TIERS, shown
from shared.runs import supervise
from shared.runs.api import PRECISIONS

#: Said after Ctrl-C by the commands that record.
INTERRUPTED = "interrupted; what was finished is recorded, the same command goes on from there"


class Terminated(KeyboardInterrupt):
    """SIGTERM, treated as Ctrl-C: what is finished is collected, then the process ends."""


def main(argv: Sequence[str] | None = None, paper: str | None = None) -> int:
    """Run one command.

    Args:
        argv: the arguments; those of the process if None.
        paper: the paper of ``python -m pipelines.<paper>``; None for all papers.

    Returns:
        The exit code: 0 for success, 1 if a run failed or a check found something, 2 for a mistake of the
        user, 130 or 143 after an interruption.
    """
    began = time.monotonic()  # before the slow imports: --minutes counts from here
    _open_output()
    arguments = parser(paper).parse_args(sys.argv[1:] if argv is None else argv)
    arguments.began = began
    if argv is None and arguments.command in ("run", "batch") and not arguments.debug:
        code = supervise.outlive_worker()
        if code is not None:
            return code
    try:
        paths.check_program()
        with _terminable():
            code = _command(arguments.command)(arguments)
            if "shared.runs.index" in sys.modules:  # what waits for the work stays small
                sys.modules["shared.runs.index"].keep()
            sys.stdout.flush()  # here, so that a closed pipe is noticed here
            return code
    except UserError as error:
        if arguments.debug:
            raise
        print(sentence(error), file=sys.stderr)
        return 2
    except KeyboardInterrupt as stop:
        print(arguments.interrupted, file=sys.stderr)
        return 143 if isinstance(stop, Terminated) else 130
    except BrokenPipeError:  # the reader (head, less) has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except OSError as error:
        if arguments.debug:
            raise
        print(f"error: {_failed_access(error)}", file=sys.stderr)
        return 2
    except ModuleNotFoundError as error:
        package = (error.name or "").partition(".")[0]
        if arguments.debug or package in ("", "shared", "pipelines"):  # ours: a mistake in the code
            raise
        print(f"error: {_missing(package)}", file=sys.stderr)
        return 2


def _open_output() -> None:
    """Make sure that something is there to print to, and that whatever is printed can be.

    A standard stream that the caller closed would be the next file that is opened. What the encoding of a
    terminal or a pipe does not have (the signs of `diff` in ASCII) is printed as an escape.
    """
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest free number, which is this one
        if getattr(sys, name) is None:
            setattr(sys, name, os.fdopen(os.open(os.devnull, os.O_RDWR), "r" if name == "stdin" else "w"))
        elif name != "stdin" and isinstance(stream := getattr(sys, name), io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def sentence(error: UserError) -> str:
    """What a user is shown; several mistakes are a line each."""
    said = str(error).replace("\n", "\nerror: ") if isinstance(error, Mistakes) else str(error)
    return f"error: {said}"


def _failed_access(error: OSError) -> str:
    """What the system said of a file or a device, and what to look at."""
    place = f": {shown(Path(error.filename))}" if isinstance(error.filename, str) else ""
    said = " ".join((error.strerror or str(error) or type(error).__name__).split())
    return (
        f"{said}{place}; see to permissions and space there (--debug shows the traceback), then do it again"
    )


def _missing(package: str) -> str:
    """What to do where a library is not installed."""
    python = shown(Path(sys.executable))
    return (
        f"{python} has no package {package!r}; activate the environment (`. .venv/bin/activate`), which "
        "`make setup` builds, then do it again"
    )


def _command(name: str) -> Callable[[argparse.Namespace], int]:
    from shared.workflow import commands

    return getattr(commands, f"do_{name}")


@contextlib.contextmanager
def _terminable() -> Iterator[None]:
    """Turn SIGTERM and Ctrl-C into exceptions while a command runs; only possible in the main thread.

    Both often come twice: to all processes, and passed on by the one that waits (`shared.runs.supervise`).
    """
    last = -math.inf

    def stop(number: int, frame: Any) -> None:
        nonlocal last
        if time.monotonic() - last > 1:
            last = time.monotonic()
            raise Terminated if number == signal.SIGTERM else KeyboardInterrupt

    numbers = [signal.SIGTERM]
    if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:
        numbers.append(signal.SIGINT)
    try:
        before = {number: signal.signal(number, stop) for number in numbers}
    except ValueError:
        yield
        return
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def parser(paper: str | None) -> argparse.ArgumentParser:
    """The parser of all commands, or of those of one paper."""
    name = f"python -m pipelines.{paper}" if paper else "python -m pipelines"
    top = argparse.ArgumentParser(
        prog=name, description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    top.set_defaults(paper=paper, interrupted=INTERRUPTED)
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND")

    def add(command: str, text: str) -> argparse.ArgumentParser:
        made = commands.add_parser(command, help=text, description=text)
        made.add_argument("--debug", action="store_true", help="show the traceback of errors")
        return made

    _add_for_both(add, paper)
    if paper is None:
        _add_for_all(add)
    return top


def _add_for_both(add: Callable[[str, str], argparse.ArgumentParser], paper: str | None) -> None:
    kind = "EXPERIMENT" if paper else "PAPER[/EXPERIMENT]"

    def targets(parser: argparse.ArgumentParser) -> None:
        parser.add_argument("targets", nargs="*", metavar=kind, help="all by default")

    listing = add("list", "experiments with their runs, estimated time and memory, by tier")
    targets(listing)
    listing.add_argument("--tier", choices=TIERS, help="only this tier")
    listing.add_argument("--runs", action="store_true", help="also each run without a valid result, and why")
    listing.add_argument("--verdicts", action="store_true", help="also how claims and numbers stand")
    running = add("run", "compute the runs that have no valid result, then collect the results")
    targets(running)
    running.add_argument(
        "--tier", choices=TIERS, default="demo", help="how much of the protocol (default: demo)"
    )
    running.add_argument(
        "--arm", action="append", dest="arms", metavar="ARM", help="only this arm; may be repeated"
    )
    running.add_argument("--seeds", metavar="0-4", help="only these of the declared seeds")
    running.add_argument("--minutes", type=float, metavar="N", help="take what fits into this time")
    _add_options(running)
    again = add("rerun", "compute recorded runs again and compare; nothing is written, 1 if they differ")
    again.add_argument("targets", nargs=1, metavar="EXPERIMENT" if paper else "PAPER/EXPERIMENT")
    again.add_argument("--tier", choices=TIERS, help="default: the highest that is recorded")
    again.add_argument("--arm", action="append", dest="arms", metavar="ARM", help="default: the cheapest")
    again.add_argument("--seeds", metavar="0-4", help="default: the cheapest of each arm")
    again.add_argument(
        "--device",
        default="recorded",
        metavar="cpu|cuda|auto",
        help="default: as recorded",
    )
    again.add_argument("--threads", type=int, metavar="N", help="CPU threads (default: as recorded)")
    again.add_argument("--precision", choices=PRECISIONS, help="default: as recorded")
    again.set_defaults(interrupted="interrupted; nothing was written")
    checking = add("check", "are declarations, hand-written files and committed results in order?")
    targets(checking)
    checking.add_argument("--strict-code", action="store_true", help="results of earlier code are an error")
    accepting = add("accept", "keep collected results after a change of code that changed no number")
    targets(accepting)
    accepting.add_argument("--tier", choices=TIERS, help="only this tier (default: lite and paper)")
    accepting.add_argument("--why", required=True, help="the reason, kept in the sidecar")
    collecting = add("collect", "write the CSV files from the store of finished runs")
    targets(collecting)
    collecting.add_argument("--tier", choices=TIERS, help="only this tier")
    rendering = add("table" if paper else "report", "render tables and figures from collected results")
    rendering.add_argument("--demo", action="store_true", help="from the demo tier, into reports/demo")
    if not paper:
        rendering.add_argument("--page", action="store_true", help="only the page, from rendered reports")


def _add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--refresh", action="store_true", help="also compute what has a valid result")
    parser.add_argument("--device", default="auto", metavar="cpu|cuda|auto", help="default: auto")
    parser.add_argument(
        "--threads", type=int, metavar="N", help="CPU threads (default: OMP_NUM_THREADS, else all)"
    )
    parser.add_argument(
        "--precision",
        choices=PRECISIONS,
        help="where networks are trained; valid results at another precision are computed again "
        "(default: the paper's setting, else float32, and valid results at any precision are taken)",
    )
    parser.add_argument(
        "--replicas", type=int, metavar="N", help="seeds trained at once (default: see the tier)"
    )


def _add_for_all(add: Callable[[str, str], argparse.ArgumentParser]) -> None:
    batch = add("batch", "compute the named runs, then collect; for the workflow engines")
    batch.add_argument("specs", nargs="*", metavar="PAPER/EXPERIMENT/TIER/ARM/SEED")
    batch.add_argument("--job", metavar="NAME", help="the runs of this job in .repro/plan instead")
    batch.add_argument("--no-collect", action="store_true", help="leave the CSV files to `collect`")
    _add_options(batch)
    getting = add("get", "fetch data sets and verify them")
    getting.add_argument("names", nargs="+", metavar="NAME", help="names in datasets.yaml, or all")
    getting.add_argument("--mirror", metavar="DIR|URL", help="look there first (default: REPRO_MIRROR)")
    merging = add("merge", "take in results from another machine")
    merging.add_argument("path", help="a record, a results folder, or another checkout")
    differing = add("diff", "table cells that changed since a git revision, ready for a pull request")
    differing.add_argument("revision", metavar="REV")
    differing.add_argument("--full", action="store_true", help="all rows, also more than a comment can hold")
    add("sync", "write into dvc.lock the stages whose results are valid")
