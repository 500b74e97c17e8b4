"""What all jobs have in common: how they end, and what they say then."""

from __future__ import annotations

import errno
import io
import sys
from collections.abc import Callable

from orchestrator.interface import interrupts
from orchestrator.interface.errors import UsageError
from orchestrator.interface.wording import of_the_disk

OK, SOME_FAILED, USAGE, INTERRUPTED = 0, 1, 2, interrupts.STATUS
# The last words of each --help; docs/reliability.md has the table.
STATUSES = (
    f"exit status: {OK} done, {USAGE} wrong usage or input, or a disk or cluster that fails,"
    f" {INTERRUPTED} interrupted"
)
STATUSES_OF_MODELS = STATUSES.replace("done", f"all models done, {SOME_FAILED} some failed", 1)
# What the disk does to us is for the person to mend; any other OSError is a fault of ours.
DISK_ERRORS = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM, errno.EIO}


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
        sys.stdout.reconfigure(line_buffering=True)  # a log is to show what happens, not what was
    try:
        with interrupts.two_chances():
            return work()
    except told as error:
        # a name that was given, and is now told, may hold line breaks
        print("error:", " ".join(str(error).splitlines()), file=sys.stderr)
        return USAGE
    except OSError as error:
        if error.errno not in DISK_ERRORS:
            raise
        print(f"error: {of_the_disk(error)}; {stopped}", file=sys.stderr)
        return USAGE
    except KeyboardInterrupt:
        print(f"\nstopped; {stopped}", file=sys.stderr)
        return INTERRUPTED
