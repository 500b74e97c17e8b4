"""Everything that runs on Ray or writes a run directory: the jobs and what they share."""

import sys

if sys.argv[:1] == ["-m"]:  # `python -m orchestrator.JOB`, whose imports take seconds, comes next
    from orchestrator.interface import interrupts

    interrupts.at_once_until_the_job()
