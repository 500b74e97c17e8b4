"""The predictor of a contrastive run: its models, its heads fitted again, what it learned from.

Legend: B materials.
"""

from __future__ import annotations

import re
from contextlib import suppress
from pathlib import Path

import numpy as np
import pandas as pd

from orchestrator.contrast.entries import SCHEMA
from orchestrator.contrast.files import EMBEDDINGS, LEDGER, FinishedContrast
from orchestrator.contrast.readout import Readout
from orchestrator.contrast.results import PAIRS, PARTS, WORK_FUNCTION
from orchestrator.contrast.retrieval import Arrays
from orchestrator.interface.errors import UsageError
from orchestrator.predict.slabs import Model, SlabPredictor
from orchestrator.runs import layout
from orchestrator.runs.finished_files import damaged, read_parquet, read_sealed, reading
from orchestrator.runs.ledger import LEDGER as OF_LEDGER
from orchestrator.runs.ledger import digest_of
from orchestrator.runs.records import DONE, Records
from trainables.crystals.split import Split
from trainables.crystals.symbols import atomic_number
from trainables.training.contrast_models import rebuilt
from trainables.training.contrast_spec import ContrastSpec
from trainables.training.specification import SpecificationError

JOB = FinishedContrast.job
MAX_ATOMS = 500  # as of the job's --max-atoms
SYMBOL = re.compile(r"[A-Z][a-z]?")


def is_contrast(run: Path) -> bool:
    """Whether a run directory is of the job `contrast`."""
    with suppress(UsageError):  # of a damaged manifest, in which the job of a grid says more
        return read_sealed(run / layout.MANIFEST, JOB).get("job") == JOB
    return False


def predictor_of(run: Path) -> SlabPredictor:
    """The predictor of a run's models that learned from all that may be.

    Raises:
        UsageError: the run has not ended, is damaged, or its files are of other models than it has.
    """
    finished = FinishedContrast(run)
    if not finished.exists:
        raise UsageError(f"{run}: is no finished run; let {JOB} end first")
    ledger = read_parquet(run, LEDGER, JOB)
    with reading(run / LEDGER, JOB):
        digest = digest_of(ledger)
    finished.demand_made_from(OF_LEDGER, digest)
    contrasts, regressions = (_models(run, ledger, kind) for kind in (PAIRS, WORK_FUNCTION))
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


def _models(run: Path, ledger: pd.DataFrame, learns: str) -> list[tuple[Model, Arrays]]:
    """The models of a kind that are done, by member, with their arrays.

    Raises:
        UsageError: a record is damaged, or of another version.
    """
    chosen = (ledger["status"] == DONE) & (ledger["learns"] == learns) & ledger["size"].isna()
    records = Records(run / layout.RECORDS, SCHEMA)
    found: list[tuple[Model, Arrays]] = []
    for key in ledger[chosen].sort_values("member", kind="stable")["key"]:
        row, arrays = records.read(key), records.arrays(key)
        try:
            spec = ContrastSpec.read(row["spec"])
            if spec.key != key:
                raise ValueError(f"its specification is of the model {spec.key}")
            network = rebuilt(spec, arrays)
        except (SpecificationError, ValueError) as error:
            path = records.folder / f"{key}.safetensors"
            raise UsageError(
                f"{path}: not a model of this version ({error}); train it anew: run {JOB} with a"
                " new --run"
            ) from None
        found.append((Model(spec=spec, network=network, sha256=row["arrays_sha256"]), arrays))
    return found


def _materials(finished: FinishedContrast, count: int) -> pd.DataFrame:
    """A row for each material, in the order of the arrays: id, formula, work_function.

    Raises:
        UsageError: the file is of an earlier version, or of other materials.
    """
    table, path = finished.embeddings, finished.folder / EMBEDDINGS
    if "work_function" not in table:
        raise UsageError(
            f"{path}: of an earlier version, without work functions; the same {JOB} command writes"
            " it anew"
        )
    rows = table[table["member"] == 0].reset_index(drop=True)
    if len(rows) != count:
        raise damaged(path, f"{len(rows)} materials, and the models have {count}", JOB)
    return rows


def _elements(formula: str) -> list[int]:
    return [atomic_number(symbol) for symbol in SYMBOL.findall(formula)]
