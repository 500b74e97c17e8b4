"""An observer of another package: validation errors as CSV, from the public events alone."""

from __future__ import annotations

import csv
from pathlib import Path

from orchestrator.training.events import Began, Event, Recorded


class ErrorsOverTime:
    """Writes a line a recorded model, named as the study names it."""

    def __init__(self, run: Path) -> None:
        self.path = run / "errors.csv"

    def see(self, event: Event) -> None:
        match event:
            case Began(study=study):
                self.study = study
            case Recorded(rows):  # of the ledger, of models that have just been recorded
                error, name = self.study.error, self.study.naming.describe
                with open(self.path, "a", newline="") as file:
                    csv.writer(file).writerows([name(row), row[error]] for row in rows)

    def close(self) -> None:
        """Nothing is open."""
