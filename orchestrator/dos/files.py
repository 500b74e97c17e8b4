"""The files that `dos` writes into its run: writing and reading them."""

from __future__ import annotations

from functools import cached_property

import pandas as pd
import pyarrow as pa

from orchestrator.runs.finished_files import FinishedFiles, read_parquet

LEDGER, FACTS = "dos_ledger.parquet", "dos.json"
PREDICTIONS, ELEMENTS = "dos_predictions.parquet", "dos_elements.parquet"
_CURVE = pa.list_(pa.float32())
PREDICTED = pa.schema(
    [("id", pa.string()), ("elements", pa.string()), ("fold", pa.int64())]
    + [(name, _CURVE) for name in ("target", "prediction", "deviation")]
    + [(name, pa.float64()) for name in ("mse", "mean_spectrum_mse", "trees_mse", "lookup_mse")]
    + [("seen", pa.bool_()), ("mae", pa.float64())]
    + [(name, pa.float64()) for name in ("wasserstein", "trees_wasserstein")]
    + [(name, pa.float64()) for name in ("at_fermi", "at_fermi_predicted", "at_fermi_deviation")]
    + [("peak", pa.float64())]
)
OF_ELEMENTS = pa.schema(
    [("symbol", pa.string()), ("fold", pa.int64()), ("crystals", pa.int64())]
    + [(name, _CURVE) for name in ("target", "prediction")]
)


class FinishedDos(FinishedFiles):
    """The files of a run, each read on first use."""

    job, facts_file = "dos", FACTS

    @cached_property
    def predictions(self) -> pd.DataFrame:
        """A row a test crystal."""
        return read_parquet(self.folder, PREDICTIONS, self.job)

    @cached_property
    def elements(self) -> pd.DataFrame:
        """A row an element and fold."""
        return read_parquet(self.folder, ELEMENTS, self.job)
