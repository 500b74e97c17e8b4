"""An observer of another package sees all that is recorded."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

from orchestrator.grid.arrays import GridArray, arrays
from orchestrator.grid.cells import cells
from orchestrator.grid.request import build_config
from orchestrator.nodes import cluster
from orchestrator.nodes.worker import Worker
from orchestrator.runs.records import Records
from orchestrator.training.study import Study
from orchestrator.training.train import train
from tests.extensions.errors_over_time import ErrorsOverTime
from trainables.targets.base import Target
from trainables.testing.samples import made_up_dataset


def test_an_observer_sees_a_training(tmp_path: Path, ray_cluster: dict[str, Any]) -> None:
    axes = {"folds": (0,), "dims": (4,), "backbones": ("cgcnn",), "epochs": 2}
    config = build_config("demo", axes)
    target = Target(name="energy", unit="eV")
    planned = cells(config, {"ionic": target}, {("ionic", "cgcnn"): "fingerprint"})
    data = {("ionic", "cgcnn"): made_up_dataset("cgcnn", 30)}
    study = Study(arrays=arrays(planned), data=data, naming=GridArray)
    observer, records = ErrorsOverTime(tmp_path), Records(tmp_path / "records")
    with cluster.connected(None, 1):
        assert train(study, records, Worker(cpus=1, gpus=0), [observer])
    written = dict(csv.reader(observer.path.read_text().splitlines()))
    rows = map(records.read, study.tasks)
    assert written == {study.naming.describe(row): str(row["val_error"]) for row in rows}
