"""The report of a run: one HTML page that needs no network.

A job that writes files into a run directory has a `sections.py`, whose `part` makes its part of the
page; `orchestrator.jobs` lists these jobs, in the order of the page.
"""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

from orchestrator.interface.errors import UsageError
from orchestrator.interface.job import OK
from orchestrator.interface.page import render
from orchestrator.jobs import JOBS
from orchestrator.report.flags import ReportOptions
from orchestrator.report.part import MakePart
from orchestrator.runs import sums
from orchestrator.runs.finished_run import FinishedRun
from orchestrator.runs.made_by import job_of
from orchestrator.runs.run_directory import DEFAULT_JOB, locked


def start(options: ReportOptions) -> int:
    """Writes the report of a run."""
    parts_of(options.run)  # before the lock, which belongs in run directories only
    # A job at work replaces the files one by one, and writes its own report at the end.
    with locked(options.run):
        print(write_report(options.run))
    return OK


def write_report(folder: Path) -> Path:
    """Writes `report.html` into a run directory and returns its path.

    Raises:
        UsageError: the folder is no finished run, or a file, which is named, is missing or damaged.
    """
    parts = [make() for make in parts_of(folder)]
    sections = [section for part in parts for section in part.sections]
    path = folder / "report.html"
    named = next((part for part in parts if part.title), parts[0])
    sums.write_text(folder, path.name, render(named.title, named.subtitle, sections))
    return path


def parts_of(folder: Path) -> list[MakePart]:
    """Functions that make the parts of the report, of each job with files in the folder.

    Raises:
        UsageError: no job has any, or a file of a grid is missing or damaged.
    """
    run = FinishedRun(folder)
    modules = (f"orchestrator.{job.name}.sections" for job in JOBS.values() if job.has_sections)
    found = [make for name in modules if (make := import_module(name).part(run)) is not None]
    if not found:
        if (job := job_of(folder)) != DEFAULT_JOB:
            raise UsageError(f"{folder}: is no finished run; let {job} end first")
        run.demand_files()  # its error names the missing file
    return found
