"""The time of ``--minutes``: what fits into it by earlier measurements, and an end that is kept."""

from __future__ import annotations

import contextlib
import signal
import statistics
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from shared.runs import config
from shared.runs.api import OutOfTime
from shared.runs.batches import settings_key

#: Seconds after which an experiment that did not stop when it was told so is told again.
_AGAIN = 2.0


class Budget:
    """The time of one process, and what it learns of how long runs take here.

    Attributes:
        deadline: value of `time.monotonic` at which it is spent; None for no limit.
    """

    def __init__(
        self, minutes: float | None, began: float, estimate: Callable[[config.Run], float | None]
    ) -> None:
        """A budget of ``minutes`` (None for no limit) from ``began``, a value of `time.monotonic`."""
        self.minutes, self.estimate = minutes, estimate
        self.deadline = None if minutes is None else began + 60 * minutes
        self._measured: dict[str, float] = {}  # seconds of a run in this process, by settings
        self._ratios: list[float] = []  # of these to what was estimated

    def learn(self, run: config.Run, seconds: float) -> None:
        """Take note of how long a run took that was computed from its beginning."""
        self._measured[settings_key(run)] = seconds
        expected = self.estimate(run)
        if expected:
            self._ratios.append(seconds / expected)

    def seconds(self, run: config.Run) -> float | None:
        """About how long a run will take: as its like did here, else as elsewhere, at the pace of here."""
        here, elsewhere = self._measured.get(settings_key(run)), self.estimate(run)
        if here is None and elsewhere is not None:
            return elsewhere * (statistics.median(self._ratios) if self._ratios else 1.0)
        if here is None and self._measured:
            return statistics.mean(self._measured.values())
        return here

    def fits(self, batch: list[config.Run]) -> bool:
        """Whether to begin a batch; one that nobody has measured is begun while time is left."""
        if self.deadline is None:
            return True
        return time.monotonic() + (self.seconds(batch[0]) or 0.0) * len(batch) < self.deadline

    def fitting(self, batches: Iterable[list[config.Run]]) -> tuple[int, str]:
        """How many of the runs will be begun, and a sentence that says so before the first is."""
        assert self.deadline is not None
        batches, left = list(batches), self.deadline - time.monotonic()
        limit, count, unknown = f"{self.minutes:g} minutes", 0, 0
        needs = [(self.seconds(batch[0]), batch) for batch in batches]
        for seconds, batch in needs:
            if left > 0 and (seconds or 0.0) * len(batch) < left:
                left -= (seconds or 0.0) * len(batch)
                count, unknown = count + len(batch), unknown + (seconds is None) * len(batch)
        if unknown:
            sentence = f"nobody has measured {unknown} of these runs: they are begun until {limit} are over"
        elif count:
            total = sum(map(len, batches))
            sentence = f"about {count} of {total} runs fit into {limit}, by the costs that `list` shows"
        elif any(seconds is not None for seconds, _ in needs):
            known = [(seconds * len(batch), batch) for seconds, batch in needs if seconds is not None]
            need, batch = min(known, key=lambda pair: pair[0])
            cheapest = f"{batch[0].paper}/{batch[0].experiment} {batch[0].arm}"
            seeds = "" if len(batch) == 1 else f" with {len(batch)} seeds at once"
            sentence = f"nothing fits into {limit}; the cheapest run, {cheapest}{seeds}, "
            sentence += f"needs about {_minutes(need)}"
        else:
            sentence = f"nothing fits into {limit}"
        return count, sentence

    @contextlib.contextmanager
    def kept(self) -> Iterator[None]:
        """Stop what is done inside when time is up, wherever it is; a checkpoint keeps the epochs before.

        Experiments look at the deadline themselves, between epochs and between seeds, but an epoch or a test
        may take minutes. Without effect on Windows, and outside the main thread, where no signal arrives.

        Raises:
            OutOfTime: at the deadline, in place of what is being done or of an error that this led to.
        """
        if self.deadline is None or not hasattr(signal, "setitimer"):
            yield
            return
        rang = False

        def ring(number: int, frame: Any) -> None:
            nonlocal rang
            rang = True
            raise OutOfTime("time is up")

        try:
            before = signal.signal(signal.SIGALRM, ring)
        except ValueError:
            yield
            return
        try:
            signal.setitimer(signal.ITIMER_REAL, max(self.deadline - time.monotonic(), 1e-3), _AGAIN)
            yield
        except Exception as error:
            if rang and not isinstance(error, OutOfTime):
                raise OutOfTime("time is up") from error
            raise
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, before)


def _minutes(seconds: float) -> str:
    """A time in minutes, as ``--minutes`` takes it."""
    minutes = seconds / 60
    return f"{minutes:.1f} minutes" if minutes < 9.95 else f"{minutes:.0f} minutes"
