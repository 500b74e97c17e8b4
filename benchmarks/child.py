"""A side of a comparison as a process of its own, which may have its own environment.

Requests and answers are lines of JSON (`benchmarks/peers/serving.py` is the other end). Kept alive,
it takes turns with the other side while both are warm; started, asked once and ended, it measures a
whole run, including imports and featurising.
"""

from __future__ import annotations

import contextlib
import json
import os
import resource
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

# One core per side: the benchmark compares work, not parallel efficiency.
ONE_CORE = {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}


class ChildError(RuntimeError):
    """A child process that died or violates the protocol; one line."""


class Child:
    """A process that answers requests; a context manager that ends it.

    Args:
        name: for messages.
        command: what to start.
        env: added to this process' environment, over `ONE_CORE`.
    """

    def __init__(self, name: str, command: Sequence[str], env: Mapping[str, str] = {}) -> None:
        self.name = name
        self._errors = tempfile.TemporaryFile("w+")  # noqa: SIM115 - lives as long as the child
        try:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._errors,
                env=os.environ | ONE_CORE | dict(env),
                text=True,
            )
        except OSError as error:
            self._errors.close()
            raise ChildError(f"{name}: cannot start {command[0]} ({error.strerror})") from None

    def ask(self, do: str, **arguments: Any) -> dict[str, Any]:
        """Sends one request and returns the answer.

        Raises:
            ChildError: the child died; has the last line of its standard error.
        """
        assert self._process.stdin is not None and self._process.stdout is not None
        try:
            self._process.stdin.write(json.dumps({"do": do, **arguments}) + "\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            raise self._death() from None
        line = self._process.stdout.readline()
        if not line:
            raise self._death()
        try:
            answer: dict[str, Any] = json.loads(line)
        except ValueError:
            raise ChildError(f"{self.name}: answered {line.strip()!r}, which is no JSON") from None
        return answer

    def _death(self) -> ChildError:
        status = self._process.wait()
        how = f"ended with status {status}" if status >= 0 else signal.strsignal(-status)
        self._errors.seek(0)
        lines = [line.strip() for line in self._errors if line.strip()]
        why = lines[-1] if lines else "it said nothing"
        return ChildError(f"{self.name}: {how}: {why}")

    def close(self) -> None:
        """Ends the child and waits for it; it has no state to save."""
        if self._process.stdin is not None:
            with contextlib.suppress(BrokenPipeError):
                self._process.stdin.close()
        try:
            self._process.wait(timeout=30)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        if self._process.stdout is not None:
            self._process.stdout.close()
        self._errors.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if error is not None:  # an interrupt must not wait for an epoch to end
            self._process.kill()
        self.close()


def in_one_line(main: Callable[[], object]) -> None:
    """Runs a program whose children may die, and then prints one line instead of a traceback."""
    try:
        main()
    except ChildError as error:
        sys.exit(f"{Path(sys.argv[0]).stem}: {error}")


def whole_run(
    name: str, command: Sequence[str], do: str, env: Mapping[str, str] = {}, **arguments: Any
) -> tuple[float, dict[str, Any]]:
    """Seconds from before the process starts until it has ended, and its answer to one request.

    The answer's `cpu_seconds` then are those of the whole process, including imports.
    """
    start, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
    with Child(name, command, env) as child:
        answer = child.ask(do, **arguments)
    seconds, after = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
    used = (after.ru_utime - before.ru_utime) + (after.ru_stime - before.ru_stime)
    return seconds, answer | {"cpu_seconds": used}
