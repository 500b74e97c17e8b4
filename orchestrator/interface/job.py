"""What all jobs share: how they end, their exit statuses and their last line."""

from __future__ import annotations

import os
import select
import sys
from collections.abc import Callable

from orchestrator.interface import interrupts, terminal
from orchestrator.interface.errors import UsageError
from orchestrator.interface.format import of_the_disk

OK, SOME_FAILED, USAGE, INTERRUPTED = 0, 1, 2, interrupts.STATUS
NOBODY_READS = 141  # the shells' convention: 128 + SIGPIPE
# The end of each --help; docs/reliability.md has the table.
STATUSES = (
    f"exit status: {OK} done, {USAGE} wrong usage or input, or a disk or cluster that fails,"
    f" {INTERRUPTED} interrupted"
)
STATUSES_OF_MODELS = STATUSES.replace("done", f"all models done, {SOME_FAILED} some failed", 1)


@terminal.safe()
def conduct(work: Callable[[], int], *, stopped: str = "the same command goes on") -> int:
    """Runs a job, prints its errors as one line on stderr and returns its exit status.

    Args:
        work: the job; returns its status.
        stopped: what happens to the work after an interrupt or a disk error.
    """
    interrupts.by_sigterm_too()
    if hasattr(sys.stdout, "reconfigure"):
        # Line buffering keeps logs up to date; a path need not be valid text.
        sys.stdout.reconfigure(line_buffering=True, errors="backslashreplace")
    try:
        with interrupts.two_chances(f"stopped; {stopped}"):
            return work()
    except BaseException as error:
        # After a signal, any failure is a consequence of it: if all processes of a job received it,
        # Ray's are gone before this one.
        if isinstance(error, KeyboardInterrupt) or interrupts.came():
            interrupts.say(f"stopped; {stopped}")
            return INTERRUPTED
        if isinstance(error, ModuleNotFoundError) and (hidden := _hidden(error)):
            print(f"error: {hidden}; rename that, or start elsewhere", file=sys.stderr)
            return USAGE
        if isinstance(error, UsageError):
            # a name given by the user, and quoted here, may contain line breaks
            print("error:", " ".join(str(error).splitlines()), file=sys.stderr)
            return USAGE
        if isinstance(error, BrokenPipeError) and not _stdout_is_read():
            return NOBODY_READS
        if isinstance(error, OSError):
            return _refused_by_the_disk(error, stopped)
        raise


def _hidden(error: ModuleNotFoundError) -> str:
    """Which package of ours a module of the user's hides, in words; "" if none."""
    package, _, module = (error.name or "").partition(".")
    if not module or package not in ("analysis", "trainables"):
        return ""
    place = getattr(sys.modules.get(package), "__file__", None)
    return f"elemgrid needs its own package '{package}', and Python finds {place}"


def _refused_by_the_disk(error: OSError, stopped: str) -> int:
    """Prints an error of the operating system as one line, as the user has to fix it."""
    print(f"error: {' '.join(of_the_disk(error).splitlines())}; {stopped}", file=sys.stderr)
    return USAGE


def _stdout_is_read() -> bool:
    """Whether stdout still has a reader; if not, silences the error Python would print at exit."""
    try:
        handle = sys.stdout.fileno()
    except (OSError, ValueError):  # replaced by a stream without a file descriptor
        return True
    looking = select.poll()
    looking.register(handle, 0)
    if not any(event & select.POLLERR for _, event in looking.poll(0)):
        return True
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, handle)
    os.close(nowhere)
    return False
