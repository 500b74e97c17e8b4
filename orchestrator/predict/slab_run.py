"""The predictor of a contrastive run: its models, its heads fitted again, what it learned from.

Legend: B materials.
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pandas as pd

from orchestrator.contrast.entries import SCHEMA
from orchestrator.contrast.files import EMBEDDINGS, LEDGER, FinishedContrast
from orchestrator.contrast.readout import Readout
from orchestrator.contrast.results import PAIRS, PARTS, WORK_FUNCTION
from orchestrator.interface.errors import UsageError
from orchestrator.predict.networks import Arrays, Model, demand_no_choice, ledger_of, models_of
from orchestrator.predict.slabs import SlabPredictor
from orchestrator.runs.finished_files import damaged
from orchestrator.runs.records import DONE
from orchestrator.training.flags import MAX_ATOMS
from trainables.crystals.split import Split
from trainables.crystals.symbols import atomic_number
from trainables.training.contrast_models import rebuilt
from trainables.training.contrast_spec import ContrastSpec

SYMBOL = re.compile(r"[A-Z][a-z]?")


def predictor_of(run: Path, task: str | None, model: str) -> SlabPredictor:
    """The predictor of a run's models that learned from all that may be.

    Args:
        task, model: there is nothing to choose; see `from_run`.

    Raises:
        UsageError: the run has not ended, is damaged, or its files are of other models than it has.
    """
    finished = FinishedContrast(run)
    demand_no_choice(run, finished.job, task, model)
    ledger = ledger_of(finished, LEDGER)
    contrasts, regressions = (_models(finished, ledger, kind) for kind in (PAIRS, WORK_FUNCTION))
    members = [arrays for _, arrays in contrasts]
    split = Split(*(members[0][f"split/{part}"] for part in PARTS))
    told = _materials(finished, len(members[0]["features/crystal"]))
    learned = told["formula"].to_numpy()[split.train]
    return SlabPredictor(
        name=str(finished.facts["data"]["name"]),
        contrasts=tuple(model for model, _ in contrasts),
        regressions=tuple(model for model, _ in regressions),
        readout=Readout(told["work_function"].to_numpy(np.float64), split, members),
        ids=told["id"].to_numpy(object),
        elements=tuple(sorted({z for formula in set(learned) for z in _elements(formula)})),
        max_atoms=MAX_ATOMS,
    )


def _models(
    finished: FinishedContrast, ledger: pd.DataFrame, learns: str
) -> list[tuple[Model[ContrastSpec], Arrays]]:
    """The models of a kind that are done, by member, with their arrays."""
    chosen = (ledger["status"] == DONE) & (ledger["learns"] == learns) & ledger["size"].isna()
    return models_of(finished, ledger[chosen], SCHEMA, ContrastSpec, rebuilt)


def _materials(finished: FinishedContrast, count: int) -> pd.DataFrame:
    """A row for each material, in the order of the arrays: id, formula, work_function.

    Raises:
        UsageError: the file is of an earlier version, or of other materials.
    """
    table, path = finished.embeddings, finished.folder / EMBEDDINGS
    if "work_function" not in table:
        raise UsageError(
            f"{path}: of an earlier version, without work functions; the same"
            f" {finished.job} command writes it anew"
        )
    rows = table[table["member"] == 0].reset_index(drop=True)
    if len(rows) != count:
        raise damaged(path, f"{len(rows)} materials, and the models have {count}", finished.job)
    return rows


def _elements(formula: str) -> list[int]:
    return [atomic_number(symbol) for symbol in SYMBOL.findall(formula)]
