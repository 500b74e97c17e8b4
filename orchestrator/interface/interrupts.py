"""Ctrl-C: the first one asks a job to end well, the second ends it at once.

What a job has written is whole or absent at any moment, so nothing is lost by not waiting; and
Ray's processes on this machine end with the one that began them.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

STATUS = 130  # as shells have it: 128 + SIGINT


@contextmanager
def two_chances() -> Iterator[None]:
    """Within it the first SIGINT raises KeyboardInterrupt, and the second ends the process.

    It does so to the end of the process, which may take long to come after the first.
    """
    ours = threading.current_thread() is threading.main_thread()
    # Whoever ignores the signal (nohup) or has a handler of their own is not asked again.
    if not ours or signal.getsignal(signal.SIGINT) not in (signal.default_int_handler, _leave):
        yield
        return
    signal.signal(signal.SIGINT, _stop)
    try:
        yield
    finally:
        if signal.getsignal(signal.SIGINT) is _stop:
            signal.signal(signal.SIGINT, signal.default_int_handler)


def at_once_until_the_job() -> None:
    """Lets SIGINT leave until `two_chances`: an import that is broken off tells it at length."""
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, _leave)


@contextmanager
def at_once() -> Iterator[None]:
    """Within it the first SIGINT or SIGTERM leaves, for what an exception must not break off.

    A driver whose `ray.init` is broken off ends in a segmentation fault: Ray's part of it is there,
    and nobody holds it who could shut it down.
    """
    if signal.getsignal(signal.SIGINT) is not _stop:
        yield
        return
    as_sigint = signal.getsignal(signal.SIGTERM) is signal.default_int_handler
    signal.signal(signal.SIGINT, _leave)
    if as_sigint:
        signal.signal(signal.SIGTERM, _leave)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, _stop)
        if as_sigint:
            by_sigterm_too()


def by_sigterm_too() -> None:
    """Lets SIGTERM, as batch systems and `ray job stop` send it, end a job as Ctrl-C does.

    To be said again once Ray has begun, whose own handler ends the process without a word.
    """
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, signal.default_int_handler)


def heard() -> None:
    """The first SIGINT came, whoever took it: within `two_chances`, the next one is the last."""
    if signal.getsignal(signal.SIGINT) is _stop:
        # The system's own way: one of Python's would wait for compiled code to return.
        signal.signal(signal.SIGINT, signal.SIG_DFL)


def waits_for_second() -> bool:
    """Whether the first SIGINT came."""
    return signal.getsignal(signal.SIGINT) is signal.SIG_DFL


def _stop(number: int, frame: FrameType | None) -> None:
    heard()
    raise KeyboardInterrupt


def _leave(number: int, frame: FrameType | None) -> None:
    os.write(2, b"\nstopped at once\n")
    os._exit(STATUS)
