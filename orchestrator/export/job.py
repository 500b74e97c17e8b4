"""Writes a run's models as a folder that predicts elsewhere.

elemgrid export runs/hybrid_grid FOLDER
"""

from __future__ import annotations

import torch

from orchestrator.export.flags import ExportOptions
from orchestrator.interface.errors import UsageError
from orchestrator.interface.format import counted
from orchestrator.interface.job import OK
from orchestrator.predict import folder
from orchestrator.predict.from_run import predictor_of
from orchestrator.predict.job import describe
from orchestrator.runs import durable, layout
from orchestrator.runs.made_by import demand_grid, demand_there


def start(options: ExportOptions) -> int:
    """Records → a folder."""
    torch.set_num_threads(1)
    target = options.folder
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise UsageError(f"{target}: is there and not empty; name a new folder")
    demand_there(options.run)
    demand_grid(options.run, "only runs of fit and hybrid_grid are exported")
    predictor = predictor_of(options.run, options.task, options.model)
    describe(predictor)
    durable.make_folder(target)
    written = folder.save(predictor, options.run / layout.RECORDS, target)
    size = sum(path.stat().st_size for path in written) / 1e6
    print(f"{target}: {counted(len(written), 'file')}, {size:.1f} MB")
    return OK
