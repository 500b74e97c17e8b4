"""Which job made a run directory, and the errors for one that is not what is asked for."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from orchestrator.interface.errors import UsageError
from orchestrator.runs import layout
from orchestrator.runs.run_directory import DEFAULT_JOB


def job_of(run: Path) -> str:
    """The job that made a run directory."""
    from orchestrator.runs.finished_files import read_sealed  # an exported folder needs less

    with suppress(UsageError):  # of a damaged manifest, in which the job of a grid says more
        return str(read_sealed(run / layout.MANIFEST, DEFAULT_JOB).get("job", DEFAULT_JOB))
    return DEFAULT_JOB


def demand_there(folder: Path) -> None:
    """Raises UsageError if there is no such folder."""
    if not folder.is_dir():
        raise UsageError(f"{folder}: no such folder; check the path")


def demand_grid(run: Path, why: str) -> None:
    """Raises UsageError if another job than `hybrid_grid` or `fit` made a run."""
    if (job := job_of(run)) != DEFAULT_JOB:
        raise UsageError(f"{run}: a run of {job}; {why}")
