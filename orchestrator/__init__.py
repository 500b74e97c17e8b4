"""The only package that uses Ray or writes run directories: the jobs and what they share."""

import sys

if sys.argv[:1] == ["-m"]:  # `python -m orchestrator.JOB`: the job's slow imports come next
    from orchestrator.interface import interrupts

    interrupts.at_once_until_the_job()
