"""The models whose clusterings enter the consensus, one vote for each that is distinct."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from analysis.consensus.agreement import Reference
from analysis.consensus.votes import distinct
from analysis.selection import CELL
from orchestrator.element_groups.flags import ALL, GroupOptions
from orchestrator.element_groups.models import Measured
from orchestrator.grid.distances import mixed_vectors
from orchestrator.interface.errors import UsageError
from orchestrator.interface.format import counted
from orchestrator.runs.finished_run import FinishedRun

PURE = ("H", "L")


@dataclass(frozen=True)
class Votes:
    """Votes in the order of their models' keys.

    Attributes:
        models: rows of the ledger, one a vote.
        references: the clusterings of these models.
        mixings: of the models that were to vote.
        entered: number of these models, twins included.
    """

    models: pd.DataFrame
    references: list[Reference]
    mixings: list[str]
    entered: int

    @property
    def factors(self) -> dict[str, list[int]]:
        """Folds and dimensions of the models, those of which there are several."""
        found = {"folds": "fold", "dimensions": "dim"}
        return {
            name: self.models[column].tolist()
            for name, column in found.items()
            if self.models[column].nunique() > 1
        }


def mixings_of(options: GroupOptions, done: pd.DataFrame) -> list[str]:
    """The mixings whose models vote: those asked for, else H and L, else all."""
    present = list(done.sort_values(["gamma", "mixing"])["mixing"].unique())
    if options.mixings == (ALL,):
        return present
    pure = [name for name in PURE if name in present]
    return list(options.mixings) or pure or present


def choose_votes(
    options: GroupOptions, finished: FinishedRun, measured: Measured, tasks: Sequence[str]
) -> Votes:
    """The votes of the models of some data sets.

    Raises:
        UsageError: no model is left.
    """
    done, mixings = finished.done, mixings_of(options, finished.done)
    counts = done["task"].isin(tasks) & done["mixing"].isin(mixings)
    models = done[counts & done["key"].isin(measured.references)].sort_values("key")
    if models.empty:
        raise UsageError(f"{options.run}: no model of {', '.join(tasks)} has vectors to cluster")
    voting = models[models["key"].isin(_without_twins(finished, models))]
    if len(models) == 1:
        print("one model only: its own clustering is the consensus")
    if len(voting) < len(models):
        alike = counted(len(voting), "vote")
        print(f"{alike} of {len(models)} models: of those with the same distances one has a vote")
    references = [measured.references[key] for key in voting["key"]]
    return Votes(voting, references, mixings, len(models))


def _without_twins(finished: FinishedRun, models: pd.DataFrame) -> set[str]:
    """Keys of the models without twins that differ in mixing or setting alone."""
    kept: set[str] = set()
    for _, cell in models.sort_values(["gamma", "key"]).groupby(list(CELL), sort=False):
        keys = cell["key"].tolist()
        if len(keys) > 1:
            vectors = mixed_vectors(finished.embeddings, keys)
            keys = [keys[place] for place in distinct([vectors[key] for key in keys])]
        kept.update(keys)
    return kept
