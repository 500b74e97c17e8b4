"""Reads structures in a child process, which is killed if a text takes too much time or memory.

A file can make pymatgen's readers loop for hours or fill the memory, by mistake or on purpose. Then
only that file is lost, and a new child reads the others. Only JSON goes through the pipes.
"""

from __future__ import annotations

import atexit
import json
import os
import select
import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress
from functools import cache
from typing import Any

from trainables.crystals.crystal import BadCrystal
from trainables.crystals.reading.messages import HEADER, OUT_OF_MEMORY, length, packed

MODULE = "trainables.crystals.reading.child"
FORMATS = ("cif", "poscar")
SECONDS = 30.0  # per structure; the slowest of MatBench's takes less than one
MEMORY = 2 << 30  # bytes of address space, of which Python and pymatgen take 0.4 GiB
LARGEST_ANSWER = 256 << 20  # bytes; some millions of atoms
START = 120.0  # seconds for a child to import pymatgen, even on a busy machine

Atoms = tuple[list[int], list[list[float]], list[list[float]]]  # as in readers.py


class Reader:
    """A child process that reads one text at a time; started for the first one.

    Args:
        seconds: allowed per text.
        memory: bytes allowed to the child, including Python and pymatgen.
    """

    def __init__(self, seconds: float = SECONDS, memory: int = MEMORY) -> None:
        self._seconds, self._memory = seconds, memory
        self._child: subprocess.Popen[bytes] | None = None
        self._lock = threading.Lock()

    def read(self, form: str, text: str) -> Atoms:
        """Atomic numbers [N], fractional coordinates [N, 3] and cell [3, 3] in Å of a text.

        Args:
            form: one of `FORMATS`.

        Raises:
            BadCrystal: the reason in one line; limits are reasons too.
            RuntimeError: the child process does not start.
        """
        with self._lock:
            try:
                answer = self._ask(packed([form, text]))
            except BaseException:  # an interrupt leaves half a message in the pipes
                self.close()
                raise
        if "bad" in answer:
            raise BadCrystal(answer["bad"])
        numbers, frac, lattice = answer["atoms"]
        return numbers, frac, lattice

    def close(self) -> None:
        """Ends the child, whatever it is doing."""
        child, self._child = self._child, None
        if child is None:
            return
        child.kill()
        child.wait()
        for pipe in (child.stdin, child.stdout):
            assert pipe is not None
            with suppress(BrokenPipeError):
                pipe.close()

    def _ask(self, question: bytes) -> Any:
        child = self._running()
        assert child.stdin is not None
        try:
            child.stdin.write(question)
            child.stdin.flush()
            return self._answer(child, time.monotonic() + self._seconds)
        except TimeoutError:
            raise BadCrystal(f"takes longer than {self._seconds:g} s to read") from None
        except (EOFError, BrokenPipeError):
            raise BadCrystal(self._cause(child.wait())) from None

    def _cause(self, status: int) -> str:
        if status == OUT_OF_MEMORY:
            return f"takes more than {self._memory / 2**30:g} GiB to read"
        name = signal.Signals(-status).name if status < 0 else f"exit status {status}"
        return f"cannot be read: the reader died of it ({name})"

    def _running(self) -> subprocess.Popen[bytes]:
        if self._child is not None and self._child.poll() is None:
            return self._child
        self.close()
        self._child = _start(self._seconds, self._memory)
        try:
            self._answer(self._child, time.monotonic() + START)
        except (TimeoutError, EOFError):
            raise RuntimeError(
                "pymatgen, which reads CIF and POSCAR, does not start in a process of its own"
                f" ({sys.executable} -m {MODULE}); its error is above"
            ) from None
        return self._child

    def _answer(self, child: subprocess.Popen[bytes], deadline: float) -> Any:
        assert child.stdout is not None
        size = length(_exactly(child.stdout.fileno(), HEADER, deadline))
        if size > LARGEST_ANSWER:
            raise BadCrystal(f"gives more than {LARGEST_ANSWER >> 20} MB of atoms")
        return json.loads(_exactly(child.stdout.fileno(), size, deadline))


def _start(seconds: float, memory: int) -> subprocess.Popen[bytes]:
    # one thread each: a library's thread pool takes address space for each core
    threads = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
    place = {"PYTHONPATH": os.pathsep.join(sys.path)}
    return subprocess.Popen(
        # -P: of the folder that it is started in, nothing is imported that is not here already
        [sys.executable, "-P", "-m", MODULE, str(seconds), str(memory)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, **threads, **place},
        start_new_session=True,  # a Ctrl-C goes to the parent only, which then ends the child
    )


def _exactly(pipe: int, size: int, deadline: float) -> bytes:
    """Reads exactly `size` bytes.

    Raises:
        EOFError: there are no more.
        TimeoutError: they do not come in time.
    """
    coming = select.poll()
    coming.register(pipe, select.POLLIN)
    got = bytearray()
    while len(got) < size:
        left = deadline - time.monotonic()
        if left <= 0 or not coming.poll(left * 1000):
            raise TimeoutError
        piece = os.read(pipe, min(size - len(got), 1 << 20))
        if not piece:
            raise EOFError
        got += piece
    return bytes(got)


@cache
def _of_this_process() -> Reader:
    reader = Reader()
    atexit.register(reader.close)
    return reader


def read(form: str, text: str) -> Atoms:
    """`Reader.read` with the default limits, by one child for the whole process."""
    return _of_this_process().read(form, text)
