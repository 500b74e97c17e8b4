"""The report of a run: one HTML page that needs no network.

python -m orchestrator.report runs/demo
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

from orchestrator.element_groups.files import FinishedGroups
from orchestrator.element_groups.sections import GROUP_SECTIONS, Grouped
from orchestrator.element_scale.files import FinishedScale
from orchestrator.element_scale.sections import SCALE_SECTIONS
from orchestrator.ensemble.files import FinishedEnsemble
from orchestrator.ensemble.sections import ENSEMBLE_SECTIONS, Combined
from orchestrator.hybrid_grid.sections import SECTIONS
from orchestrator.interface.errors import UsageError
from orchestrator.interface.job import OK
from orchestrator.interface.page import render
from orchestrator.report.flags import ReportOptions
from orchestrator.runs import sums
from orchestrator.runs.finished_files import FinishedFiles, OutdatedError
from orchestrator.runs.finished_run import FILES, FinishedRun
from orchestrator.runs.ledger import LEDGER, digest_of
from orchestrator.runs.run_directory import locked
from orchestrator.transfer.files import FinishedTransfer
from orchestrator.transfer.sections import TRANSFER_SECTIONS

Sections = list[tuple[str, str]]
Part = tuple[str, str, Sections]  # title, subtitle, sections


def start(options: ReportOptions) -> int:
    """Writes the report of a run."""
    parts_of(options.run)  # before the lock, whose file is to be in run directories alone
    # A job that is at work replaces the files one by one, and writes its own report at the end.
    with locked(options.run):
        print(write_report(options.run))
    return OK


def write_report(folder: Path) -> Path:
    """Writes `report.html` into a run directory and returns its path.

    What the jobs left there has its sections: models, their groups of elements, an element scale.

    Raises:
        UsageError: the folder is no finished run, or a file is missing or damaged, which is named.
    """
    parts = [make(folder) for make in parts_of(folder)]
    title, subtitle, _ = parts[0]
    sections = [section for _, _, part in parts for section in part]
    path = folder / "report.html"
    sums.write_text(folder, path.name, render(title, subtitle, sections))
    return path


def parts_of(folder: Path) -> list[Callable[[Path], Part]]:
    """What makes a part of the report, for each job that has left its files in a folder.

    Raises:
        UsageError: no job has, or a file of a grid is missing or damaged.
    """
    others: list[Callable[[Path], Part]] = [
        make
        for there, make in (
            (FinishedScale(folder).exists, _scale),
            (FinishedTransfer(folder).exists, _transfer),
        )
        if there
    ]
    if others and not any((folder / name).exists() for name in FILES[1:]):
        return others
    FinishedRun(folder).demand_files()
    return [_grid, *others]


def _grid(folder: Path) -> Part:
    """Title, subtitle and sections of a grid."""
    run = FinishedRun(folder)
    if run.done.empty:
        raise UsageError(f"{run.folder}: no model is done; there is nothing to report")
    _ = run.distances, run.embeddings, run.predictions  # before a minute of figures
    others = _ensemble(run) + _groups(run)
    names = ", ".join(run.manifest["datasets"])
    begun = datetime.fromisoformat(run.manifest["created"]).strftime("%Y-%m-%d %H:%M UTC")
    return (
        f"Element embeddings on {names}",
        f"{len(run.done)} models done of {run.manifest['models']},"
        f" recipe {run.manifest['config']['recipe']}; begun {begun}",
        [(title, body) for title, make in SECTIONS if (body := make(run))] + others,
    )


def _belongs(files: FinishedFiles, digest: str) -> bool:
    """Whether a job has left files, and made them from the models that the report is about."""
    if not files.exists:
        return False
    try:
        files.demand_made_from(LEDGER, digest)
    except OutdatedError as error:
        print(f"{error}; the report leaves {files.job} out", file=sys.stderr)
        return False
    return True


def _ensemble(run: FinishedRun) -> Sections:
    """Sections of the models as one, where ensemble has been."""
    found = FinishedEnsemble(run.folder)
    if not _belongs(found, run.digest):
        return []
    combined = Combined(run, found)
    return [(title, body) for title, make in ENSEMBLE_SECTIONS if (body := make(combined))]


def _groups(run: FinishedRun) -> Sections:
    """Sections of the elements' groups, where element_groups has been."""
    groups = FinishedGroups(run.folder)
    if not _belongs(groups, run.digest):
        return []
    grouped = Grouped(run, groups)
    return [(title, body) for title, make in GROUP_SECTIONS if (body := make(grouped))]


def _scale(folder: Path) -> Part:
    """Title, subtitle and sections of an element scale."""
    scale = FinishedScale(folder)
    return (
        "A one-dimensional scale of the elements",
        f"{len(scale.positions)} elements, λ = {scale.facts['lambda']:g},"
        f" from {scale.facts['source']['name']}",
        [(title, body) for title, make in SCALE_SECTIONS if (body := make(scale))],
    )


def _transfer(folder: Path) -> Part:
    """Title, subtitle and sections of tables that were compared."""
    done = FinishedTransfer(folder)
    if done.ledger is not None:
        done.demand_made_from(LEDGER, digest_of(done.ledger))
    reference = done.facts["reference"]
    names = [one["name"] for one in done.facts["tables"]]
    names.sort(key=lambda name: name != reference)
    return (
        f"Element tables in CrabNet: {', '.join(done.facts['tasks'])}",
        " · ".join(names),
        [(title, body) for title, make in TRANSFER_SECTIONS if (body := make(done))],
    )
