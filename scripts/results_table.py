"""Print a run's results as a Markdown table, for docs/results.md.

python scripts/results_table.py RUN
"""

from __future__ import annotations

import argparse
from pathlib import Path

import pandas as pd

from analysis.leaderboard import best_by_validation, picked_in_each_fold, summary

CELL = ["task", "backbone", "dim", "mixing"]


def main() -> None:
    """One row a configuration; bold is what the mean validation MAE picks for its backbone."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("run", type=Path, metavar="RUN", help="run directory of hybrid_grid")
    ledger = pd.read_parquet(parser.parse_args().run / "ledger.parquet")
    picked = {tuple(row) for row in best_by_validation(ledger)[CELL].to_numpy().tolist()}
    print("| data set | backbone | dim | mixing | models | validation MAE | test MAE | ± folds |")
    print("|---|---|--:|---|--:|--:|--:|--:|")
    for row in summary(ledger).itertuples():
        cells = [row.task, row.backbone, row.dim, row.mixing, row.models]
        cells += [f"{mae:.4g}" for mae in (row.val_error, row.test_error, row.test_std)]
        bold = "**" if (row.task, row.backbone, row.dim, row.mixing) in picked else ""
        print("| " + " | ".join(f"{bold}{cell}{bold}" for cell in cells) + " |")
    print()
    for row in picked_in_each_fold(ledger).itertuples():
        score = f"{row.test_error:.2f} ± {row.test_std:.2f}"
        print(f"{row.task}, {row.backbone}, nested selection: {score} over {row.folds} folds")
    done = ledger[ledger["status"] == "done"]
    print(
        f"\n{len(done)} of {len(ledger)} models done, {done['epochs'].sum()} model-epochs in"
        f" {done['seconds'].sum():.0f} s of training summed over workers"
    )


if __name__ == "__main__":
    main()
