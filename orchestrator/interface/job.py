"""What all jobs have in common: how they end, and what they say then."""

from __future__ import annotations

import io
import os
import select
import sys
from collections.abc import Callable

from orchestrator.interface import interrupts
from orchestrator.interface.errors import UsageError
from orchestrator.interface.wording import of_the_disk

OK, SOME_FAILED, USAGE, INTERRUPTED = 0, 1, 2, interrupts.STATUS
NOBODY_READS = 141  # as shells have it: 128 + SIGPIPE


def conduct(
    work: Callable[[], int], *expected: type[ValueError], stopped: str = "the same command goes on"
) -> int:
    """The exit status of a job, whose errors are one line on stderr.

    Args:
        work: the job; returns its status.
        expected: errors of what was given, beside UsageError.
        stopped: what happens to the work when it is interrupted, or the disk refuses it.
    """
    interrupts.by_sigterm_too()
    told: tuple[type[Exception], ...] = (UsageError, *expected)
    if isinstance(sys.stdout, io.TextIOWrapper):
        # A log is to show what happens, not what was; and a path need not be text.
        sys.stdout.reconfigure(line_buffering=True, errors="backslashreplace")
    try:
        with interrupts.two_chances():
            return work()
    except told as error:
        # a name that was given, and is now told, may hold line breaks
        print("error:", " ".join(str(error).splitlines()), file=sys.stderr)
        return USAGE
    except BrokenPipeError as error:
        if _stdout_is_read():
            return _refused_by_the_disk(error, stopped)
        return NOBODY_READS
    except OSError as error:
        return _refused_by_the_disk(error, stopped)
    except KeyboardInterrupt:
        print(f"\nstopped; {stopped}", file=sys.stderr)
        return INTERRUPTED


def _refused_by_the_disk(error: OSError, stopped: str) -> int:
    """What the system does to us is for the person to mend, whatever it is."""
    print(f"error: {' '.join(of_the_disk(error).splitlines())}; {stopped}", file=sys.stderr)
    return USAGE


def _stdout_is_read() -> bool:
    """Whether somebody still reads what is printed; if not, Python is not to tell it at its end."""
    try:
        handle = sys.stdout.fileno()
    except (OSError, ValueError):  # somebody's own stream in its place
        return True
    looking = select.poll()
    looking.register(handle, 0)
    if not any(event & select.POLLERR for _, event in looking.poll(0)):
        return True
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, handle)
    os.close(nowhere)
    return False
