"""Signals that end a job: the first one asks it to end well, the second ends it at once.

SIGINT (Ctrl-C), SIGTERM (batch systems, `timeout`, systemd, `ray job stop`) and SIGHUP (a terminal
that is closed) are alike. What a job has written is whole or absent at any moment, so nothing is
lost by not waiting; and Ray's processes on this machine end with the one that began them.
"""

from __future__ import annotations

import os
import selectors
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import NoReturn

STATUS = 130  # as shells have it: 128 + SIGINT
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
# What comes within so many seconds is the same signal: `timeout`, a terminal and Slurm send it to a
# process and to its group. A person who presses once more takes longer, or presses again.
ONCE = 1.0
# Seconds that a job has to end well after a SIGTERM or SIGHUP, whose sender kills before long.
PATIENCE = 8.0


_PATIENT = {signal.SIGTERM, signal.SIGHUP}


class _State:
    """What this process has heard and said since `two_chances`."""

    came = False  # the first signal did
    words = "stopped"
    said = False


@contextmanager
def two_chances(words: str = "stopped") -> Iterator[None]:
    """Within it the first SIGINT raises KeyboardInterrupt, and the second ends the process.

    It does so to the end of the process, which may take long to come after the first.

    Args:
        words: the last ones, where the process has to end without its own.
    """
    _State.came, _State.words, _State.said = False, words, False
    ours = threading.current_thread() is threading.main_thread()
    # Whoever ignores the signal (nohup) or has a handler of their own is not asked again.
    if not ours or signal.getsignal(signal.SIGINT) not in (signal.default_int_handler, _leave):
        yield
        return
    signal.signal(signal.SIGINT, _stop)
    try:
        with _listening():
            yield
    finally:
        for number in SIGNALS:
            if signal.getsignal(number) is _stop:
                by_default = number != signal.SIGINT
                signal.signal(number, signal.SIG_DFL if by_default else signal.default_int_handler)


def at_once_until_the_job() -> None:
    """Lets SIGINT leave until `two_chances`: an import that is broken off tells it at length."""
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, _leave)


@contextmanager
def at_once() -> Iterator[None]:
    """Within it the first signal leaves, for what an exception must not break off.

    A driver whose `ray.init` is broken off ends in a segmentation fault: Ray's part of it is there,
    and nobody holds it who could shut it down.
    """
    ours = [number for number in SIGNALS if signal.getsignal(number) is _stop]
    for number in ours:
        signal.signal(number, _leave)
    try:
        yield
    finally:
        for number in ours:
            signal.signal(number, _stop)


def by_sigterm_too() -> None:
    """Lets SIGTERM and SIGHUP end a job as Ctrl-C does; `nohup` keeps SIGHUP ignored.

    To be said again once Ray has begun, whose own handler ends the process without a word.
    """
    if threading.current_thread() is not threading.main_thread():
        return
    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, _stop)


def came() -> bool:
    """Whether the first signal came."""
    return _State.came


@contextmanager
def once() -> Iterator[None]:
    """What answers the first signal: it lasts until another one is another, which is the last."""
    _State.came, begun = True, time.monotonic()
    ours = [one for one in SIGNALS if signal.getsignal(one) is not signal.SIG_IGN]
    for one in ours:
        signal.signal(one, _is_the_same)
    try:
        yield
    finally:
        time.sleep(max(0.0, begun + ONCE - time.monotonic()))
        # Of signals that come together Python answers one, and the next when that has returned: let
        # it answer them here, where they are still the same.
        signal.signal(signal.SIGINT, _is_the_same)  # Tune's answer has put back what it found
        signal.raise_signal(signal.SIGINT)
        for one in ours:
            # The system's own way: one of Python's would wait for compiled code to return. It has
            # another status for SIGTERM, which is to be as Ctrl-C.
            signal.signal(one, signal.SIG_DFL if one == signal.SIGINT else _leave)


def say(words: str) -> None:
    """The last words of a job that was stopped, once, whoever says them and whoever listens."""
    if _has_the_word():
        with suppress(OSError):  # the terminal may be gone
            print(f"\n{words}", file=sys.stderr, flush=True)


def end(words: str = "") -> NoReturn:
    """Ends the process that a signal came to, where it cannot end by itself."""
    if _has_the_word():
        with suppress(OSError):  # not by way of a stream that the main thread may be at
            os.write(2, f"\n{words or _State.words}\n".encode(errors="backslashreplace"))
    os._exit(STATUS)


def _has_the_word() -> bool:
    first, _State.said = not _State.said, True
    return first


@contextmanager
def _listening() -> Iterator[None]:
    """Hears signals beside the main thread, whose Python may not be asked for minutes.

    That is so where it waits in compiled code for a part of Ray that the signal has ended.
    """
    hears, told = os.pipe()
    os.set_blocking(told, False)
    before = signal.set_wakeup_fd(told, warn_on_full_buffer=False)
    listener = threading.Thread(target=_listen, args=[hears], daemon=True)
    listener.start()
    try:
        yield
    finally:
        signal.set_wakeup_fd(before)
        os.close(told)
        listener.join()


def _listen(hears: int) -> None:
    until = None
    with selectors.DefaultSelector() as selector, open(hears, "rb", buffering=0) as file:
        selector.register(file, selectors.EVENT_READ)
        while True:
            left = None if until is None else max(0.0, until - time.monotonic())
            if not selector.select(left):
                end()
            numbers = file.read(100)
            if not numbers:  # the job is over
                return
            if _PATIENT.intersection(numbers):
                _State.came = True
                until = until or time.monotonic() + PATIENCE


def _is_the_same(number: int, frame: FrameType | None) -> None:
    """A signal that has been answered already."""


def _stop(number: int, frame: FrameType | None) -> None:
    with once():
        pass
    raise KeyboardInterrupt


def _leave(number: int, frame: FrameType | None) -> None:
    end("stopped at once")
