"""What all jobs have in common: how they end, and what they say then."""

from __future__ import annotations

import os
import select
import sys
from collections.abc import Callable

from orchestrator.interface import interrupts, terminal
from orchestrator.interface.errors import UsageError
from orchestrator.interface.format import of_the_disk

OK, SOME_FAILED, USAGE, INTERRUPTED = 0, 1, 2, interrupts.STATUS
NOBODY_READS = 141  # as shells have it: 128 + SIGPIPE
# The last words of each --help; docs/reliability.md has the table.
STATUSES = (
    f"exit status: {OK} done, {USAGE} wrong usage or input, or a disk or cluster that fails,"
    f" {INTERRUPTED} interrupted"
)
STATUSES_OF_MODELS = STATUSES.replace("done", f"all models done, {SOME_FAILED} some failed", 1)


@terminal.safe()
def conduct(work: Callable[[], int], *, stopped: str = "the same command goes on") -> int:
    """The exit status of a job, whose errors are one line on stderr.

    Args:
        work: the job; returns its status.
        stopped: what happens to the work when it is interrupted, or the disk refuses it.
    """
    interrupts.by_sigterm_too()
    if hasattr(sys.stdout, "reconfigure"):
        # A log is to show what happens, not what was; and a path need not be text.
        sys.stdout.reconfigure(line_buffering=True, errors="backslashreplace")
    try:
        with interrupts.two_chances(f"stopped; {stopped}"):
            return work()
    except BaseException as error:
        # After a signal whatever fails does so of it: where all processes of a job got it, Ray's
        # are gone before this one.
        if isinstance(error, KeyboardInterrupt) or interrupts.came():
            interrupts.say(f"stopped; {stopped}")
            return INTERRUPTED
        if isinstance(error, UsageError):
            # a name that was given, and is now told, may hold line breaks
            print("error:", " ".join(str(error).splitlines()), file=sys.stderr)
            return USAGE
        if isinstance(error, BrokenPipeError) and not _stdout_is_read():
            return NOBODY_READS
        if isinstance(error, OSError):
            return _refused_by_the_disk(error, stopped)
        raise


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
