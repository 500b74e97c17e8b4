"""Compare the gaps of a scale with those of a published table, in the same order of elements.

python scripts/compare_scale.py runs/scale/scale.csv element_scale_table_3_1.csv
"""

from __future__ import annotations

import argparse
import csv
import itertools
import sys
from pathlib import Path

import numpy as np
from scipy.stats import pearsonr, spearmanr

SHOWN = 6


def read(path: Path) -> tuple[list[str], np.ndarray]:
    """Symbols in order, and the gaps between them in proportion to an even scale."""
    with open(path, newline="") as file:
        rows = [(row["symbol"], float(row["position"])) for row in csv.DictReader(file)]
    gaps = np.diff([position for _, position in rows])
    return [symbol for symbol, _ in rows], gaps / gaps.mean()


def main() -> int:
    """Prints correlations, and the narrowest and widest gaps of both."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("scale", type=Path)
    parser.add_argument("table", type=Path)
    given = parser.parse_args()
    (symbols, ours), (same, theirs) = read(given.scale), read(given.table)
    if symbols != same:
        print("error: the two have other elements or another order", file=sys.stderr)
        return 2
    print(f"Spearman {spearmanr(ours, theirs).statistic:.4f}", end=", ")
    print(f"Pearson {pearsonr(ours, theirs).statistic:.4f}, {len(ours)} gaps")
    pairs = [f"{a}-{b}" for a, b in itertools.pairwise(symbols)]
    for name, gaps in ((given.scale.name, ours), (given.table.name, theirs)):
        order = np.argsort(gaps, kind="stable")
        for what, places in (("narrowest", order[:SHOWN]), ("widest", order[::-1][:SHOWN])):
            listed = ", ".join(f"{pairs[place]} {gaps[place]:.2f}" for place in places)
            print(f"{name}, {what}: {listed}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
