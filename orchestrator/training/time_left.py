"""How long a grid still takes, by how long its finished arrays took."""

from __future__ import annotations

import heapq
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, pstdev

from orchestrator.training.study import TrainingArray

# Of an array's epochs: from here on its own pace says something.
TELLING = 0.1
# Of the time left: so much may belong to arrays of which nothing tells when they end.
UNKNOWN = 0.3
# Of an array's epochs: from here on its end is near, whatever the others did.
NEAR_END = 0.8
# Standard deviation of early ends over their mean: above it, the end of a run is chance.
UNEVEN = 0.25


@dataclass
class _Progress:
    """One array on its way; the times are those of reports.

    Attributes:
        share: of its epochs that are done.
        first: since when it is timed, and its share then. Where the worker is new, that is its
            first report: what lies before is the worker's start, or was done by another one.
    """

    share: float = 0.0
    first: tuple[float, float] | None = None
    last: float = 0.0

    @property
    def seconds(self) -> float:
        """For which it is timed."""
        return self.last - self.first[0] if self.first else 0.0

    @property
    def passed(self) -> float:
        """Share of its epochs in these seconds."""
        return self.share - self.first[1] if self.first else 0.0


class TimeLeft:
    """Predicts the time left from what has been measured, and says nothing before.

    Epochs alone do not tell: models stop early, and how early is seen when arrays have finished.
    From these comes a pace for each kind of array, in seconds a unit of cost. What still runs and
    what waits is then given to the workers as they become free, so the last arrays, for which not
    all workers find work, count with the time that they take.

    Args:
        arrays: in the order in which they are begun.
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
        """Arrays in training; each has a worker."""
        return len(self._running)

    def begin(self, name: str, now: float) -> None:
        """An array has got a worker."""
        self._waiting.pop(name, None)
        self._running[name] = _Progress(first=(now, 0.0) if self._warm else None, last=now)
        self._warm = max(self._warm - 1, 0)
        self._workers = len(self._running)

    def lost(self, name: str) -> None:
        """An array's worker is gone; it waits for another one."""
        if self._running.pop(name, None):
            self._waiting = {name: None, **self._waiting}

    def report(self, name: str, share: float, done: bool, now: float) -> None:
        """How far an array is.

        Args:
            share: of its epochs that are over.
            done: all its models have left it.
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
        """The time left, or None as long as nothing tells."""
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
        """Whether nothing tells when an array ends.

        Where models stop early, only finished arrays of its kind do: if they ended alike, or if so
        many are left that it evens out, and as long as it has not gone on for longer than all.
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
        """Shares of the epochs after which the arrays of a kind were over."""
        return [
            progress.share for name, progress in self._finished.items() if self._kinds[name] == kind
        ]

    def _paces(self) -> tuple[dict[str, float], float | None]:
        """Seconds a unit of cost: by kind, and of all arrays that have finished.

        Of a kind of which none has finished, those that run tell, as if they ended as usual.
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
        """Share of the epochs after which an array is over that has come so far.

        The mean of those of its kind that came as far; where none did, half of what is left.
        """
        ends = self._ends(kind) or [progress.share for progress in self._finished.values()]
        beyond = [end for end in ends if end >= reached]
        return fmean(beyond) if beyond else (reached + 1) / 2

    def _scheduled(self, left: Mapping[str, float]) -> float:
        """When the last worker is free, if each takes the next array that waits."""
        free = [left[name] for name in self._running]
        free += [0.0] * (max(self._workers, 1) - len(free))
        heapq.heapify(free)
        for name in self._waiting:
            heapq.heappush(free, heapq.heappop(free) + left[name])
        return max(free)
