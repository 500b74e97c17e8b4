"""From records to predictions, scores and baselines of each fold.

Legend: K members, B test crystals, L energies.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from analysis.densities import (
    features,
    forest,
    mean_absolute,
    mean_spectrum,
    mean_squared,
    score,
)
from orchestrator.dos.entries import WHOLE
from orchestrator.runs.records import DONE, Records
from trainables.crystals.symbols import symbol
from trainables.elements.handcrafted import ELEMENTS, table_of
from trainables.representations.columns import ranges
from trainables.representations.densities import Densities, by_element, fold_split


class FoldResults:
    """The ensemble of a fold on its test part, and what it is compared with.

    Args:
        rows: of the ledger, those of its done members.
        records: their records.
        densities: all crystals.
    """

    def __init__(self, rows: pd.DataFrame, records: Records, densities: Densities) -> None:
        self.rows, self.densities = rows, densities
        self._arrays = [records.arrays(key) for key in rows["key"]]
        first = rows.iloc[0]
        self.fold, self.share = int(first["fold"]), float(first["share"])
        ids, seed = densities.data.ids, int(first["seed"])
        self.split = fold_split(ids, self.fold, seed, self.share)
        self.true = densities.crystals[self.split.test]
        members = np.stack([one["predictions/test/value"] for one in self._arrays])
        self.members = members
        self.said, self.deviation = members.mean(axis=0), members.std(axis=0, ddof=1)
        self.mean = np.broadcast_to(
            mean_spectrum(densities.crystals[self.split.learned]), self.true.shape
        )
        self.trees = _trees(densities, self.split.learned, self.split.test, seed)

    def facts(self) -> dict[str, Any]:
        """The entry of the fold in dos.json."""
        energies, rows = self.densities.window.energies, self.rows
        mae, mad = mean_absolute(self.true, self.said), mean_absolute(self.true, self.mean)
        own = score(self.true, self.said, energies)
        seconds = float(rows["seconds"].sum())
        crystals = int((rows["epochs"] * rows["n_train"]).sum())
        return {
            "fold": self.fold,
            "share": self.share,
            "learned": len(self.split.learned),
            "tested": len(self.split.test),
            "mse": mean_squared(self.true, self.said),
            "mean_spectrum_mse": mean_squared(self.true, self.mean),
            "trees_mse": mean_squared(self.true, self.trees),
            "member_mse": float(rows["test_error"].mean()),
            "validation_mse": float(rows["val_error"].mean()),
            "mae": mae,
            "mad": mad,
            "mad_mae": mad / max(mae, 1e-12),
            "wasserstein": float(np.nanmean(own.wasserstein)),
            "trees_wasserstein": float(
                np.nanmean(score(self.true, self.trees, energies).wasserstein)
            ),
            "spread_covers": covered(self.true, self.said, self.deviation),
            "parameters": int(rows["parameters"].iloc[0]),
            "seconds": seconds,
            "crystals_per_second": crystals / max(seconds, 1e-9),
            "best_epochs": rows["best_epoch"].astype(int).tolist(),
        }

    def predictions(self) -> list[dict[str, Any]]:
        """Rows of dos_predictions.parquet."""
        energies, test = self.densities.window.energies, self.split.test
        own, trees = (score(self.true, one, energies) for one in (self.said, self.trees))
        mean = score(self.true, self.mean, energies)
        of_members = [score(self.true, one, energies).at_zero[:, 1] for one in self.members]
        spread = np.stack(of_members).std(axis=0, ddof=1)
        fermi = self.densities.window.fermi
        return [
            {
                "id": str(self.densities.data.ids[row]),
                "elements": _elements(self.densities, row),
                "fold": self.fold,
                "target": self.true[at],
                "prediction": self.said[at],
                "deviation": self.deviation[at],
                "mse": own.squared[at],
                "mean_spectrum_mse": mean.squared[at],
                "trees_mse": trees.squared[at],
                "mae": own.absolute[at],
                "wasserstein": _finite(own.wasserstein[at]),
                "trees_wasserstein": _finite(trees.wasserstein[at]),
                "at_fermi": _finite(own.at_zero[at, 0]) if fermi else None,
                "at_fermi_predicted": _finite(own.at_zero[at, 1]) if fermi else None,
                "at_fermi_deviation": _finite(spread[at]) if fermi else None,
                "peak": self.densities.peak[row],
            }
            for at, row in enumerate(test.tolist())
        ]

    def elements(self) -> list[dict[str, Any]]:
        """Rows of dos_elements.parquet: mean densities of the atoms of each element."""
        data, test = self.densities.data, self.split.test
        numbers, true = by_element(self.densities, test, data.targets_of(test))
        said = np.mean([one["elements/density"] for one in self._arrays], axis=0)
        crystals = (self.densities.composition[test] > 0).sum(axis=0)
        return [
            {
                "symbol": symbol(int(z)),
                "fold": self.fold,
                "crystals": int(crystals[z]),
                "target": true[at] if self.densities.per_site else None,
                "prediction": said[at],
            }
            for at, z in enumerate(numbers)
        ]


def folds_of(ledger: pd.DataFrame, records: Records, densities: Densities) -> list[FoldResults]:
    """The results of all folds, those with the whole of what they learn from first."""
    done = ledger[ledger["status"] == DONE]
    groups = [rows for _, rows in done.groupby(["share", "fold"]) if len(rows) > 1]
    groups.sort(key=lambda rows: (-rows["share"].iloc[0], rows["fold"].iloc[0]))
    return [FoldResults(rows, records, densities) for rows in groups]


def whole(folds: Sequence[FoldResults]) -> list[FoldResults]:
    """Those that learn from all that they may."""
    return [one for one in folds if one.share == WHOLE]


def covered(true: np.ndarray, said: np.ndarray, deviation: np.ndarray) -> float:
    """The share of the entries that lie within two deviations of the members."""
    known = np.isfinite(true)
    return float((np.abs(true - said)[known] <= 2 * deviation[known]).mean())


def _trees(densities: Densities, learned: np.ndarray, test: np.ndarray, seed: int) -> np.ndarray:
    """[B, L] what a forest predicts from composition and volume."""
    table = table_of(ELEMENTS)
    seen = features(densities.composition, table, densities.volume)
    return forest(seen[learned], densities.crystals[learned], seen[test], seed)


def _elements(densities: Densities, row: int) -> str:
    graphs = densities.data.graphs
    numbers = graphs.z[ranges(graphs.node_ptr, np.array([row]))]
    return " ".join(symbol(int(z)) for z in np.unique(numbers))


def _finite(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
