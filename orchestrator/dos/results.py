"""From records to predictions, scores and baselines of each fold.

Legend: K members, B test crystals, L energies.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
import pandas as pd

from analysis.densities import (
    features,
    forest,
    formulas,
    look_up,
    mean_absolute,
    mean_spectrum,
    mean_squared,
    score,
)
from analysis.paired import FIVE_FOLDS, paired
from orchestrator.dos.entries import WHOLE
from orchestrator.runs.records import DONE, Records
from trainables.crystals.symbols import symbol
from trainables.elements.handcrafted import ELEMENTS, table_of
from trainables.representations.columns import ranges
from trainables.representations.densities import Densities, by_element, fold_split

BASELINES = {"trees": "trees", "lookup": "look-up"}  # of differences, and their names in print
SCORES = (
    "mse", "mean_spectrum_mse", "trees_mse", "lookup_mse", "mse_seen", "mse_unseen",
    "trees_mse_seen", "trees_mse_unseen", "lookup_mse_seen", "lookup_mse_unseen", "member_mse",
    "mae", "mad", "mad_mae", "wasserstein", "trees_wasserstein", "spread_covers",
    "crystals_per_second",
)  # fmt: skip


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
        self.lookup, self.seen = _looked_up(densities, self.split.learned, self.split.test)

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
            "elements": self._learned_elements(),
            "members": len(rows),
            "mse": mean_squared(self.true, self.said),
            "mean_spectrum_mse": mean_squared(self.true, self.mean),
            "trees_mse": mean_squared(self.true, self.trees),
            "lookup_mse": mean_squared(self.true, self.lookup),
            "seen": int(self.seen.sum()),
            **self._apart(),
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

    def _learned_elements(self) -> dict[str, list[str]]:
        """By member, of the crystals that it trains on: all but the part that it holds back."""
        return {
            str(member): self._elements_of(arrays["predictions/validation/row"])
            for member, arrays in zip(self.rows["member"], self._arrays, strict=True)
        }

    def _elements_of(self, held: np.ndarray) -> list[str]:
        trained = np.setdiff1d(self.split.learned, held)
        atoms = self.densities.composition[trained].sum(axis=0)
        return [symbol(int(z)) for z in np.flatnonzero(atoms)]

    def _apart(self) -> dict[str, float | None]:
        """Errors on formulas that were learned from and on others; None where there are none."""
        said = {"mse": self.said, "trees_mse": self.trees, "lookup_mse": self.lookup}
        parts = {"seen": self.seen, "unseen": ~self.seen}
        return {
            f"{name}_{part}": mean_squared(self.true[rows], one[rows]) if rows.any() else None
            for name, one in said.items()
            for part, rows in parts.items()
        }

    def predictions(self) -> list[dict[str, Any]]:
        """Rows of dos_predictions.parquet."""
        energies, test = self.densities.window.energies, self.split.test
        own, trees = (score(self.true, one, energies) for one in (self.said, self.trees))
        mean, lookup = (score(self.true, one, energies) for one in (self.mean, self.lookup))
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
                "lookup_mse": lookup.squared[at],
                "seen": bool(self.seen[at]),
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
        """Rows of dos_elements.parquet: mean densities of the atoms of each element.

        NaN at energies that no curve of a crystal with it reaches.
        """
        data, test = self.densities.data, self.split.test
        numbers, true, known = by_element(self.densities, test, data.targets_of(test))
        said = np.mean([one["elements/density"] for one in self._arrays], axis=0)
        crystals = (self.densities.composition[test] > 0).sum(axis=0)
        return [
            {
                "symbol": symbol(int(z)),
                "fold": self.fold,
                "crystals": int(crystals[z]),
                "target": _where(known[at], true[at]) if self.densities.per_site else None,
                "prediction": _where(known[at], said[at]),
            }
            for at, z in enumerate(numbers)
        ]


def folds_of(ledger: pd.DataFrame, records: Records, densities: Densities) -> list[FoldResults]:
    """The results of all folds, those with the whole of what they learn from first."""
    return [FoldResults(rows, records, densities) for rows in ensembles_of(ledger)]


def ensembles_of(ledger: pd.DataFrame) -> list[pd.DataFrame]:
    """Rows of the done members of each fold that has two at least, in the order of `folds_of`."""
    done = ledger[ledger["status"] == DONE]
    groups = [rows for _, rows in done.groupby(["share", "fold"]) if len(rows) > 1]
    return sorted(groups, key=lambda rows: (-rows["share"].iloc[0], rows["fold"].iloc[0]))


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


def _looked_up(
    densities: Densities, learned: np.ndarray, test: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """[B, L] curves of the formulas of the test crystals, and [B] which of them are learned."""
    of = formulas(densities.composition)
    return look_up(of[learned], densities.crystals[learned], of[test])


def mean_of(scores: Sequence[Mapping[str, Any]]) -> dict[str, float | None]:
    """Means over the folds of what is a score; None where no fold has it."""
    known = {name: [row[name] for row in scores if row[name] is not None] for name in SCORES}
    return {name: float(np.mean(values)) if values else None for name, values in known.items()}


def differences_of(scores: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Errors of the ensemble minus those of baselines, over the folds that have both.

    An entry has `baseline` and `crystals` (all, seen, unseen), and of `paired` the mean, the ends
    of its interval, p and the number of folds; there is none of fewer than two folds.
    """
    entries = []
    for baseline in BASELINES:
        for crystals in ("all", "seen", "unseen"):
            name = "mse" if crystals == "all" else f"mse_{crystals}"
            pairs = [(row[name], row[f"{baseline}_{name}"]) for row in scores]
            apart = [ours - theirs for ours, theirs in pairs if ours is not None]
            if len(apart) > 1:
                found = asdict(paired(apart, FIVE_FOLDS))
                entries.append({"baseline": baseline, "crystals": crystals, **found})
    return entries


def _elements(densities: Densities, row: int) -> str:
    graphs = densities.data.graphs
    numbers = graphs.z[ranges(graphs.node_ptr, np.array([row]))]
    return " ".join(symbol(int(z)) for z in np.unique(numbers))


def _where(known: np.ndarray, values: np.ndarray) -> np.ndarray:
    return np.where(known, values, np.nan)


def _finite(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
