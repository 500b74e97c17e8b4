"""`elemgrid <job>`: the jobs as one console command."""

from __future__ import annotations

import difflib
import sys
from collections.abc import Sequence

from orchestrator.interface import terminal
from orchestrator.interface.job import OK, USAGE, conduct
from orchestrator.interface.parser import version_lines
from orchestrator.jobs import JOBS


@terminal.safe()
def main(argv: Sequence[str] | None = None) -> int:
    """Passes the remaining arguments to the job; returns its exit status."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    asked = arguments[0].replace("-", "_") if arguments else ""
    if asked in JOBS:
        return JOBS[asked].main(arguments[1:])
    if asked == "__version":
        return conduct(_tell_version)
    if asked in ("__help", "_h", ""):
        return conduct(_list_jobs)
    close = difflib.get_close_matches(asked, JOBS, n=1)
    hint = f"did you mean {close[0]}?" if close else f"there are: {', '.join(JOBS)}"
    print(f"error: no job {arguments[0]!r}; {hint}", file=sys.stderr)
    return USAGE


def _tell_version() -> int:
    print(version_lines())
    return OK


def _list_jobs() -> int:
    print("usage: elemgrid JOB [flags]; each job has --help and --version\n")
    for name, job in JOBS.items():
        print(f"  {name:<15} {job.summary}")
    return OK


if __name__ == "__main__":
    sys.exit(main())
