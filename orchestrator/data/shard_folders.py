"""Where a run keeps its featurised data sets."""

from __future__ import annotations

from pathlib import Path

from orchestrator.interface.errors import UsageError
from orchestrator.runs import layout
from orchestrator.runs.run_directory import slug
from trainables.representations import shards


def folder_of(run: Path, name: str) -> Path:
    """That of a data set; below it there is one for each kind of graph."""
    return run / layout.SHARDS / slug(name)


def any_graphs_of(run: Path, name: str, or_else: str = "") -> Path:
    """The shards of one kind of graph: the crystals, their targets and formulas are those of all.

    Args:
        or_else: what the person may do beside featurising again.

    Raises:
        UsageError: there are none.
    """
    folder = folder_of(run, name)
    found = sorted(folder.glob(f"*/{shards.MANIFEST}"))
    if not found:
        raise UsageError(f"{folder}: no shards; run hybrid_grid again to featurise{or_else}")
    return found[0].parent
