"""A synthetic ledger with known winners."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd
import pytest

ENDS = {"H": -math.inf, "L": math.inf}
MIXINGS = ("H", "-4", "-2", "0", "2", "4", "L")


def build_ledger(
    tasks: Sequence[str] = ("phonons", "dielectric"),
    backbones: Sequence[str] = ("cgcnn", "megnet"),
    dims: Sequence[int] = (16, 64),
    mixings: Sequence[str] = MIXINGS,
    folds: int = 3,
    seed: int = 0,
) -> pd.DataFrame:
    """One row per model, all done; errors fall with dim, and -2 (CGCNN) or 0 (MEGNet) is best."""
    random = np.random.default_rng(seed)
    rows = []
    for task in tasks:
        scale = {"phonons": 50.0, "dielectric": 0.3}.get(task, 1.0)
        for backbone in backbones:
            best = MIXINGS.index("-2" if backbone == "cgcnn" else "0")
            for dim in dims:
                for mixing in mixings:
                    for fold in range(folds):
                        away = abs(MIXINGS.index(mixing) - best)
                        error = scale * (1 + 0.2 * away) * (1 + 2 / dim) * (1 + 0.1 * fold)
                        rows.append(
                            {
                                "key": f"{task}-{backbone}-{dim}-{mixing}-{fold}",
                                "task": task,
                                "backbone": backbone,
                                "dim": dim,
                                "mixing": mixing,
                                "gamma": ENDS.get(mixing, 0.0) or float(mixing),
                                "setting": "",
                                "condition": "",
                                "fold": fold,
                                "seed": 7,
                                "status": "done",
                                "train_error": error / 2,
                                "val_error": error * (1 + 0.01 * random.random()),
                                "test_error": error,
                                "dummy_error": 6 * scale,
                                "unit": {"phonons": "cm⁻¹"}.get(task, ""),
                            }
                        )
    return pd.DataFrame(rows)


@pytest.fixture
def make_ledger() -> Callable[..., pd.DataFrame]:
    return build_ledger


def break_model(ledger: pd.DataFrame, key: str, status: str = "failed") -> pd.DataFrame:
    """A copy in which a model has failed."""
    broken = ledger.copy()
    row = broken["key"] == key
    assert row.sum() == 1
    broken.loc[row, "status"] = status
    broken.loc[row, ["train_error", "val_error", "test_error"]] = np.nan
    return broken


@pytest.fixture
def fail() -> Callable[..., pd.DataFrame]:
    return break_model
