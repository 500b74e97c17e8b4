"""`elemgrid <job>`: the jobs as one console command."""

from __future__ import annotations

import difflib
import importlib
import sys
from collections.abc import Sequence

from orchestrator.interface import interrupts, terminal
from orchestrator.interface.errors import UsageError
from orchestrator.interface.job import OK, conduct
from orchestrator.interface.parser import version_lines

JOBS = {
    "hybrid_grid": "the main job: crystals to tables of the elements",
    "element_groups": "what a grid's models say about the elements: consensus, substitution groups",
    "ensemble": "the models of each fold combined, with uncertainties, as a leaderboard submission",
    "substitutes": "which elements may replace an element",
    "transfer": "does an element table transfer? CrabNet with each, on the official folds",
    "element_scale": "a one-dimensional scale of the elements",
    "doctor": "is this machine, or this cluster, ready for a run?",
    "report": "write a run's report.html again",
}

# Where the command line of a job is read, without what its work needs.
FLAGS = {"hybrid_grid", "element_groups", "ensemble", "transfer", "element_scale"}


@terminal.safe()
def main(argv: Sequence[str] | None = None) -> int:
    """Hands the remaining arguments to the job's own `main`."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    job = arguments[0].replace("-", "_") if arguments else ""
    if job in JOBS:
        # Torch and Ray take seconds to import, and an import that is broken off says so at length.
        # So a job is imported when it is wanted, and when its command line has been understood.
        with interrupts.two_chances(), interrupts.at_once():
            try:
                if job in FLAGS:
                    importlib.import_module(f"orchestrator.{job}.flags").parse(arguments[1:])
            except UsageError as error:
                print("error:", " ".join(str(error).splitlines()), file=sys.stderr)
                return 2
            module = importlib.import_module(f"orchestrator.{job}.job")
        return int(module.main(arguments[1:]))
    if job == "__version":
        return conduct(_tell_version)
    asked = job in ("__help", "_h", "")
    if not asked:
        close = difflib.get_close_matches(job, JOBS, n=1)
        hint = f"did you mean {close[0]}?" if close else f"there are: {', '.join(JOBS)}"
        print(f"error: no job {arguments[0]!r}; {hint}", file=sys.stderr)
        return 2
    return conduct(_list_jobs)


def _tell_version() -> int:
    print(version_lines())
    return OK


def _list_jobs() -> int:
    print("usage: elemgrid JOB [flags]; each job has --help and --version\n")
    for name, what in JOBS.items():
        print(f"  {name:<15} {what}")
    return OK


if __name__ == "__main__":
    sys.exit(main())
