"""Predicts how long a grid still takes from the times of its finished arrays."""

from __future__ import annotations

import heapq
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, pstdev

from orchestrator.training.study import TrainingArray

# Share of an array's epochs from which on its own pace is informative.
TELLING = 0.1
# Share of the time left that may belong to arrays whose end cannot be predicted.
UNKNOWN = 0.3
# Share of an array's epochs from which on its end is near, whatever other arrays did.
NEAR_END = 0.8
# Standard deviation of early ends over their mean; above it, ends cannot be predicted.
UNEVEN = 0.25


@dataclass
class _Progress:
    """An array in training; times are those of its reports.

    Attributes:
        share: of its epochs that are done.
        first: time and share at which timing starts. With a new worker, this is its first report:
            time before it went into the worker's start, or was spent by another worker.
    """

    share: float = 0.0
    first: tuple[float, float] | None = None
    last: float = 0.0

    @property
    def seconds(self) -> float:
        """Duration for which it is timed."""
        return self.last - self.first[0] if self.first else 0.0

    @property
    def passed(self) -> float:
        """Share of its epochs that passed in this time."""
        return self.share - self.first[1] if self.first else 0.0


class TimeLeft:
    """Predicts the time left from measured times, and predicts nothing without them.

    Epochs alone do not suffice: models stop early, and how early is known once arrays have
    finished. These give a pace for each kind of array, in seconds per unit of cost. The running
    and waiting arrays are then scheduled on the workers as they become free, so that the last
    arrays, when some workers are idle, count with their full time.

    Args:
        arrays: in the order in which they start.
        weights: array's id -> expected relative cost.
    """

    def __init__(self, arrays: Sequence[TrainingArray], weights: Mapping[str, float]) -> None:
        self._kinds = {array.id: array.kind for array in arrays}
        self._weights = dict(weights)
        self._waiting = dict.fromkeys(self._kinds)  # an ordered set
        self._running: dict[str, _Progress] = {}
        self._finished: dict[str, _Progress] = {}
        self._workers = 0
        self._warm = 0  # workers that have just finished an array

    @property
    def running(self) -> int:
        """Number of arrays in training; each has a worker."""
        return len(self._running)

    def begin(self, name: str, now: float) -> None:
        """Registers that an array has got a worker."""
        self._waiting.pop(name, None)
        self._running[name] = _Progress(first=(now, 0.0) if self._warm else None, last=now)
        self._warm = max(self._warm - 1, 0)
        self._workers = len(self._running)

    def lost(self, name: str) -> None:
        """Registers that an array's worker is gone; the array waits for another one."""
        if self._running.pop(name, None):
            self._waiting = {name: None, **self._waiting}

    def report(self, name: str, share: float, done: bool, now: float) -> None:
        """Registers how far an array is.

        Args:
            share: of its epochs that are finished.
            done: whether all its models have finished.
        """
        if name not in self._running:
            self.begin(name, now)
        progress = self._running[name]
        progress.share = share
        if progress.first is None:
            progress.first = (now, share)
        progress.last = now
        if done:
            self._finished[name] = self._running.pop(name)
            self._warm += 1

    def seconds(self, now: float) -> float | None:
        """The time left, or None as long as it cannot be predicted."""
        if not self._running and not self._waiting:
            return 0.0
        paces, pace = self._paces()
        if pace is None:
            return None
        names = (*self._running, *self._waiting)
        left = {name: self._left(name, paces, pace, now) for name in names}
        unknown = sum(left[name] for name in names if self._untold(name, paces))
        return self._scheduled(left) if unknown <= UNKNOWN * sum(left.values()) else None

    def _untold(self, name: str, paces: Mapping[str, float]) -> bool:
        """Whether the end of an array cannot be predicted.

        If models stop early, it can only be predicted from finished arrays of its kind: if they
        ended alike, or if enough arrays are left to average out, and unless it has run longer than
        all of them.
        """
        kind = self._kinds[name]
        if all(progress.share == 1 for progress in self._finished.values()):
            return kind not in paces
        reached = self._running[name].share if name in self._running else 0.0
        ends = self._ends(kind)
        if len(ends) < 2:
            return reached < NEAR_END
        rounds = max((len(self._running) + len(self._waiting)) / max(self._workers, 1), 1.0)
        uneven = pstdev(ends) / fmean(ends) / math.sqrt(rounds) > UNEVEN
        return reached < NEAR_END and (uneven or reached > max(ends))

    def _ends(self, kind: str) -> list[float]:
        """Shares of the epochs after which the arrays of a kind ended."""
        return [
            progress.share for name, progress in self._finished.items() if self._kinds[name] == kind
        ]

    def _paces(self) -> tuple[dict[str, float], float | None]:
        """Seconds per unit of cost: by kind, and of all arrays that have finished.

        A kind without finished arrays is estimated from the running ones, as if they ended as
        usual.
        """
        seconds: dict[str, float] = {}
        cost: dict[str, float] = {}
        for name, progress in self._finished.items():
            if progress.seconds > 0 and progress.first:
                kind = self._kinds[name]
                seconds[kind] = seconds.get(kind, 0.0) + progress.seconds
                done = self._weights[name] * (1 - progress.first[1])
                cost[kind] = cost.get(kind, 0.0) + done
        paces = {kind: seconds[kind] / cost[kind] for kind in seconds if cost[kind] > 0}
        if not paces:
            return {}, None
        for name, progress in self._running.items():
            kind = self._kinds[name]
            if kind not in seconds and progress.passed >= TELLING:
                whole = progress.seconds / progress.passed * self._usual_end(kind, progress.share)
                paces[kind] = max(whole / self._weights[name], paces.get(kind, 0.0))
        return paces, sum(seconds.values()) / sum(cost.values())

    def _left(self, name: str, paces: Mapping[str, float], pace: float, now: float) -> float:
        """Seconds that an array still takes, alone in its worker."""
        expected = paces.get(self._kinds[name], pace) * self._weights[name]
        progress = self._running.get(name)
        if progress is None or progress.first is None:
            return expected
        if progress.passed < TELLING:
            return max(expected * (1 - progress.first[1]) - (now - progress.first[0]), 0.0)
        end = self._usual_end(self._kinds[name], progress.share)
        whole = progress.seconds / progress.passed * (end - progress.first[1])
        return max(whole - (now - progress.first[0]), 0.0)

    def _usual_end(self, kind: str, reached: float) -> float:
        """Share of the epochs after which an array ends that has reached `reached`.

        The mean of the arrays of its kind that reached as much; without any, half of what is left.
        """
        ends = self._ends(kind) or [progress.share for progress in self._finished.values()]
        beyond = [end for end in ends if end >= reached]
        return fmean(beyond) if beyond else (reached + 1) / 2

    def _scheduled(self, left: Mapping[str, float]) -> float:
        """Time until the last worker is free, if each takes the next waiting array."""
        free = [left[name] for name in self._running]
        free += [0.0] * (max(self._workers, 1) - len(free))
        heapq.heapify(free)
        for name in self._waiting:
            heapq.heappush(free, heapq.heappop(free) + left[name])
        return max(free)
