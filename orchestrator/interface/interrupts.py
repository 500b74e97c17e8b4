"""Signals that stop a job: the first one asks it to stop cleanly, the second kills it at once.

SIGINT (Ctrl-C), SIGTERM (batch systems, `timeout`, systemd, `ray job stop`) and SIGHUP (a closed
terminal) are treated alike. Files are always either complete or absent, so nothing is lost by not
waiting; and Ray's processes on this machine end with the process that started them.
"""

from __future__ import annotations

import os
import selectors
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import NoReturn

STATUS = 130  # the shells' convention: 128 + SIGINT
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
# Signals within this many seconds count as one: `timeout`, a terminal and Slurm send a signal both
# to a process and to its group. A user who presses Ctrl-C twice takes longer, or presses again.
ONCE = 1.0
LOOK = 0.02  # seconds between two looks at the cluster meanwhile
# Seconds that a job has to stop cleanly after a SIGTERM or SIGHUP, whose sender soon sends SIGKILL.
PATIENCE = 8.0


_PATIENT = {signal.SIGTERM, signal.SIGHUP}


class _State:
    """The signals received and the words printed since `two_chances` was entered."""

    came = False  # whether a first signal came
    hopeless: Callable[[], bool] | None = None  # whether a job cannot stop cleanly any more
    words = "stopped"
    said = False


@contextmanager
def two_chances(words: str = "stopped") -> Iterator[None]:
    """In this context the first SIGINT raises KeyboardInterrupt, and the second ends the process.

    The second one does so until the process ends, which may be long after the first.

    Args:
        words: printed last if the process has to be ended before it can print its own.
    """
    _State.came, _State.words, _State.said = False, words, False
    ours = threading.current_thread() is threading.main_thread()
    # A process that ignores the signal (nohup) or has a handler of its own keeps it.
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
    """Makes SIGINT end the process until `two_chances`; a broken import prints a traceback."""
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, _leave)


@contextmanager
def at_once() -> Iterator[None]:
    """Within this context the first signal ends the process; for calls that must not raise midway.

    A driver whose `ray.init` is interrupted ends in a segmentation fault: Ray's core worker exists,
    but nobody holds it and can shut it down.
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
    """Makes SIGTERM and SIGHUP end a job as Ctrl-C does; `nohup` keeps SIGHUP ignored.

    Call it again once Ray has started: Ray's own handler ends the process silently.
    """
    if threading.current_thread() is not threading.main_thread():
        return
    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, _stop)


def came() -> bool:
    """Whether the first signal has come."""
    return _State.came


@contextmanager
def ends_if(hopeless: Callable[[], bool]) -> Iterator[None]:
    """Within this context a signal ends the process as soon as `hopeless()` is true after it.

    So does a job whose cluster received the signal too: Ray's core worker would end the process on
    its next request, with the status of failed models.
    """
    before, _State.hopeless = _State.hopeless, hopeless
    try:
        yield
    finally:
        _State.hopeless = before


@contextmanager
def once() -> Iterator[None]:
    """Handles the first signal, until a further one is a second signal, which ends the process."""
    _State.came, begun = True, time.monotonic()
    ours = [one for one in SIGNALS if signal.getsignal(one) is not signal.SIG_IGN]
    for one in ours:
        signal.signal(one, _ignore_repeated)
    try:
        yield
    finally:
        _wait(begun + ONCE)
        # Of signals that arrive together Python handles one, and the next when that handler has
        # returned: let it do so here, where they still count as the same.
        signal.signal(signal.SIGINT, _ignore_repeated)  # Tune has restored the handler it found
        signal.raise_signal(signal.SIGINT)
        for one in ours:
            # The system's default: a Python handler would wait for compiled code to return. For
            # SIGTERM the default gives another exit status, which has to be that of Ctrl-C.
            signal.signal(one, signal.SIG_DFL if one == signal.SIGINT else _leave)


def _wait(until: float) -> None:
    """Waits for repetitions of a signal; ends the process if the job cannot stop cleanly any more.

    It looks often, as Ray's core worker ends the process too once it misses its node.
    """
    while True:
        if _State.hopeless is not None and _State.hopeless():
            end()
        left = until - time.monotonic()
        if left <= 0:
            return
        time.sleep(min(left, LOOK))


def say(words: str) -> None:
    """Prints the last words of a stopped job, once, whichever thread comes first."""
    if _claim_last_words():
        with suppress(OSError):  # the terminal may be closed
            print(f"\n{words}", file=sys.stderr, flush=True)


def end(words: str = "") -> NoReturn:
    """Ends the process after a signal when it cannot end by itself."""
    if _claim_last_words():
        with suppress(OSError):  # bypasses sys.stderr, which the main thread may be holding
            os.write(2, f"\n{words or _State.words}\n".encode(errors="backslashreplace"))
    os._exit(STATUS)


def _claim_last_words() -> bool:
    first, _State.said = not _State.said, True
    return first


@contextmanager
def _listening() -> Iterator[None]:
    """Watches for signals in a thread, as the main thread may not run Python code for minutes.

    That happens while it waits in compiled code for a part of Ray that the signal has ended.
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


def _ignore_repeated(number: int, frame: FrameType | None) -> None:
    """Ignores a repetition of the signal that is being handled."""


def _stop(number: int, frame: FrameType | None) -> None:
    with once():
        pass
    raise KeyboardInterrupt


def _leave(number: int, frame: FrameType | None) -> None:
    end("stopped at once")
