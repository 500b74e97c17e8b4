"""`elemgrid <job>`: the jobs as one console command."""

from __future__ import annotations

import difflib
import importlib
import sys
from collections.abc import Sequence

from orchestrator.interface import interrupts
from orchestrator.interface.job import OK, conduct

JOBS = {
    "hybrid_grid": "the main job: crystals to tables of the elements",
    "element_groups": "what a grid's models say about the elements: consensus, substitution groups",
    "ensemble": "a grid's models as one, with a spread, as the leaderboard takes it",
    "substitutes": "which elements may stand in an element's place",
    "transfer": "does an element table transfer? CrabNet with each, on the official folds",
    "element_scale": "a one-dimensional scale of the elements",
    "doctor": "is this machine, or this cluster, ready for a run?",
    "report": "write a run's report.html again",
}


def main(argv: Sequence[str] | None = None) -> int:
    """Hands the remaining arguments to the job's own `main`."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    job = arguments[0].replace("-", "_") if arguments else ""
    if job in JOBS:
        # A job is imported when it is wanted: `elemgrid --help` must not start torch and Ray. That
        # takes seconds, and an import that is broken off would say so at length.
        with interrupts.two_chances(), interrupts.at_once():
            module = importlib.import_module(f"orchestrator.{job}")
        return int(module.main(arguments[1:]))
    asked = job in ("__help", "_h", "")
    if not asked:
        close = difflib.get_close_matches(job, JOBS, n=1)
        hint = f"did you mean {close[0]}?" if close else f"there are: {', '.join(JOBS)}"
        print(f"error: no job {arguments[0]!r}; {hint}", file=sys.stderr)
        return 2
    return conduct(_list_jobs)


def _list_jobs() -> int:
    print("usage: elemgrid JOB [flags]; each job has --help\n")
    for name, what in JOBS.items():
        print(f"  {name:<15} {what}")
    return OK


if __name__ == "__main__":
    sys.exit(main())
