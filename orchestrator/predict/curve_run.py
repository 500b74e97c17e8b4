"""The predictor of a run of `dos`: the ensembles of its folds."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from orchestrator.dos.entries import SCHEMA, WHOLE
from orchestrator.dos.files import FACTS, LEDGER, FinishedDos
from orchestrator.dos.results import ensembles_of
from orchestrator.interface.errors import UsageError
from orchestrator.predict.curves import CurvePredictor, Ensemble
from orchestrator.predict.networks import demand_no_choice, ledger_of, models_of
from orchestrator.training.flags import MAX_ATOMS
from trainables.crystals.symbols import atomic_number
from trainables.training.density_models import rebuilt
from trainables.training.density_spec import DensitySpec

Numbers = tuple[int, ...]


def predictor_of(run: Path, task: str | None, model: str) -> CurvePredictor:
    """The predictor of a run's models that learned from all that their folds may.

    Args:
        task, model: there is nothing to choose; see `from_run`.

    Raises:
        UsageError: the run has not ended, is damaged or of an earlier version, or its files are of
            other models than it has.
    """
    finished = FinishedDos(run)
    demand_no_choice(run, finished.job, task, model)
    whole = [
        rows for rows in ensembles_of(ledger_of(finished, LEDGER)) if rows["share"].iloc[0] == WHOLE
    ]
    learned = _elements(finished)
    return CurvePredictor(
        name=str(finished.facts["data"]["name"]),
        ensembles=tuple(_ensemble(finished, rows, learned) for rows in whole),
        max_atoms=MAX_ATOMS,
    )


def _ensemble(
    finished: FinishedDos, rows: pd.DataFrame, learned: dict[int, dict[int, Numbers]]
) -> Ensemble:
    """The ensemble of a fold.

    Args:
        rows: of the ledger, those of its members.
        learned: by fold and member, atomic numbers in what it trains on.
    """
    fold = int(rows["fold"].iloc[0])
    models = [one for one, _ in models_of(finished, rows, SCHEMA, DensitySpec, rebuilt)]
    elements = tuple(learned[fold][one.spec.member] for one in models)
    return Ensemble(fold=fold, models=tuple(models), elements=elements)


def _elements(finished: FinishedDos) -> dict[int, dict[int, Numbers]]:
    """By fold and member, atomic numbers in what it trains on.

    Raises:
        UsageError: the file is of an earlier version.
    """
    folds = finished.facts["folds"]
    if not all(isinstance(row.get("elements"), dict) for row in folds):
        raise UsageError(
            f"{finished.folder / FACTS}: of an earlier version, without the elements that"
            f" networks learned; the same {finished.job} command writes it anew"
        )
    return {
        row["fold"]: {
            int(member): tuple(map(atomic_number, symbols))
            for member, symbols in row["elements"].items()
        }
        for row in folds
    }
