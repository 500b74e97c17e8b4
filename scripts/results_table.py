"""Print a run's results as a Markdown table, for docs/results.md.

python scripts/results_table.py RUN
"""

from __future__ import annotations

import argparse
from pathlib import Path

from analysis.leaderboard import CONFIGURATION, best_by_validation, picked_in_each_fold, summary
from orchestrator.runs.finished_run import FinishedRun


def main() -> None:
    """One row a configuration; bold is what the mean validation MAE picks for its backbone."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("run", type=Path, metavar="RUN", help="run directory of hybrid_grid")
    ledger = FinishedRun(parser.parse_args().run).ledger
    best = best_by_validation(ledger)[list(CONFIGURATION)]
    picked = {tuple(row) for row in best.to_numpy().tolist()}
    head = [
        "data set",
        "condition",
        "backbone",
        "dim",
        "mixing",
        "setting",
        "models",
        "validation MAE",
    ]
    print("| " + " | ".join([*head, "test MAE", "± folds"]) + " |")
    print("|---|---|---|--:|---|---|--:|--:|--:|--:|")
    for row in summary(ledger).itertuples():
        configuration = tuple(getattr(row, name) for name in CONFIGURATION)
        cells = [*configuration, row.models]
        cells += [f"{mae:.4g}" for mae in (row.val_error, row.test_error, row.test_std)]
        bold = "**" if configuration in picked else ""
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
