"""Processes of this machine that work for this one, where there is no Ray."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
from collections import deque
from collections.abc import Callable, Generator, Iterable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from multiprocessing import Pipe
from queue import Empty, SimpleQueue
from typing import Any, TypeVar

from orchestrator.interface.errors import UsageError
from orchestrator.nodes.child import send

Item = TypeVar("Item")
Result = TypeVar("Result")

# A lost process is no fault of the work that it did, which is tried again this many times.
LOST = 3
UNDER_WAY = 3  # items a process: one in work, and others so that it never waits
SECONDS = 5.0  # to learn how a process ended
# Not `multiprocessing`'s own start, which runs the user's script again in each process.
START = """\
import json, sys
sys.path[:] = json.loads(sys.argv.pop())
from orchestrator.nodes.child import main
main()"""


class Died(Exception):
    """A process ended before it answered; the text says how."""


class Child:
    """A process that holds what `make` makes, and calls its methods one after the other.

    Args:
        make: importable by name, with what it holds.
        variables: of its environment, beside those of this process.
    """

    def __init__(self, make: Callable[[], object], variables: Mapping[str, str]) -> None:
        self.connection, theirs = Pipe()
        hears, self._life = os.pipe()
        self._said = tempfile.TemporaryFile()  # noqa: SIM115 (`close` closes it)
        handles = hears, theirs.fileno()
        try:
            self._process = subprocess.Popen(
                # -P: nothing of the folder that it is started in but what this process has
                [sys.executable, "-P", "-c", START, *map(str, handles), json.dumps(sys.path)],
                env={**os.environ, **variables}, pass_fds=handles, process_group=0,
                stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=self._said,
            )  # fmt: skip
        finally:
            os.close(hears)
            theirs.close()
        self._send(make)

    def ask(self, method: str, *given: Any) -> None:
        """Calls a method; `answer` returns its result, and `connection` tells when it is there."""
        self._send((method, given))

    def _send(self, what: object) -> None:
        with suppress(BrokenPipeError, ConnectionResetError):  # it is gone: `answer` will say so
            send(self.connection, what)

    def answer(self) -> Any:
        """The result of the last call.

        Raises:
            Died: the process ended before.
            UsageError, OSError, WorkError: the method raised it, or another error.
        """
        try:
            good, result = self.connection.recv()
        except (EOFError, ConnectionResetError):
            raise Died(self._ending()) from None
        if good:
            return result
        raise result

    def _ending(self) -> str:
        """How the process ended, with its last words."""
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(SECONDS)
        code = self._process.returncode or 0
        how = f"killed by {signal.Signals(-code).name}" if code < 0 else f"exit status {code}"
        self._said.seek(max(0, self._said.seek(0, os.SEEK_END) - 1000))
        lines = self._said.read().decode(errors="replace").split("\n")
        last = next((line.strip() for line in reversed(lines) if line.strip()), "")
        return f"{how}: {last}" if last else how

    def kill(self) -> None:
        """Ends the process at once; files are complete or absent whatever it was doing."""
        self._process.kill()

    def close(self) -> None:
        """Ends the process and releases what it held; nobody may be waiting for an answer."""
        self.kill()
        self._process.wait()
        os.close(self._life)
        self.connection.close()
        self._said.close()


class _Worker:
    """Applies a function; the process keeps what the function caches."""

    def __init__(self, function: Callable[[Any], Any]) -> None:
        self._function = function

    def __call__(self) -> _Worker:
        return self

    def work(self, item: Any) -> Any:
        return self._function(item)


class _Crew:
    """Processes that apply one function; a thread waits for each, as they do one call at a time."""

    def __init__(self, function: Callable[[Any], Any], number: int) -> None:
        self._make = _Worker(function)
        self._threads = ThreadPoolExecutor(number)
        self._started: list[Child] = []
        self._free: SimpleQueue[Child] = SimpleQueue()
        self._over = False

    def begin(self, item: Any) -> Future[Any]:
        """Has a process work on an item, as soon as one is free."""
        return self._threads.submit(self._work, item)

    def _work(self, item: Any) -> Any:
        try:
            child = self._free.get_nowait()
        except Empty:
            child = self._start()
        try:
            for _ in range(LOST):
                try:
                    child.ask("work", item)
                    return child.answer()
                except Died:
                    child = self._start()
            child.ask("work", item)
            return child.answer()
        except Died as error:
            raise UsageError(
                f"a process of this work died {LOST + 1} times ({error}); if it lacked memory, run"
                " the same command again when there is more"
            ) from None
        finally:
            self._free.put(child)

    def _start(self) -> Child:
        if self._over:
            raise Died("the work is over")
        self._started.append(Child(self._make, {"OMP_NUM_THREADS": "1"}))
        return self._started[-1]

    def end(self) -> None:
        """Ends all processes, whether they work or not."""
        self._over = True
        for child in list(self._started):
            child.kill()
        self._threads.shutdown(cancel_futures=True)
        for child in self._started:
            child.close()


def in_order(
    work: Callable[[Item], Result],
    items: Iterable[Item],
    number: int,
    before: Callable[[Item], Result | None] = lambda item: None,
) -> Generator[tuple[Item, Result], None, None]:
    """Each item with the result of `work`, in the order of the items, by so many processes.

    Args:
        before: a result that is known already, or None.

    Raises:
        UsageError: processes die again and again.
    """
    crew, under_way = _Crew(work, number), deque[tuple[Item, Result | Future[Result]]]()

    def finished() -> tuple[Item, Result]:
        item, result = under_way.popleft()
        return item, result.result() if isinstance(result, Future) else result

    try:
        for item in items:
            while len(under_way) >= UNDER_WAY * number:
                yield finished()
            known = before(item)
            under_way.append((item, crew.begin(item) if known is None else known))
        while under_way:
            yield finished()
    finally:
        crew.end()
