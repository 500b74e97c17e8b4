"""How long a grid still takes, by how long its finished arrays took."""

from __future__ import annotations

import heapq
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from orchestrator.training.arrays import TrainingArray

# Of an array's epochs: from here on its own pace says something.
TELLING = 0.1
# Of the time left: so much may belong to arrays of a kind of which none has finished.
UNTRIED = 0.2
# Epochs that are still expected of an array that goes on longer than the others did.
MORE = 0.05


@dataclass
class _Course:
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
        self._running: dict[str, _Course] = {}
        self._finished: dict[str, _Course] = {}
        self._workers = 0
        self._warm = 0  # workers that have just finished an array
        self._shown = False

    @property
    def running(self) -> int:
        """Arrays in training; each has a worker."""
        return len(self._running)

    def begin(self, name: str, now: float) -> None:
        """An array has got a worker."""
        self._waiting.pop(name, None)
        self._running[name] = _Course(first=(now, 0.0) if self._warm else None, last=now)
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
        course = self._running[name]
        course.share = share
        if course.first is None:
            course.first = (now, share)
        course.last = now
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
        left = {
            name: self._left(name, paces, pace, now) for name in (*self._running, *self._waiting)
        }
        untried = sum(
            seconds
            for name, seconds in left.items()
            if self._kinds[name] not in paces
            and (name in self._waiting or self._running[name].passed < 3 * TELLING)
        )
        self._shown = self._shown or untried <= UNTRIED * sum(left.values())
        return self._scheduled(left) if self._shown else None

    def _paces(self) -> tuple[dict[str, float], float | None]:
        """Seconds a unit of cost, by kind and of all, of the arrays that have finished."""
        seconds: dict[str, float] = {}
        cost: dict[str, float] = {}
        for name, course in self._finished.items():
            begun = course.first[1] if course.first else 0.0
            if course.seconds <= 0:
                continue
            kind = self._kinds[name]
            seconds[kind] = seconds.get(kind, 0.0) + course.seconds
            cost[kind] = cost.get(kind, 0.0) + self._weights[name] * (1 - begun)
        paces = {kind: seconds[kind] / cost[kind] for kind in seconds if cost[kind] > 0}
        return paces, sum(seconds.values()) / sum(cost.values()) if paces else None

    def _left(self, name: str, paces: Mapping[str, float], pace: float, now: float) -> float:
        """Seconds that an array still takes, alone in its worker."""
        expected = paces.get(self._kinds[name], pace) * self._weights[name]
        course = self._running.get(name)
        if course is None or course.first is None:
            return expected
        if course.passed < TELLING:
            return max(expected * (1 - course.first[1]) - (now - course.first[0]), 0.0)
        end = max(self._usual_end(self._kinds[name]), min(course.share + MORE, 1.0))
        whole = course.seconds / course.passed * (end - course.first[1])
        return max(whole - (now - course.first[0]), 0.0)

    def _usual_end(self, kind: str) -> float:
        """Share of the epochs after which arrays of a kind were over, in the mean."""
        of_kind = [c.share for name, c in self._finished.items() if self._kinds[name] == kind]
        ends = of_kind or [course.share for course in self._finished.values()]
        return sum(ends) / len(ends)

    def _scheduled(self, left: Mapping[str, float]) -> float:
        """When the last worker is free, if each takes the next array that waits."""
        free = [left[name] for name in self._running]
        free += [0.0] * (max(self._workers, 1) - len(free))
        heapq.heapify(free)
        for name in self._waiting:
            heapq.heappush(free, heapq.heappop(free) + left[name])
        return max(free)
