"""Our side of a comparison: a training array in a process of its own.

python -m benchmarks.ours        # then one request per line, as benchmarks/child.py sends
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from benchmarks.inputs import featurised
from benchmarks.peers.serving import serve
from trainables.crystals.sources import open_source
from trainables.models.backbones import BACKBONES
from trainables.representations import shards
from trainables.representations.columns import Columns
from trainables.representations.dataset import Dataset
from trainables.representations.graph_batch import GraphBatch
from trainables.representations.source import GraphSource
from trainables.training.fit import ArrayFit
from trainables.training.outcome import Outcome
from trainables.training.problem import GraphProblem
from trainables.training.specification import ArraySpec


def open_data(source: Path, backbone: str) -> Dataset[Columns]:
    """Reads a folder of shards, or featurises a data set as `--tasks` takes it."""
    if (source / shards.MANIFEST).exists():
        return shards.load(source, BACKBONES[backbone].representation.columns)
    return featurised(open_source(source).entries(), backbone)


class RecordedGraphs:
    """A data set that records which crystals each batch was made of."""

    def __init__(self, data: GraphSource) -> None:
        self._data, self.target = data, data.target
        self.batch_rows: list[list[int]] = []

    def __len__(self) -> int:
        return len(self._data)

    def batches(self, order: Tensor, size: int) -> Iterator[GraphBatch]:
        start = 0
        for batch in self._data.batches(order, size):
            self.batch_rows.append(order[start : start + batch.crystals].tolist())
            start += batch.crystals
            yield batch


class Ours:
    """One array of models, from the source's files to the last epoch."""

    def start(
        self,
        *,
        source: str,
        backbone: str,
        dim: int,
        mixings: list[str],
        fold: int,
        seed: int,
        epochs: int,
        device: str = "cpu",
    ) -> dict[str, Any]:
        """Reads, featurises (unless `source` is a folder of shards) and builds."""
        torch.set_num_threads(1)
        self.dataset = open_data(Path(source), backbone)
        recipe = dataclasses.replace(BACKBONES[backbone].recipes["paper"], epochs=epochs)
        spec = ArraySpec(
            backbone=backbone,
            dim=dim,
            mixings={label: label for label in mixings},
            fold=fold,
            seed=seed,
            recipe=recipe,
        )
        self.fit = ArrayFit(spec, self.dataset, device)
        self.histories = list(self.fit.training.active)
        return {}

    def epochs(self, *, count: int) -> dict[str, Any]:
        """Trains `count` epochs; seconds, and each model's training losses and validation MAEs."""
        start = time.perf_counter()
        for _ in range(count):
            for _ in self.fit.advance():
                pass
        seconds = time.perf_counter() - start
        return {
            "seconds": seconds,
            "train_loss": [history.train_loss[-count:] for history in self.histories],
            "val_mae": [history.val_error[-count:] for history in self.histories],
        }

    def save_weights(self, *, path: str) -> dict[str, Any]:
        """Saves the models' present weights as arrays [K, …] of an .npz file."""
        state = self.fit.training.model.state_dict()
        np.savez(path, **{name: value.cpu().numpy() for name, value in state.items()})
        return {}

    def recorded_epochs(self, *, count: int) -> dict[str, Any]:
        """`epochs`, with the ids of each batch's crystals, and the targets' standardisation."""
        problem = self.fit.training.problem
        assert isinstance(problem, GraphProblem)
        recorded = problem.data = RecordedGraphs(problem.data)
        answer = self.epochs(count=count)
        train = set(self.fit.split.train.tolist())
        batches = [rows for rows in recorded.batch_rows if rows[0] in train]
        return answer | {
            "batches": [[str(self.dataset.ids[row]) for row in rows] for rows in batches],
            "mean": self.fit.scaler.mean,
            "scale": self.fit.scaler.scale,
        }

    def whole(self, *, epochs: int, **arguments: Any) -> dict[str, Any]:
        """A training run from start to finish, including the evaluation of the best weights."""
        self.start(epochs=epochs, **arguments)
        outcomes: list[Outcome] = []
        while not self.fit.finished:
            outcomes.extend(self.fit.advance())
        test = {outcome.history.member.key: outcome.metrics.get("test_mae") for outcome in outcomes}
        return {
            "train_loss": [history.train_loss for history in self.histories],
            "val_mae": [history.val_error for history in self.histories],
            "test_mae": [test[history.member.key] for history in self.histories],
        }


if __name__ == "__main__":
    ours = Ours()
    serve(
        {
            "start": ours.start,
            "epochs": ours.epochs,
            "save_weights": ours.save_weights,
            "recorded_epochs": ours.recorded_epochs,
            "whole": ours.whole,
        }
    )
